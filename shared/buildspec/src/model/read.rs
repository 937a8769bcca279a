//! Turns YAML nodes into a typed buildspec, keeping what it does not know as a warning.

mod value;

use self::value::{
    add_pairs, entries, items, optional_text, pairs, raw, read_on_failure, read_shell,
    read_version, refuse, switch, texts,
};
use super::{Artifacts, Buildspec, Cache, Env, Others, Phase, PhaseName, Phases, Report};
use crate::suggest::did_you_mean;
use crate::yaml::{self, Limits, Node, Span, Value, YamlError};

/// Something that is read but probably not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What is odd and what to do, without the place.
    pub message: String,
    /// Where it stands.
    pub span: Span,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Span { line, column } = self.span;
        write!(formatter, "line {line}, column {column}: {}", self.message)
    }
}

/// Why a text is no buildspec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct ReadError {
    /// What is wrong and what to do, without the place.
    pub message: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl From<YamlError> for ReadError {
    fn from(error: YamlError) -> Self {
        Self {
            message: error.message,
            line: error.line,
            column: error.column,
        }
    }
}

pub(super) fn read(text: &str) -> Result<(Buildspec, Vec<Warning>), ReadError> {
    let root = yaml::read(
        text,
        Limits {
            aliases: true,
            ..Limits::default()
        },
    )?;
    let mut reader = Reader::default();
    let spec = reader.buildspec(&root)?;
    Ok((spec, reader.warnings))
}

const TOP_KEYS: &[&str] = &[
    "version",
    "run-as",
    "env",
    "phases",
    "reports",
    "artifacts",
    "cache",
    "proxy",
    "batch",
    "environment_variables",
];
const ENV_KEYS: &[&str] = &[
    "shell",
    "variables",
    "parameter-store",
    "secrets-manager",
    "exported-variables",
    "git-credential-helper",
];
const PHASES: &[&str] = &["install", "pre_build", "build", "post_build"];
const PHASE_KEYS: &[&str] = &[
    "run-as",
    "on-failure",
    "runtime-versions",
    "commands",
    "finally",
];
const REPORT_KEYS: &[&str] = &["files", "base-directory", "discard-paths", "file-format"];
const ARTIFACT_KEYS: &[&str] = &[
    "files",
    "name",
    "base-directory",
    "discard-paths",
    "exclude-paths",
    "secondary-artifacts",
    "enable-symlinks",
    "s3-prefix",
];
const CACHE_KEYS: &[&str] = &["paths", "key", "fallback-keys", "action"];

#[derive(Default)]
struct Reader {
    warnings: Vec<Warning>,
}

impl Reader {
    fn buildspec(&mut self, root: &Node) -> Result<Buildspec, ReadError> {
        if root.as_mapping().is_none() {
            return refuse(
                root,
                format!(
                    "a buildspec is a mapping with `version` and `phases`, this is {}",
                    root.kind()
                ),
            );
        }
        let mut spec = Buildspec::default();
        let mut version = None;
        let mut phases = None;
        for (key, value) in entries(root, "the buildspec")? {
            match key.key_text() {
                "version" => version = Some(read_version(value)?),
                "run-as" => spec.run_as = optional_text(value, "`run-as`")?,
                "env" => self.env(value, &mut spec.env)?,
                "environment_variables" => self.old_variables(value, &mut spec.env)?,
                "phases" => phases = Some((key.span, self.phases(value)?)),
                "reports" => spec.reports = self.reports(value)?,
                "artifacts" => spec.artifacts = self.artifacts(value, "`artifacts`")?,
                "cache" => spec.cache = self.cache(value)?,
                "proxy" | "batch" => spec.other.push((key.key_text().to_owned(), raw(value))),
                name if PHASES.contains(&name) => {
                    return refuse(
                        key,
                        format!(
                            "`{name}` stands outside `phases` and would never run: move it under `phases:`"
                        ),
                    );
                }
                _ => self.unknown(key, value, "the buildspec", TOP_KEYS, &mut spec.other)?,
            }
        }
        let Some(version) = version else {
            return refuse(
                root,
                "`version` is missing: start the buildspec with `version: 0.2`",
            );
        };
        spec.version = version;
        let is_batch = spec.other.iter().any(|(name, _)| name == "batch");
        match phases {
            Some((span, phases)) => {
                if phases.is_idle() && !is_batch {
                    self.warnings.push(Warning::new(
                        span,
                        "no phase has a command: this buildspec builds nothing",
                    ));
                }
                spec.phases = phases;
            }
            None if is_batch => {}
            None => {
                return refuse(
                    root,
                    "`phases` is missing: the commands stand under `phases:`, for example in `build:`",
                );
            }
        }
        Ok(spec)
    }

    fn env(&mut self, node: &Node, env: &mut Env) -> Result<(), ReadError> {
        for (key, value) in entries(node, "`env`")? {
            match key.key_text() {
                "shell" => env.shell = read_shell(value)?,
                "variables" => add_pairs(&mut env.variables, value, "`variables`")?,
                "parameter-store" => env.parameter_store = pairs(value, "`parameter-store`")?,
                "secrets-manager" => env.secrets_manager = pairs(value, "`secrets-manager`")?,
                "exported-variables" => {
                    env.exported_variables = texts(value, "`exported-variables`")?;
                }
                "git-credential-helper" => {
                    env.git_credential_helper = switch(value, "`git-credential-helper`")?;
                }
                _ => self.unknown(key, value, "`env`", ENV_KEYS, &mut env.other)?,
            }
        }
        Ok(())
    }

    /// Version 0.1 keeps its variables under `environment_variables: plaintext:`.
    fn old_variables(&mut self, node: &Node, env: &mut Env) -> Result<(), ReadError> {
        for (key, value) in entries(node, "`environment_variables`")? {
            if key.key_text() != "plaintext" {
                return refuse(
                    key,
                    format!(
                        "`environment_variables` has only `plaintext`, not `{}`",
                        key.key_text()
                    ),
                );
            }
            add_pairs(&mut env.variables, value, "`plaintext`")?;
        }
        Ok(())
    }

    fn phases(&mut self, node: &Node) -> Result<Phases, ReadError> {
        let mut phases = Phases::default();
        for (key, value) in entries(node, "`phases`")? {
            match PhaseName::ALL
                .into_iter()
                .find(|name| name.as_str() == key.key_text())
            {
                Some(name) => *phases.get_mut(name) = self.phase(name, value)?,
                None => self.unknown(key, value, "`phases`", PHASES, &mut phases.other)?,
            }
        }
        Ok(phases)
    }

    fn phase(&mut self, name: PhaseName, node: &Node) -> Result<Phase, ReadError> {
        let place = format!("`{}`", name.as_str());
        let mut phase = Phase::default();
        for (key, value) in entries(node, &place)? {
            match key.key_text() {
                "run-as" => phase.run_as = optional_text(value, "`run-as`")?,
                "on-failure" => phase.on_failure = read_on_failure(value)?,
                "runtime-versions" => {
                    if name != PhaseName::Install {
                        let message =
                            format!("`runtime-versions` is read only in `install`, not in {place}");
                        self.warnings.push(Warning::new(key.span, message));
                    }
                    phase.runtime_versions = pairs(value, "`runtime-versions`")?;
                }
                "commands" => phase.commands = self.commands(value)?,
                "finally" => phase.finally = self.commands(value)?,
                "steps" => {
                    let message =
                        "`steps` are GitHub Actions steps, which only CodeBuild itself runs";
                    self.warnings.push(Warning::new(key.span, message));
                    phase.other.push(("steps".to_owned(), raw(value)));
                }
                _ => self.unknown(key, value, &place, PHASE_KEYS, &mut phase.other)?,
            }
        }
        Ok(phase)
    }

    fn commands(&mut self, node: &Node) -> Result<Vec<String>, ReadError> {
        let mut commands = Vec::new();
        for item in items(node) {
            match &item.value {
                Value::Scalar { .. } if item.is_null() => {
                    self.warnings
                        .push(Warning::new(item.span, "an empty command is left out"));
                }
                Value::Scalar { text, .. } => commands.push(text.clone()),
                Value::Mapping(_) | Value::Sequence(_) => {
                    let message = format!(
                        "a command is not a string but {}: quote it, most often because of a `: ` in it",
                        item.kind()
                    );
                    return refuse(item, message);
                }
            }
        }
        Ok(commands)
    }

    fn reports(&mut self, node: &Node) -> Result<Vec<(String, Report)>, ReadError> {
        let mut reports = Vec::new();
        for (name, body) in entries(node, "`reports`")? {
            let mut report = Report::default();
            for (key, value) in entries(body, "a report group")? {
                match key.key_text() {
                    "files" => report.files = texts(value, "`files`")?,
                    "base-directory" => {
                        report.base_directory = optional_text(value, "`base-directory`")?;
                    }
                    "discard-paths" => report.discard_paths = switch(value, "`discard-paths`")?,
                    "file-format" => report.file_format = optional_text(value, "`file-format`")?,
                    _ => {
                        self.unknown(key, value, "a report group", REPORT_KEYS, &mut report.other)?;
                    }
                }
            }
            reports.push((name.key_text().to_owned(), report));
        }
        Ok(reports)
    }

    fn artifacts(&mut self, node: &Node, place: &str) -> Result<Option<Artifacts>, ReadError> {
        if node.is_null() {
            return Ok(None);
        }
        let mut artifacts = Artifacts::default();
        for (key, value) in entries(node, place)? {
            match key.key_text() {
                "files" => artifacts.files = texts(value, "`files`")?,
                "name" => artifacts.name = optional_text(value, "`name`")?,
                "base-directory" => {
                    artifacts.base_directory = optional_text(value, "`base-directory`")?;
                }
                "discard-paths" => artifacts.discard_paths = switch(value, "`discard-paths`")?,
                "exclude-paths" => artifacts.exclude_paths = texts(value, "`exclude-paths`")?,
                "secondary-artifacts" => artifacts.secondary = self.secondary(value)?,
                name @ ("enable-symlinks" | "s3-prefix") => {
                    artifacts.other.push((name.to_owned(), raw(value)));
                }
                _ => self.unknown(key, value, place, ARTIFACT_KEYS, &mut artifacts.other)?,
            }
        }
        Ok(Some(artifacts))
    }

    fn secondary(&mut self, node: &Node) -> Result<Vec<(String, Artifacts)>, ReadError> {
        let mut secondary = Vec::new();
        for (name, body) in entries(node, "`secondary-artifacts`")? {
            let artifacts = self
                .artifacts(body, "a secondary artifact")?
                .unwrap_or_default();
            secondary.push((name.key_text().to_owned(), artifacts));
        }
        Ok(secondary)
    }

    fn cache(&mut self, node: &Node) -> Result<Option<Cache>, ReadError> {
        if node.is_null() {
            return Ok(None);
        }
        let mut cache = Cache::default();
        for (key, value) in entries(node, "`cache`")? {
            match key.key_text() {
                "paths" => cache.paths = texts(value, "`paths`")?,
                "key" => cache.key = optional_text(value, "`key`")?,
                name @ ("fallback-keys" | "action") => {
                    cache.other.push((name.to_owned(), raw(value)));
                }
                _ => self.unknown(key, value, "`cache`", CACHE_KEYS, &mut cache.other)?,
            }
        }
        Ok(Some(cache))
    }

    fn unknown(
        &mut self,
        key: &Node,
        value: &Node,
        place: &str,
        known: &[&str],
        other: &mut Others,
    ) -> Result<(), ReadError> {
        let name = key.key_text();
        if name == "<<" {
            return refuse(
                key,
                "merge keys (`<<`) are not read, what they bring would be lost: write the keys out",
            );
        }
        let suggestion = did_you_mean(name, known)
            .map_or(String::new(), |meant| format!(", did you mean `{meant}`?"));
        self.warnings.push(Warning::new(
            key.span,
            format!("{place} has no key `{name}`{suggestion}"),
        ));
        other.push((name.to_owned(), raw(value)));
        Ok(())
    }
}

impl Phases {
    fn is_idle(&self) -> bool {
        PhaseName::ALL.into_iter().all(|name| {
            let phase = self.get(name);
            phase.commands.is_empty()
                && phase.finally.is_empty()
                && !phase.other.iter().any(|(key, _)| key == "steps")
        })
    }
}

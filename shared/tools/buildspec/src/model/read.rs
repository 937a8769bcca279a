//! Turns YAML nodes into a typed buildspec, keeping unknown parts and noting problems.

mod batch;
mod parts;
mod value;

use super::{Buildspec, Env, Phase, PhaseName, Phases, Problem, ProblemKind, Proxy, Reading};
use crate::yaml::{self, Limits, Node, Value, YamlError};

pub(super) fn read(text: &str) -> Result<Reading, YamlError> {
    let limits = Limits {
        aliases: true,
        ..Limits::default()
    };
    let root = yaml::read(text, limits)?;
    let mut reader = Reader::default();
    let spec = reader.buildspec(&root);
    Ok(Reading {
        spec,
        problems: reader.problems,
        root,
    })
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
const PROXY_KEYS: &[&str] = &["upload-artifacts", "logs"];
const PHASES: &[&str] = &["install", "pre_build", "build", "post_build"];
const PHASE_KEYS: &[&str] = &[
    "run-as",
    "on-failure",
    "runtime-versions",
    "commands",
    "finally",
    "steps",
];

/// Continues after every problem, and notes it.
#[derive(Default)]
struct Reader {
    problems: Vec<Problem>,
}

impl Reader {
    fn buildspec(&mut self, root: &Node) -> Buildspec {
        let mut spec = Buildspec::default();
        if root.as_mapping().is_none() {
            let message = format!(
                "a buildspec is a mapping with `version` and `phases`, this is {}",
                root.kind()
            );
            self.note(ProblemKind::Wrong, root, message);
            return spec;
        }
        let mut has_version = false;
        let mut phases = None;
        for (key, value) in self.entries(root, "the buildspec") {
            match key.key_text() {
                "version" => {
                    has_version = true;
                    spec.version = self.version(value);
                }
                "run-as" => spec.run_as = self.optional_text(value, "`run-as`"),
                "env" => self.env(value, &mut spec.env),
                "environment_variables" => self.old_variables(value, &mut spec.env),
                "phases" => {
                    phases = Some(key);
                    spec.phases = self.phases(value);
                }
                "reports" => spec.reports = self.reports(value),
                "artifacts" => spec.artifacts = self.artifacts(value, "`artifacts`"),
                "cache" => spec.cache = self.cache(value),
                "proxy" => spec.proxy = self.proxy(value),
                "batch" => spec.batch = self.batch(value),
                name if PHASES.contains(&name) => self.note(
                    ProblemKind::PhaseOutside,
                    key,
                    format!(
                        "`{name}` is outside `phases` and would never run: move it under `phases:`"
                    ),
                ),
                _ => self.unknown_section(key, value, &mut spec.other),
            }
        }
        if !has_version {
            let message = "`version` is missing: start the buildspec with `version: 0.2`";
            self.note(ProblemKind::NoVersion, root, message);
        }
        match phases {
            Some(key) if spec.phases.is_idle() && spec.batch.is_none() => {
                let message = "no phase has a command: this buildspec builds nothing";
                self.note(ProblemKind::Suspicious, key, message);
            }
            None if spec.batch.is_none() => {
                let message =
                    "`phases` is missing: commands belong under `phases:`, for example in `build:`";
                self.note(ProblemKind::NoPhases, root, message);
            }
            Some(_) | None => {}
        }
        spec
    }

    fn env(&mut self, node: &Node, env: &mut Env) {
        for (key, value) in self.entries(node, "`env`") {
            match key.key_text() {
                "shell" => env.shell = self.shell(value),
                "variables" => self.add_pairs(&mut env.variables, value, "`variables`"),
                "parameter-store" => env.parameter_store = self.pairs(value, "`parameter-store`"),
                "secrets-manager" => env.secrets_manager = self.pairs(value, "`secrets-manager`"),
                "exported-variables" => {
                    env.exported_variables = self.texts(value, "`exported-variables`");
                }
                "git-credential-helper" => {
                    env.git_credential_helper = self.switch(value, "`git-credential-helper`");
                }
                _ => self.unknown(key, value, "`env`", ENV_KEYS, &mut env.other),
            }
        }
    }

    /// Version 0.1 keeps its variables under `environment_variables: plaintext:`.
    fn old_variables(&mut self, node: &Node, env: &mut Env) {
        for (key, value) in self.entries(node, "`environment_variables`") {
            match key.key_text() {
                "plaintext" => self.add_pairs(&mut env.variables, value, "`plaintext`"),
                name => {
                    let message =
                        format!("`environment_variables` has only `plaintext`, not `{name}`");
                    self.note(ProblemKind::Wrong, key, message);
                }
            }
        }
    }

    fn proxy(&mut self, node: &Node) -> Option<Proxy> {
        let mut proxy = Proxy::default();
        for (key, value) in self.entries_or_none(node, "`proxy`")? {
            match key.key_text() {
                "upload-artifacts" => {
                    proxy.upload_artifacts = self.switch(value, "`upload-artifacts`");
                }
                "logs" => proxy.logs = self.switch(value, "`logs`"),
                _ => self.unknown(key, value, "`proxy`", PROXY_KEYS, &mut proxy.other),
            }
        }
        Some(proxy)
    }

    fn phases(&mut self, node: &Node) -> Phases {
        let mut phases = Phases::default();
        for (key, value) in self.entries(node, "`phases`") {
            match PhaseName::ALL
                .into_iter()
                .find(|name| name.as_str() == key.key_text())
            {
                Some(name) => *phases.get_mut(name) = self.phase(name, value),
                None => self.unknown_phase(key, value, &mut phases.other),
            }
        }
        phases
    }

    fn phase(&mut self, name: PhaseName, node: &Node) -> Phase {
        let place = format!("`{}`", name.as_str());
        let mut phase = Phase::default();
        for (key, value) in self.entries(node, &place) {
            match key.key_text() {
                "run-as" => phase.run_as = self.optional_text(value, "`run-as`"),
                "on-failure" => phase.on_failure = self.on_failure(value),
                "runtime-versions" => {
                    if name != PhaseName::Install {
                        let message =
                            format!("`runtime-versions` is read only in `install`, not in {place}");
                        self.note(ProblemKind::Suspicious, key, message);
                    }
                    phase.runtime_versions = self.pairs(value, "`runtime-versions`");
                }
                "commands" => phase.commands = self.commands(value, "commands"),
                "finally" => phase.finally = self.commands(value, "finally"),
                "steps" => {
                    let message =
                        "`steps` are GitHub Actions steps, which only CodeBuild itself runs";
                    self.note(ProblemKind::Suspicious, key, message);
                    phase.steps = self.steps(value);
                }
                _ => self.unknown(key, value, &place, PHASE_KEYS, &mut phase.other),
            }
        }
        if !phase.steps.is_empty() && !phase.commands.is_empty() {
            let message = format!("{place} has `steps` and `commands`: use only one of them");
            self.note(ProblemKind::Suspicious, node, message);
        }
        phase
    }

    fn commands(&mut self, node: &Node, list: &str) -> Vec<String> {
        if matches!(node.value, Value::Scalar { .. }) {
            let message = format!(
                "`{list}` is {}, not a list: write `- ` before each command",
                node.kind()
            );
            self.note(ProblemKind::Lenient, node, message);
        }
        let mut commands = Vec::new();
        for item in value::items(node) {
            match &item.value {
                Value::Scalar { .. } if item.is_null() => {
                    self.note(
                        ProblemKind::Suspicious,
                        item,
                        "an empty command is left out",
                    );
                }
                Value::Scalar { text, .. } => commands.push(text.clone()),
                Value::Mapping(_) | Value::Sequence(_) => {
                    let message = format!(
                        "a command is not a string but {}: quote it, most often because of a `: ` in it",
                        item.kind()
                    );
                    self.note(ProblemKind::CommandNotText, item, message);
                }
            }
        }
        commands
    }
}

impl Phases {
    fn is_idle(&self) -> bool {
        PhaseName::ALL.into_iter().all(|name| {
            let phase = self.get(name);
            phase.commands.is_empty() && phase.finally.is_empty() && phase.steps.is_empty()
        })
    }
}

//! Prints a buildspec so that every reader of YAML sees the same texts.

use crate::model::{
    Artifacts, Buildspec, Cache, Env, Others, Phase, PhaseName, Raw, Report, Version,
};
use crate::yaml::bool11;

pub(crate) fn to_yaml(spec: &Buildspec) -> String {
    let mut page = Page::default();
    page.line(0, &format!("version: {}", spec.version.as_str()));
    page.optional(0, "run-as", spec.run_as.as_deref());
    page.env(&spec.env, spec.version);
    page.phases(spec);
    page.reports(&spec.reports);
    if let Some(artifacts) = &spec.artifacts {
        page.section("artifacts");
        page.artifacts(1, artifacts);
    }
    if let Some(cache) = &spec.cache {
        page.cache(cache);
    }
    if !spec.other.is_empty() {
        page.text.push('\n');
        page.others(0, &spec.other);
    }
    page.text
}

/// The text so far. A depth is two spaces.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, depth: usize, line: &str) {
        self.text.push_str(&"  ".repeat(depth));
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// A key at the top level, set off by an empty line.
    fn section(&mut self, name: &str) {
        self.text.push('\n');
        self.line(0, &format!("{name}:"));
    }

    fn value(&mut self, depth: usize, name: &str, value: &str) {
        self.line(
            depth,
            &format!("{}: {}", key(name), scalar(value, depth + 1)),
        );
    }

    fn optional(&mut self, depth: usize, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.value(depth, name, value);
        }
    }

    fn switch(&mut self, depth: usize, name: &str, value: Option<bool>) {
        if let Some(value) = value {
            self.line(
                depth,
                &format!("{name}: {}", if value { "yes" } else { "no" }),
            );
        }
    }

    fn list(&mut self, depth: usize, name: &str, items: &[String]) {
        if items.is_empty() {
            return;
        }
        self.line(depth, &format!("{name}:"));
        for item in items {
            self.line(depth + 1, &format!("- {}", scalar(item, depth + 2)));
        }
    }

    fn pairs(&mut self, depth: usize, name: &str, pairs: &[(String, String)]) {
        if pairs.is_empty() {
            return;
        }
        self.line(depth, &format!("{name}:"));
        for (name, value) in pairs {
            self.value(depth + 1, name, value);
        }
    }

    fn env(&mut self, env: &Env, version: Version) {
        let mut env = env.clone();
        if version == Version::V0_1 && !env.variables.is_empty() {
            self.section("environment_variables");
            self.pairs(1, "plaintext", &std::mem::take(&mut env.variables));
        }
        if env == Env::default() {
            return;
        }
        self.section("env");
        self.optional(1, "shell", env.shell.map(super::model::Shell::as_str));
        self.pairs(1, "variables", &env.variables);
        self.pairs(1, "parameter-store", &env.parameter_store);
        self.pairs(1, "secrets-manager", &env.secrets_manager);
        self.list(1, "exported-variables", &env.exported_variables);
        self.switch(1, "git-credential-helper", env.git_credential_helper);
        self.others(1, &env.other);
    }

    fn phases(&mut self, spec: &Buildspec) {
        if spec.phases == crate::model::Phases::default() {
            self.text.push('\n');
            self.line(0, "phases: {}");
            return;
        }
        self.section("phases");
        for name in PhaseName::ALL {
            self.phase(name, spec.phases.get(name));
        }
        self.others(1, &spec.phases.other);
    }

    fn phase(&mut self, name: PhaseName, phase: &Phase) {
        if *phase == Phase::default() {
            return;
        }
        self.line(1, &format!("{}:", name.as_str()));
        self.optional(2, "run-as", phase.run_as.as_deref());
        self.optional(
            2,
            "on-failure",
            phase
                .on_failure
                .as_ref()
                .map(ToString::to_string)
                .as_deref(),
        );
        self.pairs(2, "runtime-versions", &phase.runtime_versions);
        self.list(2, "commands", &phase.commands);
        self.list(2, "finally", &phase.finally);
        self.others(2, &phase.other);
    }

    fn reports(&mut self, reports: &[(String, Report)]) {
        if reports.is_empty() {
            return;
        }
        self.section("reports");
        for (name, report) in reports {
            self.line(1, &format!("{}:", key(name)));
            self.list(2, "files", &report.files);
            self.optional(2, "base-directory", report.base_directory.as_deref());
            self.switch(2, "discard-paths", report.discard_paths);
            self.optional(2, "file-format", report.file_format.as_deref());
            self.others(2, &report.other);
        }
    }

    fn artifacts(&mut self, depth: usize, artifacts: &Artifacts) {
        if artifacts.files.is_empty() {
            self.line(depth, "files: []");
        }
        self.list(depth, "files", &artifacts.files);
        self.optional(depth, "name", artifacts.name.as_deref());
        self.optional(depth, "base-directory", artifacts.base_directory.as_deref());
        self.switch(depth, "discard-paths", artifacts.discard_paths);
        self.list(depth, "exclude-paths", &artifacts.exclude_paths);
        if !artifacts.secondary.is_empty() {
            self.line(depth, "secondary-artifacts:");
        }
        for (name, secondary) in &artifacts.secondary {
            self.line(depth + 1, &format!("{}:", key(name)));
            self.artifacts(depth + 2, secondary);
        }
        self.others(depth, &artifacts.other);
    }

    fn cache(&mut self, cache: &Cache) {
        self.section("cache");
        if cache.paths.is_empty() {
            self.line(1, "paths: []");
        }
        self.list(1, "paths", &cache.paths);
        self.optional(1, "key", cache.key.as_deref());
        self.others(1, &cache.other);
    }

    fn others(&mut self, depth: usize, others: &Others) {
        for (name, value) in others {
            self.entry(depth, name, value);
        }
    }

    fn entry(&mut self, depth: usize, name: &str, value: &Raw) {
        match inline(value, depth + 1) {
            Some(inline) => self.line(depth, &format!("{}: {inline}", key(name))),
            None => {
                self.line(depth, &format!("{}:", key(name)));
                self.block(depth + 1, value);
            }
        }
    }

    fn block(&mut self, depth: usize, value: &Raw) {
        match value {
            Raw::Bare(_) | Raw::Text(_) => {}
            Raw::Map(entries) => self.others(depth, entries),
            Raw::List(items) => {
                for item in items {
                    match inline(item, depth + 1) {
                        Some(inline) => self.line(depth, &format!("- {inline}")),
                        None => {
                            self.line(depth, "-");
                            self.block(depth + 1, item);
                        }
                    }
                }
            }
        }
    }
}

/// A value that fits behind its key; the others go on the lines below.
fn inline(value: &Raw, depth: usize) -> Option<String> {
    match value {
        Raw::Bare(text) => Some(text.clone()),
        Raw::Text(text) => Some(scalar(text, depth)),
        Raw::List(items) if items.is_empty() => Some("[]".to_owned()),
        Raw::Map(entries) if entries.is_empty() => Some("{}".to_owned()),
        Raw::List(_) | Raw::Map(_) => None,
    }
}

fn key(name: &str) -> String {
    let starts_plain = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let is_plain = name
        .chars()
        .all(|character| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.'));
    let is_a_word_of_yaml =
        bool11(name).is_some() || matches!(name.to_ascii_lowercase().as_str(), "y" | "n" | "null");
    if starts_plain && is_plain && !is_a_word_of_yaml {
        return name.to_owned();
    }
    if needs_escapes(name) {
        return format!("\"{}\"", escape(name));
    }
    single_or_double(name)
}

/// A quoted scalar whose further lines, if it has any, are indented by `depth`.
fn scalar(text: &str, depth: usize) -> String {
    if !needs_escapes(text) {
        return single_or_double(text);
    }
    let mut out = String::from("\"");
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if index > 0 {
            out.push_str("\\\n");
            out.push_str(&"  ".repeat(depth));
        }
        // A space at the start of a continued line would be taken for indentation.
        let (space, rest) = match line.strip_prefix(' ') {
            Some(rest) if index > 0 => ("\\ ", rest),
            Some(_) | None => ("", line),
        };
        out.push_str(space);
        out.push_str(&escape(rest));
    }
    out.push('"');
    out
}

fn single_or_double(text: &str) -> String {
    if text.contains('\'') && !text.contains(['"', '\\']) {
        format!("\"{text}\"")
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

fn needs_escapes(text: &str) -> bool {
    text.chars()
        .any(|character| !matches!(character, '"' | '\\') && escaped(character).is_some())
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match escaped(character) {
            Some(escape) => out.push_str(&escape),
            None => out.push(character),
        }
    }
    out
}

/// How a character is written between double quotes when it cannot stand there itself,
/// or when somebody reading the text could be deceived by it (bidirectional controls).
fn escaped(character: char) -> Option<String> {
    let code = u32::from(character);
    match character {
        '"' => Some("\\\"".to_owned()),
        '\\' => Some("\\\\".to_owned()),
        '\n' => Some("\\n".to_owned()),
        '\t' => Some("\\t".to_owned()),
        _ if code > 0xffff => is_noncharacter(code).then(|| format!("\\U{code:08X}")),
        _ if is_deceiving(code) || is_noncharacter(code) || character.is_control() => {
            Some(format!("\\u{code:04X}"))
        }
        _ => None,
    }
}

fn is_noncharacter(code: u32) -> bool {
    code & 0xfffe == 0xfffe || (0xfdd0..=0xfdef).contains(&code)
}

fn is_deceiving(code: u32) -> bool {
    matches!(code, 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x2069 | 0xfeff)
}

//! Prints a buildspec so that every reader of YAML sees the same texts.

mod batch;
pub(crate) mod scalar;

use self::scalar::{key, scalar};
use crate::model::{
    Artifacts, Buildspec, Cache, CacheAction, Env, Others, Phase, PhaseName, Proxy, Raw, Report,
    Shell, Step, Version,
};

impl Buildspec {
    /// The buildspec as YAML with the same meaning in YAML 1.1 and 1.2: every command and value is
    /// a quoted scalar. Only `version`, yes/no switches and [`Raw::Bare`] values are unquoted.
    ///
    /// Reading the text gives an equal buildspec, as long as no key of a mapping is longer than
    /// YAML's 1,024 characters.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let mut page = Page::default();
        page.line(0, &format!("version: {}", self.version.as_str()));
        page.optional(0, "run-as", self.run_as.as_deref());
        page.env(&self.env, self.version);
        if let Some(proxy) = &self.proxy {
            page.gap();
            page.proxy(proxy);
        }
        if let Some(batch) = &self.batch {
            page.gap();
            page.batch(batch);
        }
        page.phases(self);
        page.reports(&self.reports);
        if let Some(artifacts) = &self.artifacts {
            page.section("artifacts");
            page.artifacts(1, artifacts);
        }
        if let Some(cache) = &self.cache {
            page.cache(cache);
        }
        if !self.other.is_empty() {
            page.gap();
            page.others(0, &self.other);
        }
        page.text
    }
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

    /// An empty line before a key at the top level.
    fn gap(&mut self) {
        self.text.push('\n');
    }

    /// A key at the top level, after an empty line.
    fn section(&mut self, name: &str) {
        self.gap();
        self.line(0, &format!("{name}:"));
    }

    /// A key with a mapping, even an empty one.
    fn mapping(&mut self, depth: usize, name: &str, body: impl FnOnce(&mut Self)) {
        self.filled(depth, &format!("{}:", key(name)), body);
    }

    /// An item of a list that is a mapping, even an empty one.
    fn item(&mut self, depth: usize, body: impl FnOnce(&mut Self)) {
        self.filled(depth, "-", body);
    }

    fn filled(&mut self, depth: usize, head: &str, body: impl FnOnce(&mut Self)) {
        let before = self.text.len();
        self.line(depth, head);
        let start = self.text.len();
        body(self);
        if self.text.len() == start {
            self.text.truncate(before);
            self.line(depth, &format!("{head} {{}}"));
        }
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
        self.optional(1, "shell", env.shell.map(Shell::as_str));
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
        if !phase.steps.is_empty() {
            self.line(2, "steps:");
        }
        for step in &phase.steps {
            self.item(3, |page| page.step(4, step));
        }
        self.others(2, &phase.other);
    }

    fn step(&mut self, depth: usize, step: &Step) {
        self.optional(depth, "name", step.name.as_deref());
        self.optional(depth, "id", step.id.as_deref());
        self.optional(depth, "uses", step.uses.as_deref());
        self.pairs(depth, "with", &step.with);
        self.pairs(depth, "env", &step.env);
        self.optional(depth, "run", step.run.as_deref());
        self.others(depth, &step.other);
    }

    fn proxy(&mut self, proxy: &Proxy) {
        self.mapping(0, "proxy", |page| {
            page.switch(1, "upload-artifacts", proxy.upload_artifacts);
            page.switch(1, "logs", proxy.logs);
            page.others(1, &proxy.other);
        });
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
        self.switch(depth, "enable-symlinks", artifacts.enable_symlinks);
        self.optional(depth, "s3-prefix", artifacts.s3_prefix.as_deref());
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
        self.list(1, "fallback-keys", &cache.fallback_keys);
        self.optional(1, "action", cache.action.map(CacheAction::as_str));
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

/// A value that fits after its key; others go on the lines below.
fn inline(value: &Raw, depth: usize) -> Option<String> {
    match value {
        Raw::Bare(text) => Some(text.clone()),
        Raw::Text(text) => Some(scalar(text, depth)),
        Raw::List(items) if items.is_empty() => Some("[]".to_owned()),
        Raw::Map(entries) if entries.is_empty() => Some("{}".to_owned()),
        Raw::List(_) | Raw::Map(_) => None,
    }
}

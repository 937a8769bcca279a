//! Reads steps, reports, artifacts and the cache.

use super::Reader;
use super::value::is_known_format;
use crate::model::{Artifacts, Cache, ProblemKind, Report, Step};
use crate::yaml::Node;

const STEP_KEYS: &[&str] = &["name", "id", "uses", "with", "env", "run"];
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

/// The most fallback keys of a cache (CodeBuild user guide, buildspec reference, `cache/fallback-keys`).
const MOST_FALLBACK_KEYS: usize = 5;

impl Reader {
    pub(super) fn steps(&mut self, node: &Node) -> Vec<Step> {
        let items = self.list(node, "`steps`");
        items.iter().map(|item| self.step(item)).collect()
    }

    fn step(&mut self, node: &Node) -> Step {
        let mut step = Step::default();
        for (key, value) in self.entries(node, "a step") {
            match key.key_text() {
                "name" => step.name = self.optional_text(value, "`name`"),
                "id" => step.id = self.optional_text(value, "`id`"),
                "uses" => step.uses = self.optional_text(value, "`uses`"),
                "run" => step.run = self.optional_text(value, "`run`"),
                "with" => step.with = self.pairs(value, "`with`"),
                "env" => step.env = self.pairs(value, "`env`"),
                _ => self.unknown(key, value, "a step", STEP_KEYS, &mut step.other),
            }
        }
        step
    }

    pub(super) fn reports(&mut self, node: &Node) -> Vec<(String, Report)> {
        let mut reports = Vec::new();
        for (name, body) in self.entries(node, "`reports`") {
            reports.push((name.key_text().to_owned(), self.report(body)));
        }
        reports
    }

    fn report(&mut self, node: &Node) -> Report {
        let mut report = Report::default();
        for (key, value) in self.entries(node, "a report group") {
            match key.key_text() {
                "files" => report.files = self.texts(value, "`files`"),
                "base-directory" => {
                    report.base_directory = self.optional_text(value, "`base-directory`");
                }
                "discard-paths" => report.discard_paths = self.switch(value, "`discard-paths`"),
                "file-format" => {
                    report.file_format = self.optional_text(value, "`file-format`");
                    if let Some(format) = report
                        .file_format
                        .as_ref()
                        .filter(|format| !is_known_format(format))
                    {
                        let message = format!("CodeBuild has no report format `{format}`");
                        self.note(ProblemKind::Suspicious, value, message);
                    }
                }
                _ => self.unknown(key, value, "a report group", REPORT_KEYS, &mut report.other),
            }
        }
        report
    }

    pub(super) fn artifacts(&mut self, node: &Node, place: &str) -> Option<Artifacts> {
        let mut artifacts = Artifacts::default();
        for (key, value) in self.entries_or_none(node, place)? {
            match key.key_text() {
                "files" => artifacts.files = self.texts(value, "`files`"),
                "name" => artifacts.name = self.optional_text(value, "`name`"),
                "base-directory" => {
                    artifacts.base_directory = self.optional_text(value, "`base-directory`");
                }
                "discard-paths" => artifacts.discard_paths = self.switch(value, "`discard-paths`"),
                "exclude-paths" => {
                    artifacts.exclude_paths = self.texts_quietly(value, "`exclude-paths`");
                }
                "secondary-artifacts" => artifacts.secondary = self.secondary(value),
                "enable-symlinks" => {
                    artifacts.enable_symlinks = self.switch(value, "`enable-symlinks`");
                }
                "s3-prefix" => artifacts.s3_prefix = self.optional_text(value, "`s3-prefix`"),
                _ => self.unknown(key, value, place, ARTIFACT_KEYS, &mut artifacts.other),
            }
        }
        Some(artifacts)
    }

    fn secondary(&mut self, node: &Node) -> Vec<(String, Artifacts)> {
        let mut secondary = Vec::new();
        for (name, body) in self.entries(node, "`secondary-artifacts`") {
            let artifacts = self.artifacts(body, "a secondary artifact");
            secondary.push((name.key_text().to_owned(), artifacts.unwrap_or_default()));
        }
        secondary
    }

    pub(super) fn cache(&mut self, node: &Node) -> Option<Cache> {
        let mut cache = Cache::default();
        for (key, value) in self.entries_or_none(node, "`cache`")? {
            match key.key_text() {
                "paths" => cache.paths = self.texts(value, "`paths`"),
                "key" => cache.key = self.optional_text(value, "`key`"),
                "fallback-keys" => {
                    cache.fallback_keys = self.texts(value, "`fallback-keys`");
                    if cache.fallback_keys.len() > MOST_FALLBACK_KEYS {
                        let message =
                            format!("a cache has at most {MOST_FALLBACK_KEYS} fallback keys");
                        self.note(ProblemKind::Suspicious, value, message);
                    }
                }
                "action" => cache.action = self.cache_action(value),
                _ => self.unknown(key, value, "`cache`", CACHE_KEYS, &mut cache.other),
            }
        }
        if cache.key.is_none() && !cache.fallback_keys.is_empty() {
            let message = "`fallback-keys` are ignored without a `key`";
            self.note(ProblemKind::Suspicious, node, message);
        }
        Some(cache)
    }
}

//! Finds what will go wrong on CodeBuild, before a build runs.
//!
//! [`lint`] reads a buildspec and the files around it. A finding has a place, what will happen on
//! CodeBuild and what to do about it. [`fix`] fixes what can be fixed automatically. Nothing here touches
//! a disk: files come through [`Files`].
//!
//! To allow a finding, add a comment with a reason on its line, on the line above, or above the first key
//! for the whole file:
//!
//! ```yaml
//! # towline: allow W031 because tags of seven characters are what our users know
//! ```

mod allow;
mod code;
mod explain;
mod fix;
mod render;
mod rules;
mod shell;
mod source;
#[cfg(test)]
mod tests;
mod value;
mod within;

use std::ops::Range;

pub use code::{Code, Level};
pub use explain::Explanation;
pub use fix::{Fixed, fix};
pub use render::{sarif, to_json, to_text};
pub use within::lint_within;

use crate::yaml::Span;

/// The files around a buildspec, by their path from the root of the source with `/` between folders.
pub trait Files {
    /// The text of a file; none if it does not exist or cannot be read.
    fn read(&self, path: &str) -> Option<String>;

    /// The names of the files in a folder, without folders; the root is the empty path.
    fn list(&self, folder: &str) -> Vec<String>;
}

/// No files: only the buildspec is checked.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _: &str) -> Option<String> {
        None
    }

    fn list(&self, _: &str) -> Vec<String> {
        Vec::new()
    }
}

/// Facts about the project that runs the buildspec; a rule that needs an unknown one stays silent.
#[derive(Clone)]
pub struct Context<'a> {
    /// The files around it.
    pub files: &'a dyn Files,
    /// The image of the build container.
    pub image: Option<String>,
    /// Whether the build container is privileged, so that a Docker daemon can run in it.
    pub privileged: Option<bool>,
    /// Whether the source includes Git metadata; CodePipeline's does not.
    pub git_metadata: Option<bool>,
    /// Whether the tags of the ECR repository cannot be moved.
    pub immutable_tags: Option<bool>,
    /// The platforms images are built for, such as `linux/arm64`.
    pub platforms: Vec<String>,
    /// The region of the project.
    pub region: Option<String>,
    /// The account of the project.
    pub account: Option<String>,
}

impl Default for Context<'_> {
    /// With nothing known.
    fn default() -> Self {
        Self {
            files: &NoFiles,
            image: None,
            privileged: None,
            git_metadata: None,
            immutable_tags: None,
            platforms: Vec::new(),
            region: None,
            account: None,
        }
    }
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub code: Code,
    pub file: String,
    /// Its bytes in that file.
    pub range: Range<usize>,
    /// Where it starts.
    pub start: Span,
    /// Where it ends; the column is after the last character.
    pub end: Span,
    /// The text there.
    pub text: String,
    /// What will happen on CodeBuild, in one sentence.
    pub consequence: String,
    /// What to do, in one sentence.
    pub advice: String,
    /// How to fix it automatically, if that is possible.
    pub fix: Option<Fix>,
}

/// A change of the buildspec that fixes a finding.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fix {
    /// The replacements; the ranges do not overlap.
    pub edits: Vec<Edit>,
}

/// A replacement of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The bytes to replace; empty for an insertion.
    pub range: Range<usize>,
    /// The new text.
    pub text: String,
}

/// A finding that the file allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    pub finding: Finding,
    /// Why it is allowed.
    pub reason: String,
}

/// The result of the linter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The problems, by file and place.
    pub findings: Vec<Finding>,
    /// The problems that the files allow.
    pub allowed: Vec<Allowed>,
}

impl Report {
    /// The worst level of all findings.
    #[must_use]
    pub fn worst(&self) -> Option<Level> {
        self.findings
            .iter()
            .map(|finding| finding.code.level())
            .max()
    }
}

/// Finds the problems in the buildspec `text`, which is shown under the name `path`.
///
/// ```
/// use towline_buildspec::lint::{Code, Context, lint};
///
/// let text = "version: 0.2\nphases: {build: {commands: [timeout -t 5 make]}}\n";
/// let report = lint("buildspec.yml", text, &Context::default());
/// assert_eq!(report.findings[0].code, Code::E012);
/// assert_eq!(report.findings[0].text, "timeout -t");
/// ```
#[must_use]
pub fn lint(path: &str, text: &str, context: &Context<'_>) -> Report {
    let mut report = rules::apply(path, text, context);
    report.findings.sort_by(|one, other| {
        let key = |finding: &Finding| {
            (
                finding.file != path,
                finding.file.clone(),
                finding.range.start,
                finding.code,
            )
        };
        key(one).cmp(&key(other))
    });
    report.findings.dedup_by(|one, other| {
        one.code == other.code && one.file == other.file && one.range == other.range
    });
    report
}

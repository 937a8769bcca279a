//! Which pushes start a run and which components it builds, each answer with its reason.

use crate::definition::{Component, Glob, Source};
use crate::names::{CommitSha, GitRef};

/// The files that differ between two commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangedFiles {
    /// All of them, by path from the repository's root.
    Known(Vec<String>),
    /// Not to be had, and why; then everything is built.
    Unknown(String),
}

/// What became of a question, with the reason in words a person understands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Yes, because.
    Yes(String),
    /// No, because.
    No(String),
}

/// Whether a push of this ref counts at all.
#[must_use]
pub fn admits(source: &Source, git_ref: &GitRef, default_branch: &str, message: &str) -> Verdict {
    if let Some(text) = source
        .skip_message
        .iter()
        .find(|text| message.contains(text.as_str()))
    {
        return Verdict::No(format!(
            "the commit message contains {text:?} (source.skip_message)"
        ));
    }
    match git_ref {
        GitRef::Branch(name) if source.branches.is_empty() => {
            if name == default_branch {
                Verdict::Yes("the default branch".into())
            } else {
                Verdict::No("not the default branch, and source.branches names no other".into())
            }
        }
        GitRef::Branch(name) => matched(&source.branches, name, "source.branches"),
        GitRef::Tag(_) if source.tags.is_empty() => Verdict::No("source.tags names no tag".into()),
        GitRef::Tag(name) => matched(&source.tags, name, "source.tags"),
    }
}

fn matched(globs: &[Glob], name: &str, key: &str) -> Verdict {
    match globs.iter().find(|glob| glob.matches(name)) {
        Some(glob) => Verdict::Yes(format!("{key} has {:?}", glob.as_str())),
        None => Verdict::No(format!("no pattern of {key} fits")),
    }
}

/// Whether a component has to be built, given what changed since the commit it was last built at.
///
/// The base is the last commit that *was built*, not the one pushed before, so that a failed or
/// skipped build is not forgotten.
#[must_use]
pub fn judge(component: &Component, base: Option<&CommitSha>, changed: &ChangedFiles) -> Verdict {
    let Some(base) = base else {
        return Verdict::Yes("never built on this ref".into());
    };
    let files = match changed {
        ChangedFiles::Unknown(why) => return Verdict::Yes(format!("built to be safe: {why}")),
        ChangedFiles::Known(files) => files,
    };
    let counts = |file: &&String| !component.ignore.iter().any(|glob| glob.matches(file));
    let own = |file: &&String| {
        component.paths.is_empty() || component.paths.iter().any(|glob| glob.matches(file))
    };
    let watched = |file: &&String| component.watch.iter().any(|glob| glob.matches(file));
    if let Some(file) = files.iter().filter(counts).find(own) {
        return Verdict::Yes(format!("{file} changed since {}", base.short()));
    }
    if let Some(file) = files.iter().filter(counts).find(watched) {
        return Verdict::Yes(format!(
            "{file}, which it watches, changed since {}",
            base.short()
        ));
    }
    let patterns: Vec<&str> = component
        .paths
        .iter()
        .chain(&component.watch)
        .map(Glob::as_str)
        .collect();
    let mut place = String::new();
    if !patterns.is_empty() {
        place = format!(" under {}", patterns.join(", "));
    }
    if patterns.is_empty() || !component.ignore.is_empty() {
        place += " that is not ignored";
    }
    Verdict::No(format!(
        "no file{place} ({} changed since {})",
        count(files.len(), "file"),
        base.short()
    ))
}

/// The changed files that belong to no component, for the report of a run.
#[must_use]
pub fn outside_every_component<'a>(
    components: &[Component],
    changed: &'a ChangedFiles,
) -> Vec<&'a str> {
    let ChangedFiles::Known(files) = changed else {
        return Vec::new();
    };
    let belongs = |file: &str, component: &Component| {
        component.paths.is_empty()
            || component
                .paths
                .iter()
                .chain(&component.watch)
                .chain(&component.ignore)
                .any(|glob| glob.matches(file))
    };
    files
        .iter()
        .map(String::as_str)
        .filter(|file| !components.iter().any(|component| belongs(file, component)))
        .collect()
}

/// `1 file`, `2 files`.
#[must_use]
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

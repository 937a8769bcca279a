//! Decides which pushes start a run and which components it builds.

use crate::definition::{Component, Source};
use crate::names::{CommitSha, GitRef};
use crate::reason::{Because, NotAdmitted, NotCompared, Unchanged};

/// The files that differ between two commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangedFiles {
    /// All of them, by path from the repository's root.
    Known(Vec<String>),
    /// Unknown, with the reason. Everything is built in this case.
    Unknown(NotCompared),
}

/// Whether a component is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Build(Because),
    Skip(Unchanged),
}

/// Checks whether pushes of this ref start runs.
///
/// # Errors
/// Why they do not.
pub fn admits(
    source: &Source,
    git_ref: &GitRef,
    default_branch: &str,
    message: &str,
) -> Result<(), NotAdmitted> {
    let mut skips = source.skip_message.iter();
    if let Some(text) = skips.find(|text| message.contains(text.as_str())) {
        return Err(NotAdmitted::Message(text.clone()));
    }
    let globs = match git_ref {
        GitRef::Branch(name) if source.branches.is_empty() => {
            let is_default = name == default_branch;
            let refused = || NotAdmitted::NotDefault(git_ref.clone());
            return is_default.then_some(()).ok_or_else(refused);
        }
        GitRef::Branch(_) => &source.branches,
        GitRef::Tag(_) if source.tags.is_empty() => {
            return Err(NotAdmitted::NoTags(git_ref.clone()));
        }
        GitRef::Tag(_) => &source.tags,
    };
    let matched = globs.iter().any(|glob| glob.matches(git_ref.name()));
    let refused = || NotAdmitted::NoPattern(git_ref.clone());
    matched.then_some(()).ok_or_else(refused)
}

/// Decides whether a component is built, given the changes since the commit it was last built at.
///
/// The base is the last commit that *was built*, not the one pushed before, so that a failed or
/// skipped build is not forgotten.
#[must_use]
pub fn judge(component: &Component, base: Option<&CommitSha>, changed: &ChangedFiles) -> Verdict {
    let Some(base) = base else {
        return Verdict::Build(Because::NeverBuilt);
    };
    let files = match changed {
        ChangedFiles::Unknown(why) => return Verdict::Build(Because::Unknown(why.clone())),
        ChangedFiles::Known(files) => files,
    };
    let counts = |file: &&String| !component.ignore.iter().any(|glob| glob.matches(file));
    let own = |file: &&String| {
        component.paths.is_empty() || component.paths.iter().any(|glob| glob.matches(file))
    };
    let watches = |file: &&String| component.watch.iter().any(|glob| glob.matches(file));
    let because = |file: &String, watched| Because::Changed {
        file: file.clone(),
        watched,
        since: base.clone(),
        being_built: false,
    };
    if let Some(file) = files.iter().filter(counts).find(own) {
        return Verdict::Build(because(file, false));
    }
    if let Some(file) = files.iter().filter(counts).find(watches) {
        return Verdict::Build(because(file, true));
    }
    let patterns = component.paths.iter().chain(&component.watch);
    Verdict::Skip(Unchanged {
        patterns: patterns.map(|glob| glob.as_str().to_owned()).collect(),
        ignores: !component.ignore.is_empty(),
        files: files.len(),
        since: base.clone(),
    })
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

//! Selects the paths to pack.

use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::error::Refusal;
use crate::plan::ImagePlan;

/// Excluded unless a plan includes it again.
const DEFAULT_EXCLUDE: &str = "**/.git";

/// The plan's compiled globs; see [`ImagePlan::exclude`].
pub(crate) struct Selection {
    /// `None` includes everything.
    include: Option<GlobSet>,
    exclude: GlobSet,
    /// For each exclude glob, whether it is an exception (`!`).
    exceptions: Vec<bool>,
}

/// The decision about a folder, with which its content starts.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Inherited {
    included: bool,
    /// The last exclude glob that matched.
    last: Option<usize>,
}

/// The decision about one path.
pub(crate) struct Judgement {
    /// Whether the path itself is packed.
    pub(crate) selected: bool,
    /// Whether a folder can contain selected paths.
    pub(crate) descend: bool,
    /// The start for its content.
    pub(crate) inherited: Inherited,
}

impl Selection {
    pub(crate) fn new(plan: &ImagePlan) -> Result<Self, Refusal> {
        let mut exclude = GlobSetBuilder::new();
        let mut exceptions = Vec::new();
        for text in [DEFAULT_EXCLUDE]
            .into_iter()
            .chain(plan.exclude.iter().map(String::as_str))
        {
            let (glob, is_exception) = match text.strip_prefix('!') {
                Some(glob) => (glob, true),
                None => (text, false),
            };
            exclude.add(parse("the exclude glob", glob)?);
            exceptions.push(is_exception);
        }
        let mut include = GlobSetBuilder::new();
        for glob in &plan.include {
            include.add(parse("the include glob", glob)?);
        }
        let include = match plan.include.is_empty() {
            true => None,
            false => Some(build(&include)?),
        };
        Ok(Self {
            include,
            exclude: build(&exclude)?,
            exceptions,
        })
    }

    /// Decides about a path, given the decision about its folder.
    pub(crate) fn judge(&self, path: &Path, folder: Inherited) -> Judgement {
        let last = self
            .exclude
            .matches(path)
            .into_iter()
            .max()
            .max(folder.last);
        let included =
            folder.included || self.include.as_ref().is_none_or(|set| set.is_match(path));
        let excluded = last.is_some_and(|index| !self.exceptions[index]);
        let later_exception = self
            .exceptions
            .iter()
            .skip(last.map_or(0, |index| index + 1));
        Judgement {
            selected: included && !excluded,
            descend: !excluded || later_exception.into_iter().any(|exception| *exception),
            inherited: Inherited { included, last },
        }
    }
}

fn parse(name: &str, text: &str) -> Result<globset::Glob, Refusal> {
    let glob = text
        .trim_start_matches("./")
        .trim_start_matches('/')
        .trim_end_matches('/');
    if glob.is_empty() || glob.split('/').any(|part| part == "..") {
        let rule = "matches nothing: write a path from the packed folder, without `..`";
        return Err(Refusal::value(name, text, rule));
    }
    GlobBuilder::new(glob)
        .literal_separator(true)
        .build()
        .map_err(|error| Refusal::value(name, text, format!("is not valid: {}", error.kind())))
}

fn build(globs: &GlobSetBuilder) -> Result<GlobSet, Refusal> {
    globs
        .build()
        .map_err(|error| Refusal::new("the globs together", format!("are too large: {error}")))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    /// Which of the paths are selected, each judged after the folders it is in.
    fn check(include: &[&str], exclude: &[&str], paths: &[&str], expected: &[&str]) {
        let mut plan = ImagePlan::new("x", "linux/amd64".parse().unwrap());
        plan.include = include.iter().map(ToString::to_string).collect();
        plan.exclude = exclude.iter().map(ToString::to_string).collect();
        let selection = Selection::new(&plan).unwrap();
        let found: Vec<&str> = paths
            .iter()
            .copied()
            .filter(|path| is_selected(&selection, path))
            .collect();
        assert_eq!(found, expected, "include {include:?}, exclude {exclude:?}");
    }

    fn is_selected(selection: &Selection, path: &str) -> bool {
        let mut folders: Vec<&Path> = Path::new(path).ancestors().skip(1).collect();
        folders.reverse();
        let mut inherited = Inherited::default();
        for folder in folders.into_iter().skip(1) {
            let judgement = selection.judge(folder, inherited);
            if !judgement.descend {
                return false;
            }
            inherited = judgement.inherited;
        }
        selection.judge(Path::new(path), inherited).selected
    }

    #[test]
    fn globs_mean_what_the_plan_says() {
        let paths = [
            "a.log",
            "b/a.log",
            "b/c/d.txt",
            ".git/config",
            "sub/.git",
            ".gitignore",
        ];
        let but_git = ["a.log", "b/a.log", "b/c/d.txt", ".gitignore"];
        check(&[], &[], &paths, &but_git);
        check(&[], &["!**/.git"], &paths, &paths);
        check(
            &[],
            &["*.log"],
            &paths,
            &["b/a.log", "b/c/d.txt", ".gitignore"],
        );
        check(&[], &["**/*.log"], &paths, &["b/c/d.txt", ".gitignore"]);
        check(&[], &["/b/"], &paths, &["a.log", ".gitignore"]);
        check(
            &[],
            &["./b", "!b/c"],
            &paths,
            &["a.log", "b/c/d.txt", ".gitignore"],
        );
        check(&[], &["!b/c", "b"], &paths, &["a.log", ".gitignore"]);
        check(&["b"], &["b/c"], &paths, &["b/a.log"]);
        check(&["b/*/d.*", "*.log"], &[], &paths, &["a.log", "b/c/d.txt"]);
    }

    #[test]
    fn a_glob_that_cannot_match_is_refused() {
        for glob in ["", "/", "!", "../a", "a/../b", "[", "a{b"] {
            let mut plan = ImagePlan::new("x", "linux/amd64".parse().unwrap());
            plan.exclude = vec![glob.to_owned()];
            assert!(Selection::new(&plan).is_err(), "{glob:?}");
        }
    }
}

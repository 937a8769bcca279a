//! Names, each checked once when it enters; afterwards its type is the proof.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use towline_oci::name;
pub use towline_oci::{Digest, ImageRepository, NameError, Tag};

/// A GitHub repository's numeric id: the identity that survives renames (A8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RepositoryId(pub u64);

impl fmt::Display for RepositoryId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

name!(
    /// `owner/name` of a GitHub repository: a label for people, never an identity.
    RepositoryName,
    "a repository name such as acme/shop",
    |text| {
        let Some((owner, name)) = text.split_once('/') else {
            return false;
        };
        let part = |part: &str| {
            (1..=100).contains(&part.len())
                && part != "."
                && part != ".."
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        part(owner) && part(name)
    }
);

name!(
    /// A full commit id: 40 (SHA-1) or 64 (SHA-256) lower-case hexadecimal digits, not all zeros.
    CommitSha,
    "a full commit id of 40 or 64 hexadecimal digits",
    |text| {
        matches!(text.len(), 40 | 64)
            && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            && text.bytes().any(|byte| byte != b'0')
    }
);

impl CommitSha {
    /// The first seven digits, for people to read.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..7]
    }
}

name!(
    /// The name of a component: `[a-z0-9][a-z0-9-]{0,62}`, so that it can be part of any name on AWS.
    ComponentName,
    "a component name: 1 to 63 of a-z, 0-9 and '-', starting with a letter or digit",
    is_label
);

/// The `CodeBuild` project of a component: `towline-<owner>-<name>-<component>`, in the characters
/// of a project name and cut to 150 (CodeBuild API, `ProjectName`). Two components can have the
/// same one: `-` may be part of each name.
#[must_use]
pub fn project(repository: &RepositoryName, component: &ComponentName) -> String {
    let text = format!("towline-{repository}-{component}");
    text.chars()
        .map(|character| match character.is_ascii_alphanumeric() {
            true => character,
            false => '-',
        })
        .take(150)
        .collect()
}

name!(
    /// The name of a stage, like [`ComponentName`]; `build` is reserved for the origin of every image.
    StageName,
    "a stage name: 1 to 63 of a-z, 0-9 and '-', starting with a letter or digit, not 'build'",
    |text| is_label(text) && text != "build"
);

name!(
    /// The name of a pipeline, like [`ComponentName`].
    PipelineName,
    "a pipeline name: 1 to 63 of a-z, 0-9 and '-', starting with a letter or digit",
    is_label
);

name!(
    /// A CodeBuild build: `project:uuid` as `StartBuild` returns it.
    BuildId,
    "a build id such as project:uuid",
    |text| {
        (3..=300).contains(&text.len())
            && text.contains(':')
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":_-".contains(&byte))
    }
);

name!(
    /// A run: 16 hexadecimal digits derived from its key, so that the same push finds the same run.
    RunId,
    "a run id of 16 hexadecimal digits",
    |text| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
);

name!(
    /// One attempt of one component's build; in UUID form, because CodeBuild users expect the
    /// build's UUID in its place.
    AttemptId,
    "an attempt id in UUID form",
    |text| {
        text.len() == 36 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
    }
);

fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && !text.starts_with('-')
        && text
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// A Git ref, always in full, so that a tag named `main` is never mistaken for a branch (A12).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum GitRef {
    /// `refs/heads/…`; the name may contain nearly any character, so treat it as untrusted.
    Branch(String),
    /// `refs/tags/…`
    Tag(String),
}

impl GitRef {
    /// The name without `refs/heads/` or `refs/tags/`.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Branch(name) | Self::Tag(name) => name,
        }
    }

    #[must_use]
    pub fn full(&self) -> String {
        match self {
            Self::Branch(name) => format!("refs/heads/{name}"),
            Self::Tag(name) => format!("refs/tags/{name}"),
        }
    }
}

impl FromStr for GitRef {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let error = || {
            NameError::new(
                text,
                "a full ref: refs/heads/… or refs/tags/…, at most 512 bytes",
            )
        };
        if text.len() > 512
            || text
                .bytes()
                .any(|byte| byte < 0x20 || byte == 0x7f || byte == b' ')
        {
            return Err(error());
        }
        match (
            text.strip_prefix("refs/heads/"),
            text.strip_prefix("refs/tags/"),
        ) {
            (Some(name), _) if !name.is_empty() => Ok(Self::Branch(name.to_owned())),
            (_, Some(name)) if !name.is_empty() => Ok(Self::Tag(name.to_owned())),
            _ => Err(error()),
        }
    }
}

impl TryFrom<String> for GitRef {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<GitRef> for String {
    fn from(git_ref: GitRef) -> String {
        git_ref.full()
    }
}

impl fmt::Display for GitRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.full())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: FromStr>(good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(text.parse::<T>().is_ok(), "{text:?} should be taken");
        }
        for text in bad {
            assert!(text.parse::<T>().is_err(), "{text:?} should be refused");
        }
    }

    #[test]
    fn names_take_what_they_say_and_nothing_else() {
        let long = "a".repeat(64);
        check::<ComponentName>(
            &["backend", "a", "9-lives"],
            &["", "-a", "A", "a_b", "a b", &long],
        );
        check::<StageName>(&["prod"], &["build", "Prod"]);
        check::<RepositoryName>(
            &["acme/shop", "a/.github"],
            &["acme", "a/b/c", "a/..", "/x", "a/ b"],
        );
        let hex = "a".repeat(64);
        let sha = "0123456789abcdef0123456789abcdef01234567";
        check::<CommitSha>(
            &[sha, &hex],
            &[&"0".repeat(40), "HEAD", &sha[..39], &sha.to_uppercase()],
        );
    }

    #[test]
    fn a12_refs_are_full_or_refused() {
        check::<GitRef>(
            &[
                "refs/heads/main",
                "refs/tags/main",
                "refs/heads/refs/heads/main",
                "refs/heads/a$(id)",
            ],
            &[
                "main",
                "refs/heads/",
                "refs/pull/1/head",
                "refs/heads/a b",
                "refs/heads/a\nb",
            ],
        );
        let branch: GitRef = "refs/heads/refs/heads/main".parse().expect("a legal ref");
        assert_eq!(branch, GitRef::Branch("refs/heads/main".into()));
        assert_eq!(branch.full(), "refs/heads/refs/heads/main");
    }
}

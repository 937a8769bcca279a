//! The reasons why a push, or one of its components, is built or not: each with its data and its sentence.

use serde::{Deserialize, Serialize};

use crate::definition::FILE;
use crate::names::{
    CommitSha, ComponentName, GitRef, ImageRepository, RepositoryId, RepositoryName,
};
use crate::tags::TagError;

/// Why nothing of a push is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The definition names another repository.
    #[error("the definition is for {named} (source.github), but the push came from {pushed}")]
    OtherRepository {
        /// `source.github`.
        named: String,
        /// The repository of the push.
        pushed: RepositoryName,
    },
    /// The definition is missing or too large.
    #[error("{0}")]
    File(BadFile),
    /// The definition has mistakes.
    #[error("{FILE} at {}: {first}{}", at.short(), more_mistakes(*more))]
    Mistakes {
        /// The commit it was read at.
        at: CommitSha,
        /// The first mistake, with its place.
        first: String,
        /// The number of further mistakes.
        more: usize,
    },
    /// The definition uses features that this version does not support.
    #[error("{}", not_executed(paths))]
    NotExecuted {
        /// Where they are in the definition.
        paths: Vec<String>,
    },
    /// `source` in the definition does not admit the push.
    #[error("{0}")]
    Filtered(NotAdmitted),
    /// The source does not have the commit.
    #[error("commit {} is not in the repository; was it pushed there?", .0.short())]
    NoCommit(CommitSha),
    /// A newer push of the ref was planned first.
    #[error("superseded: {} is newer on {} and is already planned", by.short(), shown(git_ref))]
    Superseded {
        /// The newer commit.
        by: CommitSha,
        git_ref: GitRef,
    },
}

impl Refusal {
    /// Whether the definition intends this, so that nothing is wrong with the push.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        match self {
            Self::Filtered(_) => true,
            Self::OtherRepository { .. }
            | Self::File(_)
            | Self::Mistakes { .. }
            | Self::NotExecuted { .. }
            | Self::NoCommit(_)
            | Self::Superseded { .. } => false,
        }
    }
}

/// Why a file of the repository cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum BadFile {
    /// It does not exist; a symbolic link or a folder does not count.
    #[error("there is no {path} at {}", at.short())]
    Missing {
        /// Its path from the root.
        path: String,
        at: CommitSha,
    },
    /// It is too large.
    #[error("{path} at {} has {bytes} bytes; the limit is {most}", at.short())]
    TooLarge {
        /// Its path from the root.
        path: String,
        at: CommitSha,
        /// Its size.
        bytes: u64,
        /// The largest size.
        most: usize,
    },
}

/// Why pushes of a ref start no run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum NotAdmitted {
    /// The commit message asks for no run.
    #[error("the commit message contains {0:?} (source.skip_message)")]
    Message(String),
    /// Only the default branch starts runs.
    #[error("{} is not the default branch, and source.branches is not set", shown(.0))]
    NotDefault(GitRef),
    /// No tag starts runs.
    #[error("source.tags is not set, so tag {} starts no run", shown(.0))]
    NoTags(GitRef),
    /// Other refs start runs.
    #[error("{} matches no pattern in source.{}", kind_and_name(.0), patterns_of(.0))]
    NoPattern(GitRef),
}

/// Why it is not known which files changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum NotCompared {
    /// One of the commits is gone.
    #[error("the repository does not have the commit {}", .0.short())]
    NoCommit(CommitSha),
    /// More files changed than are compared.
    #[error("more than {0} files changed")]
    TooManyChanged(usize),
    /// The source does not list all files of a commit.
    #[error("{} has more files than GitHub lists", .0.short())]
    NotListed(CommitSha),
}

/// Why a component is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// It has not been built on this ref.
    #[error("no successful build on this ref yet")]
    NeverBuilt,
    /// The changes are unknown.
    #[error("built to be safe: {0}")]
    Unknown(NotCompared),
    /// A file changed.
    #[error(
        "{file}{} changed since {}{}",
        if *watched { ", which it watches," } else { "" },
        since.short(),
        if *being_built { ", which is being built" } else { "" }
    )]
    Changed {
        /// The first such file.
        file: String,
        /// Whether the component only watches it.
        watched: bool,
        /// The commit compared with.
        since: CommitSha,
        /// Whether that commit is still being built.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        being_built: bool,
    },
}

/// Why a component of a run is not built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Skipped {
    /// Nothing changed.
    #[error("{0}")]
    Unchanged(Unchanged),
    /// It cannot be built.
    #[error("refused: {0}")]
    Refused(Unbuildable),
}

/// No file of a component changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("no file{} ({} changed since {})", self.place(), count(*files, "file"), since.short())]
pub struct Unchanged {
    /// The patterns of its own and its watched files; none for every file.
    pub patterns: Vec<String>,
    /// Whether some files never cause a build.
    pub ignores: bool,
    /// The number of changed files.
    pub files: usize,
    /// The commit compared with.
    pub since: CommitSha,
}

impl Unchanged {
    fn place(&self) -> String {
        let mut place = String::new();
        if !self.patterns.is_empty() {
            place = format!(" under {}", self.patterns.join(", "));
        }
        if self.patterns.is_empty() || self.ignores {
            place += " that is not ignored";
        }
        place
    }
}

/// Why a component cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Unbuildable {
    /// The definition uses features that this version does not support.
    #[error("{}", not_executed(paths))]
    NotExecuted {
        /// Where they are in the definition.
        paths: Vec<String>,
    },
    /// The image repository belongs to another component.
    #[error(
        "image repository {images} belongs to component {} of repository {}; choose another",
        owner.component,
        owner.repository
    )]
    ImagesTaken {
        images: ImageRepository,
        owner: Owner,
    },
    /// No definition of a default branch has claimed the image repository.
    #[error(
        "image repository {images} belongs to no component yet; only the definition of the default branch ({}) can claim it, so push it there first",
        default_branch.escape_debug()
    )]
    NotClaimed {
        images: ImageRepository,
        default_branch: String,
    },
    /// The `CodeBuild` project of that name builds another component.
    #[error(
        "CodeBuild project {project} already builds component {} of repository {}; rename this component",
        owner.component,
        owner.repository
    )]
    ProjectTaken { project: String, owner: Owner },
    /// Its buildspec file is missing or too large.
    #[error("{0}")]
    File(BadFile),
    /// No buildspec can be generated for it.
    #[error("{said}")]
    Buildspec {
        /// The buildspec generator's message.
        said: String,
    },
    /// The push already starts as many builds as allowed.
    #[error("a push starts at most {most} builds, one for each platform; split the pipeline")]
    TooMany {
        /// The limit.
        most: usize,
    },
    /// Its tags cannot be used.
    #[error("components.{component}.build.tags: {error}")]
    Tags {
        component: ComponentName,
        /// What is wrong with them.
        error: TagError,
    },
}

/// The one component that may use an image repository or a `CodeBuild` project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The repository it is in.
    pub repository: RepositoryId,
    pub component: ComponentName,
}

/// `1 file`, `2 files`.
#[must_use]
pub fn count(number: impl TryInto<u64>, noun: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn more_mistakes(more: usize) -> String {
    match more {
        0 => String::new(),
        more => format!(" (and {more} more; run `towline validate` to see all)"),
    }
}

fn not_executed(paths: &[String]) -> String {
    let paths = paths.join(", ");
    format!(
        "this version of Towline does not support {paths} yet; remove it from {FILE} to continue"
    )
}

/// The name of a ref, safe to show: a stranger chose it.
pub(crate) fn shown(git_ref: &GitRef) -> String {
    git_ref.name().escape_debug().to_string()
}

fn kind_and_name(git_ref: &GitRef) -> String {
    let kind = match git_ref {
        GitRef::Branch(_) => "branch",
        GitRef::Tag(_) => "tag",
    };
    format!("{kind} {}", shown(git_ref))
}

fn patterns_of(git_ref: &GitRef) -> &'static str {
    match git_ref {
        GitRef::Branch(_) => "branches",
        GitRef::Tag(_) => "tags",
    }
}

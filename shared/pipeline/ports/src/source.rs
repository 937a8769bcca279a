//! Source code: the content of a repository at a commit, and how commits relate.

use std::collections::BTreeMap;
use std::path::PathBuf;

use async_trait::async_trait;
use jiff::Timestamp;
use towline_domain::filter::ChangedFiles;
use towline_domain::names::{CommitSha, GitRef, RepositoryId, RepositoryName};
use towline_domain::untrusted::Untrusted;

use crate::PortError;

/// An admitted repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryRef {
    /// Its identity.
    pub id: RepositoryId,
    /// Its name, for people and for APIs that need it.
    pub name: RepositoryName,
}

/// How one commit relates to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// They are the same.
    Same,
    /// The first is an ancestor of the second.
    Behind,
    /// The second is an ancestor of the first.
    Ahead,
    /// Neither, or one of them is unknown.
    Diverged,
}

/// The description of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitInfo {
    /// First line of its message.
    pub title: Untrusted,
    /// Its author's name.
    pub author: Untrusted,
    /// When it was committed.
    pub at: Timestamp,
}

/// The content of a path at a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileAt {
    /// A file with these bytes.
    Found(Vec<u8>),
    /// No file. A symbolic link or a folder does not count.
    Missing,
    /// A file larger than requested.
    TooLarge {
        /// How large it is.
        bytes: u64,
    },
    /// The repository does not have the commit, or does not have it yet.
    NoCommit,
}

/// The branches and tags of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refs {
    /// They are the same as in the answer that the given mark belongs to.
    Unchanged,
    /// All of them.
    Now {
        /// Identifies this answer in the next question; none if the next answer must be complete again.
        mark: Option<String>,
        /// The object of each: a commit, or for an annotated tag the tag's own object.
        refs: BTreeMap<GitRef, CommitSha>,
    },
}

/// What the move of a ref brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brought {
    /// Whether history was rewritten.
    pub forced: bool,
    /// The whole message of the new commit.
    pub message: String,
    /// Its author: a login if there is one, otherwise a name.
    pub author: String,
    /// Logins, names and addresses of everyone who wrote or committed the new commits.
    pub people: Vec<String>,
    /// Whether there are more people than these.
    pub cut: bool,
}

/// A source of repositories. Requests use the id and name of an admitted repository, never an address
/// from a payload (A24).
#[async_trait]
pub trait Source: Send + Sync {
    /// The file at exactly this commit, of at most `most` bytes. If the repository cannot be reached, that is
    /// an error, never [`FileAt::NoCommit`].
    async fn file(
        &self,
        repository: &RepositoryRef,
        commit: &CommitSha,
        path: &str,
        most: usize,
    ) -> Result<FileAt, PortError>;

    /// The files that differ between two commits.
    async fn changed_files(
        &self,
        repository: &RepositoryRef,
        base: &CommitSha,
        head: &CommitSha,
    ) -> Result<ChangedFiles, PortError>;

    /// The current commit of a ref.
    async fn head(
        &self,
        repository: &RepositoryRef,
        git_ref: &GitRef,
    ) -> Result<Option<CommitSha>, PortError>;

    /// How `first` relates to `second`.
    async fn relation(
        &self,
        repository: &RepositoryRef,
        first: &CommitSha,
        second: &CommitSha,
    ) -> Result<Relation, PortError>;

    /// The description of a commit, if it exists.
    async fn commit(
        &self,
        repository: &RepositoryRef,
        commit: &CommitSha,
    ) -> Result<Option<CommitInfo>, PortError>;

    /// All branches and tags, in one request. With the mark of an earlier answer, it is
    /// [`Refs::Unchanged`] if nothing has changed since.
    async fn refs(&self, repository: &RepositoryRef, mark: Option<&str>)
    -> Result<Refs, PortError>;

    /// What the move of a ref brought; only the commit itself if the ref is new or nothing else is
    /// known. None if the commit does not exist.
    async fn brought(
        &self,
        repository: &RepositoryRef,
        before: Option<&CommitSha>,
        commit: &CommitSha,
    ) -> Result<Option<Brought>, PortError>;

    /// Whether statuses can be shown beside commits ([`crate::Statuses`]). If not, no status is owed.
    fn shows_statuses(&self) -> bool {
        true
    }
}

/// Whether a repository may push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It may. Everything is stored under this registered id and name, regardless of what the push named.
    Admitted(RepositoryRef),
    /// It is not registered (A7).
    Unknown,
    /// Its name is registered, but for another repository (A8).
    Impostor {
        /// The repository the name belongs to.
        known: RepositoryId,
        /// How to release the name, if the other repository is the right one.
        remedy: Remedy,
    },
}

/// How a person releases the name of a registered repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Remedy {
    /// Remove the name from the file, which is read only at startup.
    #[error("stop Towline, remove {name} from {file}, and start it again", file = file.display())]
    EditFile { name: RepositoryName, file: PathBuf },
    /// Delete the item from the table.
    #[error(
        "delete the item {sort:?} in the partition {partition:?} of the table, then push again"
    )]
    DeleteItem { partition: String, sort: String },
}

/// The repositories that may push.
#[async_trait]
pub trait Repositories: Send + Sync {
    /// Whether this repository may push, decided by [`judge`](crate::admission::judge). The first push of a
    /// registered name binds its id permanently.
    async fn admit(&self, repository: &RepositoryRef) -> Result<Admission, PortError>;
}

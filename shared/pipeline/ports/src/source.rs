//! Where source code lives: what a repository holds at a commit and how commits relate.

use async_trait::async_trait;
use jiff::Timestamp;
use towline_domain::filter::ChangedFiles;
use towline_domain::names::{CommitSha, GitRef, RepositoryId, RepositoryName};
use towline_domain::untrusted::Untrusted;

use crate::PortError;

/// A repository that was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryRef {
    /// Its identity.
    pub id: RepositoryId,
    /// Its name, for people and for APIs that take nothing else.
    pub name: RepositoryName,
}

/// How one commit stands to another.
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

/// What a commit says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitInfo {
    /// First line of its message.
    pub title: Untrusted,
    /// Its author's name.
    pub author: Untrusted,
    /// When it was committed.
    pub at: Timestamp,
}

/// What is at a path of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileAt {
    /// A file with these bytes.
    Found(Vec<u8>),
    /// No file; a symbolic link or a folder is none.
    Missing,
    /// A file larger than was asked for.
    TooLarge {
        /// How large it is.
        bytes: u64,
    },
    /// The repository does not have the commit, or does not have it yet.
    NoCommit,
}

/// A place that holds repositories. It is asked by id and name of a repository that was let in,
/// never by an address out of a payload (A24).
#[async_trait]
pub trait Source: Send + Sync {
    /// The file at exactly this commit, of at most `most` bytes. That the repository could not be
    /// asked is an error, never [`FileAt::NoCommit`].
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

    /// Where a ref stands now.
    async fn head(
        &self,
        repository: &RepositoryRef,
        git_ref: &GitRef,
    ) -> Result<Option<CommitSha>, PortError>;

    /// How `first` stands to `second`.
    async fn relation(
        &self,
        repository: &RepositoryRef,
        first: &CommitSha,
        second: &CommitSha,
    ) -> Result<Relation, PortError>;

    /// What a commit says about itself, when it is there.
    async fn commit(
        &self,
        repository: &RepositoryRef,
        commit: &CommitSha,
    ) -> Result<Option<CommitInfo>, PortError>;

    /// Whether it can be shown beside a commit how it stands ([`crate::Statuses`]). Where it
    /// cannot, nothing is owed for it.
    fn shows_statuses(&self) -> bool {
        true
    }
}

/// Whether a repository may use us at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It may, and everything of it is kept under this id and this name, the registered ones,
    /// whichever the push named.
    Admitted(RepositoryRef),
    /// Nobody registered it (A7).
    Unknown,
    /// Its name is registered, but for another repository (A8).
    Impostor {
        /// The repository the name belongs to.
        known: RepositoryId,
        /// What a person does when the other one is right: the end of a sentence.
        remedy: String,
    },
}

/// The repositories that may use us.
#[async_trait]
pub trait Repositories: Send + Sync {
    /// Whether this repository may, as [`judge`](crate::admission::judge) says. The first push of a
    /// registered name binds its id for good.
    async fn admit(&self, repository: &RepositoryRef) -> Result<Admission, PortError>;
}

//! Shows the state of a commit beside it: GitHub's commit statuses.

use async_trait::async_trait;
use towline_domain::names::CommitSha;

use crate::{PortError, RepositoryRef};

/// The most characters of a description (GitHub REST API, "Create a commit status": 422 above).
pub const MOST_DESCRIPTION: usize = 140;

/// A state, by GitHub's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusState {
    /// It waits or runs.
    Pending,
    /// It succeeded.
    Success,
    /// It failed because of the commit.
    Failure,
    /// It failed for another reason.
    Error,
}

/// One line beside a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitStatus {
    /// Its subject. A later status with the same context replaces it.
    pub context: String,
    pub state: StatusState,
    /// A sentence of at most [`MOST_DESCRIPTION`] characters.
    pub description: String,
    /// A link to more information.
    pub target_url: Option<String>,
}

/// Why a status will never be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotShown {
    #[error(
        "the credentials for GitHub are not set, so no status is shown; store a token or a GitHub App in the secret"
    )]
    NoCredentials,
    /// GitHub rejected this status; others may be accepted.
    #[error("GitHub rejected the status ({said})")]
    Rejected {
        /// The service's message.
        said: String,
    },
}

/// Why a status is not shown.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// It never will be shown.
    #[error(transparent)]
    Refused(#[from] NotShown),
    /// A retry may help.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Shows the state of commits.
#[async_trait]
pub trait Statuses: Send + Sync {
    /// Shows a status beside a commit. Showing the same one again is harmless.
    async fn set(
        &self,
        repository: &RepositoryRef,
        commit: &CommitSha,
        status: &CommitStatus,
    ) -> Result<(), StatusError>;
}

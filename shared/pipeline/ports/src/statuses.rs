//! Where a commit's state is shown to people who look at the commit: GitHub's commit statuses.

use async_trait::async_trait;
use towline_domain::names::CommitSha;

use crate::{PortError, RepositoryRef};

/// Characters of a description (GitHub REST API, "Create a commit status": 422 above).
pub const MOST_DESCRIPTION: usize = 140;

/// How something stands, in GitHub's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusState {
    /// It waits or goes on.
    Pending,
    /// It went well.
    Success,
    /// It went badly, through the commit.
    Failure,
    /// It went badly, through something else.
    Error,
}

/// One line beside a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitStatus {
    /// What it is about; a later status of the same context takes its place.
    pub context: String,
    /// How it stands.
    pub state: StatusState,
    /// A sentence of at most [`MOST_DESCRIPTION`] characters.
    pub description: String,
    /// Where there is more to read.
    pub target_url: Option<String>,
}

/// Why a status is not shown.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// It never will be; the sentence says why.
    #[error("{0}")]
    Refused(String),
    /// Trying again may help.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Shows how commits stand.
#[async_trait]
pub trait Statuses: Send + Sync {
    /// Shows a status beside a commit; that it is shown already is fine.
    async fn set(
        &self,
        repository: &RepositoryRef,
        commit: &CommitSha,
        status: &CommitStatus,
    ) -> Result<(), StatusError>;
}

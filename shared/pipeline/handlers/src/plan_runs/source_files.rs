//! Reads what a commit holds, and says in a sentence what is wrong with it.

use towline_domain::names::CommitSha;
use towline_ports::{FileAt, PortError, RepositoryRef, Source};

use towline_state::HandlerError;

/// Why planning did not come to its end.
pub(super) enum Stop {
    /// Trying again may help.
    Failed(HandlerError),
    /// The repository does not have the commit; it may come a little later than its push.
    NoCommit,
}

impl From<HandlerError> for Stop {
    fn from(error: HandlerError) -> Self {
        Self::Failed(error)
    }
}

impl From<PortError> for Stop {
    fn from(error: PortError) -> Self {
        Self::Failed(error.into())
    }
}

/// The file's bytes, or why it cannot be used.
pub(super) async fn read(
    source: &dyn Source,
    repository: &RepositoryRef,
    commit: &CommitSha,
    path: &str,
    most: usize,
) -> Result<Result<Vec<u8>, String>, Stop> {
    let at = commit.short();
    match source.file(repository, commit, path, most).await? {
        FileAt::Found(bytes) => Ok(Ok(bytes)),
        FileAt::Missing => Ok(Err(format!("there is no {path} at {at}"))),
        FileAt::TooLarge { bytes } => Ok(Err(format!(
            "{path} at {at} has {bytes} bytes; at most {most} are taken"
        ))),
        FileAt::NoCommit => Err(Stop::NoCommit),
    }
}

//! Answers people: which image is where, since when and why; and carries out what they may ask for.
//!
//! The command line, chat and the HTTP API all come through [`ask`] and [`tell`], so that what
//! they say cannot drift apart.

pub mod answers;
mod commands;
mod door;
mod grammar;
pub mod http;
mod lookup;
pub mod moment;
mod queries;
pub mod slack;
mod stages;
pub mod text;

use serde::{Deserialize, Serialize};
use towline_domain::Timestamp;
use towline_domain::names::{ComponentName, RepositoryName, StageName};

pub use answers::Answer;
pub use commands::tell;
pub use door::{Authenticate, Door};
pub use queries::ask;

use towline_state::HandlerError;

/// A question. References are a commit's first digits, a tag (`:prod` or `prod`), a digest's first
/// digits (`sha256:858e`) or `build#142`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "query", rename_all = "snake_case", deny_unknown_fields)]
pub enum Query {
    /// A component's images and their tags, newest first.
    Tags {
        /// The component.
        component: ComponentName,
        /// Only images of this branch.
        branch: Option<String>,
        /// At most so many; 10 when not given.
        limit: Option<usize>,
        /// Which repository's component, when several have one of the name.
        repository: Option<RepositoryName>,
    },
    /// What became of a commit.
    Commit {
        /// Its first digits, at least four.
        commit: String,
    },
    /// What is known of an image.
    Image {
        /// A reference to it.
        image: String,
        /// Only of this component.
        component: Option<ComponentName>,
        /// Which repository's, when several have the component or build.
        repository: Option<RepositoryName>,
    },
    /// What was live in a stage, newest first.
    History {
        /// The component.
        component: ComponentName,
        /// The stage.
        stage: StageName,
        /// At most so many; 10 when not given.
        limit: Option<usize>,
        /// Which repository's component.
        repository: Option<RepositoryName>,
    },
    /// What is live, by component and stage.
    Now {
        /// Only this stage.
        stage: Option<StageName>,
        /// Only this component.
        component: Option<ComponentName>,
        /// What was live then.
        at: Option<Timestamp>,
    },
    /// Where a commit's images are, and what keeps them from the next stage.
    Where {
        /// A reference to the commit or one of its images.
        reference: String,
        /// Which repository's, when several have a build of the number.
        repository: Option<RepositoryName>,
    },
    /// Why a commit was built or not, component by component.
    Why {
        /// A reference to the commit.
        reference: String,
        /// Only this component.
        component: Option<ComponentName>,
        /// Which repository's, when several have a build of the number.
        repository: Option<RepositoryName>,
    },
    /// The newest runs.
    Runs {
        /// At most so many; 10 when not given.
        limit: Option<usize>,
        /// Only of this repository.
        repository: Option<RepositoryName>,
    },
    /// A build's log.
    Log {
        /// The build's number.
        build: u64,
        /// Bytes to leave out.
        from: Option<u64>,
        /// Which repository's build.
        repository: Option<RepositoryName>,
    },
}

/// Something to be done, by somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Move an image into a stage.
    Promote {
        /// The component.
        component: ComponentName,
        /// A reference to the image.
        image: String,
        /// The stage.
        stage: StageName,
        /// Why.
        reason: Option<String>,
        /// Which repository's component.
        repository: Option<RepositoryName>,
    },
    /// Say yes to a promotion.
    Approve {
        /// Its number.
        promotion: u64,
        /// What else to say.
        comment: Option<String>,
        /// Which repository's promotion.
        repository: Option<RepositoryName>,
    },
    /// Say no to a promotion.
    Reject {
        /// Its number.
        promotion: u64,
        /// Why.
        reason: String,
        /// Which repository's promotion.
        repository: Option<RepositoryName>,
    },
    /// Go back to an image that was live in the stage.
    Rollback {
        /// The component.
        component: ComponentName,
        /// The stage.
        stage: StageName,
        /// A reference to the image; the one live before when not given.
        to: Option<String>,
        /// Why.
        reason: Option<String>,
        /// Which repository's component.
        repository: Option<RepositoryName>,
    },
    /// Let nothing into a stage by itself.
    Hold {
        /// The component.
        component: ComponentName,
        /// The stage.
        stage: StageName,
        /// Why.
        reason: String,
        /// Which repository's component.
        repository: Option<RepositoryName>,
    },
    /// Lift a hold.
    Resume {
        /// The component.
        component: ComponentName,
        /// The stage.
        stage: StageName,
        /// Which repository's component.
        repository: Option<RepositoryName>,
    },
    /// Stop a build.
    Cancel {
        /// Its number.
        build: u64,
        /// Which repository's build.
        repository: Option<RepositoryName>,
    },
    /// Build again what failed or was stopped.
    Retry {
        /// The number of the build that failed.
        build: u64,
        /// Which repository's build.
        repository: Option<RepositoryName>,
    },
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// What was asked for is not there, not clear or not allowed; the sentence says what to do.
    #[error("{0}")]
    Refused(String),
    /// Trying again may help.
    #[error(transparent)]
    Failed(#[from] HandlerError),
}

impl From<towline_ports::PortError> for ChatError {
    fn from(error: towline_ports::PortError) -> Self {
        Self::Failed(error.into())
    }
}

fn refused<T>(reason: impl Into<String>) -> Result<T, ChatError> {
    Err(ChatError::Refused(reason.into()))
}

#[cfg(test)]
mod tests;

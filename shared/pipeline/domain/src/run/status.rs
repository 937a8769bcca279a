//! The states of a build and of a run, each in a word.

use serde::{Deserialize, Serialize};

/// The state of a build, as CodeBuild reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BuildStatus {
    /// Queued or running.
    InProgress,
    /// Every phase succeeded.
    Succeeded,
    /// A command failed.
    Failed,
    /// CodeBuild itself failed.
    Fault,
    /// A person stopped it.
    Stopped,
    /// It ran too long.
    TimedOut,
}

impl BuildStatus {
    /// CodeBuild's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::InProgress => "IN_PROGRESS",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Fault => "FAULT",
            Self::Stopped => "STOPPED",
            Self::TimedOut => "TIMED_OUT",
        }
    }
}

/// The state of a run as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Nothing of it may be built.
    Refused,
    /// The definition starts no run for such a push.
    Skipped,
    /// There was nothing to build.
    Nothing,
    /// Something is still being built.
    Building,
    /// Something is inconsistent.
    Held,
    /// Something failed.
    Failed,
    /// A person stopped something.
    Cancelled,
    /// A newer run took over.
    Superseded,
    /// Everything was built.
    Succeeded,
}

impl RunStatus {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Skipped => "skipped",
            Self::Nothing => "nothing to build",
            Self::Building => "building",
            Self::Held => "held",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
            Self::Succeeded => "succeeded",
        }
    }
}

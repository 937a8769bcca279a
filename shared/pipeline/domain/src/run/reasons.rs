//! The reasons why an attempt failed, is held or is not retried, as data; [`crate::explain`] words them.

use serde::{Deserialize, Serialize};

use super::status::BuildStatus;
use crate::Timestamp;
use crate::image::NotTagged;
use crate::names::{CommitSha, ComponentName, Digest, ImageRepository, RunId, Tag};
use crate::obstacle::Obstacle;
use crate::rights::Lacking;
use crate::tags::TagError;
use crate::turns::Crowd;

/// What a person asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// To stop a build.
    Cancel,
    /// To repeat a build.
    Retry,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Refusal {
    /// The run is not known.
    NoRun { run: RunId },
    /// No build of the component is running.
    NotRunning {
        component: ComponentName,
        /// The run's commit.
        commit: CommitSha,
    },
    /// The run does not build the component.
    NotBuilt {
        component: ComponentName,
        run: RunId,
    },
    /// The person does not have the right.
    Lacks(Lacking),
    /// The latest build has not ended.
    NotEnded {
        component: ComponentName,
        /// The build's number.
        build: u64,
    },
    /// The latest build has succeeded.
    Succeeded {
        component: ComponentName,
        /// The build's number.
        build: u64,
    },
    /// A newer build followed.
    FollowedBy {
        build: u64,
        /// The newest one.
        newest: u64,
    },
    /// There can be no further attempt.
    NotRetried {
        /// Why not.
        because: NotRetried,
    },
}

/// Why a build cannot be started now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delay {
    /// The build service has no room for it, or limits requests.
    Busy {
        /// In the service's words.
        said: String,
    },
    /// A person must fix something first.
    Denied(Obstacle),
}

/// Too many builds waited for a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crowded {
    /// Whose builds.
    pub of: Crowd,
    /// How many may wait.
    pub most: usize,
}

/// A build that never ran, because a newer one took its place in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GaveWay {
    /// The run of the newer one.
    pub to: RunId,
    pub why: Crowded,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Failure {
    /// Its build did not succeed.
    Build {
        /// How it ended.
        status: BuildStatus,
        /// Why it failed, in the words of the failed phase.
        said: Option<String>,
        /// Whether it ended only because Towline stopped or was restarted.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        interrupted: bool,
    },
    /// Its build can never be started.
    NotStarted { why: NotStarted },
    /// Its build succeeded and left no image.
    NothingPushed {
        /// The repository where the image should be.
        repository: ImageRepository,
        /// The tag it should have.
        tag: Tag,
    },
    /// The index of its parts can never be put.
    NoIndex {
        /// Why not.
        why: NoIndex,
    },
    /// It had no result in time.
    NoResult { deadline: Timestamp },
}

impl Failure {
    /// Whether its build ended only because Towline stopped or was restarted.
    #[must_use]
    pub fn is_interruption(&self) -> bool {
        match self {
            Self::Build { interrupted, .. } => *interrupted,
            Self::NotStarted { .. }
            | Self::NothingPushed { .. }
            | Self::NoIndex { .. }
            | Self::NoResult { .. } => false,
        }
    }

    /// Whether CodeBuild, not the repository, was at fault: then another attempt may succeed.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        match self {
            Self::Build { status, .. } => *status == BuildStatus::Fault,
            Self::NotStarted { .. }
            | Self::NothingPushed { .. }
            | Self::NoIndex { .. }
            | Self::NoResult { .. } => false,
        }
    }
}

/// Why a build can never be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum NotStarted {
    /// The build service refused the request.
    Refused {
        /// The service's message.
        said: String,
    },
    /// A variable of the definition has a placeholder that cannot be filled in.
    Placeholder {
        component: ComponentName,
        error: TagError,
    },
    /// CodeBuild would not accept the variables of the definition.
    Variables {
        /// The buildspec generator's message.
        said: String,
    },
    /// All attempts to start it failed.
    GivenUp {
        /// How often.
        tries: u32,
        /// Since when.
        since: Timestamp,
    },
}

/// Why the index of an attempt's parts can never be put.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum NoIndex {
    /// The registry rejects it, or it could not be put under its tag.
    Tag { why: NotTagged },
    /// The name of a platform is invalid.
    Platform {
        /// The parser's message.
        said: String,
    },
    /// The build for a platform pushed an index without an image for it.
    OtherPlatform {
        platform: String,
        /// The index.
        digest: Digest,
    },
    /// The registry's manifest for a platform cannot be read.
    Unreadable {
        platform: String,
        /// The manifest.
        digest: Digest,
        /// The parser's message.
        said: String,
    },
}

/// The inconsistency for which an attempt is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Contradiction {
    /// The tag that only the attempt can push was pushed twice.
    PushedTwice {
        tag: Tag,
        /// The image it was on.
        was: Digest,
        /// The image it is on.
        is: Digest,
    },
    /// The build is of another commit than the one that was pushed.
    OtherCommit {
        /// The commit of the build.
        built: CommitSha,
        pushed: CommitSha,
    },
    /// The push event and the registry name different images.
    EventDiffers {
        tag: Tag,
        /// The digest in the event.
        said: Digest,
        /// The digest in the registry.
        held: Digest,
    },
    /// Something else was pushed under the tag of an index.
    NotTheIndex {
        tag: Tag,
        index: Digest,
        /// The image the tag was on.
        other: Digest,
    },
}

/// Why there can be no further attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum NotRetried {
    /// The run is not known.
    NoRun { run: RunId },
    /// The run's definition is not known.
    NoDefinition { run: RunId },
    /// The run's definition does not build the component.
    NotBuilt {
        component: ComponentName,
        run: RunId,
    },
    /// Its tags cannot be used.
    Tags {
        /// What is wrong with them.
        error: TagError,
    },
    /// All attempts failed.
    GivenUp {
        /// How often.
        tries: u32,
        /// Since when.
        since: Timestamp,
    },
}

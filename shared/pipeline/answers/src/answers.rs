//! The answers, in a stable form: the JSON of the API and of `--json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use towline_domain::Timestamp;
use towline_domain::image::Built;
use towline_domain::ledger::TagMove;
use towline_domain::names::{
    CommitSha, ComponentName, Digest, GitRef, ImageRepository, RepositoryName, RunId, StageName,
    Tag,
};
use towline_domain::person::Actor;
use towline_domain::run::{AttemptState, RunStatus};
use towline_domain::stage;

use super::audit::row::{AuditRow, LedgerState};
pub use super::claims::ClaimAnswer;
pub use super::queue::InQueue;
pub use super::reason::Reason;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// To [`super::Query::Tags`].
    Tags {
        component: ComponentName,
        /// Its images, newest first.
        images: Vec<ImageLine>,
    },
    /// To [`super::Query::Commit`].
    Commit {
        commit: CommitSha,
        /// Its runs, newest first.
        runs: Vec<RunAnswer>,
    },
    /// To [`super::Query::Image`].
    Image {
        /// Every image that the reference matches.
        images: Vec<ImageAnswer>,
    },
    /// To [`super::Query::History`].
    History {
        component: ComponentName,
        stage: StageName,
        /// What was live, newest first.
        moves: Vec<Move>,
        /// Why automatic promotions are paused, if they are.
        hold: Option<Hold>,
    },
    /// To [`super::Query::Now`].
    Now {
        /// The requested moment, if one was given.
        at: Option<Timestamp>,
        /// The live images, by component and stage, in the definition's order.
        live: Vec<Live>,
    },
    /// To [`super::Query::Where`].
    Where {
        commit: CommitSha,
        /// Its images, with their stages.
        places: Vec<Place>,
    },
    /// To [`super::Query::Why`].
    Why {
        commit: CommitSha,
        /// Why each component was built or not, run by run.
        reasons: Vec<Reason>,
    },
    /// To [`super::Query::Runs`].
    Runs {
        /// The newest first.
        runs: Vec<RunAnswer>,
    },
    /// To [`super::Query::Queue`].
    Queue {
        /// The running builds, oldest first.
        running: Vec<InQueue>,
        /// The waiting builds, in the order in which they will start, if that is known.
        waiting: Vec<InQueue>,
        /// Whether the lists are complete.
        complete: bool,
    },
    /// To [`super::Query::Claims`].
    Claims {
        /// By image repository.
        claims: Vec<ClaimAnswer>,
    },
    /// To [`super::Query::Log`].
    Log {
        build: u64,
        /// The log, from the requested byte on; invalid UTF-8 is replaced.
        text: String,
        /// Where to continue reading.
        next: u64,
        /// Whether the build has ended. If it has, nothing follows an empty text.
        ended: bool,
    },
    /// To [`super::Query::Audit`].
    Audit {
        /// The rows, ledger by ledger, newest first in each.
        rows: Vec<AuditRow>,
        /// The ledgers of which some rows cannot be shown.
        breaks: Vec<LedgerState>,
        /// The place to continue at, if there may be more rows.
        next: Option<String>,
    },
    /// To [`super::Query::Verify`].
    Verify {
        /// The ledgers that were read to the end.
        ledgers: Vec<LedgerState>,
        /// The place to continue at, if there are more ledgers.
        next: Option<String>,
    },
    /// To a [`super::Command`].
    Done {
        /// What was done, in one sentence.
        message: String,
        /// The promotion that it opened or concerns.
        promotion: Option<u64>,
        /// The build that it started or concerns.
        build: Option<u64>,
    },
}

impl Answer {
    /// The answer that something was done.
    pub(crate) fn done(message: String) -> Self {
        Self::Done {
            message,
            promotion: None,
            build: None,
        }
    }

    /// The answer that something was done to a promotion.
    pub(crate) fn done_to_promotion(message: String, promotion: u64) -> Self {
        Self::Done {
            message,
            promotion: Some(promotion),
            build: None,
        }
    }

    /// The answer that something was done to a build.
    pub(crate) fn done_to_build(message: String, build: u64) -> Self {
        Self::Done {
            message,
            promotion: None,
            build: Some(build),
        }
    }
}

/// An image in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageLine {
    /// The tags of its build first, then all others except stage tags.
    pub tags: Vec<Tag>,
    pub digest: Digest,
    /// Its commit, if Towline built it.
    pub commit: Option<CommitSha>,
    pub git_ref: Option<GitRef>,
    pub build: Option<u64>,
    /// When it was first seen.
    pub at: Timestamp,
    /// The stages it is live in.
    pub stages: Vec<StageName>,
}

/// An image in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageAnswer {
    pub repository: ImageRepository,
    pub digest: Digest,
    /// The manifest's media type.
    pub media_type: String,
    /// Bytes of its layers.
    pub size: Option<u64>,
    pub platforms: Vec<String>,
    /// When it was first seen.
    pub at: Timestamp,
    pub built: Option<Built>,
    /// Every tag ever seen on it.
    pub tags: Vec<TagState>,
    /// Where it is live, since when, and by whom.
    pub live: Vec<Live>,
}

/// A tag and whether it still points here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TagState {
    pub tag: Tag,
    /// Whether it points to the image now.
    pub current: bool,
    /// Its newest move.
    pub moved: Option<TagMove>,
}

/// What is live in one stage of one component.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// The GitHub repository.
    pub repository: RepositoryName,
    pub component: ComponentName,
    pub stage: StageName,
    /// What is live; none when nothing has entered yet.
    pub image: Option<LiveImage>,
    /// Why automatic promotions are paused, if they are.
    pub hold: Option<Hold>,
    /// The promotions that wait.
    pub waiting: Vec<Waiting>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveImage {
    pub digest: Digest,
    pub commit: CommitSha,
    pub build: u64,
    pub since: Timestamp,
    /// Who moved it there.
    pub by: String,
    pub why: String,
}

/// A promotion that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// Its number.
    pub promotion: u64,
    pub commit: CommitSha,
    pub digest: Digest,
    /// What it waits for, as a clause that begins with a verb.
    pub why: String,
    /// Whether it waits for an approval.
    #[serde(default)]
    pub for_approval: bool,
}

/// One move of a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Move {
    pub at: Timestamp,
    /// The stage's first tag.
    pub tag: Tag,
    /// The commit that was live before.
    pub from: Option<CommitSha>,
    /// The commit that is live after it.
    pub to: CommitSha,
    /// The image that is live after it.
    pub digest: Digest,
    pub by: String,
    pub why: String,
    pub promotion: u64,
    /// Whether it was a rollback.
    pub rollback: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunAnswer {
    pub run: RunId,
    /// The GitHub repository.
    pub repository: RepositoryName,
    pub git_ref: GitRef,
    pub commit: CommitSha,
    /// First line of its message, safe to show.
    pub title: String,
    /// Who pushed, safe to show.
    pub pusher: String,
    /// When the push was accepted.
    pub at: Timestamp,
    pub status: RunStatus,
    /// Why it builds nothing, if it does not.
    pub refused: Option<String>,
    pub builds: Vec<BuildAnswer>,
    /// The components it does not build, and why not.
    pub skipped: Vec<Skipped>,
    /// Notes for people.
    pub notes: Vec<String>,
}

/// A component a run does not build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Skipped {
    pub component: ComponentName,
    pub reason: String,
}

/// The build of one component in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BuildAnswer {
    pub component: ComponentName,
    pub build: u64,
    /// The attempt, from 1.
    pub attempt: u32,
    pub state: BuildState,
    /// Its state, in one clause.
    pub why: String,
    /// Why it is built.
    pub because: String,
    /// Seconds it took, or has taken so far.
    pub seconds: Option<i64>,
    /// Its image.
    pub digest: Option<Digest>,
    /// The tags it had to push, the unique one first.
    pub tags: Vec<Tag>,
    /// The stages its image is live in.
    pub stages: Vec<StageName>,
    /// Its outputs for later stages, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildState {
    /// Not started yet.
    Due,
    /// Queued or running.
    Building,
    /// Its image is recorded.
    Succeeded,
    Failed,
    /// Somebody stopped it.
    Cancelled,
    /// A newer push replaced it.
    Superseded,
    /// Its image is inconsistent.
    Held,
}

impl BuildState {
    /// The word in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Building => "building",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
            Self::Held => "held",
        }
    }
}

impl From<&AttemptState> for BuildState {
    fn from(state: &AttemptState) -> Self {
        match state {
            AttemptState::Due => Self::Due,
            AttemptState::Building => Self::Building,
            AttemptState::Succeeded => Self::Succeeded,
            AttemptState::Failed { .. } => Self::Failed,
            AttemptState::Cancelled { .. } => Self::Cancelled,
            AttemptState::Superseded { .. } => Self::Superseded,
            AttemptState::Held { .. } => Self::Held,
        }
    }
}

/// The state of an image in a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaceState {
    Live,
    /// It is waiting to enter.
    Waiting,
    /// It will not enter.
    Outside,
}

/// The stages of one image of a commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Place {
    pub component: ComponentName,
    pub build: u64,
    /// The image, once there is one.
    pub digest: Option<Digest>,
    /// The state of the build.
    pub building: String,
    /// The stages in order, with the image's state in each.
    pub stages: Vec<PlaceInStage>,
}

/// The state of an image in a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlaceInStage {
    pub stage: StageName,
    pub state: PlaceState,
    /// Since when it is live.
    pub since: Option<Timestamp>,
    /// Why it is not live.
    pub why: Option<String>,
}

/// Why automatic promotions to a stage are paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub by: Actor,
    /// Why, in a sentence.
    pub reason: String,
    pub since: Timestamp,
}

impl From<stage::Hold> for Hold {
    fn from(hold: stage::Hold) -> Self {
        Self {
            by: hold.by,
            reason: hold.reason.to_string(),
            since: hold.since,
        }
    }
}

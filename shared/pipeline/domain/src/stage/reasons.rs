//! The reasons why a stage refuses, is held or ends a promotion, as data; [`crate::explain`] words them.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::image::NotTagged;
use crate::names::{CommitSha, ComponentName, Digest, StageName, Tag};
use crate::outputs::NoParameters;
use crate::person::Actor;
use crate::reason::NotAdmitted;
use crate::rights::Lacking;

/// A pause of automatic promotions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub by: Actor,
    pub reason: HoldReason,
    pub since: Timestamp,
}

/// A request to a stage that was denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "asked", rename_all = "snake_case")]
pub enum Request {
    Promote {
        commit: CommitSha,
    },
    /// A promotion of an image whose commit is unknown or does not count.
    PromoteImage {
        digest: Digest,
    },
    /// A rollback to the image before.
    GoBack,
    RollBack {
        commit: CommitSha,
    },
    /// A rollback to an image whose commit is unknown.
    RollBackTo {
        digest: Digest,
    },
    Approve,
    Reject,
    Hold,
    /// Removing the hold.
    Resume,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Refusal {
    /// The default branch has never had a valid definition.
    NoDefinition,
    /// The default branch's definition has no such stage.
    NoStage {
        stage: StageName,
        known: Vec<StageName>,
    },
    /// The promotion has ended, or never existed.
    Closed {
        promotion: u64,
    },
    /// The stage does not require approval, or no longer.
    NeedsNoApproval {
        promotion: u64,
    },
    ApprovedBefore {
        promotion: u64,
        by: Actor,
    },
    Expired {
        promotion: u64,
    },
    /// They wrote or pushed the commit themselves.
    IsAuthor {
        by: Actor,
        commit: CommitSha,
    },
    /// They wrote, committed or pushed something that the commit contains and the live image does not.
    IsAuthorSince {
        by: Actor,
        commit: CommitSha,
        live: Option<CommitSha>,
    },
    /// More people took part than are remembered, so nobody is known not to be one of them.
    AuthorsUnknown {
        commit: CommitSha,
        live: Option<CommitSha>,
    },
    /// They belong to none of the groups.
    NotInGroup {
        by: Actor,
        /// The groups, at least one.
        groups: Vec<String>,
    },
    /// They do not have the right.
    Lacks(Lacking),
    /// The definition admits no images of the candidate's ref.
    NotAdmitted {
        commit: CommitSha,
        stage: StageName,
        /// Why not.
        because: NotAdmitted,
    },
    /// A change of the definition admits the ref, and does not hold yet.
    NotAdmittedYet {
        commit: CommitSha,
        stage: StageName,
        /// Why the rules before the change do not admit it.
        because: NotAdmitted,
        /// The change.
        loosened_by: CommitSha,
    },
    /// Its tags are already being set.
    InProgress {
        promotion: u64,
    },
    /// The image waits to enter.
    Waiting {
        commit: CommitSha,
        stage: StageName,
        /// The number of the waiting promotion.
        promotion: u64,
    },
    /// The image is live.
    Live {
        commit: CommitSha,
        stage: StageName,
    },
    /// Something newer is live.
    Older {
        commit: CommitSha,
        live: CommitSha,
        stage: StageName,
    },
    /// The image has not been live where the stage takes its images from.
    NotFromOrigin {
        commit: CommitSha,
        /// The stage where it should have been.
        origin: StageName,
        stage: StageName,
    },
    /// Towline did not build the image.
    NotBuilt {
        digest: Digest,
    },
    /// The image is for one of several platforms.
    OnePlatform {
        digest: Digest,
        /// The build of that platform.
        part: String,
        /// The build of all platforms.
        build: u64,
    },
    /// The build that made the image has not succeeded.
    NotSucceeded {
        build: u64,
        commit: CommitSha,
    },
    /// Nothing was live in the stage.
    NothingLive {
        component: ComponentName,
        stage: StageName,
    },
    /// Nothing else was live in the stage before.
    NothingOlder {
        /// The commit of what is live.
        commit: CommitSha,
        stage: StageName,
    },
    /// The image was never live here, so a rollback to it is impossible.
    NeverLive {
        digest: Digest,
        component: ComponentName,
        stage: StageName,
    },
    /// The stage is held, so nothing can be promoted.
    Held {
        stage: StageName,
        hold: Box<Hold>,
    },
    /// The stage is held, so it cannot be held again.
    HeldBefore {
        stage: StageName,
        hold: Box<Hold>,
    },
    /// There is no hold.
    NotHeld {
        stage: StageName,
    },
    /// The definition uses features that this version does not support.
    NotExecuted {
        /// The features, by their path in the file.
        wants: Vec<String>,
    },
    /// The promotion is not in progress.
    NotActing {
        promotion: u64,
    },
    /// Another writer has the stage's lease.
    LeaseTaken {
        promotion: u64,
    },
    /// The writer no longer has the stage's lease.
    LeaseLost {
        promotion: u64,
    },
}

/// Why a stage is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum HoldReason {
    /// A person requested it.
    Asked {
        /// Why, in their words.
        reason: String,
    },
    /// It was rolled back, and its rule holds the stage then.
    RolledBack {
        /// Why, in the words of the person.
        reason: Option<String>,
    },
    /// Its tag was moved outside Towline.
    TagMoved {
        tag: Tag,
        /// The image it was moved to.
        digest: Digest,
        /// How often it had been put back within the hour.
        #[serde(default, skip_serializing_if = "is_zero")]
        restored: u32,
    },
}

/// A tag of a stage that somebody else put on another image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meddled {
    pub tag: Tag,
    /// The image it was moved to.
    pub digest: Digest,
}

/// Why an image goes live, or went live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// In the words of the person who asked for it.
    Said(String),
    /// These people approved it, by login, with their comments.
    Approved {
        promotion: u64,
        by: Vec<(String, Option<String>)>,
    },
    /// A tag was moved outside Towline, and is put back.
    Moved(Meddled),
    /// A person had the tag put back.
    PutBack,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Why a promotion failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Failure {
    /// A tag cannot be set.
    Tag { why: NotTagged },
    /// A parameter of its deployment has no value.
    Parameters { stage: StageName, why: NoParameters },
    /// The source never said whether a ref still contains its commit.
    Source {
        /// Why not.
        said: String,
        /// The number of attempts.
        tries: u32,
        since: Timestamp,
    },
}

//! Why a stage says no, is held or lets a promotion end, as data; [`crate::explain`] words it.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::image::NotTagged;
use crate::names::{CommitSha, ComponentName, Digest, StageName, Tag};
use crate::outputs::NoParameters;
use crate::person::Actor;

/// That nothing enters a stage automatically.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Who holds it.
    pub by: Actor,
    /// Why.
    pub reason: HoldReason,
    /// Since when.
    pub since: Timestamp,
}

/// What somebody asked of a stage and was denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "asked", rename_all = "snake_case")]
pub enum Request {
    /// To let an image in.
    Promote {
        /// The image's commit.
        commit: CommitSha,
    },
    /// To go back to an image.
    RollBack {
        /// The image's commit.
        commit: CommitSha,
    },
    /// To go back to an image whose commit nobody knows.
    RollBackTo {
        /// The image.
        digest: Digest,
    },
    /// To approve the promotion.
    Approve,
    /// To reject the promotion.
    Reject,
    /// To lift the hold.
    Resume,
}

/// Why a request is not granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Refusal {
    /// The default branch has never had a definition that could be read.
    NoDefinition,
    /// The default branch's definition has no such stage.
    NoStage {
        /// The stage.
        stage: StageName,
        /// The stages it has.
        known: Vec<StageName>,
    },
    /// The promotion has ended, or never was.
    Closed {
        /// The promotion.
        promotion: u64,
    },
    /// The stage asks for no approval, or no longer.
    NeedsNoApproval {
        /// The promotion.
        promotion: u64,
    },
    /// They have approved it before.
    ApprovedBefore {
        /// The promotion.
        promotion: u64,
        /// Who.
        by: Actor,
    },
    /// Its time to be approved is over.
    Expired {
        /// The promotion.
        promotion: u64,
    },
    /// They wrote or pushed the commit themselves.
    IsAuthor {
        /// Who.
        by: Actor,
        /// The commit.
        commit: CommitSha,
    },
    /// They belong to none of the groups.
    NotInGroup {
        /// Who.
        by: Actor,
        /// The groups, at least one.
        groups: Vec<String>,
    },
    /// Its tags are being put on already.
    InProgress {
        /// The promotion.
        promotion: u64,
    },
    /// The image waits to enter.
    Waiting {
        /// The image's commit.
        commit: CommitSha,
        /// The stage.
        stage: StageName,
        /// The promotion it waits as.
        promotion: u64,
    },
    /// The image is live.
    Live {
        /// The image's commit.
        commit: CommitSha,
        /// The stage.
        stage: StageName,
    },
    /// Something newer is live.
    Older {
        /// The image's commit.
        commit: CommitSha,
        /// The commit of what is live.
        live: CommitSha,
        /// The stage.
        stage: StageName,
    },
    /// The image has not been live where the stage takes its images from.
    NotFromOrigin {
        /// The image's commit.
        commit: CommitSha,
        /// Where it should have been.
        origin: StageName,
        /// The stage.
        stage: StageName,
    },
    /// The image was never live here, so nobody can go back to it.
    NeverLive {
        /// The image.
        digest: Digest,
        /// The component.
        component: ComponentName,
        /// The stage.
        stage: StageName,
    },
    /// The stage is held, so nothing can be promoted.
    Held {
        /// The stage.
        stage: StageName,
        /// Its hold.
        hold: Box<Hold>,
    },
    /// The stage is held, so it cannot be held again.
    HeldBefore {
        /// The stage.
        stage: StageName,
        /// Its hold.
        hold: Box<Hold>,
    },
    /// There is no hold to lift.
    NotHeld {
        /// The stage.
        stage: StageName,
    },
    /// The definition asks for what this version cannot do.
    NotExecuted {
        /// What it asks for, by its path in the file.
        wants: Vec<String>,
    },
    /// The promotion's tags are not to be put on.
    NotActing {
        /// The promotion.
        promotion: u64,
    },
    /// Another writer has the stage's tags to itself.
    LeaseTaken {
        /// The promotion.
        promotion: u64,
    },
    /// The writer no longer has the stage's tags to itself.
    LeaseLost {
        /// The promotion.
        promotion: u64,
    },
}

/// Why a stage is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum HoldReason {
    /// Somebody asked for it.
    Asked {
        /// Why, in their words.
        reason: String,
    },
    /// It was rolled back, and its rule asks for a hold then.
    RolledBack {
        /// Why, in the words of who asked.
        reason: Option<String>,
    },
    /// Somebody else moved its tag.
    TagMoved {
        /// The tag.
        tag: Tag,
        /// The image it was moved to.
        digest: Digest,
    },
}

/// Why a promotion whose time had come was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Failure {
    /// A tag could not be put on its image.
    Tag {
        /// Why not.
        why: NotTagged,
    },
    /// What its deployment is handed cannot be had.
    Parameters {
        /// The stage.
        stage: StageName,
        /// Why not.
        why: NoParameters,
    },
}

//! Rows that are written once: each names who did what and contains the hash of the row before.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::Timestamp;
use crate::names::{CommitSha, ComponentName, Digest, GitRef, ImageRepository, RunId, Tag};
use crate::person::{Actor, Door};
use crate::run::reasons as run;
use crate::stage::reasons::{Failure, HoldReason, Refusal, Request, Why};

/// One row of a ledger: a stage's, unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row<W = What> {
    /// Its number, from 1, without gaps.
    pub sequence: u64,
    /// When it was decided.
    pub at: Timestamp,
    pub by: Actor,
    /// The door through which a person decided it. None if it followed from another decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub door: Option<Door>,
    pub what: W,
    /// Hash of the row before; 64 zeros for the first.
    pub previous: String,
}

/// What a row of a stage's ledger records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// A promotion into the stage was asked for.
    Requested {
        /// Its number.
        promotion: u64,
        digest: Digest,
        commit: CommitSha,
        /// Whether it returns to an image that was live before.
        rollback: bool,
        reason: Option<Why>,
    },
    /// A person with the right to override promotes an image without approval, from any ref.
    Overridden {
        promotion: u64,
        digest: Digest,
        commit: CommitSha,
        /// The ref it was pushed to.
        git_ref: GitRef,
        /// Why, in the words of the person.
        reason: String,
    },
    /// A person approved it.
    Approved {
        promotion: u64,
        /// The digest that was approved.
        digest: Digest,
        /// The commit that was approved.
        commit: CommitSha,
        comment: Option<String>,
    },
    /// A promotion, approval or other request was denied; nothing changed.
    Denied {
        /// The promotion, if there is one.
        promotion: Option<u64>,
        request: Request,
        /// Why it was denied.
        reason: Refusal,
    },
    /// A promotion ended without moving the stage.
    Ended {
        promotion: u64,
        /// How, and why.
        how: Ending,
    },
    Moved {
        /// The promotion that moved it.
        promotion: u64,
        /// What was live before.
        from: Option<Digest>,
        /// What is live now.
        to: Digest,
        /// The pointer's version after it.
        version: u64,
    },
    /// The stage was held: automatic promotions are paused.
    Held { reason: HoldReason },
    /// The hold was lifted.
    Resumed,
    /// A tag of the stage was found on another image than the one promoted.
    Drifted {
        tag: Tag,
        /// What it points to.
        digest: Digest,
    },
}

impl What {
    /// Whether it is a person's decision, and not a consequence of one.
    #[must_use]
    pub fn is_decision(&self) -> bool {
        match self {
            Self::Requested { .. }
            | Self::Overridden { .. }
            | Self::Approved { .. }
            | Self::Denied { .. }
            | Self::Resumed => true,
            Self::Ended { how, .. } => matches!(how, Ending::Rejected { .. }),
            Self::Held { reason } => matches!(reason, HoldReason::Asked { .. }),
            Self::Moved { .. } | Self::Drifted { .. } => false,
        }
    }
}

/// What a row of a repository's ledger of builds records: a person's decision about a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfBuild {
    pub component: ComponentName,
    pub build: u64,
    pub commit: CommitSha,
    /// What was decided about it.
    #[serde(flatten)]
    pub what: WhatOfBuild,
}

/// What was decided about a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum WhatOfBuild {
    /// It was stopped.
    Cancelled,
    /// It is repeated.
    Retried {
        /// The number of the next build.
        next: u64,
    },
    /// A request was denied; nothing changed.
    Denied {
        request: run::Request,
        reason: run::Refusal,
    },
}

/// How a promotion ended without moving the stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ended", rename_all = "snake_case")]
pub enum Ending {
    /// A newer one replaced it.
    Superseded {
        /// The newer promotion.
        by: u64,
        /// The commit of its image.
        commit: CommitSha,
    },
    /// Something that is not older is already live.
    Overtaken { live: CommitSha },
    /// The stage was rolled back while it waited.
    RolledBack,
    /// A person rejected it.
    Rejected {
        /// Why, in their words.
        reason: String,
    },
    /// It was not approved in time.
    Expired {
        /// The number of approvals.
        approvals: u32,
        /// When it started to wait.
        since: Timestamp,
        until: Timestamp,
    },
    /// It is not allowed.
    Refused { why: Refusal },
    /// No ref that the stage admits contains its commit any more, so no earlier approval counts.
    CommitRemoved {
        commit: CommitSha,
        /// The refs that were looked at.
        refs: Vec<GitRef>,
        /// Further admitted refs, which are too many to look at.
        #[serde(default, skip_serializing_if = "is_zero")]
        more: usize,
    },
    /// Its tags were not set.
    Failed { why: Failure },
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Ending {
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Superseded { .. } | Self::Overtaken { .. } | Self::RolledBack => "superseded",
            Self::Rejected { .. } => "rejected",
            Self::Expired { .. } => "expired",
            Self::Refused { .. } | Self::CommitRemoved { .. } => "refused",
            Self::Failed { .. } => "failed",
        }
    }
}

/// The last row of a ledger: its number and hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Rows so far.
    pub sequence: u64,
    /// Hash of the last one.
    pub hash: String,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            sequence: 0,
            hash: "0".repeat(64),
        }
    }
}

impl Head {
    pub fn append<W: Serialize>(
        &mut self,
        at: Timestamp,
        (by, door): (Actor, Option<Door>),
        what: W,
    ) -> Row<W> {
        let row = Row {
            sequence: self.sequence + 1,
            at,
            by,
            door,
            what,
            previous: self.hash.clone(),
        };
        *self = Self {
            sequence: row.sequence,
            hash: row.hash(),
        };
        row
    }
}

impl<W: Serialize> Row<W> {
    /// The row's own hash, which the next row contains.
    #[must_use]
    pub fn hash(&self) -> String {
        let bytes = serde_json::to_vec(self).expect("a row holds only strings and numbers");
        hex::encode(Sha256::digest(bytes))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagMove {
    /// Its number among the moves of this tag, from 1.
    pub sequence: u64,
    /// When it was noticed.
    pub at: Timestamp,
    /// The digest before.
    pub from: Option<Digest>,
    /// The digest after.
    pub to: Digest,
    pub by: Mover,
}

/// Where a tag points now. This includes the tag's last move, which becomes a row of its own with the
/// next move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagNow {
    pub repository: ImageRepository,
    pub tag: Tag,
    /// The digest it points to.
    pub digest: Digest,
    /// The number of moves so far.
    pub sequence: u64,
    pub since: Timestamp,
    /// The digest before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Digest>,
    pub by: Mover,
}

impl TagNow {
    #[must_use]
    pub fn last_move(&self) -> TagMove {
        TagMove {
            sequence: self.sequence,
            at: self.since,
            from: self.from.clone(),
            to: self.digest.clone(),
            by: self.by.clone(),
        }
    }

    /// The tag after a move to this digest; none if it already points there.
    #[must_use]
    pub fn moved(
        before: Option<&Self>,
        (repository, tag): (&ImageRepository, &Tag),
        digest: &Digest,
        by: Mover,
        now: Timestamp,
    ) -> Option<Self> {
        if before.is_some_and(|before| before.digest == *digest) {
            return None;
        }
        Some(Self {
            repository: repository.clone(),
            tag: tag.clone(),
            digest: digest.clone(),
            sequence: before.map_or(0, |before| before.sequence) + 1,
            // The clocks of two machines may disagree; the order of moves may not.
            since: before.map_or(now, |before| before.since.max(now)),
            from: before.map(|before| before.digest.clone()),
            by,
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Mover {
    /// A build of Towline pushed it.
    Build { run: RunId, number: u64 },
    /// A promotion set it.
    Promotion { number: u64, by: Actor },
    /// Someone else; ECR's events do not say who (ECR user guide, "Amazon ECR events").
    Outside,
}

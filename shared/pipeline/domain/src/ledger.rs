//! Rows that are written once: each names who did what and carries the hash of the row before.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::Timestamp;
use crate::names::{CommitSha, Digest, RunId, Tag};
use crate::person::Actor;

/// One row of a stage's ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Its place, from 1, without gaps.
    pub sequence: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// Who decided.
    pub by: Actor,
    /// What was decided.
    pub what: What,
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
        /// The image.
        digest: Digest,
        /// The image's commit.
        commit: CommitSha,
        /// Whether it goes back to an image that was live before.
        rollback: bool,
        /// Why, in the words of who asked.
        reason: Option<String>,
    },
    /// Somebody approved it.
    Approved {
        /// The promotion.
        promotion: u64,
        /// What was approved: exactly this.
        digest: Digest,
        /// And exactly this.
        commit: CommitSha,
        /// What they said.
        comment: Option<String>,
    },
    /// A promotion, approval or other request was denied; nothing changed.
    Denied {
        /// The promotion, when it was about one.
        promotion: Option<u64>,
        /// What was asked.
        request: String,
        /// Why it was denied.
        reason: String,
    },
    /// A promotion ended without moving the stage.
    Ended {
        /// The promotion.
        promotion: u64,
        /// How.
        how: Ending,
        /// Why.
        reason: String,
    },
    /// The stage moved.
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
    /// The stage was held: nothing enters by itself.
    Held {
        /// Why.
        reason: String,
    },
    /// The hold was lifted.
    Resumed,
    /// A tag of the stage was found on another image than the one promoted.
    Drifted {
        /// The tag.
        tag: Tag,
        /// What it points to.
        digest: Digest,
    },
}

/// How a promotion ended without moving the stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// A newer one took its place.
    Superseded,
    /// Somebody said no.
    Rejected,
    /// Nobody said yes in time.
    Expired,
    /// It needs something this version cannot do, or may not happen.
    Refused,
    /// The registry would not have it.
    Failed,
}

impl Ending {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Superseded => "superseded",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Where a ledger stands: the last row's number and hash.
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
    /// Appends a row.
    pub fn append(&mut self, at: Timestamp, by: Actor, what: What) -> Row {
        let row = Row {
            sequence: self.sequence + 1,
            at,
            by,
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

impl Row {
    /// The row's own hash, which the next row carries.
    #[must_use]
    pub fn hash(&self) -> String {
        let bytes = serde_json::to_vec(self).expect("a row holds only strings and numbers");
        hex::encode(Sha256::digest(bytes))
    }
}

/// One move of a tag, whoever moved it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagMove {
    /// Its place among the moves of this tag, from 1.
    pub sequence: u64,
    /// When it was seen.
    pub at: Timestamp,
    /// What the tag pointed to before.
    pub from: Option<Digest>,
    /// What it points to now.
    pub to: Digest,
    /// Who moved it.
    pub by: Mover,
}

/// Who moved a tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Mover {
    /// A build of ours pushed it.
    Build {
        /// The run.
        run: RunId,
        /// The build's number.
        number: u64,
    },
    /// A promotion put it there.
    Promotion {
        /// The promotion's number.
        number: u64,
        /// Who asked for it.
        by: Actor,
    },
    /// Somebody outside; ECR's events do not say who (ECR user guide, "Amazon ECR events").
    Outside,
}

//! A stage of a component: what is live in it, what wants in, and what holds that back.

mod advance;
mod opening;
pub mod reasons;
mod said;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::definition::{Concurrency, Definition, StageRule};
use crate::intent::{Intent, StageKey};
use crate::ledger::{Head, Row};
use crate::names::{
    CommitSha, Digest, GitRef, ImageRepository, RepositoryName, RunId, StageName, Tag,
};
use crate::person::{Actor, Person};

pub use advance::advance;
pub use reasons::{Failure, Hold, HoldReason, Refusal, Request};

/// Promotions that may wait in one stage; the oldest gives way to a further one.
pub const MOST_WAITING: usize = 20;

/// An image that may enter a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The image.
    pub digest: Digest,
    /// Its commit.
    pub commit: CommitSha,
    /// The ref it was pushed to.
    pub git_ref: GitRef,
    /// The run that built it.
    pub run: RunId,
    /// The run's place among the runs of its ref.
    pub order: u64,
    /// The repository it is in.
    pub repository: ImageRepository,
    /// The build that made it.
    pub build_number: u64,
    /// Who pushed or wrote it, by login and address.
    pub authors: Vec<String>,
    /// The repository beside whose commit it is shown how it stands; none where nobody shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown_in: Option<RepositoryName>,
}

/// What is live in a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// Rises by one with every move (I8).
    pub version: u64,
    /// The image.
    pub candidate: Candidate,
    /// The promotion that moved it here.
    pub promotion: u64,
    /// Who asked for that.
    pub by: Actor,
    /// Whether it went back to an earlier image.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rollback: bool,
    /// Why, in the words of who asked or approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when.
    pub since: Timestamp,
}

/// A request to move one digest into the stage that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promotion {
    /// Its number within the GitHub repository, as in `promotion #58`.
    pub number: u64,
    /// The image.
    pub candidate: Candidate,
    /// Whether it goes back to an image that was live before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rollback: bool,
    /// Who asked.
    pub by: Actor,
    /// Why, in their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
    /// When it stops waiting for approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Who approved exactly this digest and commit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Approval>,
    /// Whether its tags are being put on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub acting: bool,
}

/// One person's yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who.
    pub login: String,
    /// When.
    pub at: Timestamp,
    /// What they said.
    pub comment: Option<String>,
}

/// A stage of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Which stage.
    pub key: StageKey,
    /// What is live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<Pointer>,
    /// Why nothing enters by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// The newest image that arrived at the origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered: Option<Candidate>,
    /// Whether a tag of the stage was found on another image than the one that is live; resuming
    /// puts it back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drifted: bool,
    /// Images a rollback has left, newest last: none of them comes back by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Digest>,
    /// What wants in, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<Promotion>,
    /// Where its ledger stands.
    pub ledger: Head,
    /// Until when one writer of the stage's tags excludes every other, and which one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
}

/// One writer's exclusive time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The writer: any word no other writer uses.
    pub holder: String,
    /// When it ends; longer than a writer can live, so that a stalled one cannot overtake (F32).
    pub until: Timestamp,
}

/// What a stage must know besides its own state.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    /// The stage's rule, from the default branch's last good definition.
    pub rule: &'a StageRule,
    /// What its rule asks for that this version cannot do.
    pub not_executed: &'a [&'a str],
    /// The number a new promotion would get.
    pub next_number: u64,
}

/// The rule of a stage in the default branch's last good definition.
///
/// # Errors
/// When there is none.
pub fn rule<'a>(
    definition: Option<&'a Definition>,
    stage: &StageName,
) -> Result<&'a StageRule, Refusal> {
    let definition = definition.ok_or(Refusal::NoDefinition)?;
    let known = || definition.stages.iter().map(|rule| rule.name.clone());
    definition.stage(stage).ok_or_else(|| Refusal::NoStage {
        stage: stage.clone(),
        known: known().collect(),
    })
}

/// What was to be looked after and need not be any more: the time of a promotion that has ended, or
/// acts.
#[must_use]
pub fn over(before: &Stage, after: &Stage) -> Vec<Intent> {
    let waits = |number| after.promotion(number).is_some_and(|known| !known.acting);
    let ended = before.waiting.iter().filter(|known| !waits(known.number));
    ended
        .filter_map(|known| {
            Some(Intent::PromotionWatchDue {
                stage: before.key.clone(),
                promotion: known.number,
                at: known.expires_at?,
            })
        })
        .collect()
}

/// A fact that concerns a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// An image arrived at the origin.
    Offered(Candidate),
    /// Somebody wants an image in.
    PromotionRequested {
        /// The image.
        candidate: Candidate,
        /// Who.
        by: Person,
        /// Why.
        reason: Option<String>,
    },
    /// Somebody says yes.
    Approved {
        /// To which promotion.
        promotion: u64,
        /// Who.
        by: Person,
        /// What else they say.
        comment: Option<String>,
    },
    /// Somebody says no.
    Rejected {
        /// To which promotion.
        promotion: u64,
        /// Who.
        by: Person,
        /// Why.
        reason: String,
    },
    /// Somebody wants an image back that was live here.
    RollbackRequested {
        /// The image, from the stage's own history (A29).
        candidate: Candidate,
        /// Who.
        by: Person,
        /// Why.
        reason: Option<String>,
    },
    /// Somebody holds the stage.
    HoldRequested {
        /// Who.
        by: Person,
        /// Why.
        reason: String,
    },
    /// Somebody lifts the hold.
    ResumeRequested {
        /// Who.
        by: Person,
    },
    /// A writer wants the stage's tags to itself.
    LeaseRequested {
        /// For which promotion.
        promotion: u64,
        /// The lease it wants.
        lease: Lease,
    },
    /// The tags were put on and read back.
    Tagged {
        /// The promotion.
        promotion: u64,
        /// The writer.
        holder: String,
    },
    /// The tags cannot be put on.
    TagRefused {
        /// The promotion.
        promotion: u64,
        /// The writer.
        holder: String,
        /// Why.
        why: Failure,
    },
    /// Nobody could put the tags on, however often it was tried.
    GivenUp {
        /// The promotion.
        promotion: u64,
        /// How often it was tried.
        tries: u32,
        /// Since when.
        since: Timestamp,
    },
    /// Something was asked for that is denied before it concerns the stage's state.
    Denied {
        /// Who asked.
        by: Actor,
        /// For what.
        request: Request,
        /// Why not.
        reason: Refusal,
    },
    /// The time to approve may be over.
    ExpiryDue {
        /// The promotion.
        promotion: u64,
    },
    /// A tag of the stage was found on another image.
    TagMovedOutside {
        /// The tag.
        tag: Tag,
        /// What it is on.
        digest: Digest,
    },
}

/// What follows from a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The stage after it.
    pub stage: Stage,
    /// Whether the stage changed.
    pub changed: bool,
    /// What its ledger gains.
    pub rows: Vec<Row>,
    /// Whether the pointer moved; it is the stage's newest.
    pub moved: bool,
    /// What is owed now.
    pub intents: Vec<Intent>,
    /// Whether the offered number was taken.
    pub took_number: bool,
    /// Why a request was not granted.
    pub refused: Option<Refusal>,
}

impl Decision {
    /// Nothing has been decided yet.
    fn undecided(stage: Stage) -> Self {
        Self {
            stage,
            changed: false,
            rows: Vec::new(),
            moved: false,
            intents: Vec::new(),
            took_number: false,
            refused: None,
        }
    }

    /// Nothing changes: what was asked for cannot be decided.
    #[must_use]
    pub fn refused(stage: Stage, why: Refusal) -> Self {
        Self {
            refused: Some(why),
            ..Self::undecided(stage)
        }
    }
}

/// What keeps a promotion from acting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// It lacks approvals.
    Approval {
        /// Distinct people who said yes.
        given: u32,
        /// How many are needed.
        needed: u32,
    },
    /// An older promotion is before it.
    Turn {
        /// That promotion.
        after: u64,
    },
    /// The stage is held.
    Hold(Hold),
}

impl Stage {
    /// A stage nothing has entered yet.
    #[must_use]
    pub fn new(key: StageKey) -> Self {
        Self {
            key,
            pointer: None,
            hold: None,
            offered: None,
            drifted: false,
            left: Vec::new(),
            waiting: Vec::new(),
            ledger: Head::default(),
            lease: None,
        }
    }

    /// The promotion of that number, while it has not ended.
    #[must_use]
    pub fn promotion(&self, number: u64) -> Option<&Promotion> {
        self.waiting
            .iter()
            .find(|promotion| promotion.number == number)
    }

    /// What keeps a waiting promotion from acting; none when it may act, or acts, now.
    #[must_use]
    pub fn wait_of(&self, promotion: &Promotion, rule: &StageRule) -> Option<Wait> {
        if promotion.acting {
            return None;
        }
        if let (Some(hold), false) = (&self.hold, promotion.rollback) {
            return Some(Wait::Hold(hold.clone()));
        }
        if let Some(wait) = missing_approval(promotion, rule) {
            return Some(wait);
        }
        let older = self.waiting.iter().find(|other| match rule.concurrency {
            Concurrency::Queue if !promotion.rollback => {
                other.acting || other.number < promotion.number
            }
            Concurrency::Queue | Concurrency::Supersede | Concurrency::Parallel => other.acting,
        });
        older
            .filter(|other| other.number != promotion.number)
            .map(|other| Wait::Turn {
                after: other.number,
            })
    }
}

fn missing_approval(promotion: &Promotion, rule: &StageRule) -> Option<Wait> {
    let approval = rule.approval.as_ref().filter(|_| !promotion.rollback)?;
    let given = promotion
        .approvals
        .iter()
        .map(|approval| approval.login.to_lowercase())
        .collect::<BTreeSet<_>>()
        .len();
    let given = u32::try_from(given).unwrap_or(u32::MAX);
    (given < approval.min).then_some(Wait::Approval {
        given,
        needed: approval.min,
    })
}

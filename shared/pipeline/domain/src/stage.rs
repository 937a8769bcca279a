//! A stage of a component: its live image, its waiting promotions, and the reasons they wait.

mod advance;
pub mod contained;
mod drift;
mod opening;
mod promotion;
pub mod reasons;
mod request;
mod said;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::authors::{Authors, Contributions};
use crate::definition::{Concurrency, Definition, StageRule};
use crate::image::Candidate;
use crate::intent::{Intent, StageKey};
use crate::ledger::{Head, Row};
use crate::names::{Digest, StageName, Tag};
use crate::obstacle::Obstacle;
use crate::person::{Actor, Person};
use crate::trusted::Trusted;

pub use advance::advance;
pub use contained::OnRefs;
pub use promotion::{Approval, Loosening, Promotion};
pub use reasons::{Failure, Hold, HoldReason, Meddled, Refusal, Request, Why};

pub(crate) use promotion::missing_approval;

/// The most waiting promotions of one stage; a further one replaces the oldest.
pub const MOST_WAITING: usize = 20;

/// The live image of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// Rises by one with every move (I8).
    pub version: u64,
    /// The image.
    pub candidate: Candidate,
    /// The promotion that moved it here.
    pub promotion: u64,
    pub by: Actor,
    /// Whether it was a rollback.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rollback: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Why>,
    pub since: Timestamp,
}

/// A stage of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    pub key: StageKey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<Pointer>,
    /// Why automatic promotions are paused, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// The newest image that arrived at the origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered: Option<Candidate>,
    /// Up to which order number changes of the definition hold that loosen its gate.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub accepted: u64,
    /// Who took part in what was offered, push by push.
    #[serde(default, skip_serializing_if = "Contributions::is_empty")]
    pub contributions: Contributions,
    /// Whether a tag of the stage was found on another image than the live one, and is not put back yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drifted: bool,
    /// The last tag that was found so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meddled: Option<Meddled>,
    /// When its tags were put back of late, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restored: Vec<Timestamp>,
    /// Images that a rollback left, newest last: none of them returns automatically.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Digest>,
    /// The open promotions, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<Promotion>,
    /// The last row of its ledger.
    pub ledger: Head,
    /// The writer that may set the stage's tags now, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// One writer's exclusive time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The writer: any word no other writer uses.
    pub holder: String,
    /// When it ends; later than a writer can live, so that a stalled one cannot interfere (F32).
    pub until: Timestamp,
    /// Whether somebody else has moved a tag of the stage since then, so that it may be elsewhere when
    /// the writer is done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub meddled: bool,
}

/// The facts that a stage needs besides its own state.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    /// The stage's rule, from the default branch's last valid definition.
    pub rule: &'a StageRule,
    /// That definition.
    pub trusted: &'a Trusted,
    /// Features in its rule that this version does not support.
    pub not_executed: &'a [&'a str],
    /// The number for a new promotion.
    pub next_number: u64,
}

/// The rule of a stage in the default branch's last valid definition.
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

/// Watches that are no longer needed: those of promotions that have ended, or act.
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
    /// A person requests a promotion.
    PromotionRequested {
        /// The image.
        candidate: Candidate,
        by: Person,
        reason: Option<String>,
    },
    /// A person requests a promotion that no gate stops, from any ref.
    OverrideRequested {
        /// The image.
        candidate: Candidate,
        by: Person,
        reason: String,
    },
    /// A person approves.
    Approved {
        promotion: u64,
        by: Person,
        comment: Option<String>,
    },
    /// A person rejects.
    Rejected {
        promotion: u64,
        by: Person,
        reason: String,
    },
    /// A person requests a rollback.
    RollbackRequested {
        /// The image, from the stage's own history (A29).
        candidate: Candidate,
        by: Person,
        reason: Option<String>,
    },
    /// A person holds the stage.
    HoldRequested { by: Person, reason: String },
    /// A person removes the hold.
    ResumeRequested { by: Person },
    /// A writer requests the lease of the stage's tags.
    LeaseRequested {
        promotion: u64,
        /// The requested lease.
        lease: Lease,
        /// Whether this writer has asked the source whether a ref still contains the commit. Who has not
        /// relies on the writer that has the lease.
        asked: bool,
    },
    /// The tags were set and read back.
    Tagged {
        promotion: u64,
        /// The writer.
        holder: String,
    },
    /// The tags cannot be set.
    TagRefused {
        promotion: u64,
        /// The writer.
        holder: String,
        why: Failure,
    },
    /// A person must fix something before the tags can be set.
    Obstructed {
        promotion: u64,
        /// The writer.
        holder: String,
        by: Obstacle,
    },
    /// All attempts to set the tags failed.
    GivenUp {
        promotion: u64,
        /// The number of attempts.
        tries: u32,
        since: Timestamp,
    },
    /// A request was denied before it reached the stage's state.
    Denied {
        by: Person,
        request: Request,
        reason: Refusal,
    },
    /// The source was asked which refs contain the commit of a promotion, before its tags are set.
    CommitLookedUp { promotion: u64, found: OnRefs },
    /// The time for approval may be over.
    ExpiryDue { promotion: u64 },
    /// A tag of the stage was found on another image.
    TagMovedOutside {
        tag: Tag,
        /// The image it points to.
        digest: Digest,
    },
}

/// The result of a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The stage after it.
    pub stage: Stage,
    /// Whether the stage changed.
    pub changed: bool,
    /// The new rows of its ledger.
    pub rows: Vec<Row>,
    /// Whether the pointer moved; it is the stage's newest.
    pub moved: bool,
    pub intents: Vec<Intent>,
    /// Whether the offered number was taken.
    pub took_number: bool,
    /// Why a request was refused.
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
}

/// Why a promotion waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// It needs more approvals.
    Approval {
        /// The number of people who approved.
        given: u32,
        /// The number that is needed.
        needed: u32,
    },
    /// An older promotion is before it.
    Turn {
        /// That promotion.
        after: u64,
    },
    /// The stage is held.
    Hold(Hold),
    /// The source cannot say whether a ref still contains its commit.
    Source {
        /// Why not.
        said: String,
    },
    /// A person must fix something before its tags can be set.
    Person(Obstacle),
}

impl Stage {
    /// A stage without an image.
    #[must_use]
    pub fn new(key: StageKey) -> Self {
        Self {
            key,
            pointer: None,
            hold: None,
            offered: None,
            accepted: 0,
            contributions: Contributions::default(),
            drifted: false,
            meddled: None,
            restored: Vec::new(),
            left: Vec::new(),
            waiting: Vec::new(),
            ledger: Head::default(),
            lease: None,
        }
    }

    /// The promotion with that number, unless it has ended.
    #[must_use]
    pub fn promotion(&self, number: u64) -> Option<&Promotion> {
        self.waiting
            .iter()
            .find(|promotion| promotion.number == number)
    }

    /// Who wrote, committed or pushed anything between the live image and this candidate (A23). After
    /// a rollback, that includes what was live meanwhile.
    #[must_use]
    pub fn authors_since_live(&self, candidate: &Candidate) -> Authors {
        let live = self.pointer.as_ref().map(|live| live.candidate.order);
        let contributions = &self.contributions;
        let mut authors = contributions.between(live.unwrap_or_default(), candidate.order);
        authors.names.extend(candidate.authors.iter().cloned());
        authors
    }

    /// Why a promotion waits; none if it may proceed or is in progress.
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
        if let Some(said) = promotion.unchecked.clone() {
            return Some(Wait::Source { said });
        }
        if let Some(obstacle) = promotion.obstacle.clone() {
            return Some(Wait::Person(obstacle));
        }
        self.turn_of(promotion, rule)
    }

    /// The promotion that must end first, if any.
    fn turn_of(&self, promotion: &Promotion, rule: &StageRule) -> Option<Wait> {
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

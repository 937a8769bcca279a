//! A stage of a component: what is live in it, what wants in, and what holds that back.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::definition::{ApprovalRule, Concurrency, Origin, Promote, StageRule};
use crate::intent::{Intent, StageKey};
use crate::ledger::{Ending, Head, Row, What};
use crate::names::{CommitSha, Digest, GitRef, ImageRepository, RunId, Tag};
use crate::person::{Actor, Person};

/// Promotions that may wait in one stage; the oldest gives way to a further one.
pub const MOST_WAITING: usize = 20;
/// Images remembered that a rollback has left.
const MOST_LEFT: usize = 20;

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
    pub rollback: bool,
    /// Why, in the words of who asked or approved.
    pub reason: Option<String>,
    /// Since when.
    pub since: Timestamp,
}

/// Why nothing enters a stage by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Who holds it.
    pub by: Actor,
    /// Why.
    pub reason: String,
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
    pub rollback: bool,
    /// Who asked.
    pub by: Actor,
    /// Why, in their words.
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
    /// When it stops waiting for approval.
    pub expires_at: Option<Timestamp>,
    /// Who approved exactly this digest and commit.
    pub approvals: Vec<Approval>,
    /// Whether its tags are being put on.
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
    pub pointer: Option<Pointer>,
    /// Why nothing enters by itself.
    pub hold: Option<Hold>,
    /// The newest image that arrived at the origin.
    pub offered: Option<Candidate>,
    /// Images a rollback has left, newest last: none of them comes back by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Digest>,
    /// What wants in, oldest first.
    pub waiting: Vec<Promotion>,
    /// Where its ledger stands.
    pub ledger: Head,
    /// Until when one writer of the stage's tags excludes every other, and which one.
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
        reason: String,
    },
    /// Nobody could put the tags on, however often it was tried.
    GivenUp {
        /// The promotion.
        promotion: u64,
        /// Why.
        reason: String,
    },
    /// Something was asked for that is denied before it concerns the stage's state.
    Denied {
        /// Who asked.
        by: Actor,
        /// For what.
        request: String,
        /// Why not.
        reason: String,
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
    pub refused: Option<String>,
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

/// Decides what follows from a fact. The same fact twice changes nothing the second time (I11).
#[must_use]
pub fn advance(stage: Stage, fact: &Fact, policy: Policy<'_>, now: Timestamp) -> Decision {
    let before = stage.clone();
    let decision = Decision {
        stage,
        changed: false,
        rows: Vec::new(),
        moved: false,
        intents: Vec::new(),
        took_number: false,
        refused: None,
    };
    let mut step = Step {
        decision,
        policy,
        now,
    };
    match fact {
        Fact::Offered(candidate) => step.offer(candidate),
        Fact::PromotionRequested {
            candidate,
            by,
            reason,
        } => step.request(candidate, by, reason.as_deref()),
        Fact::Approved {
            promotion,
            by,
            comment,
        } => step.approve(*promotion, by, comment.as_deref()),
        Fact::Rejected {
            promotion,
            by,
            reason,
        } => step.reject(*promotion, by, reason),
        Fact::RollbackRequested {
            candidate,
            by,
            reason,
        } => step.roll_back(candidate, by, reason.as_deref()),
        Fact::HoldRequested { by, reason } => step.hold(by.into(), reason),
        Fact::ResumeRequested { by } => step.resume(by),
        Fact::LeaseRequested { promotion, lease } => step.take_lease(*promotion, lease),
        Fact::Tagged { promotion, holder } => step.tagged(*promotion, holder),
        Fact::TagRefused {
            promotion,
            holder,
            reason,
        } => step.tag_refused(*promotion, holder, reason),
        Fact::GivenUp { promotion, reason } => step.give_up(*promotion, reason),
        Fact::Denied {
            by,
            request,
            reason,
        } => step.deny(by.clone(), None, request, reason.clone()),
        Fact::ExpiryDue { promotion } => step.expire(*promotion),
        Fact::TagMovedOutside { tag, digest } => step.drift(tag, digest),
    }
    step.settle();
    let mut decision = step.decision;
    decision.changed = decision.stage != before;
    decision
}

/// A stage about to change.
struct Step<'a> {
    decision: Decision,
    policy: Policy<'a>,
    now: Timestamp,
}

impl Step<'_> {
    fn stage(&mut self) -> &mut Stage {
        &mut self.decision.stage
    }

    fn row(&mut self, by: Actor, what: What) {
        let row = self.decision.stage.ledger.append(self.now, by, what);
        self.decision.rows.push(row);
    }

    /// Says no to a request, in the ledger as well (A35).
    fn deny(&mut self, by: Actor, promotion: Option<u64>, request: &str, reason: String) {
        self.row(
            by,
            What::Denied {
                promotion,
                request: request.into(),
                reason: reason.clone(),
            },
        );
        self.decision.refused = Some(reason);
    }

    fn live(&self) -> Option<&Candidate> {
        self.decision
            .stage
            .pointer
            .as_ref()
            .map(|pointer| &pointer.candidate)
    }

    /// Whether the stage would come to be on this image if everything that waits went in.
    fn is_live_or_coming(&self, candidate: &Candidate) -> bool {
        let waiting = self.decision.stage.waiting.iter();
        let newest = waiting
            .map(|promotion| &promotion.candidate)
            .max_by_key(|waiting| waiting.order);
        newest
            .or(self.live())
            .is_some_and(|last| last.digest == candidate.digest)
    }

    /// An image has arrived; remembers the newest, and asks for it where the rule says so.
    fn offer(&mut self, candidate: &Candidate) {
        let newest = self
            .decision
            .stage
            .offered
            .as_ref()
            .is_none_or(|known| known.order < candidate.order);
        if newest {
            self.stage().offered = Some(candidate.clone());
        }
        if newest && self.policy.rule.promote == Promote::Auto {
            self.ask_for_offered();
        }
    }

    /// Asks for the newest offered image unless something newer is live, it waits already, or
    /// the stage is held: a hold lets nothing in by itself (I8).
    fn ask_for_offered(&mut self) {
        let Some(candidate) = self.decision.stage.offered.clone() else {
            return;
        };
        let newer_is_live = self
            .live()
            .is_some_and(|live| live.order >= candidate.order);
        let was_left = self.decision.stage.left.contains(&candidate.digest);
        let held = self.decision.stage.hold.is_some();
        if newer_is_live || was_left || held || self.is_live_or_coming(&candidate) {
            return;
        }
        self.open(&candidate, false, Actor::System, None);
    }

    fn request(&mut self, candidate: &Candidate, by: &Person, reason: Option<&str>) {
        let name = self.decision.stage.key.stage.clone();
        let request = format!("promote {} to {name}", candidate.commit.short());
        if let Some(known) = self
            .decision
            .stage
            .waiting
            .iter()
            .find(|known| known.candidate.digest == candidate.digest)
        {
            self.decision.refused = Some(format!(
                "{} waits for {name} already, as promotion #{}",
                candidate.commit.short(),
                known.number
            ));
            return;
        }
        let live = self.live().map(|live| {
            (
                live.digest == candidate.digest,
                live.order > candidate.order,
                live.commit.clone(),
            )
        });
        match live {
            Some((true, _, _)) => {
                self.decision.refused = Some(format!(
                    "{} is live in {name} already",
                    candidate.commit.short()
                ));
            }
            Some((_, true, live)) => {
                let reason = format!(
                    "{} is older than {}, which is live in {name}; to go back, use rollback",
                    candidate.commit.short(),
                    live.short()
                );
                self.deny(by.into(), None, &request, reason);
            }
            Some(_) | None => match self.decision.stage.hold.clone() {
                Some(hold) => {
                    let reason = format!(
                        "{name} is held by {} since {}: {}; resume it first",
                        hold.by, hold.since, hold.reason
                    );
                    self.deny(by.into(), None, &request, reason);
                }
                None => self.open(candidate, false, by.into(), reason),
            },
        }
    }

    fn roll_back(&mut self, candidate: &Candidate, by: &Person, reason: Option<&str>) {
        let request = format!("roll back to {}", candidate.commit.short());
        if let Some(denial) = self.lacks_right(by).or_else(|| self.wants_too_much()) {
            self.deny(by.into(), None, &request, denial);
            return;
        }
        let coming = self.decision.stage.waiting.iter().find(|known| {
            (known.acting || known.rollback) && known.candidate.digest == candidate.digest
        });
        if let Some(coming) = coming {
            self.decision.refused = Some(format!(
                "{} is on its way to {} already, as #{}",
                candidate.commit.short(),
                self.decision.stage.key.stage,
                coming.number
            ));
            return;
        }
        // While something else is put in its place, even what is live can be asked back (F30).
        let replaced = self.decision.stage.waiting.iter().any(|known| known.acting);
        if !replaced
            && self
                .live()
                .is_some_and(|live| live.digest == candidate.digest)
        {
            self.decision.refused = Some(format!(
                "{} is live in {} already",
                candidate.commit.short(),
                self.decision.stage.key.stage
            ));
            return;
        }
        // What waits was asked for before somebody wanted to go back; only what acts is let finish.
        let waiting: Vec<u64> = self
            .decision
            .stage
            .waiting
            .iter()
            .filter(|known| !known.acting)
            .map(|known| known.number)
            .collect();
        for number in waiting {
            self.end(
                number,
                by.into(),
                Ending::Superseded,
                format!("{by} rolls the stage back", by = Actor::from(by)),
            );
        }
        if self.policy.rule.hold_after_rollback {
            let hold =
                reason.map_or_else(|| "rollback".into(), |reason| format!("rollback: {reason}"));
            self.hold(by.into(), &hold);
        }
        self.open(candidate, true, by.into(), reason);
    }

    /// Why somebody may not undo what approvers have decided: they are none of them.
    fn lacks_right(&self, by: &Person) -> Option<String> {
        let groups = &self.policy.rule.approval.as_ref()?.groups;
        (!by.is_in(groups))
            .then(|| format!("{} is not in {}", Actor::from(by), groups.join(" or ")))
    }

    /// Why nothing can enter the stage: its rule asks for what this version cannot do.
    fn wants_too_much(&self) -> Option<String> {
        if self.policy.not_executed.is_empty() {
            return None;
        }
        let wants = self.policy.not_executed.join(", ");
        Some(format!(
            "the definition asks for {wants}, which this version of Towline does not execute; take it out, or promote by other means"
        ))
    }

    /// Opens a promotion, or records why there can be none.
    fn open(&mut self, candidate: &Candidate, rollback: bool, by: Actor, reason: Option<&str>) {
        let number = self.policy.next_number;
        let expires_at = self
            .policy
            .rule
            .approval
            .as_ref()
            .filter(|_| !rollback)
            .and_then(|rule| rule.expires)
            .map(|wait| self.now + wait);
        self.decision.took_number = true;
        self.row(
            by.clone(),
            What::Requested {
                promotion: number,
                digest: candidate.digest.clone(),
                commit: candidate.commit.clone(),
                rollback,
                reason: reason.map(Into::into),
            },
        );
        let promotion = Promotion {
            number,
            candidate: candidate.clone(),
            rollback,
            by,
            reason: reason.map(Into::into),
            at: self.now,
            expires_at,
            approvals: Vec::new(),
            acting: false,
        };
        self.stage().waiting.push(promotion);
        if let Some(reason) = self.wants_too_much() {
            self.end(number, Actor::System, Ending::Refused, reason.clone());
            self.decision.refused = Some(reason);
            return;
        }
        self.supersede_older(number);
        if let Some(at) = expires_at {
            let stage = self.decision.stage.key.clone();
            self.decision.intents.push(Intent::WatchPromotion {
                stage,
                promotion: number,
                at,
            });
        }
    }

    /// Lets a new candidate take the place of what still waits, where the rule says so.
    fn supersede_older(&mut self, newest: u64) {
        let rule = self.policy.rule;
        let by_approval = rule
            .approval
            .as_ref()
            .is_some_and(|approval| approval.supersede);
        let Some(new) = self.decision.stage.promotion(newest).cloned() else {
            return;
        };
        let gives_way = |known: &Promotion| {
            let lacks_approval = missing_approval(known, rule).is_some();
            known.number != newest
                && !known.acting
                && !known.rollback
                && known.candidate.order <= new.candidate.order
                && (rule.concurrency == Concurrency::Supersede || (by_approval && lacks_approval))
        };
        let mut ended: Vec<u64> = self
            .decision
            .stage
            .waiting
            .iter()
            .filter(|known| gives_way(known))
            .map(|known| known.number)
            .collect();
        let too_many = self
            .decision
            .stage
            .waiting
            .len()
            .saturating_sub(ended.len() + MOST_WAITING);
        let oldest = self.decision.stage.waiting.iter().filter(|known| {
            !known.acting && known.number != newest && !ended.contains(&known.number)
        });
        ended.extend(
            oldest
                .take(too_many)
                .map(|known| known.number)
                .collect::<Vec<_>>(),
        );
        for number in ended {
            self.end(
                number,
                Actor::System,
                Ending::Superseded,
                format!("superseded by #{newest} ({})", new.candidate.commit.short()),
            );
        }
    }

    /// Ends a promotion that has not moved the stage.
    fn end(&mut self, number: u64, by: Actor, how: Ending, reason: String) {
        let waiting = &mut self.decision.stage.waiting;
        let Some(position) = waiting.iter().position(|known| known.number == number) else {
            return;
        };
        waiting.remove(position);
        self.row(
            by,
            What::Ended {
                promotion: number,
                how,
                reason,
            },
        );
    }

    /// Counts a yes to exactly this digest and commit, if it may count (I12).
    fn approve(&mut self, number: u64, by: &Person, comment: Option<&str>) {
        let Some(promotion) = self.decision.stage.promotion(number).cloned() else {
            self.decision.refused = Some(format!("promotion #{number} waits for nothing any more"));
            return;
        };
        let Some(rule) = &self.policy.rule.approval else {
            self.decision.refused = Some(format!("promotion #{number} needs no approval"));
            return;
        };
        if promotion
            .approvals
            .iter()
            .any(|known| known.login.eq_ignore_ascii_case(&by.login))
        {
            self.decision.refused = Some(format!(
                "promotion #{number} is approved by {} already",
                Actor::from(by)
            ));
            return;
        }
        if let Some(reason) = self.may_not_approve(&promotion, rule, by) {
            self.deny(
                by.into(),
                Some(number),
                &format!("approve #{number}"),
                reason,
            );
            return;
        }
        let (now, digest, commit) = (
            self.now,
            promotion.candidate.digest,
            promotion.candidate.commit,
        );
        if let Some(known) = self
            .stage()
            .waiting
            .iter_mut()
            .find(|known| known.number == number)
        {
            known.approvals.push(Approval {
                login: by.login.clone(),
                at: now,
                comment: comment.map(Into::into),
            });
        }
        self.row(
            by.into(),
            What::Approved {
                promotion: number,
                digest,
                commit,
                comment: comment.map(Into::into),
            },
        );
    }

    fn may_not_approve(
        &self,
        promotion: &Promotion,
        rule: &ApprovalRule,
        by: &Person,
    ) -> Option<String> {
        let number = promotion.number;
        if promotion.rollback || promotion.acting {
            return Some(format!("promotion #{number} needs no approval any more"));
        }
        if promotion
            .expires_at
            .is_some_and(|expires| self.now >= expires)
        {
            return Some(format!("promotion #{number} has expired"));
        }
        if !by.is_in(&rule.groups) {
            return Some(format!(
                "{} is not in {}",
                Actor::from(by),
                rule.groups.join(" or ")
            ));
        }
        if !rule.allow_self && by.is_one_of(&promotion.candidate.authors) {
            return Some(format!(
                "{} pushed or wrote {}; somebody else must approve it (approval.self: deny)",
                Actor::from(by),
                promotion.candidate.commit.short()
            ));
        }
        None
    }

    fn reject(&mut self, number: u64, by: &Person, reason: &str) {
        let Some(promotion) = self.decision.stage.promotion(number).cloned() else {
            self.decision.refused = Some(format!("promotion #{number} waits for nothing any more"));
            return;
        };
        let groups = self
            .policy
            .rule
            .approval
            .as_ref()
            .map(|rule| rule.groups.as_slice())
            .unwrap_or_default();
        if promotion.acting {
            self.deny(
                by.into(),
                Some(number),
                &format!("reject #{number}"),
                format!("promotion #{number} is being carried out; roll back instead"),
            );
        } else if !by.is_in(groups) {
            let reason = format!("{} is not in {}", Actor::from(by), groups.join(" or "));
            self.deny(
                by.into(),
                Some(number),
                &format!("reject #{number}"),
                reason,
            );
        } else {
            self.end(number, by.into(), Ending::Rejected, reason.into());
        }
    }

    fn hold(&mut self, by: Actor, reason: &str) {
        let hold = Hold {
            by: by.clone(),
            reason: reason.into(),
            since: self.now,
        };
        self.stage().hold = Some(hold);
        self.row(
            by,
            What::Held {
                reason: reason.into(),
            },
        );
    }

    fn resume(&mut self, by: &Person) {
        if let Some(denial) = self.lacks_right(by) {
            self.deny(by.into(), None, "resume", denial);
            return;
        }
        if self.stage().hold.take().is_none() {
            self.decision.refused = Some(format!("{} is not held", self.decision.stage.key.stage));
            return;
        }
        self.row(by.into(), What::Resumed);
        if self.policy.rule.promote == Promote::Auto {
            self.ask_for_offered();
        }
    }

    fn take_lease(&mut self, number: u64, lease: &Lease) {
        let acts = self
            .decision
            .stage
            .promotion(number)
            .is_some_and(|promotion| promotion.acting);
        let now = self.now;
        let taken = self
            .decision
            .stage
            .lease
            .as_ref()
            .is_some_and(|held| held.until > now && held.holder != lease.holder);
        if !acts {
            self.decision.refused = Some(format!("promotion #{number} is not to be carried out"));
        } else if taken {
            self.decision.refused = Some(format!(
                "promotion #{number} is being carried out by another"
            ));
        } else {
            self.stage().lease = Some(lease.clone());
        }
    }

    fn holds_lease(&self, holder: &str) -> bool {
        self.decision
            .stage
            .lease
            .as_ref()
            .is_some_and(|lease| lease.holder == holder)
    }

    /// Moves the pointer: the one place where a stage changes what is live.
    fn tagged(&mut self, number: u64, holder: &str) {
        let Some(promotion) = self
            .decision
            .stage
            .promotion(number)
            .filter(|known| known.acting)
            .cloned()
        else {
            return;
        };
        if !self.holds_lease(holder) {
            self.decision.refused = Some(format!("the lease for promotion #{number} was lost"));
            return;
        }
        let before = self.decision.stage.pointer.take();
        let version = before.as_ref().map_or(0, |pointer| pointer.version) + 1;
        let from = before
            .as_ref()
            .map(|pointer| pointer.candidate.digest.clone());
        let since = before
            .as_ref()
            .map_or(self.now, |pointer| pointer.since.max(self.now));
        let reason = promotion.reason.clone().or_else(|| approved_by(&promotion));
        self.row(
            promotion.by.clone(),
            What::Moved {
                promotion: number,
                from: from.clone(),
                to: promotion.candidate.digest.clone(),
                version,
            },
        );
        let to = promotion.candidate.digest.clone();
        let stage = self.stage();
        stage.left.retain(|digest| *digest != to);
        if let Some(left) = from.filter(|_| promotion.rollback) {
            stage.left.push(left);
            let surplus = stage.left.len().saturating_sub(MOST_LEFT);
            stage.left.drain(..surplus);
        }
        stage.waiting.retain(|known| known.number != number);
        stage.lease = None;
        stage.pointer = Some(Pointer {
            version,
            candidate: promotion.candidate,
            promotion: number,
            by: promotion.by,
            rollback: promotion.rollback,
            reason,
            since,
        });
        self.decision.moved = true;
    }

    fn tag_refused(&mut self, number: u64, holder: &str, reason: &str) {
        let acts = self
            .decision
            .stage
            .promotion(number)
            .is_some_and(|promotion| promotion.acting);
        if acts && self.holds_lease(holder) {
            self.stage().lease = None;
            self.end(number, Actor::System, Ending::Failed, reason.into());
        }
    }

    fn give_up(&mut self, number: u64, reason: &str) {
        if self
            .decision
            .stage
            .promotion(number)
            .is_some_and(|known| known.acting)
        {
            self.stage().lease = None;
            self.end(number, Actor::System, Ending::Failed, reason.into());
        }
    }

    fn expire(&mut self, number: u64) {
        let Some(promotion) = self.decision.stage.promotion(number).cloned() else {
            return;
        };
        let lacks = missing_approval(&promotion, self.policy.rule).is_some();
        match promotion.expires_at {
            Some(expires) if self.now >= expires && lacks && !promotion.acting => {
                self.end(
                    number,
                    Actor::System,
                    Ending::Expired,
                    format!("nobody else approved it by {expires}"),
                );
            }
            Some(_) | None => {}
        }
    }

    /// Somebody outside moved the stage's tag: held and reported, never silently overwritten (F35).
    fn drift(&mut self, tag: &Tag, digest: &Digest) {
        let ours =
            |promotion: &Promotion| promotion.acting && promotion.candidate.digest == *digest;
        let expected = self.live().is_some_and(|live| live.digest == *digest)
            || self.decision.stage.waiting.iter().any(ours);
        let reason = format!("tag {tag} was moved to {} from outside", digest.short());
        let known = self
            .decision
            .stage
            .hold
            .as_ref()
            .is_some_and(|hold| hold.reason == reason);
        if expected || known {
            return;
        }
        self.row(
            Actor::System,
            What::Drifted {
                tag: tag.clone(),
                digest: digest.clone(),
            },
        );
        self.hold(Actor::System, &reason);
    }

    /// Ends what can no longer be and begins what may: at most one promotion acts at a time (I9).
    fn settle(&mut self) {
        let live = self.live().map(|live| (live.order, live.commit.clone()));
        let overtaken = |known: &Promotion| {
            !known.acting
                && !known.rollback
                && live
                    .as_ref()
                    .is_some_and(|(order, _)| *order >= known.candidate.order)
        };
        let ended: Vec<u64> = self
            .decision
            .stage
            .waiting
            .iter()
            .filter(|known| overtaken(known))
            .map(|known| known.number)
            .collect();
        for number in ended {
            let commit = live
                .as_ref()
                .map(|(_, commit)| commit.short().to_owned())
                .unwrap_or_default();
            self.end(
                number,
                Actor::System,
                Ending::Superseded,
                format!("{commit} is live and not older"),
            );
        }
        let rule = self.policy.rule;
        let stage = &self.decision.stage;
        let ready = stage
            .waiting
            .iter()
            .find(|known| !known.acting && stage.wait_of(known, rule).is_none())
            .map(|known| known.number);
        let Some(number) = ready else {
            return;
        };
        if let Some(known) = self
            .stage()
            .waiting
            .iter_mut()
            .find(|known| known.number == number)
        {
            known.acting = true;
        }
        self.decision.intents.push(Intent::Promote {
            stage: self.decision.stage.key.clone(),
            promotion: number,
        });
    }
}

/// Who approved, for the history: `approval #57 (2: lee, park)`.
fn approved_by(promotion: &Promotion) -> Option<String> {
    if promotion.approvals.is_empty() {
        return None;
    }
    let logins: Vec<&str> = promotion
        .approvals
        .iter()
        .map(|approval| approval.login.as_str())
        .collect();
    Some(format!(
        "approval #{} ({}: {})",
        promotion.number,
        logins.len(),
        logins.join(", ")
    ))
}

impl Stage {
    /// What a move of this stage offers to the stages that take from it.
    #[must_use]
    pub fn offers(&self, definition: &crate::definition::Definition) -> Vec<Intent> {
        let Some(pointer) = &self.pointer else {
            return Vec::new();
        };
        definition
            .stages_from(&Origin::Stage(self.key.stage.clone()))
            .map(|rule| Intent::OfferImage {
                stage: StageKey {
                    stage: rule.name.clone(),
                    ..self.key.clone()
                },
                candidate: Box::new(pointer.candidate.clone()),
            })
            .collect()
    }
}

//! Decides what follows from a fact that concerns a stage.

use super::request::Asked;
use super::{
    Decision, Fact, Failure, Lease, Pointer, Policy, Promotion, Refusal, Request, Stage, Why,
    missing_approval,
};
use crate::Timestamp;
use crate::definition::{Deploy, Promote};
use crate::image::Candidate;
use crate::intent::Intent;
use crate::ledger::{Ending, What};
use crate::names::Digest;
use crate::obstacle::Obstacle;
use crate::person::{Actor, Door};

/// Images that rollbacks left and that are remembered.
const MOST_LEFT: usize = 20;

/// Decides what follows from a fact. The same fact twice changes nothing the second time (I11).
#[must_use]
pub fn advance(stage: Stage, fact: &Fact, policy: Policy<'_>, now: Timestamp) -> Decision {
    let mut step = Step::new(stage, fact, policy, now);
    match fact {
        Fact::Offered(candidate) => step.offer(candidate),
        Fact::PromotionRequested {
            candidate,
            by,
            reason,
        } => {
            let why = reason.clone().map(Why::Said);
            step.request(candidate, by, Asked::Promotion(why.as_ref()));
        }
        Fact::OverrideRequested {
            candidate,
            by,
            reason,
        } => step.request(candidate, by, Asked::Override(reason)),
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
        Fact::HoldRequested { by, reason } => step.ask_to_hold(by, reason),
        Fact::ResumeRequested { by } => step.resume(by),
        Fact::LeaseRequested {
            promotion,
            lease,
            asked,
        } => step.take_lease(*promotion, lease, *asked),
        Fact::Tagged { promotion, holder } => step.tagged(*promotion, holder),
        Fact::TagRefused {
            promotion,
            holder,
            why,
        } => step.tag_refused(*promotion, holder, why),
        Fact::Obstructed {
            promotion,
            holder,
            by,
        } => step.obstruct(*promotion, holder, by),
        Fact::GivenUp {
            promotion,
            tries,
            since,
        } => step.given_up(*promotion, *tries, *since),
        Fact::Denied {
            by,
            request,
            reason,
        } => step.deny(by.into(), None, request.clone(), reason.clone()),
        Fact::CommitLookedUp { promotion, found } => step.looked_up(*promotion, found),
        Fact::ExpiryDue { promotion } => step.expire(*promotion),
        Fact::TagMovedOutside { tag, digest } => step.drift(tag, digest),
    }
    step.settle();
    let mut decision = step.decision;
    // Any other change of a stage leaves a row or owes an intent.
    decision.changed |= !decision.rows.is_empty() || !decision.intents.is_empty();
    decision
}

/// A stage during a change.
pub(super) struct Step<'a> {
    pub(super) decision: Decision,
    pub(super) policy: Policy<'a>,
    pub(super) now: Timestamp,
    /// The door of the person who decides, until the row of the decision is there.
    door: Option<Door>,
}

impl<'a> Step<'a> {
    fn new(stage: Stage, fact: &Fact, policy: Policy<'a>, now: Timestamp) -> Self {
        Self {
            decision: Decision::undecided(stage),
            policy,
            now,
            door: fact.request().and_then(|(by, _, _)| by.door),
        }
    }
}

impl Step<'_> {
    pub(super) fn stage(&mut self) -> &mut Stage {
        &mut self.decision.stage
    }

    pub(super) fn row(&mut self, by: Actor, what: What) {
        self.row_at(self.now, by, what);
    }

    fn row_at(&mut self, at: Timestamp, by: Actor, what: What) {
        let decides = matches!(by, Actor::Person(_)) && what.is_decision();
        let door = self.door.take_if(|_| decides);
        let row = self.decision.stage.ledger.append(at, (by, door), what);
        self.decision.rows.push(row);
    }

    /// Refuses a request, and records that in the ledger (A35).
    pub(super) fn deny(
        &mut self,
        by: Actor,
        promotion: Option<u64>,
        request: Request,
        reason: Refusal,
    ) {
        self.row(
            by,
            What::Denied {
                promotion,
                request,
                reason: reason.clone(),
            },
        );
        self.decision.refused = Some(reason);
    }

    pub(super) fn live(&self) -> Option<&Candidate> {
        self.decision
            .stage
            .pointer
            .as_ref()
            .map(|pointer| &pointer.candidate)
    }

    /// Whether the stage would be on this image after all waiting promotions.
    pub(super) fn is_live_or_coming(&self, candidate: &Candidate) -> bool {
        let waiting = self.decision.stage.waiting.iter();
        let newest = waiting
            .map(|promotion| &promotion.candidate)
            .max_by_key(|waiting| waiting.order);
        newest
            .or(self.live())
            .is_some_and(|last| last.digest == candidate.digest)
    }

    pub(super) fn take_lease(&mut self, number: u64, lease: &Lease, asked: bool) {
        let promotion = self.decision.stage.promotion(number);
        // If another was denied meanwhile, its lease is gone, and what it had asked the source with it (F26).
        let must_ask = promotion.is_some_and(Promotion::needs_its_commit)
            && self.decision.stage.lease.is_none();
        let acts = self
            .decision
            .stage
            .promotion(number)
            .is_some_and(|promotion| promotion.acting)
            || self.may_go_on(number);
        let now = self.now;
        let taken = self
            .decision
            .stage
            .lease
            .as_ref()
            .is_some_and(|held| held.until > now && held.holder != lease.holder);
        if !acts {
            self.decision.refused = Some(Refusal::NotActing { promotion: number });
        } else if must_ask && !asked {
            self.decision.refused = Some(Refusal::LeaseLost { promotion: number });
        } else if taken {
            self.decision.refused = Some(Refusal::LeaseTaken { promotion: number });
        } else {
            self.decision.changed |= self.decision.stage.lease.as_ref() != Some(lease);
            let stage = self.stage();
            stage.lease = Some(lease.clone());
            let mut waiting = stage.waiting.iter_mut();
            if let Some(known) = waiting.find(|known| known.number == number) {
                known.acting = true;
            }
        }
    }

    pub(super) fn holds_lease(&self, holder: &str) -> bool {
        self.decision
            .stage
            .lease
            .as_ref()
            .is_some_and(|lease| lease.holder == holder)
    }

    /// Moves the pointer: the only place where a stage changes its live image.
    pub(super) fn tagged(&mut self, number: u64, holder: &str) {
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
            self.decision.refused = Some(Refusal::LeaseLost { promotion: number });
            return;
        }
        let (to, is_rollback) = (promotion.candidate.digest.clone(), promotion.rollback);
        let from = self.point_at(promotion);
        let was_put_back = from.as_ref() == Some(&to);
        let stage = self.stage();
        stage.left.retain(|digest| *digest != to);
        if let Some(left) = from.clone().filter(|_| is_rollback && !was_put_back) {
            stage.left.push(left);
            let surplus = stage.left.len().saturating_sub(MOST_LEFT);
            stage.left.drain(..surplus);
        }
        stage.waiting.retain(|known| known.number != number);
        // A tag that was moved while this was written may be elsewhere again.
        stage.drifted = stage.lease.take().is_some_and(|lease| lease.meddled);
        let drifted = stage.drifted;
        stage.meddled.take_if(|_| !drifted);
        self.decision.moved = true;
        match self.policy.rule.deploy {
            Some(Deploy::Event) => {
                let stage = self.decision.stage.key.clone();
                self.decision.intents.push(Intent::DeployDue {
                    stage,
                    promotion: number,
                    previous: from,
                });
            }
            None => {}
        }
        if was_put_back && !drifted && self.policy.rule.promote == Promote::Auto {
            self.ask_for_offered();
        }
    }

    /// Makes the promotion's image live, and returns the digest that was live before.
    fn point_at(&mut self, promotion: Promotion) -> Option<Digest> {
        let before = self.decision.stage.pointer.take();
        let version = before.as_ref().map_or(0, |pointer| pointer.version) + 1;
        let since = before
            .as_ref()
            .map_or(self.now, |pointer| pointer.since.max(self.now));
        let from = before.map(|pointer| pointer.candidate.digest);
        let reason = promotion.reason.clone().or_else(|| approved_by(&promotion));
        // The pointer's time, so that history and status say the same although clocks differ.
        self.row_at(
            since,
            promotion.by.clone(),
            What::Moved {
                promotion: promotion.number,
                from: from.clone(),
                to: promotion.candidate.digest.clone(),
                version,
            },
        );
        self.stage().pointer = Some(Pointer {
            version,
            candidate: promotion.candidate,
            promotion: promotion.number,
            by: promotion.by,
            rollback: promotion.rollback,
            reason,
            since,
        });
        from
    }

    pub(super) fn tag_refused(&mut self, number: u64, holder: &str, why: &Failure) {
        if self.holds_lease(holder) {
            self.give_up(number, why.clone());
        }
    }

    /// While it waits for a person it is not in progress, so that people can reject it, and nothing else
    /// waits for it.
    pub(super) fn obstruct(&mut self, number: u64, holder: &str, by: &Obstacle) {
        let known = self.decision.stage.promotion(number);
        let Some(before) = known.filter(|known| known.acting).cloned() else {
            return;
        };
        if !self.holds_lease(holder) {
            return;
        }
        self.stage().lease = None;
        let mut waiting = self.stage().waiting.iter_mut();
        if let Some(known) = waiting.find(|known| known.number == number) {
            known.acting = false;
            known.obstacle = Some(by.clone());
        }
        self.decision.changed = true;
        self.watch_again(&before);
    }

    /// The watch of a promotion's expiry ended when it began.
    pub(super) fn watch_again(&mut self, begun: &Promotion) {
        if let Some(at) = begun.expires_at {
            let stage = self.decision.stage.key.clone();
            self.decision.intents.push(Intent::PromotionWatchDue {
                stage,
                promotion: begun.number,
                at,
            });
        }
    }

    /// Whether a promotion that waits for a person would be in progress otherwise.
    fn may_go_on(&self, number: u64) -> bool {
        let stage = &self.decision.stage;
        let free = !stage.waiting.iter().any(|known| known.acting);
        let known = stage
            .promotion(number)
            .filter(|known| known.obstacle.is_some());
        known.is_some_and(|known| {
            let unobstructed = Promotion {
                obstacle: None,
                ..known.clone()
            };
            free && stage.wait_of(&unobstructed, self.policy.rule).is_none()
        })
    }

    pub(super) fn give_up(&mut self, number: u64, why: Failure) {
        let promotion = self.decision.stage.promotion(number);
        let Some(promotion) = promotion.filter(|known| known.acting).cloned() else {
            return;
        };
        self.stage().lease = None;
        self.end(number, Actor::System, Ending::Failed { why });
        self.was_not_put_back(&promotion);
    }

    pub(super) fn expire(&mut self, number: u64) {
        let Some(promotion) = self.decision.stage.promotion(number).cloned() else {
            return;
        };
        let lacks = missing_approval(&promotion, self.policy.rule).is_some();
        match promotion.expires(self.policy.rule) {
            Some(until) if self.now >= until && lacks && !promotion.acting => {
                let approvals = u32::try_from(promotion.approvals.len()).unwrap_or(u32::MAX);
                let how = Ending::Expired {
                    approvals,
                    since: promotion.at,
                    until,
                };
                self.end(number, Actor::System, how);
            }
            Some(_) | None => {}
        }
    }

    /// Ends promotions that are no longer possible, and starts those that may proceed: at most one
    /// at a time (I9).
    pub(super) fn settle(&mut self) {
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
        if let Some((_, live)) = &live {
            for number in ended {
                let live = live.clone();
                self.end(number, Actor::System, Ending::Overtaken { live });
            }
        }
        self.end_what_is_not_admitted();
        self.restore();
        let rule = self.policy.rule;
        let stage = &self.decision.stage;
        let ready = stage
            .waiting
            .iter()
            .find(|known| !known.acting && stage.wait_of(known, rule).is_none())
            .map(|known| known.number);
        if let Some(number) = ready {
            self.begin(number);
        }
    }

    /// Starts to set the tags of a promotion.
    pub(super) fn begin(&mut self, number: u64) {
        let mut waiting = self.stage().waiting.iter_mut();
        if let Some(known) = waiting.find(|known| known.number == number) {
            known.acting = true;
            // It was approved under the older rules, so from now on the newer ones hold.
            let accepts = known.loosening.as_ref().and_then(|it| it.accepts);
            let accepts = accepts.filter(|_| !known.overridden && !known.gates.is_empty());
            let stage = self.stage();
            stage.accepted = stage.accepted.max(accepts.unwrap_or_default());
        }
        let stage = self.decision.stage.key.clone();
        self.decision.intents.push(Intent::PromotionDue {
            stage,
            promotion: number,
        });
    }
}

fn approved_by(promotion: &Promotion) -> Option<Why> {
    let by = promotion.approvals.iter();
    let by: Vec<_> = by
        .map(|approval| (approval.login.clone(), approval.comment.clone()))
        .collect();
    (!by.is_empty()).then_some(Why::Approved {
        promotion: promotion.number,
        by,
    })
}

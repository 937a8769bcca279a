//! Opens promotions of a stage: for images that arrive, and for requests of promotions and rollbacks.

use super::advance::Step;
use super::request::{Asked, requested};
use super::said::not_in;
use super::{
    HoldReason, Loosening, MOST_WAITING, Promotion, Refusal, Request, Why, missing_approval,
};
use crate::authors::Contribution;
use crate::definition::{ApprovalRule, Concurrency, Promote};
use crate::image::Candidate;
use crate::intent::Intent;
use crate::ledger::{Ending, What};
use crate::loosened;
use crate::names::GitRef;
use crate::person::{Actor, Person};
use crate::rights::{Lacking, Right, Rights};
use crate::trusted::Older;

impl Step<'_> {
    /// An image has arrived; remembers the newest, and promotes it if the rule says so.
    pub(super) fn offer(&mut self, candidate: &Candidate) {
        self.learn_authors(candidate);
        let newest = self
            .decision
            .stage
            .offered
            .as_ref()
            .is_none_or(|known| known.order < candidate.order);
        if newest {
            self.stage().offered = Some(candidate.kept());
            self.decision.changed = true;
        }
        if newest && self.policy.rule.promote == Promote::Auto {
            self.ask_for_offered();
        }
    }

    /// Remembers who took part in what a candidate contains: the next one contains that too, even if
    /// this one never goes live.
    fn learn_authors(&mut self, candidate: &Candidate) {
        let mut known = self.decision.stage.contributions.clone();
        known.add_all(&candidate.contributions);
        known.add(Contribution {
            first: candidate.order,
            last: candidate.order,
            authors: candidate.authors.clone(),
            cut: false,
        });
        if known != self.decision.stage.contributions {
            self.stage().contributions = known;
            self.decision.changed = true;
        }
    }

    /// Requests the newest offered image unless something newer is live, it waits already, or the
    /// stage is held: a hold pauses automatic promotions (I8).
    pub(super) fn ask_for_offered(&mut self) {
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
        self.open(&candidate, false, Actor::System, Asked::Promotion(None));
    }

    pub(super) fn request(&mut self, candidate: &Candidate, by: &Person, asked: Asked<'_>) {
        self.learn_authors(candidate);
        let (stage, commit) = (
            self.decision.stage.key.stage.clone(),
            candidate.commit.clone(),
        );
        let request = Request::Promote {
            commit: commit.clone(),
        };
        if let Some(denial) = self.lacks(by, asked.right()) {
            self.deny(by.into(), None, request, denial);
            return;
        }
        let mut waiting = self.decision.stage.waiting.iter();
        if let Some(known) = waiting.find(|known| known.candidate.digest == candidate.digest) {
            let promotion = known.number;
            match asked {
                Asked::Override(reason) if !known.acting => {
                    self.override_waiting(promotion, candidate, by, reason);
                }
                Asked::Promotion(_) | Asked::Override(_) => {
                    let reason = Refusal::Waiting {
                        commit,
                        stage,
                        promotion,
                    };
                    self.deny(by.into(), None, request, reason);
                }
            }
            return;
        }
        let live = self.live();
        if live.is_some_and(|live| live.digest == candidate.digest) {
            let reason = Refusal::Live { commit, stage };
            self.deny(by.into(), None, request, reason);
            return;
        }
        if let Some(live) = live.filter(|live| live.order > candidate.order) {
            let live = live.commit.clone();
            let reason = Refusal::Older {
                commit,
                live,
                stage,
            };
            self.deny(by.into(), None, request, reason);
            return;
        }
        if let Some(hold) = self.decision.stage.hold.clone() {
            let hold = Box::new(hold);
            self.deny(by.into(), None, request, Refusal::Held { stage, hold });
            return;
        }
        let denial = match asked {
            Asked::Promotion(_) => self.not_admitted(candidate),
            Asked::Override(_) => None,
        };
        match denial {
            Some(denial) => self.deny(by.into(), None, request, denial),
            None => self.open(candidate, false, by.into(), asked),
        }
    }

    /// The older rules that still hold.
    fn older(&self) -> impl Iterator<Item = &Older> {
        let stage = &self.decision.stage;
        loosened::in_force(self.policy.trusted, &stage.key.stage, stage.accepted)
    }

    /// The gates that a new promotion must pass, and the change that loosened some of them.
    fn gates_for(&self, candidate: &Candidate) -> (Vec<ApprovalRule>, Option<Loosening>) {
        let mut gates: Vec<ApprovalRule> = self.policy.rule.approval.iter().cloned().collect();
        for older in self.older() {
            if !gates.contains(&older.gate) {
                gates.push(older.gate.clone());
            }
        }
        let trusted = self.policy.trusted;
        let default_branch = GitRef::Branch(trusted.branch.clone());
        let contains = candidate.git_ref == default_branch && candidate.order >= trusted.order;
        let loosening = self.older().max_by_key(|older| older.order);
        let loosening = loosening.map(|older| Loosening {
            commit: older.commit.clone(),
            accepts: contains.then_some(trusted.order),
        });
        (gates, loosening)
    }

    /// Why images of the candidate's ref may not enter.
    fn not_admitted(&self, candidate: &Candidate) -> Option<Refusal> {
        let (commit, stage) = (
            candidate.commit.clone(),
            self.decision.stage.key.stage.clone(),
        );
        let git_ref = &candidate.git_ref;
        if let Some(because) = self.policy.trusted.not_admitted(git_ref) {
            return Some(Refusal::NotAdmitted {
                commit,
                stage,
                because,
            });
        }
        self.older().find_map(|older| {
            Some(Refusal::NotAdmittedYet {
                because: older.not_admitted(git_ref)?,
                loosened_by: older.commit.clone(),
                commit: commit.clone(),
                stage: stage.clone(),
            })
        })
    }

    /// Ends waiting promotions of refs that are no longer admitted.
    pub(super) fn end_what_is_not_admitted(&mut self) {
        let waiting = self.decision.stage.waiting.iter();
        let judged = waiting.filter(|it| !it.acting && !it.rollback && !it.overridden);
        let ended =
            judged.filter_map(|known| Some((known.number, self.not_admitted(&known.candidate)?)));
        let ended: Vec<(u64, Refusal)> = ended.collect();
        for (number, why) in ended {
            self.end(number, Actor::System, Ending::Refused { why });
        }
    }

    pub(super) fn roll_back(&mut self, candidate: &Candidate, by: &Person, reason: Option<&str>) {
        let (stage, commit) = (
            self.decision.stage.key.stage.clone(),
            candidate.commit.clone(),
        );
        let request = Request::RollBack {
            commit: commit.clone(),
        };
        if let Some(denial) = self.lacks_right(by).or_else(|| self.wants_too_much()) {
            self.deny(by.into(), None, request, denial);
            return;
        }
        let mut waiting = self.decision.stage.waiting.iter();
        let is_coming = |known: &&Promotion| {
            (known.acting || known.rollback) && known.candidate.digest == candidate.digest
        };
        if let Some(coming) = waiting.find(is_coming) {
            let promotion = coming.number;
            let reason = Refusal::Waiting {
                commit,
                stage,
                promotion,
            };
            self.deny(by.into(), None, request, reason);
            return;
        }
        // While another promotion is in progress, or the tag was moved, a rollback to the live
        // image is possible (F30).
        let is_replaced = self.decision.stage.drifted
            || self.decision.stage.waiting.iter().any(|known| known.acting);
        let is_live = |live: &Candidate| live.digest == candidate.digest;
        if !is_replaced && self.live().is_some_and(is_live) {
            let reason = Refusal::Live { commit, stage };
            self.deny(by.into(), None, request, reason);
            return;
        }
        // Waiting promotions were requested before the rollback; only one in progress may finish.
        let waiting = self.decision.stage.waiting.iter();
        let waiting = waiting.filter(|known| !known.acting);
        let waiting: Vec<u64> = waiting.map(|known| known.number).collect();
        for number in waiting {
            self.end(number, by.into(), Ending::RolledBack);
        }
        if self.policy.rule.hold_after_rollback {
            let reason = reason.map(Into::into);
            self.hold(by.into(), HoldReason::RolledBack { reason });
        }
        let why = reason.map(|reason| Why::Said(reason.into()));
        self.open(candidate, true, by.into(), Asked::Promotion(why.as_ref()));
    }

    /// Why a person may not undo what approvers decided: they are not one of them. Where no groups
    /// approve, that is a right to operate.
    pub(super) fn lacks_right(&self, by: &Person) -> Option<Refusal> {
        let gate = self.policy.rule.approval.as_ref();
        match gate.map(|gate| gate.groups.as_slice()) {
            Some(groups @ [_, ..]) => (!by.is_in(groups)).then(|| not_in(groups, by)),
            Some([]) | None => self.lacks(by, Right::Operate),
        }
    }

    pub(super) fn lacks(&self, by: &Person, right: Right) -> Option<Refusal> {
        let rights = &self.policy.trusted.definition.rights;
        let before = self.older().find_map(|older| {
            let rights = Rights {
                operate: rights.operate.clone(),
                overrule: older.overrule.clone(),
            };
            let lacking = rights.lacks(by, right)?;
            Some(Lacking {
                loosened_by: Some(older.commit.clone()),
                ..lacking
            })
        });
        rights.lacks(by, right).or(before).map(Refusal::Lacks)
    }

    /// Why nothing can enter the stage: its rule uses features that this version does not support.
    fn wants_too_much(&self) -> Option<Refusal> {
        let wants = self.policy.not_executed.iter();
        let wants: Vec<String> = wants.map(|path| (*path).to_owned()).collect();
        (!wants.is_empty()).then_some(Refusal::NotExecuted { wants })
    }

    /// Opens a promotion, or records why it cannot.
    pub(super) fn open(
        &mut self,
        candidate: &Candidate,
        rollback: bool,
        by: Actor,
        asked: Asked<'_>,
    ) {
        let number = self.policy.next_number;
        self.decision.took_number = true;
        self.row(by.clone(), requested(number, candidate, rollback, asked));
        let overridden = match asked {
            Asked::Promotion(_) => false,
            Asked::Override(_) => true,
        };
        let (mut gates, mut loosening) = (Vec::new(), None);
        if !rollback && !overridden {
            (gates, loosening) = self.gates_for(candidate);
        }
        let expires = gates.iter().filter_map(|gate| gate.expires).min();
        let expires_at = expires.map(|wait| self.now + wait);
        let promotion = Promotion {
            number,
            candidate: candidate.kept(),
            rollback,
            by,
            reason: asked.why(),
            at: self.now,
            expires_at,
            gates,
            loosening,
            overridden,
            approvals: Vec::new(),
            acting: false,
            obstacle: None,
            unchecked: None,
        };
        self.stage().waiting.push(promotion);
        if let Some(reason) = self.wants_too_much() {
            let why = reason.clone();
            self.end(number, Actor::System, Ending::Refused { why });
            self.decision.refused = Some(reason);
            return;
        }
        self.supersede_older(number);
        if let Some(at) = expires_at {
            let stage = self.decision.stage.key.clone();
            self.decision.intents.push(Intent::PromotionWatchDue {
                stage,
                promotion: number,
                at,
            });
        }
    }

    /// Lets a new candidate replace waiting ones, if the rule says so.
    pub(super) fn supersede_older(&mut self, newest: u64) {
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
            let (by, commit) = (newest, new.candidate.commit.clone());
            self.end(number, Actor::System, Ending::Superseded { by, commit });
        }
    }

    /// Ends a promotion that has not moved the stage.
    pub(super) fn end(&mut self, number: u64, by: Actor, how: Ending) {
        let waiting = &mut self.decision.stage.waiting;
        let Some(position) = waiting.iter().position(|known| known.number == number) else {
            return;
        };
        waiting.remove(position);
        // It may have been opened by the same fact.
        let intents = &mut self.decision.intents;
        intents.retain(|owed| !watches(owed, number));
        self.row(
            by,
            What::Ended {
                promotion: number,
                how,
            },
        );
    }
}

/// Whether an intent is to check whether this promotion has expired.
fn watches(intent: &Intent, number: u64) -> bool {
    matches!(intent, Intent::PromotionWatchDue { promotion, .. } if *promotion == number)
}

//! Applies people's requests to a stage: approval, rejection, hold and resume.

use super::advance::Step;
use super::request::{Asked, requested};
use super::{Approval, Hold, HoldReason, Promotion, Refusal, Request, Why};
use crate::image::Candidate;
use crate::ledger::{Ending, What};
use crate::person::{Actor, Person};
use crate::rights::Right;

impl Step<'_> {
    /// Counts an approval of exactly this digest and commit, if it may count (I12).
    pub(super) fn approve(&mut self, number: u64, by: &Person, comment: Option<&str>) {
        let promotion = match self.approvable(number, by) {
            Ok(promotion) => promotion,
            Err(reason) => {
                self.deny(by.into(), Some(number), Request::Approve, reason);
                return;
            }
        };
        let own_work = self.is_author(&promotion.candidate, by).is_some();
        let (now, digest, commit) = (
            self.now,
            promotion.candidate.digest,
            promotion.candidate.commit,
        );
        let mut waiting = self.stage().waiting.iter_mut();
        if let Some(known) = waiting.find(|known| known.number == number) {
            known.approvals.push(Approval {
                login: by.login.clone(),
                at: now,
                comment: comment.map(Into::into),
                groups: by.groups.clone(),
                own_work,
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

    /// The promotion, if this person may approve it now.
    fn approvable(&self, number: u64, by: &Person) -> Result<Promotion, Refusal> {
        let Some(promotion) = self.decision.stage.promotion(number) else {
            return Err(Refusal::Closed { promotion: number });
        };
        if promotion.gates(self.policy.rule).next().is_none() {
            return Err(Refusal::NeedsNoApproval { promotion: number });
        }
        let mut approvals = promotion.approvals.iter();
        if approvals.any(|known| known.login.eq_ignore_ascii_case(&by.login)) {
            let (promotion, by) = (number, by.into());
            return Err(Refusal::ApprovedBefore { promotion, by });
        }
        match self.may_not_approve(promotion, by) {
            Some(reason) => Err(reason),
            None => Ok(promotion.clone()),
        }
    }

    fn may_not_approve(&self, promotion: &Promotion, by: &Person) -> Option<Refusal> {
        let (number, rule) = (promotion.number, self.policy.rule);
        if promotion.acting {
            return Some(Refusal::NeedsNoApproval { promotion: number });
        }
        let expires = promotion.expires(rule);
        if expires.is_some_and(|expires| self.now >= expires) {
            return Some(Refusal::Expired { promotion: number });
        }
        let mut gates = promotion.gates(rule);
        if let Some(gate) = gates.find(|gate| !by.is_in(&gate.groups)) {
            return Some(not_in(&gate.groups, by));
        }
        let mut gates = promotion.gates(rule);
        match gates.any(|gate| !gate.allow_self) {
            true => self.is_author(&promotion.candidate, by),
            false => None,
        }
    }

    /// Why a person may be approving their own work.
    fn is_author(&self, candidate: &Candidate, by: &Person) -> Option<Refusal> {
        let commit = candidate.commit.clone();
        if by.is_one_of(&candidate.authors) {
            let by = by.into();
            return Some(Refusal::IsAuthor { by, commit });
        }
        let authors = self.decision.stage.authors_since_live(candidate);
        let live = self.live().map(|live| live.commit.clone());
        if by.is_one_of(&authors.names) {
            let by = by.into();
            return Some(Refusal::IsAuthorSince { by, commit, live });
        }
        let unknown = || Refusal::AuthorsUnknown { commit, live };
        authors.are_unknown.then(unknown)
    }

    /// Lets a waiting promotion pass without its gates.
    pub(super) fn override_waiting(
        &mut self,
        number: u64,
        candidate: &Candidate,
        by: &Person,
        reason: &str,
    ) {
        let row = requested(number, candidate, false, Asked::Override(reason));
        self.row(by.into(), row);
        let mut waiting = self.stage().waiting.iter_mut();
        if let Some(known) = waiting.find(|known| known.number == number) {
            known.overridden = true;
            known.unchecked = None;
            known.by = by.into();
            known.reason = Some(Why::Said(reason.into()));
        }
    }

    pub(super) fn reject(&mut self, number: u64, by: &Person, reason: &str) {
        let Some(promotion) = self.decision.stage.promotion(number).cloned() else {
            let reason = Refusal::Closed { promotion: number };
            self.deny(by.into(), Some(number), Request::Reject, reason);
            return;
        };
        match self.may_not_reject(&promotion, by) {
            Some(reason) => self.deny(by.into(), Some(number), Request::Reject, reason),
            None => {
                let reason = reason.into();
                self.end(number, by.into(), Ending::Rejected { reason });
            }
        }
    }

    fn may_not_reject(&self, promotion: &Promotion, by: &Person) -> Option<Refusal> {
        if promotion.acting {
            let promotion = promotion.number;
            return Some(Refusal::InProgress { promotion });
        }
        let mut gates = promotion.gates(self.policy.rule);
        let Some(first) = gates.next() else {
            return self.lacks(by, Right::Operate);
        };
        let may = by.is_in(&first.groups) || gates.any(|gate| by.is_in(&gate.groups));
        (!may).then(|| not_in(&first.groups, by))
    }

    pub(super) fn ask_to_hold(&mut self, by: &Person, reason: &str) {
        if let Some(denial) = self.lacks(by, Right::Operate) {
            self.deny(by.into(), None, Request::Hold, denial);
            return;
        }
        match self.decision.stage.hold.clone() {
            Some(hold) => {
                let (stage, hold) = (self.decision.stage.key.stage.clone(), Box::new(hold));
                let reason = Refusal::HeldBefore { stage, hold };
                self.deny(by.into(), None, Request::Hold, reason);
            }
            None => {
                let reason = reason.into();
                self.hold(by.into(), HoldReason::Asked { reason });
            }
        }
    }

    pub(super) fn hold(&mut self, by: Actor, reason: HoldReason) {
        let hold = Hold {
            by: by.clone(),
            reason: reason.clone(),
            since: self.now,
        };
        self.stage().hold = Some(hold);
        self.row(by, What::Held { reason });
    }
}

/// The refusal for a person in none of these groups.
pub(super) fn not_in(groups: &[String], by: &Person) -> Refusal {
    Refusal::NotInGroup {
        by: by.into(),
        groups: groups.to_vec(),
    }
}

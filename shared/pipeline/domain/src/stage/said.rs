//! Applies people's requests to a stage: approval, rejection, hold and resume.

use super::advance::Step;
use super::{Approval, Candidate, Hold, HoldReason, Promotion, Refusal, Request};
use crate::definition::ApprovalRule;
use crate::ledger::{Ending, What};
use crate::person::{Actor, Person};

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
        let Some(rule) = &self.policy.rule.approval else {
            return Err(Refusal::NeedsNoApproval { promotion: number });
        };
        let mut approvals = promotion.approvals.iter();
        if approvals.any(|known| known.login.eq_ignore_ascii_case(&by.login)) {
            let (promotion, by) = (number, by.into());
            return Err(Refusal::ApprovedBefore { promotion, by });
        }
        match self.may_not_approve(promotion, rule, by) {
            Some(reason) => Err(reason),
            None => Ok(promotion.clone()),
        }
    }

    fn may_not_approve(
        &self,
        promotion: &Promotion,
        rule: &ApprovalRule,
        by: &Person,
    ) -> Option<Refusal> {
        let number = promotion.number;
        if promotion.rollback || promotion.acting {
            return Some(Refusal::NeedsNoApproval { promotion: number });
        }
        if promotion
            .expires_at
            .is_some_and(|expires| self.now >= expires)
        {
            return Some(Refusal::Expired { promotion: number });
        }
        if !by.is_in(&rule.groups) {
            return Some(not_in(&rule.groups, by));
        }
        if rule.allow_self {
            return None;
        }
        self.is_author(&promotion.candidate, by)
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

    pub(super) fn reject(&mut self, number: u64, by: &Person, reason: &str) {
        let Some(promotion) = self.decision.stage.promotion(number) else {
            let reason = Refusal::Closed { promotion: number };
            self.deny(by.into(), Some(number), Request::Reject, reason);
            return;
        };
        let rule = self.policy.rule.approval.as_ref();
        let groups = rule.map(|rule| rule.groups.as_slice()).unwrap_or_default();
        let denial = if promotion.acting {
            Some(Refusal::InProgress { promotion: number })
        } else {
            (!by.is_in(groups)).then(|| not_in(groups, by))
        };
        match denial {
            Some(reason) => self.deny(by.into(), Some(number), Request::Reject, reason),
            None => {
                let reason = reason.into();
                self.end(number, by.into(), Ending::Rejected { reason });
            }
        }
    }

    pub(super) fn ask_to_hold(&mut self, by: &Person, reason: &str) {
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

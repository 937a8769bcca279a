//! What people say to a stage: yes or no to a promotion, hold and resume.

use super::advance::Step;
use super::{Approval, Hold, Promotion};
use crate::definition::{ApprovalRule, Promote};
use crate::explain::minute;
use crate::ledger::{Ending, What};
use crate::person::{Actor, Person};

impl Step<'_> {
    /// Counts a yes to exactly this digest and commit, if it may count (I12).
    pub(super) fn approve(&mut self, number: u64, by: &Person, comment: Option<&str>) {
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

    pub(super) fn may_not_approve(
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

    pub(super) fn reject(&mut self, number: u64, by: &Person, reason: &str) {
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

    pub(super) fn ask_to_hold(&mut self, by: &Person, reason: &str) {
        match &self.decision.stage.hold {
            Some(hold) => {
                self.decision.refused = Some(format!(
                    "{} is held already, by {} since {}: {}",
                    self.decision.stage.key.stage,
                    hold.by,
                    minute(hold.since),
                    hold.reason
                ));
            }
            None => self.hold(by.into(), reason),
        }
    }

    pub(super) fn hold(&mut self, by: Actor, reason: &str) {
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

    pub(super) fn resume(&mut self, by: &Person) {
        if let Some(denial) = self.lacks_right(by) {
            self.deny(by.into(), None, "resume", denial);
            return;
        }
        if self.stage().hold.take().is_none() {
            self.decision.refused = Some(format!("{} is not held", self.decision.stage.key.stage));
            return;
        }
        self.row(by.into(), What::Resumed);
        let drifted = std::mem::take(&mut self.stage().drifted);
        match self.live().filter(|_| drifted).cloned() {
            // What was offered meanwhile is asked for once the tag is back.
            Some(live) => self.open(&live, true, by.into(), Some("the tag was put back")),
            None if self.policy.rule.promote == Promote::Auto => self.ask_for_offered(),
            None => {}
        }
    }
}

/// Who approved, for the history: `approval #57 (2: lee, park)`.
pub(super) fn approved_by(promotion: &Promotion) -> Option<String> {
    if promotion.approvals.is_empty() {
        return None;
    }
    let said = promotion
        .approvals
        .iter()
        .map(|approval| match &approval.comment {
            Some(comment) => format!("{} “{comment}”", approval.login),
            None => approval.login.clone(),
        });
    let said: Vec<String> = said.collect();
    Some(format!(
        "approval #{} ({}: {})",
        promotion.number,
        said.len(),
        said.join(", ")
    ))
}

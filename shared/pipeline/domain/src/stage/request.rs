//! What people request of a stage, and the denial of it.

use super::{Decision, Fact, Refusal, Request, Stage};
use crate::Timestamp;
use crate::ledger::What;
use crate::person::{Actor, Person};

impl Fact {
    /// What a person requests by it: who, the promotion that it is about, and what.
    pub(super) fn request(&self) -> Option<(&Person, Option<u64>, Request)> {
        match self {
            Self::PromotionRequested { candidate, by, .. }
            | Self::OverrideRequested { candidate, by, .. } => {
                let commit = candidate.commit.clone();
                Some((by, None, Request::Promote { commit }))
            }
            Self::Approved { promotion, by, .. } => Some((by, Some(*promotion), Request::Approve)),
            Self::Rejected { promotion, by, .. } => Some((by, Some(*promotion), Request::Reject)),
            Self::RollbackRequested { candidate, by, .. } => {
                let commit = candidate.commit.clone();
                Some((by, None, Request::RollBack { commit }))
            }
            Self::HoldRequested { by, .. } => Some((by, None, Request::Hold)),
            Self::ResumeRequested { by } => Some((by, None, Request::Resume)),
            Self::Denied { by, request, .. } => Some((by, None, request.clone())),
            Self::Offered(_)
            | Self::LeaseRequested { .. }
            | Self::Tagged { .. }
            | Self::TagRefused { .. }
            | Self::Obstructed { .. }
            | Self::GivenUp { .. }
            | Self::CommitLookedUp { .. }
            | Self::ExpiryDue { .. }
            | Self::TagMovedOutside { .. } => None,
        }
    }
}

impl Decision {
    /// Nothing changes: the fact is refused. If a person requested it, the ledger says so.
    #[must_use]
    pub fn refused(stage: Stage, fact: &Fact, why: Refusal, now: Timestamp) -> Self {
        let mut decision = Self::undecided(stage);
        if let Some((by, promotion, request)) = fact.request() {
            let what = What::Denied {
                promotion,
                request,
                reason: why.clone(),
            };
            let by = (Actor::from(by), by.door);
            let row = decision.stage.ledger.append(now, by, what);
            decision.rows.push(row);
            decision.changed = true;
        }
        decision.refused = Some(why);
        decision
    }
}

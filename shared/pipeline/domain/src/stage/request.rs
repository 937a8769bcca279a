//! What people request of a stage, and the denial of it.

use super::{Decision, Fact, Refusal, Request, Stage, Why};
use crate::Timestamp;
use crate::image::Candidate;
use crate::ledger::What;
use crate::person::{Actor, Person};
use crate::rights::Right;

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

/// What a person asks for with an image, and why.
#[derive(Clone, Copy)]
pub(super) enum Asked<'a> {
    Promotion(Option<&'a Why>),
    Override(&'a str),
}

impl<'a> Asked<'a> {
    pub(super) fn right(self) -> Right {
        match self {
            Self::Promotion(_) => Right::Operate,
            Self::Override(_) => Right::Override,
        }
    }

    pub(super) fn why(self) -> Option<Why> {
        match self {
            Self::Promotion(why) => why.cloned(),
            Self::Override(reason) => Some(Why::Said(reason.into())),
        }
    }
}

/// The row of a request: an override is one of its own kind.
pub(super) fn requested(
    promotion: u64,
    candidate: &Candidate,
    rollback: bool,
    asked: Asked<'_>,
) -> What {
    let (digest, commit) = (candidate.digest.clone(), candidate.commit.clone());
    match asked {
        Asked::Promotion(reason) => What::Requested {
            promotion,
            digest,
            commit,
            rollback,
            reason: reason.cloned(),
        },
        Asked::Override(reason) => What::Overridden {
            promotion,
            digest,
            commit,
            git_ref: candidate.git_ref.clone(),
            reason: reason.into(),
        },
    }
}

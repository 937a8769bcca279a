//! A request to move an image into a stage, with its approvals and the gates that count them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Wait, Why};
use crate::Timestamp;
use crate::definition::{ApprovalRule, StageRule};
use crate::image::Candidate;
use crate::names::CommitSha;
use crate::obstacle::Obstacle;
use crate::person::{Actor, are_in};

/// A request to move one digest into the stage, until it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promotion {
    /// Its number within the GitHub repository, as in `promotion #58`.
    pub number: u64,
    /// The image.
    pub candidate: Candidate,
    /// Whether it is a rollback.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rollback: bool,
    pub by: Actor,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Why>,
    pub at: Timestamp,
    /// When it stops waiting for approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The gates it was requested under. They hold for it even if the definition drops them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<ApprovalRule>,
    /// The change that loosened some of these gates, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loosening: Option<Loosening>,
    /// Whether a person promotes it without gates, and from any ref.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overridden: bool,
    /// Who approved exactly this digest and commit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Approval>,
    /// Whether it is in progress: its tags are being set.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub acting: bool,
    /// What a person must put right before its tags can be set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<Obstacle>,
    /// Why the source could not say whether a ref still contains its commit; until it can, this waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unchecked: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    pub login: String,
    pub at: Timestamp,
    pub comment: Option<String>,
    /// Their groups then: a gate of other groups does not count them.
    pub groups: Vec<String>,
    /// Whether it was their own work: a gate that denies that does not count them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_work: bool,
}

/// A change of the definition that loosens gates a promotion must still pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loosening {
    pub commit: CommitSha,
    /// The order number of the definition that the stage accepts with this promotion, if it contains that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepts: Option<u64>,
}

impl Promotion {
    /// Whether a ref that the stage admits must contain its commit. Not for a rollback or for tags that are
    /// put back: undoing must be possible whatever happened to a ref, and without the source.
    #[must_use]
    pub fn needs_its_commit(&self) -> bool {
        !self.rollback && !self.overridden
    }

    /// The gates that it must pass: those of when it was requested, and the present one.
    pub(crate) fn gates<'a>(
        &'a self,
        now: &'a StageRule,
    ) -> impl Iterator<Item = &'a ApprovalRule> {
        let present = now.approval.iter();
        let all = self
            .gates
            .iter()
            .chain(present.filter(|present| !self.gates.contains(present)));
        all.filter(|_| !self.rollback && !self.overridden)
    }

    /// When it stops waiting for approval.
    pub(crate) fn expires(&self, now: &StageRule) -> Option<Timestamp> {
        let gates = self.gates(now).filter_map(|gate| gate.expires);
        let shortest = gates.min().map(|wait| self.at + wait);
        [shortest, self.expires_at].into_iter().flatten().min()
    }

    /// How many approvals count for a gate.
    fn approved(&self, gate: &ApprovalRule) -> u32 {
        let counts = |approval: &&Approval| {
            let is_in = are_in(&approval.groups, &gate.groups);
            is_in && (gate.allow_self || !approval.own_work)
        };
        let counted = self.approvals.iter().filter(counts);
        let people: BTreeSet<String> = counted
            .map(|approval| approval.login.to_lowercase())
            .collect();
        u32::try_from(people.len()).unwrap_or(u32::MAX)
    }
}

/// What a promotion lacks for the gate that is farthest from being passed.
pub(crate) fn missing_approval(promotion: &Promotion, rule: &StageRule) -> Option<Wait> {
    let missing = promotion.gates(rule).filter_map(|gate| {
        let (given, needed) = (promotion.approved(gate), gate.min);
        (given < needed).then(|| (needed - given, given, needed))
    });
    let (_, given, needed) = missing.max()?;
    Some(Wait::Approval { given, needed })
}

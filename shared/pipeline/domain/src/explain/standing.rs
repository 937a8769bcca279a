//! Explains where an image is in a stage, and what a promotion waits for.

use std::fmt;

use super::span;
use crate::Timestamp;
use crate::definition::{Promote, StageRule};
use crate::image::Candidate;
use crate::names::{CommitSha, StageName};
use crate::stage::{Hold, Promotion, Stage, Wait, missing_approval};

/// The state of an image in a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Live,
    /// It is on its way or waiting.
    Waiting(Waiting),
    /// It does not enter automatically.
    Outside(Outside),
}

/// What a promotion waits for, with the data of its sentence. Shown as a clause that begins with a verb:
/// `waits for promotion #4`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub promotion: u64,
    stage: StageName,
    /// None while its tags are being set.
    wait: Option<Wait>,
    /// The approvals that it has and needs.
    approvals: Option<(u32, u32)>,
    /// The commit that changed the rules it waits under.
    loosened: Option<CommitSha>,
    /// Time left for approval.
    left: Option<String>,
}

/// Why an image does not enter a stage automatically.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Outside {
    #[error("it was rolled back; promote it to bring it back")]
    RolledBack,
    /// The image of this commit is newer.
    #[error("{} is newer and live", .0.short())]
    Newer(CommitSha),
    #[error("held by {}: {}", .0.by, .0.reason)]
    Held(Hold),
    #[error("waits for `towline promote`: this stage promotes nothing automatically")]
    Manual,
    #[error("no promotion is open for it")]
    NotOffered,
}

/// The state of an image in a stage, and why it is not live there.
#[must_use]
pub fn standing(
    stage: &Stage,
    rule: &StageRule,
    candidate: &Candidate,
    now: Timestamp,
) -> Standing {
    let live = stage.pointer.as_ref().map(|pointer| &pointer.candidate);
    if live.is_some_and(|live| live.digest == candidate.digest) {
        return Standing::Live;
    }
    let mut open = stage.waiting.iter();
    if let Some(own) = open.find(|own| own.candidate.digest == candidate.digest) {
        return Standing::Waiting(waiting(stage, own, rule, now));
    }
    if stage.left.contains(&candidate.digest) {
        return Standing::Outside(Outside::RolledBack);
    }
    let newer = live.filter(|live| live.order > candidate.order);
    Standing::Outside(match (newer, &stage.hold, rule.promote) {
        (Some(live), _, _) => Outside::Newer(live.commit.clone()),
        (None, Some(hold), _) => Outside::Held(hold.clone()),
        (None, None, Promote::Manual) => Outside::Manual,
        (None, None, Promote::Auto) => Outside::NotOffered,
    })
}

/// What a promotion waits for.
#[must_use]
pub fn waiting(stage: &Stage, promotion: &Promotion, rule: &StageRule, now: Timestamp) -> Waiting {
    let loosening = promotion.loosening.as_ref();
    Waiting {
        promotion: promotion.number,
        stage: rule.name.clone(),
        wait: stage.wait_of(promotion, rule),
        approvals: approvals(promotion, rule),
        loosened: loosening.map(|it| it.commit.clone()),
        left: promotion.expires_at.map(|at| span(now, at)),
    }
}

/// The words that differ with the text before the clause.
struct Form {
    in_progress: &'static str,
    waits: &'static str,
}

/// After a promotion: `promotion #5 waits for …`.
const VERB: Form = Form {
    in_progress: "is in progress",
    waits: "waits",
};

/// After a colon: `promotion #5: waiting for …`.
const PARTICIPLE: Form = Form {
    in_progress: "tagging the image",
    waits: "waiting",
};

impl Waiting {
    /// The same after a colon: `waiting for promotion #4`.
    #[must_use]
    pub fn participle(&self) -> String {
        self.clause(&PARTICIPLE)
    }

    fn clause(&self, form: &Form) -> String {
        let waits = form.waits;
        match &self.wait {
            None => form.in_progress.into(),
            Some(Wait::Person(obstacle)) => format!("{waits}: {obstacle}"),
            Some(Wait::Approval { given, needed }) => {
                let rules = self.loosened.as_ref().map(by_rules).unwrap_or_default();
                let left = self
                    .left
                    .as_ref()
                    .map(|left| format!(", expires in {left}"));
                let left = left.unwrap_or_default();
                format!("{waits} for approval {given}/{needed}{rules}{left}")
            }
            Some(Wait::Turn { after }) => format!("{waits} for promotion #{after}"),
            Some(Wait::Source { said }) => {
                format!("{waits}: cannot check whether its commit is still on a ref: {said}")
            }
            Some(Wait::Hold(hold)) => {
                let lacks = self.approvals.map(lacks).map(|lacks| format!("; {lacks}"));
                let lacks = lacks.unwrap_or_default();
                let (stage, by) = (&self.stage, &hold.by);
                format!("{waits}: {stage} is held by {by}: {}{lacks}", hold.reason)
            }
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.clause(&VERB))
    }
}

/// The approvals that a promotion has and needs, even while it waits for something else:
/// `1/2 approvals`.
#[must_use]
pub fn lacking(promotion: &Promotion, rule: &StageRule) -> Option<String> {
    approvals(promotion, rule).map(lacks)
}

fn approvals(promotion: &Promotion, rule: &StageRule) -> Option<(u32, u32)> {
    match missing_approval(promotion, rule)? {
        Wait::Approval { given, needed } => Some((given, needed)),
        Wait::Turn { .. } | Wait::Hold(_) | Wait::Source { .. } | Wait::Person(_) => None,
    }
}

fn lacks((given, needed): (u32, u32)) -> String {
    format!("{given}/{needed} approvals")
}

/// The older rules that a promotion waits under, if the definition has changed since.
#[must_use]
pub fn loosened(promotion: &Promotion) -> String {
    let loosening = promotion.loosening.as_ref();
    let said = loosening.map(|it| by_rules(&it.commit));
    said.unwrap_or_default()
}

fn by_rules(before: &CommitSha) -> String {
    format!(" (by the rules before {})", before.short())
}

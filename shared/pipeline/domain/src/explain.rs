//! Explains why something waits or did not happen, from the same rules that decide it.

mod access;
mod ending;
mod notes;
mod reasons;

use crate::Timestamp;
use crate::definition::{Promote, StageRule};
use crate::image::Candidate;
use crate::names::Digest;
use crate::run::{Attempt, AttemptState};
use crate::stage::{Promotion, Stage, Wait, missing_approval};

pub use ending::ending;
pub use notes::{beside_commit, delay};

/// The state of an attempt, in one clause. While its parts run, in one clause for each part.
#[must_use]
pub fn attempt(attempt: &Attempt) -> String {
    let name = attempt.name();
    match &attempt.state {
        AttemptState::Due | AttemptState::Building if !attempt.parts.is_empty() => parts(attempt),
        AttemptState::Due => match &attempt.waiting {
            Some(why) => format!("{name} is waiting to start: {why}"),
            None => format!("{name} is waiting to start"),
        },
        AttemptState::Building if attempt.build_succeeded => {
            format!("{name} succeeded; its image has not been read from the registry yet")
        }
        AttemptState::Building if attempt.started_at.is_none() => {
            format!("{name} is queued")
        }
        AttemptState::Building => format!("{name} is running"),
        AttemptState::Succeeded => format!("{name} succeeded"),
        AttemptState::Failed { platform, why } => {
            reasons::failure(attempt.build_number, platform.as_deref(), why)
        }
        AttemptState::Cancelled { by } => format!("{name} was cancelled by {by}"),
        AttemptState::Superseded { by, crowded } => reasons::superseded(&name, by, *crowded),
        AttemptState::Held { why } => format!("{name} is held: {why}"),
    }
}

/// What an unfinished build waits for, as a clause; `before` is the number of builds that start before
/// it, if that is known.
#[must_use]
pub fn queued(attempt: &Attempt, before: Option<usize>) -> String {
    match (&attempt.state, before) {
        (AttemptState::Due, _) => match attempt.delay() {
            Some((platform, why)) => {
                format!("another try to start it: {}", delay(platform, why))
            }
            None => "its start".into(),
        },
        (AttemptState::Building, _) if attempt.waiting.is_some() => parts(attempt),
        (AttemptState::Building, _) if attempt.started_at.is_some() => "nothing; it runs".into(),
        (AttemptState::Building, Some(0)) => "a free slot; it is next".into(),
        (AttemptState::Building, Some(1)) => "a free slot; 1 build is ahead of it".into(),
        (AttemptState::Building, Some(before)) => {
            format!("a free slot; {before} builds are ahead of it")
        }
        (AttemptState::Building, None) => "the build service to begin it".into(),
        (
            AttemptState::Succeeded
            | AttemptState::Failed { .. }
            | AttemptState::Cancelled { .. }
            | AttemptState::Superseded { .. }
            | AttemptState::Held { .. },
            _,
        ) => "nothing; it has ended".into(),
    }
}

fn parts(attempt: &Attempt) -> String {
    if attempt.index().is_some() {
        let number = attempt.build_number;
        let why = attempt.waiting.as_ref().map(|why| format!(": {why}"));
        return format!(
            "build#{number} succeeded on every platform; its image index has not been pushed yet{}",
            why.unwrap_or_default()
        );
    }
    let parts: Vec<String> = attempt.parts.iter().map(self::attempt).collect();
    parts.join("; ")
}

/// The state of an image in a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Live,
    /// It is on its way or waiting, with the reason.
    Waiting(String),
    /// It does not enter automatically, with the reason.
    Outside(String),
}

/// The state of an image in a stage, and why it is not live there.
#[must_use]
pub fn standing(
    stage: &Stage,
    rule: &StageRule,
    candidate: &Candidate,
    now: Timestamp,
) -> Standing {
    if is(
        &candidate.digest,
        stage.pointer.as_ref().map(|pointer| &pointer.candidate),
    ) {
        return Standing::Live;
    }
    if let Some(promotion) = stage
        .waiting
        .iter()
        .find(|promotion| promotion.candidate.digest == candidate.digest)
    {
        let waits = waits_for(stage, promotion, rule, now);
        return Standing::Waiting(format!("promotion #{} {waits}", promotion.number));
    }
    if stage.left.contains(&candidate.digest) {
        let why = "it was rolled back; promote it to bring it back";
        return Standing::Outside(why.into());
    }
    let newer = stage
        .pointer
        .as_ref()
        .filter(|pointer| pointer.candidate.order > candidate.order);
    Standing::Outside(match (newer, &stage.hold, rule.promote) {
        (Some(pointer), _, _) => format!("{} is newer and live", pointer.candidate.commit.short()),
        (None, Some(hold), _) => format!("held by {}: {}", hold.by, hold.reason),
        (None, None, Promote::Manual) => {
            "waits for `towline promote`: this stage promotes nothing automatically".into()
        }
        (None, None, Promote::Auto) => "no promotion is open for it".into(),
    })
}

/// Why a promotion waits, as a clause that begins with a verb.
#[must_use]
pub fn waits_for(stage: &Stage, promotion: &Promotion, rule: &StageRule, now: Timestamp) -> String {
    match stage.wait_of(promotion, rule) {
        None => "is in progress".into(),
        Some(Wait::Person(obstacle)) => format!("waits: {obstacle}"),
        Some(Wait::Approval { given, needed }) => {
            let expiry = promotion
                .expires_at
                .map(|at| format!(", expires in {}", span(now, at)))
                .unwrap_or_default();
            let rules = loosened(promotion);
            format!("waits for approval {given}/{needed}{rules}{expiry}")
        }
        Some(Wait::Turn { after }) => format!("waits for promotion #{after}"),
        Some(Wait::Source { said }) => {
            format!("waits: cannot check whether its commit is still on a ref: {said}")
        }
        Some(Wait::Hold(hold)) => format!(
            "is held by {}: {}{}",
            hold.by,
            hold.reason,
            lacking(promotion, rule).map_or_else(String::new, |lacks| format!("; {lacks}"))
        ),
    }
}

/// The approvals that a promotion has and needs, even while it waits for something else:
/// `1/2 approvals`.
#[must_use]
pub fn lacking(promotion: &Promotion, rule: &StageRule) -> Option<String> {
    match missing_approval(promotion, rule)? {
        Wait::Approval { given, needed } => Some(format!("{given}/{needed} approvals")),
        Wait::Turn { .. } | Wait::Hold(_) | Wait::Source { .. } | Wait::Person(_) => None,
    }
}

/// The older rules that a promotion waits under, if the definition has changed since.
#[must_use]
pub fn loosened(promotion: &Promotion) -> String {
    let loosening = promotion.loosening.as_ref();
    let said = loosening.map(|it| format!(" (by the rules before {})", it.commit.short()));
    said.unwrap_or_default()
}

fn is(digest: &Digest, candidate: Option<&Candidate>) -> bool {
    candidate.is_some_and(|candidate| candidate.digest == *digest)
}

/// A moment for people: `2026-03-02 10:14 UTC`.
#[must_use]
pub fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// The time between two moments in its two largest units: `3h 12m`, `45s`.
#[must_use]
pub fn span(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.duration_since(from).as_secs().unsigned_abs();
    let units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let mut rest = seconds;
    let parts = units.iter().filter_map(|(name, size)| {
        let whole = rest / size;
        rest %= size;
        (whole > 0).then(|| format!("{whole}{name}"))
    });
    let parts: Vec<String> = parts.take(2).collect();
    if parts.is_empty() {
        "0s".into()
    } else {
        parts.join(" ")
    }
}

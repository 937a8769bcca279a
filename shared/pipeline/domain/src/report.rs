//! The lines shown beside a commit: one for each build and each stage, computed from state alone.

use std::collections::BTreeMap;

use crate::Timestamp;
use crate::definition::StageRule;
use crate::explain;
use crate::intent::Intent;
use crate::ledger::{Ending, Row, What};
use crate::names::{CommitSha, ComponentName, Digest, RepositoryName};
use crate::person::Actor;
use crate::reason::Skipped;
use crate::run::{Attempt, AttemptState, Delay, MOST_ATTEMPTS, Run};
use crate::stage::{Decision, Promotion, Stage, Wait};
use crate::untrusted::Untrusted;

/// The most characters of a line (GitHub REST API, "Create a commit status").
pub const MOST_CHARACTERS: usize = 140;

/// The state that a line shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Waiting or in progress.
    Pending,
    /// Succeeded.
    Success,
    /// Failed because of the commit or a person's decision.
    Failure,
    /// Did not finish, for another reason.
    Error,
}

/// One line beside a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its state.
    pub standing: Standing,
    /// A sentence of at most [`MOST_CHARACTERS`] characters.
    pub text: String,
}

impl Line {
    fn new(standing: Standing, text: &str) -> Self {
        let text = Untrusted::first_line(&with_short_digests(text)).display();
        let text = if text.chars().count() > MOST_CHARACTERS {
            let kept: String = text.chars().take(MOST_CHARACTERS - 1).collect();
            format!("{kept}…")
        } else {
            text
        };
        Self { standing, text }
    }
}

/// The text with shortened digests, so that two of them fit into a line.
fn with_short_digests(text: &str) -> String {
    let mut parts = text.split("sha256:");
    let mut short = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let hex = part.bytes().take_while(u8::is_ascii_hexdigit).count();
        let (digits, rest) = part.split_at(hex);
        short += "sha256:";
        short += digits.get(..8).filter(|_| hex == 64).unwrap_or(digits);
        short += if hex == 64 { "…" } else { "" };
        short += rest;
    }
    short
}

/// The line of a run as a whole. There is one only if nothing of the run may be built.
#[must_use]
pub fn run(run: &Run) -> Option<Line> {
    let reason = run.refused.as_ref().filter(|_| run.shown)?;
    Some(Line::new(Standing::Failure, &reason.to_string()))
}

/// The line of a commit for a component, or for a run as a whole. A commit has one line for all its runs, on
/// any ref: that of the newest run that has one.
#[must_use]
pub fn newest(runs: &[Run], component: Option<&ComponentName>) -> Option<Line> {
    let line = |of: &Run| match component {
        None => run(of),
        Some(component) => build(of, component),
    };
    let lines = runs.iter().filter_map(|of| Some((of.order, line(of)?)));
    Some(lines.max_by_key(|(order, _)| *order)?.1)
}

/// The line of a component's build. There is none until its build was started or is delayed, which
/// takes only a second or two.
#[must_use]
pub fn build(run: &Run, component: &ComponentName) -> Option<Line> {
    if !run.shown {
        return None;
    }
    if let Some(known) = run.components.get(component) {
        return match &known.not_retried {
            Some(why) => {
                let failed = explain::attempt(known.latest());
                let text = format!("{failed}; not retried: {why}");
                Some(Line::new(Standing::Failure, &text))
            }
            None => attempt(known.latest()),
        };
    }
    match run.skipped.get(component)? {
        Skipped::Refused(reason) => Some(Line::new(Standing::Failure, &reason.to_string())),
        Skipped::Unchanged(_) => None,
    }
}

fn attempt(attempt: &Attempt) -> Option<Line> {
    let number = attempt.build_number;
    let (standing, text) = match &attempt.state {
        AttemptState::Due => {
            let (platform, why) = attempt.delay()?;
            let why = match why {
                Delay::Busy { .. } => explain::delay(platform, why),
                Delay::Denied(obstacle) => explain::beside_commit(obstacle),
            };
            let text = format!("build#{number} is queued: {why}");
            (Standing::Pending, text)
        }
        AttemptState::Building => {
            let text = match &attempt.waiting {
                Some(Delay::Denied(obstacle)) => {
                    let why = explain::beside_commit(obstacle);
                    format!("the image index of build#{number} is not pushed yet: {why}")
                }
                Some(Delay::Busy { .. }) | None => format!("build#{number} was started"),
            };
            (Standing::Pending, text)
        }
        AttemptState::Succeeded => {
            let image = attempt.image.as_ref().map(Digest::short);
            let took = attempt.started_at.zip(attempt.ended_at);
            let took = took.map(|(from, to)| format!(" in {}", explain::span(from, to)));
            let image = image.map(|image| format!(": {image}…"));
            let text = format!(
                "build#{number} succeeded{}{}",
                took.unwrap_or_default(),
                image.unwrap_or_default()
            );
            (Standing::Success, text)
        }
        AttemptState::Failed { why, .. } => {
            let text = explain::attempt(attempt);
            match why.is_fault() && attempt.number < MOST_ATTEMPTS {
                true => (Standing::Pending, format!("trying again: {text}")),
                false => (Standing::Failure, text),
            }
        }
        AttemptState::Cancelled { .. }
        | AttemptState::Superseded { .. }
        | AttemptState::Held { .. } => (Standing::Error, explain::attempt(attempt)),
    };
    Some(Line::new(standing, &text))
}

/// The intents to show changes of a run's builds.
#[must_use]
pub fn builds_to_show(before: Option<&Run>, after: &Run) -> Vec<Intent> {
    let names = after.components.keys().chain(after.skipped.keys());
    let changed = names.filter_map(|name| {
        let line = build(after, name)?;
        let known = before.and_then(|before| build(before, name));
        (known.as_ref() != Some(&line)).then(|| Intent::BuildStatusDue {
            run: after.id.clone(),
            component: Some(name.clone()),
            shows: line.text,
        })
    });
    let whole = run(after).filter(|_| before.is_none());
    let whole = whole.map(|line| Intent::BuildStatusDue {
        run: after.id.clone(),
        component: None,
        shows: line.text,
    });
    changed.chain(whole).collect()
}

/// What to look up for the line of a commit in a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// The stage's rule, for [`stage`]: the reason for waiting depends on it.
    Rule,
    /// The stage's ledger, for [`stage_before`]: the commit has left the stage, or never entered it.
    Ledger,
}

/// What must still be looked up; nothing for a commit that is [`live`].
#[must_use]
pub fn wants(stage: &Stage, commit: &CommitSha) -> Option<Want> {
    let mut waiting = stage.waiting.iter();
    if waiting.any(|promotion| promotion.candidate.commit == *commit) {
        return Some(Want::Rule);
    }
    live(stage, commit).is_none().then_some(Want::Ledger)
}

/// The line of a commit that is live in a stage or waits to enter it, from the stage's state. Setting
/// tags takes only about a second, so that is not shown.
#[must_use]
pub fn stage(stage: &Stage, rule: &StageRule, commit: &CommitSha) -> Option<Line> {
    let its = |promotion: &&Promotion| promotion.candidate.commit == *commit;
    if let Some(promotion) = stage.waiting.iter().rev().find(its) {
        return waiting(stage, rule, promotion);
    }
    live(stage, commit)
}

/// The line of a commit whose image is live in the stage.
#[must_use]
pub fn live(stage: &Stage, commit: &CommitSha) -> Option<Line> {
    let pointer = stage.pointer.as_ref()?;
    (pointer.candidate.commit == *commit).then(|| went_live(pointer.since, pointer.promotion))
}

fn waiting(stage: &Stage, rule: &StageRule, promotion: &Promotion) -> Option<Line> {
    let number = promotion.number;
    let text = match stage.wait_of(promotion, rule)? {
        Wait::Person(obstacle) => format!("waits: {}", explain::beside_commit(&obstacle)),
        Wait::Approval { given, needed } => {
            let expiry = promotion.expires_at.map(explain::minute);
            let expiry = expiry.map(|at| format!(" until {at}")).unwrap_or_default();
            let rules = explain::loosened(promotion);
            format!("waits for approval {given}/{needed}{rules}{expiry}: towline approve {number}")
        }
        // The previous image differs with every move; whether there is one does not.
        Wait::Turn { .. } => format!("promotion #{number} waits for its turn"),
        Wait::Hold(hold) => format!("held by {}: {}", hold.by, hold.reason),
        // The source's words may differ with every try.
        Wait::Source { .. } => {
            format!("promotion #{number} waits until its commit can be checked against the source")
        }
    };
    Some(Line::new(Standing::Pending, &text))
}

fn went_live(at: Timestamp, promotion: u64) -> Line {
    let at = explain::minute(at);
    let text = format!("went live {at} (promotion #{promotion})");
    Line::new(Standing::Success, &text)
}

fn ended(promotion: u64, how: &Ending) -> Line {
    let standing = match how {
        Ending::Superseded { .. } | Ending::Overtaken { .. } | Ending::RolledBack => {
            Standing::Error
        }
        Ending::Rejected { .. }
        | Ending::Expired { .. }
        | Ending::Refused { .. }
        | Ending::CommitRemoved { .. }
        | Ending::Failed { .. } => Standing::Failure,
    };
    Line::new(standing, &explain::ending(promotion, how, None))
}

fn left(to: &CommitSha, by: &Actor, at: Timestamp) -> Line {
    let at = explain::minute(at);
    let text = format!("rolled back to {} by {by} {at}", to.short());
    Line::new(Standing::Error, &text)
}

/// The last line of a commit in a stage where it neither waits nor is live, from the newest rows of
/// the stage's ledger, newest first.
#[must_use]
pub fn stage_before(rows: &[Row], commit: &CommitSha) -> Option<Line> {
    let asked = rows.iter().find_map(|row| requested(row, commit))?;
    let last = match end_of(rows, asked) {
        // Its tags are being set; or it moved the stage, and one that was asked for earlier may have done so
        // after it.
        None => moved_to(rows, rows.len(), commit).filter(|_| has_moved(rows, asked))?,
        // A promotion that ended while an earlier one of the commit was live changed no line.
        Some((at, how)) => match moved_to(rows, at, commit).or(live_at(&rows[at..], commit)) {
            Some(live) => live,
            None => return Some(ended(asked, how)),
        },
    };
    let at = rows.iter().position(|row| moved(row) == Some(last))?;
    let move_after = rows[..at].iter().rev().find(|row| moved(row).is_some());
    let back = move_after.and_then(|after| rollback(rows, after));
    Some(back.unwrap_or_else(|| went_live(rows[at].at, last)))
}

fn has_moved(rows: &[Row], number: u64) -> bool {
    rows.iter().any(|row| moved(row) == Some(number))
}

/// The newest promotion of the commit that moved the stage after the row at this place.
fn moved_to(rows: &[Row], place: usize, commit: &CommitSha) -> Option<u64> {
    let its = |number: &u64| {
        rows.iter()
            .any(|row| requested(row, commit) == Some(*number))
    };
    rows[..place].iter().filter_map(moved).find(its)
}

/// The promotion by which the commit was live when the first of these rows was written.
fn live_at(rows: &[Row], commit: &CommitSha) -> Option<u64> {
    let live = rows.iter().find_map(moved)?;
    let its = |row: &Row| requested(row, commit) == Some(live);
    rows.iter().any(its).then_some(live)
}

/// The promotion of this commit that a row requests.
fn requested(row: &Row, of: &CommitSha) -> Option<u64> {
    let (What::Requested {
        promotion, commit, ..
    }
    | What::Overridden {
        promotion, commit, ..
    }) = &row.what
    else {
        return None;
    };
    (commit == of).then_some(*promotion)
}

/// The promotion that moved the stage with this row.
fn moved(row: &Row) -> Option<u64> {
    let What::Moved { promotion, .. } = &row.what else {
        return None;
    };
    Some(*promotion)
}

/// How a promotion ended without moving the stage, and the place of the row that says so.
fn end_of(rows: &[Row], number: u64) -> Option<(usize, &Ending)> {
    rows.iter().enumerate().find_map(|(at, row)| {
        let What::Ended { promotion, how } = &row.what else {
            return None;
        };
        (*promotion == number).then_some((at, how))
    })
}

/// Whether a move was a rollback, as a text.
fn rollback(rows: &[Row], after: &Row) -> Option<Line> {
    let number = moved(after)?;
    rows.iter().find_map(|row| {
        let What::Requested {
            promotion,
            commit,
            rollback: true,
            ..
        } = &row.what
        else {
            return None;
        };
        (*promotion == number).then(|| left(commit, &after.by, after.at))
    })
}

/// The intents to show changes of a stage.
#[must_use]
pub fn stages_to_show(
    before: Option<&Stage>,
    decision: &Decision,
    rule: &StageRule,
) -> Vec<Intent> {
    let after = &decision.stage;
    let commits = |of: &Stage| {
        let waiting = of.waiting.iter().map(|promotion| &promotion.candidate);
        let live = of.pointer.iter().map(|pointer| &pointer.candidate);
        let all = waiting.chain(live).chain(&of.offered);
        let shown = all.filter_map(|known| Some((known.commit.clone(), known.shown_in.clone()?)));
        shown.collect::<BTreeMap<CommitSha, RepositoryName>>()
    };
    let mut known = before.map(commits).unwrap_or_default();
    known.extend(commits(after));
    let rows: Vec<Row> = decision.rows.iter().rev().cloned().collect();
    let owed = known.into_iter().filter_map(|(commit, repository)| {
        let shown = before.and_then(|before| stage(before, rule, &commit));
        let line = stage(after, rule, &commit)
            .or_else(|| gone(before, after, &rows, &commit))
            .filter(|line| shown.as_ref() != Some(line))?;
        Some(Intent::StageStatusDue {
            stage: after.key.clone(),
            repository,
            commit,
            shows: line.text,
        })
    });
    owed.collect()
}

/// The line of a commit that has left the stage, or no longer waits for it.
fn gone(before: Option<&Stage>, after: &Stage, rows: &[Row], commit: &CommitSha) -> Option<Line> {
    let its = |known: &&Promotion| known.candidate.commit == *commit;
    if after.waiting.iter().any(|known| its(&known)) {
        return None; // its tags are being put on
    }
    let promotion = before.and_then(|before| before.waiting.iter().rev().find(its));
    if let Some(promotion) = promotion {
        let (_, how) = end_of(rows, promotion.number)?;
        return Some(ended(promotion.number, how));
    }
    if let Some(line) = stage_before(rows, commit) {
        return Some(line); // opened and ended in one
    }
    let was_live = before.and_then(|before| before.pointer.as_ref());
    let was_live = was_live.filter(|pointer| pointer.candidate.commit == *commit)?;
    let back = after.pointer.as_ref().filter(|pointer| pointer.rollback)?;
    (was_live.version != back.version).then(|| left(&back.candidate.commit, &back.by, back.since))
}

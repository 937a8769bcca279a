//! The sentences for how a promotion ended.

use super::span;
use crate::Timestamp;
use crate::ledger::Ending;
use crate::names::{CommitSha, GitRef};
use crate::person::Actor;
use crate::reason::shown;

/// The most refs to name.
const MOST_NAMED: usize = 3;

/// How a promotion ended without moving its stage, in a sentence, with the person if there was one.
#[must_use]
pub fn ending(promotion: u64, how: &Ending, by: Option<&Actor>) -> String {
    let by = match by {
        Some(by @ Actor::Person(_)) => format!(" by {by}"),
        Some(Actor::System) | None => String::new(),
    };
    let ended = match how {
        Ending::Superseded { by, commit } => {
            format!("was superseded by #{by} ({})", commit.short())
        }
        Ending::Overtaken { live } => {
            format!("was superseded: {} is live and not older", live.short())
        }
        Ending::RolledBack => format!("was superseded by a rollback{by}"),
        Ending::Rejected { reason } => format!("was rejected{by}: {reason}"),
        Ending::Expired {
            approvals,
            since,
            until,
        } => {
            let who = if *approvals == 0 {
                "nobody"
            } else {
                "nobody else"
            };
            format!("expired: {who} approved it within {}", wait(*since, *until))
        }
        Ending::Refused { why } => format!("was refused: {why}"),
        Ending::CommitRemoved { commit, refs, more } => removed(commit, refs, *more),
        Ending::Failed { why } => format!("failed: {why}"),
    };
    format!("promotion #{promotion} {ended}")
}

/// Why a commit that no ref contains is not promoted.
fn removed(commit: &CommitSha, refs: &[GitRef], more: usize) -> String {
    let commit = commit.short();
    let names = refs.iter().take(MOST_NAMED);
    let names: Vec<String> = names.map(shown).collect();
    let where_not = match (names.as_slice(), refs.len().saturating_sub(MOST_NAMED)) {
        ([], _) => "any ref that source admits".into(),
        ([name], _) => name.clone(),
        ([rest @ .., last], 0) => format!("{} or {last}", rest.join(", ")),
        (names, others) => format!("{} or {others} more refs", names.join(", ")),
    };
    let unseen = match more {
        0 => String::new(),
        more => format!(" ({more} further refs were not looked at)"),
    };
    format!(
        "was refused: {commit} is no longer on {where_not}{unseen}; promote it again once it is back, or with --override"
    )
}

/// A duration for people: `24 h`.
fn wait(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.duration_since(from).as_secs().unsigned_abs();
    match (seconds / 3_600, seconds % 3_600) {
        (hours @ 1..=72, 0) => format!("{hours} h"),
        _ => span(from, to),
    }
}

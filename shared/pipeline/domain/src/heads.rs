//! Finds the refs of a repository that have moved without a push that we know of (F8).
//!
//! [`Heads::then`] compares a list of refs with the one before. A difference stays open until a push
//! explains it, so that a webhook has time to arrive, and then [`judge`] says what to do about it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::definition::Source;
use crate::filter;
use crate::names::{CommitSha, GitRef};
use crate::plan::Branch;
use crate::reason::Refusal;
use crate::run::Run;

/// The refs of a repository that start runs, as they were last seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heads {
    /// Identifies the list of refs that this comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
    pub rules: Rules,
    /// The object of each ref.
    pub refs: BTreeMap<GitRef, CommitSha>,
    /// Moves that no known push explains yet.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub open: BTreeMap<GitRef, Open>,
    /// Whether the refs could not be read the last time, because a person must fix something.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub denied: bool,
    /// The next order number of a run at the last comparison.
    #[serde(default)]
    pub drawn: u64,
    /// The same, when the refs were last compared with all runs before it.
    #[serde(default)]
    pub checked: u64,
}

/// The rules that say which refs start runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    pub source: Source,
    pub default_branch: String,
}

impl Rules {
    #[must_use]
    pub fn admit(&self, git_ref: &GitRef) -> bool {
        filter::admits(&self.source, git_ref, &self.default_branch, "").is_ok()
    }
}

/// A move that no known push explains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Where the ref was; none if that is unknown, or it did not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<CommitSha>,
    /// Where the ref is; none if it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<CommitSha>,
    /// When the ref was first seen at another place.
    pub since: Timestamp,
}

/// A list of all refs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub mark: Option<String>,
    pub refs: BTreeMap<GitRef, CommitSha>,
}

/// What to do about an open move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: a push explains it.
    Explained,
    /// Nothing yet: its webhook may still arrive.
    Wait,
    /// Accept the push that did not arrive.
    Missed,
}

/// The refs that are listed for the first time, because the repository or its rules are new. They may
/// have moved before we watched them, so only refs that were planned before can have a missing push.
#[must_use]
pub fn first_seen<'a>(
    before: Option<&Heads>,
    listed: &'a Listed,
    rules: &Rules,
) -> Vec<&'a GitRef> {
    let watched = |git_ref: &GitRef| before.is_some_and(|before| before.rules.admit(git_ref));
    let refs = listed.refs.keys();
    refs.filter(|git_ref| rules.admit(git_ref) && !watched(git_ref))
        .collect()
}

/// The most moves that are open at once; the others are opened in later rounds, so that the item of a
/// repository keeps within its size (each move has two commits and the name of its ref).
pub const MOST_OPEN: usize = 250;

impl Heads {
    /// The refs after a new list, with the moves since this list. `planned` has those refs of
    /// [`first_seen`] that have a run.
    #[must_use]
    pub fn then(
        before: Option<&Self>,
        listed: Listed,
        rules: Rules,
        planned: &BTreeSet<GitRef>,
        now: Timestamp,
    ) -> Self {
        let new: BTreeSet<GitRef> = first_seen(before, &listed, &rules)
            .into_iter()
            .filter(|git_ref| !planned.contains(*git_ref))
            .cloned()
            .collect();
        let nothing = Self::default();
        let before = before.unwrap_or(&nothing);
        let mut refs = listed.refs;
        refs.retain(|git_ref, _| rules.admit(git_ref));
        let mut open = before.open.clone();
        open.retain(|git_ref, _| rules.admit(git_ref));
        let mut later = Vec::new();
        let mut moved = |git_ref: &GitRef, at: Option<&CommitSha>| {
            let known = before.open.get(git_ref);
            if known.is_none() && open.len() >= MOST_OPEN {
                later.push(git_ref.clone());
                return;
            }
            let from = known.map_or(before.refs.get(git_ref), |open| open.from.as_ref());
            let open_now = Open {
                from: from.cloned(),
                at: at.cloned(),
                since: known.map_or(now, |open| open.since),
            };
            open.insert(git_ref.clone(), open_now);
        };
        for (git_ref, object) in &refs {
            if before.refs.get(git_ref) != Some(object) && !new.contains(git_ref) {
                moved(git_ref, Some(object));
            }
        }
        let gone = before.refs.keys().filter(|git_ref| rules.admit(git_ref));
        for git_ref in gone.filter(|git_ref| !refs.contains_key(*git_ref)) {
            moved(git_ref, None);
        }
        // Those are left where they were, and everything is listed again.
        let mark = listed.mark.filter(|_| later.is_empty());
        for git_ref in later {
            match before.refs.get(&git_ref) {
                Some(object) => drop(refs.insert(git_ref, object.clone())),
                None => drop(refs.remove(&git_ref)),
            }
        }
        Self {
            mark,
            rules,
            refs,
            open,
            denied: false,
            drawn: before.drawn,
            checked: before.checked,
        }
    }

    /// Opens moves that no list has shown. A ref may be back where the last list saw it, although a
    /// push in between was planned. `planned` has the newest planned commits of branches, and `drawn`
    /// the next order number before they were read.
    pub fn recheck(&mut self, planned: &BTreeMap<GitRef, CommitSha>, drawn: u64, now: Timestamp) {
        let mut is_whole = true;
        for (git_ref, head) in planned {
            let at = self.refs.get(git_ref);
            if at.is_some_and(|at| at != head) && !self.open.contains_key(git_ref) {
                if self.open.len() >= MOST_OPEN {
                    is_whole = false;
                    break;
                }
                let open = Open {
                    from: Some(head.clone()),
                    at: at.cloned(),
                    since: now,
                };
                self.open.insert(git_ref.clone(), open);
            }
        }
        // A number is drawn before its run is stored, so the refs are compared once more.
        if self.drawn == drawn && is_whole {
            self.checked = drawn;
        }
        self.drawn = drawn;
    }
}

/// An open move of a ref, and what is known about the ref.
#[derive(Debug, Clone, Copy)]
pub struct Moved<'a> {
    pub open: &'a Open,
    /// The ref as it was planned.
    pub branch: Option<&'a Branch>,
    /// The commit that it leads to, if it does.
    pub commit: Option<&'a CommitSha>,
    /// The order of the newest run of that commit on this ref.
    pub newest: Option<u64>,
}

/// Decides about an open move whose webhook may be on its way for as long as `patience`.
#[must_use]
pub fn judge(moved: &Moved<'_>, patience: Duration, now: Timestamp) -> Verdict {
    let Moved {
        open,
        branch,
        commit,
        newest,
    } = *moved;
    let explained = match (&open.at, commit) {
        // If a ref was never planned, nothing has to be undone for it.
        (None, _) => branch.is_none_or(|branch| branch.deleted || branch.head.is_none()),
        // A tag that does not lead to a commit is never built.
        (Some(_), None) => true,
        (Some(_), Some(commit)) => {
            let order = branch.map_or(0, |branch| branch.order);
            let is_refused = newest.is_some_and(|newest| newest > order);
            is_refused || branch.is_some_and(|branch| branch.is_at(commit))
        }
    };
    if explained {
        return Verdict::Explained;
    }
    match now < open.since + patience {
        true => Verdict::Wait,
        false => Verdict::Missed,
    }
}

/// The order of the newest of a commit's runs on a ref: its push may have been refused. A run that was
/// superseded when its push came late says nothing about a later move back to it.
#[must_use]
pub fn newest(runs: &[Run], git_ref: &GitRef) -> Option<u64> {
    let is_late = |run: &Run| matches!(run.refused, Some(Refusal::Superseded { .. }));
    let runs = runs.iter();
    let its = runs.filter(|run| run.key.git_ref == *git_ref && !is_late(run));
    its.map(|run| run.order).max()
}

/// A move that no webhook reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missed {
    Push {
        /// The commit before; none if the ref was created.
        before: Option<CommitSha>,
        /// The object that the ref leads to now.
        after: CommitSha,
        commit: CommitSha,
    },
    Deletion {
        before: CommitSha,
    },
    /// The ref was created and deleted, and never planned.
    Nothing,
}

/// What an open move was that is [`Verdict::Missed`]. `branch` is the ref as it was planned, and `commit`
/// the one that the move leads to.
#[must_use]
pub fn missed(open: &Open, branch: Option<&Branch>, commit: Option<CommitSha>) -> Missed {
    let planned = branch.filter(|branch| !branch.deleted);
    let planned = planned.and_then(|branch| branch.head.clone());
    let before = open.from.clone().or(planned);
    match (open.at.clone(), commit, before) {
        (Some(after), Some(commit), before) => Missed::Push {
            before,
            after,
            commit,
        },
        (_, _, Some(before)) => Missed::Deletion { before },
        (_, _, None) => Missed::Nothing,
    }
}

//! Decides whether a push or a deletion is news: webhooks are repeated and come late, and the sweep may have
//! found the same move before.

use crate::names::CommitSha;
use crate::plan::Branch;

/// Who reported a push or a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reporter {
    /// A webhook, with its delivery id.
    Webhook(String),
    /// The sweep, which has seen where the ref is.
    Sweep,
}

impl Reporter {
    /// The delivery to record.
    #[must_use]
    pub fn delivery(&self) -> &str {
        match self {
            Self::Webhook(delivery) => delivery,
            Self::Sweep => "found by the sweep",
        }
    }
}

/// What is stored of a push, by its repository, ref and both commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    Never,
    /// Its plan is still owed.
    Owed,
    Planned,
}

/// Whether a push to this commit needs no new plan. A ref may repeat an earlier move, so a planned push is a
/// duplicate only while the ref is still there. Otherwise plan-runs asks where the ref is now.
#[must_use]
pub fn is_duplicate(stored: Stored, branch: Option<&Branch>, commit: &CommitSha) -> bool {
    match stored {
        Stored::Never => false,
        Stored::Owed => true,
        Stored::Planned => branch.is_some_and(|branch| branch.is_at(commit)),
    }
}

/// Whether a deletion must be recorded with the ref. A webhook may repeat one from before the ref was
/// created again, which was `noted` then; a ref that was never pushed needs no record.
#[must_use]
pub fn is_news(reporter: &Reporter, noted: bool, branch: Option<&Branch>) -> bool {
    branch.is_some_and(|branch| match reporter {
        Reporter::Webhook(_) => !noted,
        Reporter::Sweep => !branch.deleted,
    })
}

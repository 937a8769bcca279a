//! A row of a ledger as an answer: who decided or did what, when, through which door, and with what
//! result.

use serde::{Deserialize, Serialize};
use towline_domain::Timestamp;
use towline_domain::explain;
use towline_domain::ledger::{Ending, Head, OfBuild, Row, What, WhatOfBuild};
use towline_domain::names::{CommitSha, ComponentName, Digest, RepositoryName, StageName};
use towline_domain::person::{Actor, Door};
use towline_domain::run;
use towline_domain::stage::Request;

use super::login;

/// What a row is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Where {
    /// The GitHub repository.
    pub repository: RepositoryName,
    /// None for the ledger of a repository's builds as a whole.
    pub component: Option<ComponentName>,
    /// None for builds.
    pub stage: Option<StageName>,
}

/// A row of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    pub at: Timestamp,
    /// The login of the person, or `towline`.
    pub actor: String,
    pub action: Action,
    pub result: Outcome,
    /// The door through which the person decided; none for what followed from a decision.
    pub door: Option<Door>,
    /// Why: the person's words, or the rule's.
    pub reason: Option<String>,
    #[serde(flatten)]
    pub place: Where,
    pub promotion: Option<u64>,
    pub build: Option<u64>,
    pub commit: Option<CommitSha>,
    pub digest: Option<Digest>,
    /// Its number in its ledger.
    pub sequence: u64,
    /// Its hash, which the next row of its ledger contains.
    pub hash: String,
}

/// What was done or asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Promote,
    /// A promotion without approval, and from any ref.
    Override,
    Approve,
    Reject,
    Rollback,
    Hold,
    Resume,
    Cancel,
    Retry,
    /// A tag was moved outside Towline.
    MoveTag,
}

impl Action {
    /// The word in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::Override => "override",
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Rollback => "rollback",
            Self::Hold => "hold",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
            Self::Retry => "retry",
            Self::MoveTag => "move_tag",
        }
    }
}

/// The result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A promotion or rollback was opened.
    Opened,
    Done,
    /// It was denied, and changed nothing.
    Denied,
    /// The image is live.
    Live,
    /// The promotion ended: something newer replaced it.
    Superseded,
    /// The promotion ended: nobody approved it in time.
    Expired,
    /// The promotion ended: it is not allowed.
    Refused,
    /// The promotion ended: its tags could not be set.
    Failed,
    Noticed,
}

impl Outcome {
    /// The word in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Done => "done",
            Self::Denied => "denied",
            Self::Live => "live",
            Self::Superseded => "superseded",
            Self::Expired => "expired",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Noticed => "noticed",
        }
    }
}

impl AuditRow {
    /// A row with no content yet.
    fn of<W: Serialize>(place: Where, row: &Row<W>, action: Action, result: Outcome) -> Self {
        Self {
            at: row.at,
            actor: login(&row.by),
            action,
            result,
            door: row.door,
            reason: None,
            place,
            promotion: None,
            build: None,
            commit: None,
            digest: None,
            sequence: row.sequence,
            hash: row.hash(),
        }
    }

    /// The row about a promotion of this image.
    fn moving(
        self,
        promotion: u64,
        commit: CommitSha,
        digest: Digest,
        reason: Option<String>,
    ) -> Self {
        Self {
            reason,
            promotion: Some(promotion),
            commit: Some(commit),
            digest: Some(digest),
            ..self
        }
    }

    /// A row of a stage's ledger.
    pub(super) fn of_stage(place: &Where, row: &Row) -> Self {
        let of = |action, result| Self::of(place.clone(), row, action, result);
        match row.what.clone() {
            What::Requested {
                promotion,
                digest,
                commit,
                rollback,
                reason,
            } => {
                let reason = reason.map(|why| why.to_string());
                of(moving(rollback), Outcome::Opened).moving(promotion, commit, digest, reason)
            }
            What::Overridden {
                promotion,
                digest,
                commit,
                git_ref: _,
                reason,
            } => {
                let row = of(Action::Override, Outcome::Opened);
                row.moving(promotion, commit, digest, Some(reason))
            }
            What::Approved {
                promotion,
                digest,
                commit,
                comment,
            } => of(Action::Approve, Outcome::Done).moving(promotion, commit, digest, comment),
            What::Denied {
                promotion,
                request,
                reason,
            } => {
                let (action, commit, digest) = requested(request);
                Self {
                    reason: Some(reason.to_string()),
                    promotion,
                    commit,
                    digest,
                    ..of(action, Outcome::Denied)
                }
            }
            What::Ended { promotion, how } => {
                let (action, result) = ended(&how);
                Self {
                    reason: Some(why_ended(promotion, how, &row.by)),
                    promotion: Some(promotion),
                    ..of(action, result)
                }
            }
            What::Moved { promotion, to, .. } => Self {
                promotion: Some(promotion),
                digest: Some(to),
                ..of(Action::Promote, Outcome::Live)
            },
            What::Held { reason } => Self {
                reason: Some(reason.to_string()),
                ..of(Action::Hold, Outcome::Done)
            },
            What::Resumed => of(Action::Resume, Outcome::Done),
            What::Drifted { tag, digest } => Self {
                reason: Some(format!("tag {tag} was moved outside Towline")),
                digest: Some(digest),
                ..of(Action::MoveTag, Outcome::Noticed)
            },
        }
    }

    /// A row of the ledger of builds.
    pub(super) fn of_build(place: &Where, row: &Row<OfBuild>) -> Self {
        let (action, result, reason) = match &row.what.what {
            WhatOfBuild::Cancelled => (Action::Cancel, Outcome::Done, None),
            WhatOfBuild::Retried { next } => {
                let reason = format!("repeated as build#{next}");
                (Action::Retry, Outcome::Done, Some(reason))
            }
            WhatOfBuild::Denied { request, reason } => {
                let action = match request {
                    run::Request::Cancel => Action::Cancel,
                    run::Request::Retry => Action::Retry,
                };
                (action, Outcome::Denied, Some(reason.to_string()))
            }
        };
        let place = Where {
            component: Some(row.what.component.clone()),
            ..place.clone()
        };
        Self {
            reason,
            build: Some(row.what.build),
            commit: Some(row.what.commit.clone()),
            ..Self::of(place, row, action, result)
        }
    }
}

fn why_ended(promotion: u64, how: Ending, by: &Actor) -> String {
    match how {
        Ending::Rejected { reason } => reason,
        how @ (Ending::Superseded { .. }
        | Ending::Overtaken { .. }
        | Ending::RolledBack
        | Ending::Expired { .. }
        | Ending::Refused { .. }
        | Ending::CommitRemoved { .. }
        | Ending::Failed { .. }) => explain::ending(promotion, &how, Some(by)),
    }
}

fn moving(rollback: bool) -> Action {
    match rollback {
        true => Action::Rollback,
        false => Action::Promote,
    }
}

fn requested(request: Request) -> (Action, Option<CommitSha>, Option<Digest>) {
    match request {
        Request::Promote { commit } => (Action::Promote, Some(commit), None),
        Request::PromoteImage { digest } => (Action::Promote, None, Some(digest)),
        Request::GoBack => (Action::Rollback, None, None),
        Request::RollBack { commit } => (Action::Rollback, Some(commit), None),
        Request::RollBackTo { digest } => (Action::Rollback, None, Some(digest)),
        Request::Approve => (Action::Approve, None, None),
        Request::Reject => (Action::Reject, None, None),
        Request::Hold => (Action::Hold, None, None),
        Request::Resume => (Action::Resume, None, None),
    }
}

fn ended(how: &Ending) -> (Action, Outcome) {
    match how {
        Ending::Rejected { .. } => (Action::Reject, Outcome::Done),
        Ending::Superseded { .. } | Ending::Overtaken { .. } | Ending::RolledBack => {
            (Action::Promote, Outcome::Superseded)
        }
        Ending::Expired { .. } => (Action::Promote, Outcome::Expired),
        Ending::Refused { .. } | Ending::CommitRemoved { .. } => {
            (Action::Promote, Outcome::Refused)
        }
        Ending::Failed { .. } => (Action::Promote, Outcome::Failed),
    }
}

/// Whether a ledger is a chain from its last row to its first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerState {
    #[serde(flatten)]
    pub place: Where,
    /// The number of its rows.
    pub rows: u64,
    /// The hash of its last row.
    pub hash: String,
    /// The number of the row that is missing or was changed, if any; no older one can be checked.
    pub breaks_at: Option<u64>,
}

impl LedgerState {
    pub(super) fn of(place: &Where, head: &Head, breaks_at: Option<u64>) -> Self {
        Self {
            place: place.clone(),
            rows: head.sequence,
            hash: head.hash.clone(),
            breaks_at,
        }
    }
}

//! Work for a handler.

use std::sync::Arc;

use serde_json::Value;
use towline_answers::Command;
use towline_domain::names::{CommitSha, RepositoryId};
use towline_domain::person::Person;
use towline_wire::eventbridge;
use towline_wire::http::Request;

/// Work for a handler.
#[derive(Debug, Clone)]
pub enum Job {
    /// A webhook arrives.
    Webhook(Request),
    /// An event for a function, and the number of earlier tries.
    Event(String, Arc<Value>, u32),
    /// A minute has passed.
    Sweep,
    /// A person sends a command.
    Person(Person, Command),
}

impl Job {
    /// The function for the job.
    pub(crate) fn function(&self) -> &str {
        match self {
            Self::Webhook(_) => "receive-github",
            Self::Event(function, ..) => function,
            Self::Sweep => "sweep",
            Self::Person(..) => "answer-chat",
        }
    }

    /// The repository whose stage tags are to be compared with the registry.
    pub(crate) fn compares(&self) -> Option<RepositoryId> {
        let Self::Event(_, event, _) = self else {
            return None;
        };
        let is_due = event["detail-type"] == eventbridge::STAGE_TAGS;
        let id = event["detail"]["repository"].as_u64();
        id.filter(|_| is_due).map(RepositoryId)
    }

    /// The commit of the push that is to be planned.
    pub(crate) fn pushed(&self) -> Option<CommitSha> {
        let Self::Event(_, event, _) = self else {
            return None;
        };
        if event["detail-type"] != "Push Accepted" {
            return None;
        }
        event["detail"]["intent"]["commit"].as_str()?.parse().ok()
    }
}

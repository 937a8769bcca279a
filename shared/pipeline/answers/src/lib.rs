//! The questions and commands of people: one grammar, one set of rights, one value for each answer,
//! and its renderings.
//!
//! The command line, chat and the HTTP API all use [`ask`] and [`tell`], so that their answers cannot differ.

pub mod answers;
mod ask;
pub mod audit;
mod chat;
mod claims;
pub mod command;
mod door;
mod given;
pub mod http;
mod images;
mod log;
mod lookup;
pub mod moment;
mod promotions;
pub mod query;
mod queue;
mod reason;
mod refusal;
mod runs;
mod sight;
pub mod slack;
mod stages;
mod tell;
pub mod text;
pub mod words;

use towline_ports::PortError;
use towline_state::HandlerError;

pub use answers::Answer;
pub use ask::{ask, ask_as};
pub use command::Command;
pub use door::{Authenticate, Door};
pub use query::Query;
pub use refusal::{Refusal, Thing};
pub use tell::tell;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// What was asked for does not exist, is ambiguous or is not allowed.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// Trying again may help.
    #[error(transparent)]
    Failed(#[from] HandlerError),
}

impl From<Refusal> for ChatError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

impl From<PortError> for ChatError {
    fn from(error: PortError) -> Self {
        Self::Failed(error.into())
    }
}

fn refused<T>(refusal: Refusal) -> Result<T, ChatError> {
    Err(refusal.into())
}

#[cfg(test)]
mod tests;

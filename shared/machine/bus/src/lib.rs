//! EventBridge on one machine: events are matched by the files of `events/rules` and queued.
//!
//! The queue lives in memory only. What is lost with the process is still owed in the store, and
//! `sweep` announces it again; foreign events are kept by whoever sends them until they are taken.

pub mod rules;

mod queue;
mod router;

pub use queue::{LocalBus, Queued};
pub use router::{Router, RuleError};

//! EventBridge on one machine: matches events with the files in `events/rules` and queues them.
//!
//! The queue is in memory only. Intents that are lost with the process are still owed in the store, and
//! `sweep` announces them again. Registry and runner keep their own events until these are handled.

pub mod rules;

mod queue;
mod router;

pub use queue::{LocalBus, Queued};
pub use router::{Router, RuleError};

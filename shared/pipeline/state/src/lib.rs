//! Stores the state: keys, records, reads, commits and intents.

pub mod apply;
pub mod retry;

mod change;
mod confined;
mod content;
mod context;
mod needs;
mod obstacles;
mod outbox;
mod read;
mod reads;

#[cfg(test)]
mod tests;

pub mod history;
pub mod keys;
pub mod numbers;
pub mod records;

pub use change::Change;
pub use confined::Confined;
pub use content::{HandlerError, Stored, body};
pub use context::{Context, Rounds, milliseconds};
pub use needs::{needed, needed_to_promote};
pub use outbox::{Outbox, Owed, announcement, intent_id};
pub use read::Read;
pub use reads::Reads;

//! The templates against everything they have to agree with.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;
mod component;
mod policies;
mod template;

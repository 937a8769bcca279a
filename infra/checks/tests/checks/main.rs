//! Compares the templates with everything they must match.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;
mod component;
mod policies;
mod template;

//! What every command does at a terminal: print in colours or as JSON, ask, log, end with a status.

#![warn(clippy::wildcard_enum_match_arm)]

pub mod outcome;
pub mod output;
pub mod process;
pub mod style;
pub mod surroundings;
pub mod terminal;

//! Terminal output of all commands: colors, JSON, questions, logs and exit status.

pub mod outcome;
pub mod output;
pub mod process;
pub mod style;
pub mod surroundings;
pub mod terminal;

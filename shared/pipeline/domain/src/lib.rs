//! The decisions of Towline, as plain functions: state and fact in, state and intents out.
//!
//! Nothing here waits, reads a clock, draws a random number or knows a foreign format; every
//! function returns the same for the same arguments. `ARCHITECTURE.md` shows who calls what.

pub mod authors;
pub mod causes;
pub mod names;
pub mod person;
pub mod untrusted;

pub mod definition;
pub mod filter;
mod glob;
pub mod heads;
pub mod outputs;
pub mod reason;
pub mod redelivery;
pub mod rights;
pub mod tags;

pub mod arrival;
pub mod image;
pub mod plan;
pub mod record;

pub mod choice;
pub mod deployment;
pub mod given_up;
pub mod loosened;
pub mod obstacle;
pub mod offer;
pub mod run;
pub mod stage;
pub mod trusted;
pub mod turns;

pub mod intent;
pub mod ledger;

pub mod explain;
pub mod report;

pub use jiff::Timestamp;

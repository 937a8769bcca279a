//! The builds port on one machine: runs CodeBuild buildspecs phase by phase as CodeBuild does.
//!
//! [`Runner::open`] returns the port; [`Runner::next_events`] reports on builds in the form of CodeBuild's
//! events. It finds the processes of builds in `/proc`, so it runs only on Linux.

mod artifacts;
mod build;
mod cache;
mod cgroup;
mod checkout;
mod config;
mod database;
mod environment;
mod event;
mod files;
mod folder;
mod inner;
mod keep;
mod line;
mod log;
mod phases;
mod prepare;
mod process;
mod queue;
mod record;
mod refusals;
mod reports;
mod runner;
mod runtimes;
mod said;
mod secrets;
mod shelf;
mod shell;
#[cfg(test)]
mod tests;
mod users;

pub use config::{Checkout, Config, Machine, Now, OnePassword, OpenError, RegistryAccess};
pub use event::StateChange;
pub use runner::Runner;
pub use users::{User, UserError};

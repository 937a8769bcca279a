//! The builds port on one machine: runs CodeBuild buildspecs phase by phase as CodeBuild does.
//!
//! [`Runner::open`] gives the port; what becomes of builds is told by [`Runner::next_events`] in
//! the shape of CodeBuild's own events. It finds the processes of builds below `/proc`, so it runs
//! on Linux.

mod artifacts;
mod build;
mod checkout;
mod config;
mod database;
mod environment;
mod event;
mod folder;
mod log;
mod phases;
mod process;
mod queue;
mod record;
mod runner;
mod shell;
#[cfg(test)]
mod tests;

pub use config::{Checkout, Config, Machine, Now, OpenError, RegistryPassword};
pub use event::StateChange;
pub use runner::Runner;

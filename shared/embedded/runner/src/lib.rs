//! The builds port on one machine: runs CodeBuild buildspecs phase by phase as CodeBuild does.
//!
//! [`Runner::open`] gives the port; what becomes of builds is told by [`Runner::next_events`] in
//! the shape of CodeBuild's own events.

mod artifacts;
mod build;
mod checkout;
mod database;
mod environment;
mod event;
mod folder;
mod log;
mod phases;
mod process;
mod record;
mod runner;
mod shell;
#[cfg(test)]
mod tests;

pub use event::StateChange;
pub use runner::{Checkout, Config, Machine, Now, OpenError, RegistryPassword, Runner};

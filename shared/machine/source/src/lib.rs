//! The source port over the `git` command: a bare mirror per registered repository.
//!
//! [`GitSource::open`] takes the repositories that the operator registered. It is both the source and
//! the list of repositories that may push: a registered name is bound to the id of its first push.

pub mod checkout;
pub mod described;

mod bindings;
mod git;
mod mirror;
mod moves;
mod origin;
mod orphans;
mod source;
#[cfg(test)]
mod tests;

pub use git::Surroundings;
pub use origin::{Origin, OriginError, Registered, local_id};
pub use source::{GitSource, OpenError};
pub use towline_ports::admission::is_local;

//! The source port over the `git` command: a bare mirror per registered repository.
//!
//! [`GitSource::open`] takes the repositories the operator registered, and is both the source and
//! the list of who may use us: a registered name is bound to the numeric id of its first push.

pub mod checkout;
pub mod described;

mod bindings;
mod git;
mod mirror;
mod origin;
mod orphans;
mod source;
#[cfg(test)]
mod tests;

pub use git::Surroundings;
pub use origin::{Origin, OriginError, Registered, local_id};
pub use source::{GitSource, OpenError};
pub use towline_ports::admission::is_local;

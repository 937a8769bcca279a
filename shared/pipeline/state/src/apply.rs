//! Applies facts to the stored state: loads, decides in `towline-domain`, commits, and repeats after
//! conflicts.

mod run;
mod stage;

pub use run::{Told, decide_run, tell_of_run, to_run};
pub use stage::{decide_stage, tell_of_stage, to_stage};

/// The result of a fact.
#[derive(Debug)]
pub enum Applied<S, R> {
    /// The fact was accepted; this is the state after it.
    Taken(S),
    /// Its request is refused.
    Refused(R),
}

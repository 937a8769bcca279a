//! Facts meet state here: load, decide in `towline-domain`, commit, as often as it takes.

mod run;
mod stage;

pub use run::{Told, decide_run, tell_of_run, to_run};
pub use stage::{decide_stage, tell_of_stage, to_stage};

/// What became of a fact.
#[derive(Debug)]
pub enum Applied<S, R> {
    /// It was taken; this is the state after it.
    Taken(S),
    /// It asked for something that is not granted.
    Refused(R),
}

//! What people should know about a run beside its state, as data; [`crate::explain`] words it.

use serde::{Deserialize, Serialize};

use super::Contradiction;
use crate::names::ComponentName;
use crate::offer::Unoffered;
use crate::person::Actor;

/// A note about a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// Changed files belong to no component.
    Outside {
        /// The first of them.
        files: Vec<String>,
        /// How many there are.
        count: usize,
    },
    /// A build is repeated.
    TriedAgain {
        component: ComponentName,
        /// Its number.
        build: u64,
        /// The number of the build that repeats it.
        again: u64,
        /// Who asked for it.
        by: Actor,
    },
    /// The registry contradicts what is known of an attempt that succeeded.
    Contradicted(Contradiction),
    /// The image of a component is offered to no stage.
    NotOffered {
        component: ComponentName,
        why: Unoffered,
    },
}

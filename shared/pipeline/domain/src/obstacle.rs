//! What keeps work from going on until a person acts, as data; [`crate::explain`] words it.

use serde::{Deserialize, Serialize};

/// What a person must put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// The credentials for the Git repositories, or what they may do there.
    Git,
    /// What AWS allows Towline's roles.
    Aws,
    /// The secrets that builds need on one machine.
    Secrets,
}

/// A denial. It lasts until a person fixes something. So the work is retried with growing pauses, and at
/// once when something else that the same service denied succeeds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obstacle {
    pub by: Service,
    /// In the service's words.
    pub said: String,
}

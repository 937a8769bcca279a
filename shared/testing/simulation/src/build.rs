//! How a build goes: how long it takes, what it pushes, how it ends.

use std::time::Duration;

use towline_domain::run::BuildStatus;

#[derive(Debug, Clone, Copy)]
pub struct BuildPlan {
    /// How long it takes.
    pub takes: Duration,
    /// How it ends.
    pub ends: BuildStatus,
    /// What it pushes before it ends.
    pub pushes: Pushes,
}

/// What a build pushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushes {
    /// An image of its own.
    Image,
    /// The same image as every other build of its component with this plan.
    SameImage,
    /// Nothing, regardless of its result.
    Nothing,
    /// An image, and then another under the same tags (A26).
    Twice,
}

impl Default for BuildPlan {
    fn default() -> Self {
        Self {
            takes: Duration::from_secs(120),
            ends: BuildStatus::Succeeded,
            pushes: Pushes::Image,
        }
    }
}

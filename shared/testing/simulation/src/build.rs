//! How a build goes, and what it was told.

use std::time::Duration;

use towline_domain::run::BuildStatus;
use towline_ports::StartBuild;

/// How long a build takes, what it pushes, how it ends.
#[derive(Debug, Clone, Copy)]
pub struct BuildPlan {
    /// How long it takes.
    pub takes: Duration,
    /// How it ends.
    pub ends: BuildStatus,
    /// What it pushes before it ends.
    pub pushes: Pushes,
    /// Whether it also pushes where it may not, and after its end.
    pub strays: bool,
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
            strays: false,
        }
    }
}

/// A variable of a build's environment.
#[must_use]
pub fn variable<'a>(start: &'a StartBuild, name: &str) -> &'a str {
    let mut all = start.environment.iter().rev();
    let found = all.find(|(known, _)| known == name);
    found.map_or("", |(_, value)| value)
}

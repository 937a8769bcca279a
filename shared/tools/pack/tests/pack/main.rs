//! Images are assembled from temporary folders, and pushed to a registry in the test.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod folder;
mod registry;

mod base;
mod content;
mod pushing;
mod reproducible;

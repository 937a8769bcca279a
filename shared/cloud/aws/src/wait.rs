//! Pauses between attempts that the SDK does not retry.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// A random number that differs between processes.
pub(crate) fn chance() -> u64 {
    // Each state has its own keys, seeded by the operating system.
    RandomState::new().hash_one(0)
}

/// Waits a random part of `most`, twice as long with each attempt (full jitter).
pub(crate) async fn pause(most: Duration, attempt: u32) {
    let most = most * 2_u32.pow(attempt.min(6));
    let part = chance() % 1_000;
    tokio::time::sleep(most * u32::try_from(part).unwrap_or(0) / 1_000).await;
}

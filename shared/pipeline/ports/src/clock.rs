//! Time and random numbers, which enter at the edge.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

/// Time, waiting and random numbers.
#[async_trait]
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;

    /// Waits.
    async fn sleep(&self, time: Duration);

    /// A random number.
    fn random(&self) -> u64;
}

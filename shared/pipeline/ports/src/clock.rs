//! Time and chance, which come in at the edge.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

/// Tells the time, waits, and draws lots.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Waits.
    async fn sleep(&self, time: Duration);

    /// A random number.
    fn random(&self) -> u64;
}

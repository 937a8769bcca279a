//! The time and random numbers of the machine. No other place reads them.

use std::time::Duration;

use crate::Clock;
use async_trait::async_trait;
use jiff::Timestamp;

/// The system's clock and random numbers.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "time comes in here and nowhere else"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn random(&self) -> u64 {
        u64::from_ne_bytes(random_bytes())
    }
}

/// Random bytes for secrets.
///
/// # Panics
/// If the system has no source of randomness, since no secret could be safe then.
#[must_use]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system has a source of randomness");
    bytes
}

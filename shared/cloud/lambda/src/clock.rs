//! Time and chance of the machine a function runs on; the one place that asks for them.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use towline_ports::Clock;

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
        getrandom::u64().expect("Linux has random numbers once it has started")
    }
}

/// A word that nobody else has: under it, one invocation holds a lease.
#[must_use]
pub fn random_word() -> String {
    let clock = SystemClock;
    format!("{:016x}{:016x}", clock.random(), clock.random())
}

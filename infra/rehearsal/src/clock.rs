//! The real time.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use towline_ports::Clock;

#[derive(Debug, Clone, Copy, Default)]
pub struct RealClock;

#[async_trait]
impl Clock for RealClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn random(&self) -> u64 {
        // Sufficient to distinguish two things.
        Timestamp::now().subsec_nanosecond().unsigned_abs().into()
    }
}

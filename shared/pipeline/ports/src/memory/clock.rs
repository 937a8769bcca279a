//! A `Clock` whose time a test moves, with predictable random numbers.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::lock;
use crate::Clock;

/// A virtual clock.
#[derive(Debug)]
pub struct MemoryClock {
    now: Mutex<Timestamp>,
    lots: Mutex<SplitMix64>,
}

impl MemoryClock {
    #[must_use]
    pub fn new(now: Timestamp, seed: u64) -> Self {
        Self {
            now: Mutex::new(now),
            lots: Mutex::new(SplitMix64::new(seed)),
        }
    }

    /// Sets the time, forward or back.
    pub fn set(&self, now: Timestamp) {
        *lock(&self.now) = now;
    }

    /// Lets time pass.
    pub fn advance(&self, time: Duration) {
        let mut now = lock(&self.now);
        *now += time;
    }
}

#[async_trait]
impl Clock for MemoryClock {
    fn now(&self) -> Timestamp {
        *lock(&self.now)
    }

    /// Returns at once, and moves the time.
    async fn sleep(&self, time: Duration) {
        self.advance(time);
    }

    fn random(&self) -> u64 {
        lock(&self.lots).draw()
    }
}

/// Random numbers from a seed (Steele, Lea and Flood, "Fast splittable pseudorandom
/// number generators", 2014). Not for secrets.
#[derive(Debug, Clone)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// The numbers of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn time_passes_when_it_is_told_to_and_while_somebody_sleeps() {
        let start: Timestamp = "2025-03-01T12:00:00Z".parse().expect("a time");
        let clock = MemoryClock::new(start, 1);
        assert_eq!(clock.now(), start);
        clock.advance(Duration::from_secs(90));
        clock.sleep(Duration::from_millis(1)).await;
        assert_eq!(clock.now().to_string(), "2025-03-01T12:01:30.001Z");
        clock.set(start);
        assert_eq!(clock.now(), start);
    }

    #[test]
    fn the_same_seed_gives_the_same_lots() {
        let draw = |seed| {
            let clock = MemoryClock::new(Timestamp::UNIX_EPOCH, seed);
            [(); 3].map(|()| clock.random())
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        // The published first number of seed 0.
        assert_eq!(draw(0)[0], 0xe220_a839_7b1d_cdaf);
    }
}

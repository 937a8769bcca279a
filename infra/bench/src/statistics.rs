//! Times and their medians.

use std::time::Duration;

/// Repeated measurements.
#[derive(Default)]
pub struct Times(Vec<Duration>);

impl Times {
    pub fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// The middle one, in milliseconds.
    pub fn median(&self) -> String {
        milliseconds(self.at(50))
    }

    /// The median and the 99th percentile.
    pub fn spread(&self) -> String {
        format!("{} ({})", self.median(), milliseconds(self.at(99)))
    }

    fn at(&self, percent: usize) -> Duration {
        let mut times = self.0.clone();
        times.sort_unstable();
        let index = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times.get(index).copied().unwrap_or_default()
    }
}

fn milliseconds(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1_000.0;
    let digits = if milliseconds < 10.0 { 2 } else { 0 };
    format!("{milliseconds:.digits$}")
}

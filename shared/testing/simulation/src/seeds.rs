//! Runs many seeds one by one, and reports the result.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::campaign;
use crate::chance::Profile;
use crate::world::router;

/// The result of these seeds.
#[derive(Debug)]
pub struct Seeds {
    profile: &'static str,
    first: u64,
    seeds: u64,
    events: u64,
    steps: u64,
    moves: u64,
    /// Rows of ledgers that were written for decisions which came to nothing.
    pub orphans: u64,
    took: Duration,
    /// Each seed in which something did not hold, and what.
    pub broken: Vec<String>,
}

impl Seeds {
    /// Runs these seeds.
    #[must_use]
    pub fn live(profile: Profile, first: u64, seeds: u64) -> Self {
        let begun = Instant::now();
        let router = router();
        let mut all = Self {
            profile: profile.name,
            first,
            seeds,
            events: 0,
            steps: 0,
            moves: 0,
            orphans: 0,
            took: Duration::ZERO,
            broken: Vec::new(),
        };
        for seed in first..first + seeds {
            let name = profile.name;
            match catch_unwind(AssertUnwindSafe(|| campaign(seed, profile, &router))) {
                Ok(outcome) => {
                    all.events += outcome.deliveries;
                    all.steps += outcome.steps;
                    all.moves += outcome.moves;
                    all.orphans += outcome.orphans;
                    if !outcome.faults.is_empty() {
                        let (faults, view) = (outcome.faults, outcome.view);
                        let told = format!("{name} seed {seed}: {faults:#?}\n{view}");
                        all.broken.push(told);
                    }
                }
                Err(_) => all
                    .broken
                    .push(format!("{name} seed {seed}: see the panic above")),
            }
        }
        all.took = begun.elapsed();
        all
    }
}

impl fmt::Display for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        write!(
            f,
            "{}: {} seeds from {}, {} events, {} I/O steps, {} promotions, {} rows of decisions that lost; {:.0} events and {:.0} steps per second; {} broken",
            self.profile,
            self.seeds,
            self.first,
            self.events,
            self.steps,
            self.moves,
            self.orphans,
            self.events as f64 / seconds,
            self.steps as f64 / seconds,
            self.broken.len()
        )
    }
}

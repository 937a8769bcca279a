//! Runs many seeds, on as many threads as asked, and reports the result.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use towline_bus::Router;

use crate::campaign::{Outcome, live};
use crate::plan::Plan;
use crate::weather::Weather;
use crate::world::router;

/// The number of first seeds that are run twice, to check that both runs are the same.
const TWICE: u64 = 25;

/// The maximum number of broken seeds to describe.
const MOST_TOLD: usize = 10;

/// The result of these seeds.
#[derive(Debug)]
pub struct Seeds {
    weather: Weather,
    first: u64,
    seeds: u64,
    threads: usize,
    sums: Sums,
    took: Duration,
    /// Each seed in which something did not hold, and what.
    pub broken: Vec<Broken>,
}

/// A seed in which something did not hold.
#[derive(Debug)]
pub struct Broken {
    pub seed: u64,
    pub told: String,
}

#[derive(Debug, Default)]
struct Sums {
    events: u64,
    steps: u64,
    moves: u64,
    orphans: u64,
    /// The sum of all traces, in which their order does not matter.
    traces: u64,
    broken: Vec<Broken>,
}

impl Sums {
    fn add(&mut self, seed: u64, weather: Weather, outcome: Outcome) {
        self.events += outcome.deliveries;
        self.steps += outcome.steps;
        self.moves += outcome.moves;
        self.orphans += outcome.orphans;
        self.traces = self.traces.wrapping_add(outcome.hash);
        if !outcome.faults.is_empty() {
            let (name, faults, view) = (weather.word(), outcome.faults, outcome.view);
            let told = format!("{name} seed {seed}: {}\n{view}", faults.join("\n"));
            self.broken.push(Broken { seed, told });
        }
    }
}

impl Seeds {
    /// Runs these seeds.
    #[must_use]
    pub fn live(weather: Weather, first: u64, seeds: u64, threads: usize) -> Self {
        let begun = Instant::now();
        let sums = Mutex::new(Sums::default());
        let next = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..threads {
                // Each has its own router, so that they share nothing.
                scope.spawn(|| run(weather, first, seeds, &next, &sums, &router()));
            }
        });
        let mut sums = sums.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut broken = std::mem::take(&mut sums.broken);
        broken.sort_by_key(|broken| broken.seed.wrapping_sub(first));
        Self {
            weather,
            first,
            seeds,
            threads,
            sums,
            took: begun.elapsed(),
            broken,
        }
    }

    /// Rows of ledgers that were written for decisions that were not committed.
    #[must_use]
    pub fn orphans(&self) -> u64 {
        self.sums.orphans
    }

    /// Events that handlers received.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.sums.events
    }
}

fn run(
    weather: Weather,
    first: u64,
    seeds: u64,
    next: &AtomicU64,
    sums: &Mutex<Sums>,
    router: &Arc<Router>,
) {
    loop {
        let count = next.fetch_add(1, Ordering::Relaxed);
        if count >= seeds {
            return;
        }
        let seed = first.wrapping_add(count);
        let plan = Plan::of(seed, weather);
        let mut outcome = live(&plan, router);
        if count < TWICE && live(&plan, router).hash != outcome.hash {
            let fault = "the seed is not the same world the second time";
            outcome.faults.push(fault.into());
        }
        let mut sums = sums.lock().unwrap_or_else(PoisonError::into_inner);
        sums.add(seed, weather, outcome);
    }
}

impl fmt::Display for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        let cores = seconds * self.threads as f64;
        write!(
            f,
            "{}: {} seeds from {} in {seconds:.0} s on {} threads, {} events, {} I/O steps, {} promotions, {} rows of decisions that lost; {:.0} events and {:.0} steps per second and thread; traces {:016x}; {} broken",
            self.weather.word(),
            self.seeds,
            self.first,
            self.threads,
            self.sums.events,
            self.sums.steps,
            self.sums.moves,
            self.sums.orphans,
            self.sums.events as f64 / cores,
            self.sums.steps as f64 / cores,
            self.sums.traces,
            self.broken.len()
        )?;
        for broken in self.broken.iter().take(MOST_TOLD) {
            write!(f, "\n{}", broken.told)?;
        }
        Ok(())
    }
}

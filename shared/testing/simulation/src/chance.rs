//! Decides which faults happen and how often, all from one seed.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use towline_ports::PortError;
use towline_ports::memory::SplitMix64;

/// How often faults happen, out of ten thousand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    pub name: &'static str,
    /// An invocation dies at an I/O step.
    pub crash: u64,
    /// A port does not answer, and nothing happened.
    pub error: u64,
    /// A port does not answer, although the request succeeded.
    pub lost_answer: u64,
    /// CodeBuild has no capacity.
    pub busy: u64,
    /// A transaction meets another one that changes nothing.
    pub conflict: u64,
    /// An event arrives twice.
    pub duplicate: u64,
    /// An event never arrives, nor the webhook of a ref whose moves are found without it.
    pub lose: u64,
    /// A sweep does not take place.
    pub no_sweep: u64,
    /// The longest delay of an event.
    pub delay: Duration,
    /// The most concurrent invocations.
    pub concurrency: usize,
    /// The clock jumps ahead to the next event although invocations are still running.
    pub jump: u64,
}

impl Profile {
    /// No faults, and one thing after another: for stories.
    pub const QUIET: Self = Self {
        name: "quiet",
        crash: 0,
        error: 0,
        lost_answer: 0,
        busy: 0,
        conflict: 0,
        duplicate: 0,
        lose: 0,
        no_sweep: 0,
        delay: Duration::ZERO,
        concurrency: 1,
        jump: 250,
    };

    /// An ordinary day.
    pub const CALM: Self = Self {
        name: "calm",
        crash: 2,
        error: 5,
        lost_answer: 2,
        busy: 50,
        conflict: 5,
        duplicate: 100,
        lose: 10,
        no_sweep: 10,
        delay: Duration::from_secs(5),
        concurrency: 4,
        jump: 250,
    };

    /// A day with faults everywhere.
    pub const ROUGH: Self = Self {
        name: "rough",
        crash: 60,
        error: 60,
        lost_answer: 40,
        busy: 1_000,
        conflict: 200,
        duplicate: 1_000,
        lose: 500,
        no_sweep: 1_000,
        delay: Duration::from_secs(120),
        concurrency: 8,
        jump: 250,
    };
}

/// The random numbers of a seed, and the faults they decide.
#[derive(Debug)]
pub struct Chance {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    lots: SplitMix64,
    profile: Profile,
    steps: u64,
    trace: u64,
    acting: String,
    requests: BTreeMap<(String, String), u64>,
    weighs: bool,
}

impl Chance {
    /// The random numbers of a seed.
    #[must_use]
    pub fn new(seed: u64, profile: Profile) -> Self {
        let lots = SplitMix64::new(seed);
        let trace = seed;
        Self {
            state: Mutex::new(State {
                lots,
                profile,
                steps: 0,
                trace,
                acting: String::new(),
                requests: BTreeMap::new(),
                weighs: false,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The current profile of faults.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.state().profile
    }

    /// Changes the profile of faults.
    pub fn set_profile(&self, profile: Profile) {
        self.state().profile = profile;
    }

    /// A number below `most`, which is not 0.
    #[must_use]
    pub fn below(&self, most: u64) -> u64 {
        self.state().lots.draw() % most
    }

    /// Whether something happens that has this probability, out of ten thousand.
    #[must_use]
    pub fn happens(&self, often: u64) -> bool {
        often > 0 && self.below(10_000) < often
    }

    /// A time up to `most`.
    #[must_use]
    pub fn up_to(&self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(if most == 0 { 0 } else { self.below(most) })
    }

    /// I/O steps so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.state().steps
    }

    /// Records what happened, for comparing two runs of one seed.
    pub fn trace(&self, what: &str) {
        let mut state = self.state();
        for byte in what.bytes() {
            state.trace = (state.trace ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// Sets the function whose requests are counted.
    pub(crate) fn let_act(&self, function: &str) {
        let mut state = self.state();
        if state.acting != function {
            function.clone_into(&mut state.acting);
        }
    }

    /// From now on, counts the write units of every write too, which takes time.
    pub fn weigh(&self) {
        self.state().weighs = true;
    }

    pub(crate) fn weighs(&self) -> bool {
        self.state().weighs
    }

    /// Counts a request of the current function.
    pub(crate) fn count(&self, what: &str, many: u64) {
        let mut state = self.state();
        let who = state.acting.clone();
        *state.requests.entry((who, what.into())).or_default() += many;
    }

    /// The requests since the last call, by function and kind.
    #[must_use]
    pub fn take_requests(&self) -> BTreeMap<(String, String), u64> {
        std::mem::take(&mut self.state().requests)
    }

    /// A hash of everything that happened.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.state().trace
    }

    /// The moment before an effect: an invocation that dies here has done nothing.
    pub(crate) async fn before(&self, doing: &str) -> Result<(), PortError> {
        pause().await;
        self.state().steps += 1;
        self.count(doing, 1);
        if self.happens(self.profile().error) {
            return Err(PortError::because(format!("{doing}: it does not answer")));
        }
        Ok(())
    }

    /// The moment after an effect: an invocation that dies here never learns of it.
    pub(crate) async fn after(&self, doing: &str) -> Result<(), PortError> {
        pause().await;
        self.state().steps += 1;
        if self.happens(self.profile().lost_answer) {
            return Err(PortError::because(format!("{doing}: the answer was lost")));
        }
        Ok(())
    }
}

/// Lets other tasks run once.
async fn pause() {
    let mut paused = false;
    poll_fn(|_| {
        if std::mem::replace(&mut paused, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

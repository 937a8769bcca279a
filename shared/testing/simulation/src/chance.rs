//! Chance: what goes wrong, how often, all of it drawn from one seed.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use towline_ports::PortError;
use towline_ports::memory::SplitMix64;

/// How often things go wrong, out of ten thousand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: &'static str,
    /// An invocation dies at an I/O step.
    pub crash: u64,
    /// A port does not answer, and nothing happened.
    pub error: u64,
    /// A port does not answer, although what was asked for happened.
    pub lost_answer: u64,
    /// CodeBuild has no capacity.
    pub busy: u64,
    /// A transaction meets another one that leaves no trace.
    pub conflict: u64,
    /// An event comes twice.
    pub duplicate: u64,
    /// An event never comes; a webhook comes later instead, because its sender delivers it again.
    pub lose: u64,
    /// A sweep does not take place.
    pub no_sweep: u64,
    /// The longest an event is under way.
    pub delay: Duration,
    /// Invocations that may be under way at the same time.
    pub concurrency: usize,
    /// What comes later begins while others are still at work, for whom time then jumps ahead.
    pub jump: u64,
}

impl Profile {
    /// Nothing goes wrong and one thing happens after the other: for stories.
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

    /// A day on which nothing works as it should.
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

/// One seed's lots, and the faults they decide.
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
}

impl Chance {
    /// The lots of a seed.
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
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What goes wrong now.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.state().profile
    }

    /// Lets other things go wrong from now on.
    pub fn set_profile(&self, profile: Profile) {
        self.state().profile = profile;
    }

    /// A number below `most`, which is not 0.
    #[must_use]
    pub fn below(&self, most: u64) -> u64 {
        self.state().lots.draw() % most
    }

    /// Whether something happens that happens so often out of ten thousand.
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

    /// Remembers what happened, for comparing two runs of one seed.
    pub fn trace(&self, what: &str) {
        let mut state = self.state();
        for byte in what.bytes() {
            state.trace = (state.trace ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// Who acts now, for counting what they ask for.
    pub(crate) fn let_act(&self, function: &str) {
        let mut state = self.state();
        if state.acting != function {
            function.clone_into(&mut state.acting);
        }
    }

    /// Counts what whoever acts has asked for.
    pub(crate) fn count(&self, what: &str, many: u64) {
        let mut state = self.state();
        let who = state.acting.clone();
        *state.requests.entry((who, what.into())).or_default() += many;
    }

    /// What was asked for since this was last asked, by function and kind.
    #[must_use]
    pub fn take_requests(&self) -> BTreeMap<(String, String), u64> {
        std::mem::take(&mut self.state().requests)
    }

    /// A number that stands for all that happened.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.state().trace
    }

    /// The moment before an effect: who dies here has done nothing.
    pub(crate) async fn before(&self, doing: &str) -> Result<(), PortError> {
        pause().await;
        self.state().steps += 1;
        self.count(doing, 1);
        if self.happens(self.profile().error) {
            return Err(PortError::because(format!("{doing}: it does not answer")));
        }
        Ok(())
    }

    /// The moment after an effect: who dies here never learns of it.
    pub(crate) async fn after(&self, doing: &str) -> Result<(), PortError> {
        pause().await;
        self.state().steps += 1;
        if self.happens(self.profile().lost_answer) {
            return Err(PortError::because(format!("{doing}: the answer was lost")));
        }
        Ok(())
    }
}

/// Lets the world go on once before going on itself.
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

//! The random numbers of a seed, and the faults that they decide.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use jiff::Timestamp;
use towline_ports::memory::{MemoryClock, SplitMix64};
use towline_ports::{Clock as _, Key, PortError};

use crate::mechanism::Mechanism;
use crate::weather::{Fault, Profile};

/// The n-th time that a fault of a kind could have happened.
pub type Occurrence = (Fault, u64);

/// A time in which other rates hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storm {
    pub from: Timestamp,
    pub until: Timestamp,
}

/// The random numbers of a seed, and the faults they decide.
///
/// Each kind of fault has its own random numbers, so that taking one fault away leaves the others where
/// they were.
#[derive(Debug)]
pub struct Chance {
    state: Mutex<State>,
    clock: Arc<MemoryClock>,
}

#[derive(Debug)]
struct State {
    lots: SplitMix64,
    /// The random numbers of each kind of fault, and how often it could have happened.
    faults: [(SplitMix64, u64); Fault::ALL.len()],
    /// What happened, and what may happen at all, if that was decided before.
    happened: Vec<Occurrence>,
    only: Option<BTreeSet<Occurrence>>,
    storms: Vec<Storm>,
    /// What happens, in words, if anybody listens.
    story: Option<Vec<(Timestamp, String)>>,
    /// Whether the story has every invocation too.
    in_full: bool,
    out: BTreeSet<Mechanism>,
    profile: Profile,
    steps: u64,
    trace: u64,
    acting: String,
    counts: bool,
    requests: BTreeMap<(String, String), u64>,
    weighs: bool,
}

impl Chance {
    /// The random numbers of a seed.
    #[must_use]
    pub fn new(seed: u64, profile: Profile, clock: Arc<MemoryClock>) -> Self {
        let mut seeds = SplitMix64::new(seed);
        let faults = std::array::from_fn(|_| (SplitMix64::new(seeds.draw()), 0));
        Self {
            state: Mutex::new(State {
                lots: SplitMix64::new(seed),
                faults,
                happened: Vec::new(),
                only: None,
                storms: Vec::new(),
                story: None,
                in_full: false,
                out: BTreeSet::new(),
                profile,
                steps: 0,
                trace: seed,
                acting: String::new(),
                counts: true,
                requests: BTreeMap::new(),
                weighs: false,
            }),
            clock,
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

    /// From now on, most of everything fails in these times.
    pub(crate) fn set_storms(&self, storms: Vec<Storm>) {
        self.state().storms = storms;
    }

    /// Only these faults happen.
    pub(crate) fn allow_only(&self, only: BTreeSet<Occurrence>) {
        self.state().only = Some(only);
    }

    /// Every fault that happened.
    pub(crate) fn happened(&self) -> Vec<Occurrence> {
        self.state().happened.clone()
    }

    /// Takes a mechanism out.
    pub fn take_out(&self, mechanism: Mechanism) {
        self.state().out.insert(mechanism);
    }

    /// Whether a mechanism was taken out.
    pub(crate) fn lacks(&self, mechanism: Mechanism) -> bool {
        let state = self.state();
        !state.out.is_empty() && state.out.contains(&mechanism)
    }

    /// From now on, keeps what happens in words.
    pub(crate) fn listen(&self, in_full: bool) {
        let mut state = self.state();
        state.story = Some(Vec::new());
        state.in_full = in_full;
    }

    /// Says what an invocation does, if anybody listens to that.
    pub(crate) fn tell_in_full(&self, what: impl FnOnce() -> String) {
        if self.state().in_full {
            self.tell(what);
        }
    }

    /// Says what happens, if anybody listens.
    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        if self.state().story.is_some() {
            let told = (self.clock.now(), what());
            self.state().story.get_or_insert_default().push(told);
        }
    }

    /// What happened, in words.
    pub(crate) fn story(&self) -> Vec<(Timestamp, String)> {
        self.state().story.clone().unwrap_or_default()
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

    /// Whether a fault strikes now, and what it strikes, for the story.
    #[must_use]
    pub(crate) fn strikes(&self, fault: Fault, what: impl FnOnce() -> String) -> bool {
        self.struck(fault, what).is_some()
    }

    /// Whether a fault strikes now; then a number that says how.
    #[must_use]
    pub(crate) fn struck(&self, fault: Fault, what: impl FnOnce() -> String) -> Option<u64> {
        let now = self.clock.now();
        let mut state = self.state();
        let mut storms = state.storms.iter();
        let often = state.profile.often(fault);
        let often = match storms.any(|storm| storm.from <= now && now < storm.until) {
            true => Profile::STORM.often(fault).max(often),
            false => often,
        };
        if often == 0 {
            return None;
        }
        let (lots, possible) = &mut state.faults[fault as usize];
        let (lot, how) = (lots.draw() % 10_000, lots.draw());
        let occurrence = (fault, *possible);
        *possible += 1;
        let happens = match &state.only {
            Some(only) => only.contains(&occurrence),
            None => lot < often,
        };
        if !happens {
            return None;
        }
        state.happened.push(occurrence);
        drop(state);
        self.tell(what);
        Some(how)
    }

    /// A time up to `most`.
    #[must_use]
    pub fn up_to(&self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(if most == 0 { 0 } else { self.below(most) })
    }

    /// How late an event is.
    pub(crate) fn late(&self, most: Duration, what: impl FnOnce() -> String) -> Duration {
        let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        let how = self.struck(Fault::Delay, what);
        Duration::from_millis(how.filter(|_| most > 0).map_or(0, |how| how % most))
    }

    /// I/O steps so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.state().steps
    }

    /// Records what happened, for comparing two runs of one seed.
    pub fn trace(&self, what: &str) {
        self.mix(what.bytes());
    }

    /// Records that an item has a version now.
    pub(crate) fn trace_key(&self, key: &Key, version: u64) {
        let parts = key.partition.bytes().chain(key.sort.bytes());
        self.mix(parts.chain(version.to_le_bytes()));
    }

    /// Fowler, Noll and Vo's hash.
    fn mix(&self, bytes: impl Iterator<Item = u8>) {
        let mut state = self.state();
        let mix = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        state.trace = bytes.fold(state.trace, mix);
    }

    /// Sets the function whose requests are counted.
    pub(crate) fn let_act(&self, function: &str) {
        let mut state = self.state();
        if state.acting != function {
            function.clone_into(&mut state.acting);
        }
    }

    /// Whether this function takes the current step.
    pub(crate) fn is_acting(&self, function: &str) -> bool {
        self.state().acting == function
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// From now on, requests are not counted, which saves time.
    pub(crate) fn count_nothing(&self) {
        self.state().counts = false;
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
        if state.counts {
            let who = state.acting.clone();
            *state.requests.entry((who, what.into())).or_default() += many;
        }
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
    pub(crate) async fn before(&self, doing: &'static str) -> Result<(), PortError> {
        pause().await;
        self.step();
        self.count(doing, 1);
        if self.strikes(Fault::Error, || self.said(doing, "does not answer")) {
            return Err(PortError::because(format!("{doing}: it does not answer")));
        }
        Ok(())
    }

    /// The moment after an effect: an invocation that dies here never learns of it.
    pub(crate) async fn after(&self, doing: &'static str) -> Result<(), PortError> {
        pause().await;
        self.step();
        let said = || self.said(doing, "was done, but the answer is lost");
        if self.strikes(Fault::LostAnswer, said) {
            return Err(PortError::because(format!("{doing}: the answer was lost")));
        }
        Ok(())
    }

    /// A sentence about the current function.
    fn said(&self, doing: &str, what: &str) -> String {
        format!("{}: {doing} {what}", self.state().acting)
    }

    fn step(&self) {
        self.state().steps += 1;
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

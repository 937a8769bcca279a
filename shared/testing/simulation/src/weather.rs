//! The kinds of faults, how often each strikes, and what a seed draws of them.

use std::time::Duration;

use towline_ports::memory::SplitMix64;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// An invocation dies at an I/O step.
    Crash,
    /// A port does not answer, and nothing happened.
    Error,
    /// A port does not answer, although the request succeeded.
    LostAnswer,
    /// CodeBuild has no capacity.
    Busy,
    /// A transaction conflicts with another one that changes nothing.
    Conflict,
    /// An event or a webhook arrives twice.
    Duplicate,
    /// An event never arrives, nor the webhook of a ref whose moves are found without it.
    Lose,
    /// A sweep does not take place.
    NoSweep,
    /// An event arrives late.
    Delay,
    /// The clock of an invocation is wrong.
    Skew,
    /// An invocation pauses for up to half a minute.
    Stall,
    /// A build fails, pushes nothing, pushes twice, or takes long.
    BadBuild,
    /// The index of what is due does not show yet what was written in the last minute.
    Lag,
}

impl Fault {
    pub const ALL: [Self; 13] = [
        Self::Crash,
        Self::Error,
        Self::LostAnswer,
        Self::Busy,
        Self::Conflict,
        Self::Duplicate,
        Self::Lose,
        Self::NoSweep,
        Self::Delay,
        Self::Skew,
        Self::Stall,
        Self::BadBuild,
        Self::Lag,
    ];
}

/// How often faults happen, out of ten thousand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    pub name: &'static str,
    pub crash: u64,
    pub error: u64,
    pub lost_answer: u64,
    pub busy: u64,
    pub conflict: u64,
    pub duplicate: u64,
    pub lose: u64,
    pub no_sweep: u64,
    /// How often an event is late at all.
    pub late: u64,
    /// The longest delay of an event.
    pub delay: Duration,
    /// How often the clock of an invocation is wrong.
    pub skew: u64,
    pub stall: u64,
    pub bad_build: u64,
    pub lag: u64,
    /// The most concurrent invocations.
    pub concurrency: usize,
    /// The clock jumps ahead to the next event although invocations are still running.
    pub jump: u64,
}

impl Profile {
    /// No faults and no concurrency, for stories.
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
        late: 0,
        delay: Duration::ZERO,
        skew: 0,
        stall: 0,
        bad_build: 0,
        lag: 0,
        concurrency: 1,
        jump: 250,
    };

    /// The highest rates on an ordinary day.
    pub const CALM: Self = Self {
        name: "calm",
        crash: 4,
        error: 10,
        lost_answer: 4,
        busy: 100,
        conflict: 10,
        duplicate: 200,
        lose: 20,
        no_sweep: 20,
        late: 10_000,
        delay: Duration::from_secs(5),
        skew: 0,
        stall: 4,
        bad_build: 3_500,
        lag: 500,
        concurrency: 4,
        jump: 250,
    };

    /// The highest rates on a day with faults everywhere.
    pub const ROUGH: Self = Self {
        name: "rough",
        crash: 120,
        error: 120,
        lost_answer: 80,
        busy: 2_000,
        conflict: 400,
        duplicate: 2_000,
        lose: 1_000,
        no_sweep: 2_000,
        late: 10_000,
        delay: Duration::from_secs(120),
        skew: 0,
        stall: 100,
        bad_build: 3_500,
        lag: 5_000,
        concurrency: 8,
        jump: 250,
    };

    /// Within an outage most steps fail and most events are lost.
    pub const STORM: Self = Self {
        name: "storm",
        crash: 500,
        error: 6_000,
        lost_answer: 1_500,
        busy: 9_000,
        lose: 8_000,
        no_sweep: 9_000,
        ..Self::ROUGH
    };

    /// How often a fault of this kind happens.
    #[must_use]
    pub fn often(&self, fault: Fault) -> u64 {
        match fault {
            Fault::Crash => self.crash,
            Fault::Error => self.error,
            Fault::LostAnswer => self.lost_answer,
            Fault::Busy => self.busy,
            Fault::Conflict => self.conflict,
            Fault::Duplicate => self.duplicate,
            Fault::Lose => self.lose,
            Fault::NoSweep => self.no_sweep,
            Fault::Delay => self.late,
            Fault::Skew => self.skew,
            Fault::Stall => self.stall,
            Fault::BadBuild => self.bad_build,
            Fault::Lag => self.lag,
        }
    }

    fn set(&mut self, fault: Fault, often: u64) {
        let place = match fault {
            Fault::Crash => &mut self.crash,
            Fault::Error => &mut self.error,
            Fault::LostAnswer => &mut self.lost_answer,
            Fault::Busy => &mut self.busy,
            Fault::Conflict => &mut self.conflict,
            Fault::Duplicate => &mut self.duplicate,
            Fault::Lose => &mut self.lose,
            Fault::NoSweep => &mut self.no_sweep,
            Fault::Delay => &mut self.late,
            Fault::Skew => &mut self.skew,
            Fault::Stall => &mut self.stall,
            Fault::BadBuild => &mut self.bad_build,
            Fault::Lag => &mut self.lag,
        };
        *place = often;
    }

    /// Draws the rates of a seed: each kind of fault is left out, as frequent as here, or anything between.
    #[must_use]
    pub fn drawn(self, lots: &mut SplitMix64) -> Self {
        let mut drawn = self;
        for fault in Fault::ALL {
            let most = self.often(fault);
            let often = match lots.draw() % 3 {
                0 => 0,
                1 => most,
                _ => lots.draw() % (most + 1),
            };
            drawn.set(fault, often);
        }
        drawn.concurrency = 1 + draw_below(lots, self.concurrency);
        drawn
    }
}

/// A number below `most`, which is not 0.
pub(crate) fn draw_below(lots: &mut SplitMix64, most: usize) -> usize {
    usize::try_from(lots.draw() % most as u64).unwrap_or(0)
}

/// The kind of a seed's day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weather {
    /// An ordinary day.
    Calm,
    /// Faults everywhere.
    Rough,
    /// Outages in which most steps fail, and then perhaps a day without sweeps.
    Outage,
    /// Strangers push tags, people ask for what they may not, old deliveries and events come again,
    /// and clocks differ by ten minutes.
    Hostile,
}

impl Weather {
    pub const ALL: [Self; 4] = [Self::Calm, Self::Rough, Self::Outage, Self::Hostile];

    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Rough => "rough",
            Self::Outage => "outage",
            Self::Hostile => "hostile",
        }
    }

    /// The highest rates that its seeds draw.
    #[must_use]
    pub fn profile(self) -> Profile {
        let name = self.word();
        match self {
            Self::Calm | Self::Outage => Profile {
                name,
                ..Profile::CALM
            },
            Self::Rough => Profile::ROUGH,
            Self::Hostile => Profile {
                name,
                duplicate: 2_000,
                delay: Duration::from_secs(60),
                skew: 5_000,
                concurrency: 8,
                ..Profile::CALM
            },
        }
    }
}

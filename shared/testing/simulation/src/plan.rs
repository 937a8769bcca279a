//! What a seed is going to do: drawn before anything happens, so that parts can be taken away.

use std::collections::BTreeSet;
use std::time::Duration;

use towline_ports::memory::SplitMix64;

use crate::chance::Occurrence;
use crate::mechanism::Mechanism;
use crate::shop;
use crate::weather::{Profile, Weather, draw_below};

/// How long people act and faults happen.
pub const HOUR: Duration = Duration::from_secs(50 * 60);

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Separates a seed's plan from its faults.
const PLANNING: u64 = 0x706c_616e;

/// What a seed does.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub weather: Weather,
    /// How often each kind of fault happens.
    pub profile: Profile,
    pub acts: Vec<Act>,
    /// Times in which most of everything fails, from the start.
    pub storms: Vec<(Duration, Duration)>,
    /// How many builds run at once.
    pub places: usize,
    /// From when until when the registry denies setting tags: until a person allows it again.
    pub denied: Option<(Duration, Duration)>,
    /// How long no sweep takes place after the last act.
    pub silence: Duration,
    /// The faults that happen, if not those of the profile.
    pub only: Option<BTreeSet<Occurrence>>,
    /// The mechanisms that are taken out.
    pub without: BTreeSet<Mechanism>,
    /// The definition of the shop's first commit.
    pub definition: String,
}

/// Something that somebody does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// Which act of the seed it is.
    pub number: u64,
    /// When, from the start.
    pub at: Duration,
    pub deed: Deed,
    /// Decides the details.
    pub lots: u64,
}

/// What somebody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Pushes a change to a branch.
    Push,
    /// Pushes what replaces the last commit of a branch.
    ForcePush,
    /// Pushes a tag, or moves one.
    Tag,
    /// Pushes another definition.
    Redefine,
    /// Moves a branch to where it was before, without a new commit.
    GoBack,
    /// Deletes a branch, or creates it again where it was.
    Delete,
    /// A person of the company commands.
    Command,
    /// Somebody pushes an image that no build made.
    Meddle,
    /// Somebody without any right commands.
    Overreach,
    /// A webhook without a valid signature.
    Forge,
    /// A webhook or an event of earlier comes again.
    Replay,
}

impl Deed {
    fn drawn(weather: Weather, lots: &mut SplitMix64) -> Self {
        let hostile = weather == Weather::Hostile;
        match lots.draw() % if hostile { 150 } else { 100 } {
            0..28 => Self::Push,
            28..34 => Self::ForcePush,
            34..37 => Self::Tag,
            37..41 => Self::Redefine,
            41..47 => Self::GoBack,
            47..50 => Self::Delete,
            50..53 => Self::Meddle,
            53..56 => Self::Replay,
            56..100 => Self::Command,
            100..115 => Self::Meddle,
            115..130 => Self::Overreach,
            130..137 => Self::Forge,
            _ => Self::Replay,
        }
    }
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn of(seed: u64, weather: Weather) -> Self {
        let mut lots = SplitMix64::new(seed ^ PLANNING);
        let profile = weather.profile().drawn(&mut lots);
        let acts = (1..=16 + lots.draw() % 16).map(|number| Act {
            number,
            at: below(&mut lots, HOUR),
            deed: Deed::drawn(weather, &mut lots),
            lots: lots.draw(),
        });
        let mut acts: Vec<Act> = acts.collect();
        acts.sort_by_key(|act| act.at);
        let (mut storms, mut silence) = (Vec::new(), Duration::ZERO);
        if weather == Weather::Outage {
            for _ in 0..=draw_below(&mut lots, 3) {
                let from = below(&mut lots, HOUR);
                let lasts = Duration::from_secs(60) + below(&mut lots, HOUR / 4);
                storms.push((from, from + lasts));
            }
            silence = if lots.draw().is_multiple_of(2) {
                DAY
            } else {
                silence
            };
        }
        let places = [1, 2, 3, 20][draw_below(&mut lots, 4)];
        let denied = lots.draw().is_multiple_of(4).then(|| {
            let from = below(&mut lots, HOUR);
            (from, HOUR + below(&mut lots, HOUR))
        });
        Self {
            seed,
            weather,
            profile,
            acts,
            storms,
            places,
            denied,
            silence,
            only: None,
            without: BTreeSet::new(),
            definition: shop::definition_with_tags(),
        }
    }

    /// The same for a shop that builds its backend for two platforms.
    #[must_use]
    pub fn in_parts(seed: u64, weather: Weather) -> Self {
        Self {
            definition: shop::definition_in_parts(),
            ..Self::of(seed, weather)
        }
    }
}

fn below(lots: &mut SplitMix64, most: Duration) -> Duration {
    let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(lots.draw() % most)
}

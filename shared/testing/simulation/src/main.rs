//! Runs many seeds and exits with 1 if an invariant is violated.

use std::hash::{BuildHasher as _, RandomState};
use std::panic;
use std::process::{Command, ExitCode};
use std::str::FromStr;
use std::thread;

use clap::{Parser, ValueEnum};
use towline_simulation::ablation::{ABLATIONS, MOST_SEEDS};
use towline_simulation::scope::search;
use towline_simulation::seeds::Seeds;
use towline_simulation::shrink::{shrink, story};
use towline_simulation::world::router;
use towline_simulation::{Plan, Weather, campaign};

/// A third of the time goes into small allocations, which this allocator makes twice as fast as the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Run the real handlers in a simulated world with lost, repeated and late events, and crashes
#[derive(Debug, Parser)]
struct Arguments {
    /// Number of seeds per profile
    #[arg(long, default_value_t = 50)]
    seeds: u64,
    /// First seed: a number, or random
    #[arg(long, default_value = "random")]
    first_seed: First,
    /// Which faults, and how many; all profiles if not given
    #[arg(long)]
    profile: Option<Profile>,
    /// Number of threads; one per core if not given
    #[arg(long)]
    threads: Option<usize>,
    /// Shrink this seed to the shortest story that still fails, and print it; needs --profile
    #[arg(long, value_name = "SEED", requires = "profile")]
    shrink: Option<u64>,
    /// Print everything that happens in this seed, including every invocation; needs --profile
    #[arg(
        long,
        value_name = "SEED",
        requires = "profile",
        conflicts_with = "shrink"
    )]
    tell: Option<u64>,
    /// Try every order of everything that can happen to two pushes, up to this many distinct states
    #[arg(long, value_name = "STATES")]
    scope: Option<usize>,
    /// Remove one mechanism at a time, and print which invariant notices
    #[arg(long)]
    ablations: bool,
}

#[derive(Debug, Clone, Copy)]
enum First {
    Random,
    Number(u64),
}

impl FromStr for First {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "random" => Ok(Self::Random),
            number => number.parse().map(Self::Number),
        }
    }
}

impl First {
    fn seed(self) -> u64 {
        match self {
            // Short enough to type. A hasher gets its keys from the system's random numbers.
            Self::Random => RandomState::new().hash_one(0) % 1_000_000_000_000,
            Self::Number(seed) => seed,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Profile {
    /// Some faults, as on an ordinary day
    Calm,
    /// Frequent faults of every kind
    Rough,
    /// Outages in which most requests fail
    Outage,
    /// Strangers, people without rights, repetitions, wrong clocks
    Hostile,
}

impl From<Profile> for Weather {
    fn from(profile: Profile) -> Self {
        match profile {
            Profile::Calm => Self::Calm,
            Profile::Rough => Self::Rough,
            Profile::Outage => Self::Outage,
            Profile::Hostile => Self::Hostile,
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A panic is part of the seed's result.
    panic::set_hook(Box::new(|_| {}));
    println!("commit {}", commit());
    let weather = arguments.profile.map(Weather::from);
    let holds = match (arguments.shrink, arguments.tell, weather) {
        (Some(seed), _, Some(weather)) => shortest(seed, weather),
        (None, Some(seed), Some(weather)) => all_of(seed, weather),
        _ if arguments.ablations => ablate(arguments.first_seed.seed()),
        _ => match arguments.scope {
            Some(most) => try_all(most),
            None => run(&arguments, weather),
        },
    };
    match holds {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn run(arguments: &Arguments, weather: Option<Weather>) -> bool {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = arguments.threads.unwrap_or(cores).max(1);
    let first = arguments.first_seed.seed();
    let all = weather.map_or(Weather::ALL.to_vec(), |one| vec![one]);
    let mut holds = true;
    for weather in all {
        let seeds = Seeds::live(weather, first, arguments.seeds, threads);
        println!("{seeds}");
        if let Some(broken) = seeds.broken.first() {
            holds = false;
            shortest(broken.seed, weather);
        }
    }
    holds
}

/// Prints everything that happens in a seed; returns whether it breaks nothing.
fn all_of(seed: u64, weather: Weather) -> bool {
    let outcome = campaign::tell(&Plan::of(seed, weather), true, &router());
    println!("{}{}", story(&outcome), outcome.view);
    outcome.faults.is_empty()
}

/// Shrinks a seed and prints what is left; returns whether it breaks nothing.
fn shortest(seed: u64, weather: Weather) -> bool {
    match shrink(&Plan::of(seed, weather), &router()) {
        None => {
            println!("{} seed {seed} breaks nothing", weather.word());
            true
        }
        Some(shrunk) => {
            println!("{}", shrunk.told());
            false
        }
    }
}

/// Searches the small scope; returns whether what was searched violates nothing.
fn try_all(most: usize) -> bool {
    let scope = search(most);
    println!("{scope}");
    scope.violation.is_none()
}

/// Prints what notices the absence of each mechanism; returns whether all are noticed.
fn ablate(first: u64) -> bool {
    let router = router();
    println!("| taken out | profile | seed | seeds needed from {first} | what does not hold |");
    println!("| --- | --- | --- | --- | --- |");
    let mut all = true;
    for ablation in ABLATIONS {
        let found = ablation.find(first, MOST_SEEDS, &router);
        println!("{found}");
        all &= found.shown.is_some();
    }
    all
}

/// The current commit; seeds mean nothing without it.
fn commit() -> String {
    let asked = Command::new("git").args(["rev-parse", "HEAD"]).output();
    let known = asked.ok().filter(|asked| asked.status.success());
    let known = known.and_then(|asked| String::from_utf8(asked.stdout).ok());
    known.map_or_else(|| "unknown".into(), |commit| commit.trim().to_owned())
}

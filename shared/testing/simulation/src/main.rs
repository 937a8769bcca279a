//! Runs many seeds and exits with 1 if an invariant is violated.

use std::process::{Command, ExitCode};

use clap::{Parser, ValueEnum};
use towline_simulation::Profile;
use towline_simulation::seeds::Seeds;

/// Run the real handlers in a world that loses, repeats, reorders and kills
#[derive(Debug, Parser)]
struct Arguments {
    /// Number of seeds per profile
    #[arg(long, default_value_t = 50)]
    seeds: u64,
    /// First seed
    #[arg(long, default_value_t = 0)]
    first_seed: u64,
    /// How many faults; both profiles if not given
    #[arg(long)]
    profile: Option<Weather>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Weather {
    /// An ordinary day.
    Calm,
    /// A day on which nothing works as it should.
    Rough,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    println!("commit {}", commit());
    let profiles = match arguments.profile {
        Some(Weather::Calm) => vec![Profile::CALM],
        Some(Weather::Rough) => vec![Profile::ROUGH],
        None => vec![Profile::CALM, Profile::ROUGH],
    };
    let mut holds = true;
    for profile in profiles {
        let seeds = Seeds::live(profile, arguments.first_seed, arguments.seeds);
        println!("{seeds}");
        for broken in &seeds.broken {
            println!("{broken}");
            holds = false;
        }
    }
    match holds {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// The current commit; seeds mean nothing without it.
fn commit() -> String {
    let asked = Command::new("git").args(["rev-parse", "HEAD"]).output();
    let known = asked.ok().filter(|asked| asked.status.success());
    let known = known.and_then(|asked| String::from_utf8(asked.stdout).ok());
    known.map_or_else(|| "unknown".into(), |commit| commit.trim().to_owned())
}

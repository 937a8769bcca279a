//! Many seeds in a calm and a rough world: nothing that must hold is ever broken.
//!
//! `TOWLINE_SEEDS`, read when this is compiled, says how many of each; `TOWLINE_FIRST_SEED`, where
//! they begin.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use towline_simulation::world::router;
use towline_simulation::{Profile, campaign};

/// The number in a text known at compile time.
fn number(text: Option<&str>, otherwise: u64) -> u64 {
    text.map_or(otherwise, |text| text.parse().expect("a number of seeds"))
}

fn check(profile: Profile, seeds: u64) {
    let first = number(option_env!("TOWLINE_FIRST_SEED"), 0);
    let begun = Instant::now();
    let router = router();
    let (mut steps, mut deliveries, mut moves) = (0, 0, 0);
    let mut broken = Vec::new();
    for seed in first..first + seeds {
        match catch_unwind(AssertUnwindSafe(|| campaign(seed, profile, &router))) {
            Ok(outcome) if outcome.faults.is_empty() => {
                steps += outcome.steps;
                deliveries += outcome.deliveries;
                moves += outcome.moves;
            }
            Ok(outcome) => broken.push(format!(
                "{} seed {seed}: {:#?}\n{}",
                profile.name, outcome.faults, outcome.view
            )),
            Err(_) => broken.push(format!("{} seed {seed}: see the panic above", profile.name)),
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{}: {seeds} seeds from {first}, {deliveries} events, {steps} I/O steps, {moves} promotions; {:.0} events and {:.0} steps per second",
        profile.name,
        deliveries as f64 / seconds,
        steps as f64 / seconds
    );
    assert!(
        broken.is_empty(),
        "{} of {seeds} seeds are broken; the first:\n{}",
        broken.len(),
        broken[0]
    );
}

#[test]
fn calm_seeds_break_nothing() {
    check(Profile::CALM, number(option_env!("TOWLINE_SEEDS"), 50));
}

#[test]
fn rough_seeds_break_nothing() {
    check(Profile::ROUGH, number(option_env!("TOWLINE_SEEDS"), 50));
}

#[test]
fn the_same_seed_is_the_same_world() {
    let router = router();
    for seed in 0..5 {
        let live = || campaign(seed, Profile::ROUGH, &router);
        assert_eq!(live().hash, live().hash, "seed {seed}");
    }
}

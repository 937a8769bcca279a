//! Many seeds in a calm and a rough world violate no invariant.
//!
//! `TOWLINE_SEEDS`, read at compile time, sets the number of each; `TOWLINE_FIRST_SEED`, the first one.

use towline_simulation::seeds::Seeds;
use towline_simulation::world::router;
use towline_simulation::{Profile, campaign};

/// The number in a text known at compile time.
fn number(text: Option<&str>, otherwise: u64) -> u64 {
    text.map_or(otherwise, |text| text.parse().expect("a number of seeds"))
}

fn check(profile: Profile, seeds: u64) -> Seeds {
    let first = number(option_env!("TOWLINE_FIRST_SEED"), 0);
    let seeds = Seeds::live(profile, first, seeds);
    println!("{seeds}");
    assert!(seeds.broken.is_empty(), "the first:\n{}", seeds.broken[0]);
    seeds
}

#[test]
fn calm_seeds_break_nothing() {
    check(Profile::CALM, number(option_env!("TOWLINE_SEEDS"), 50));
}

#[test]
fn rough_seeds_break_nothing() {
    let seeds = check(Profile::ROUGH, number(option_env!("TOWLINE_SEEDS"), 50));
    let is_enough = option_env!("TOWLINE_SEEDS").is_none();
    assert!(
        seeds.orphans > 0 || !is_enough,
        "no seed left rows of a decision that was not committed"
    );
}

#[test]
fn the_same_seed_is_the_same_world() {
    let router = router();
    for seed in 0..5 {
        let live = || campaign(seed, Profile::ROUGH, &router);
        assert_eq!(live().hash, live().hash, "seed {seed}");
    }
}

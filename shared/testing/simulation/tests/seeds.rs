//! Many seeds in every kind of weather violate no invariant, and each mechanism's absence does.

use towline_simulation::ablation::ABLATIONS;
use towline_simulation::seeds::Seeds;
use towline_simulation::shrink::shrink;
use towline_simulation::world::router;
use towline_simulation::{Mechanism, Plan, Weather, live};

/// Seeds of each kind of weather; the binary tries more.
const COUNT: u64 = 25;

/// Seeds within which a mechanism's absence is noticed here; the binary tries more.
const FEW: u64 = 60;

fn check(weather: Weather) -> Seeds {
    let seeds = Seeds::live(weather, 0, COUNT, 1);
    println!("{seeds}");
    assert!(seeds.broken.is_empty(), "{seeds}");
    seeds
}

#[test]
fn calm_seeds_break_nothing() {
    check(Weather::Calm);
}

#[test]
fn rough_seeds_break_nothing() {
    let seeds = check(Weather::Rough);
    assert!(
        seeds.orphans() > 0,
        "no seed left rows of a decision that was not committed"
    );
}

#[test]
fn seeds_with_outages_break_nothing() {
    check(Weather::Outage);
}

#[test]
fn hostile_seeds_break_nothing() {
    check(Weather::Hostile);
}

#[test]
fn the_same_seed_is_the_same_world() {
    let router = router();
    for weather in Weather::ALL {
        let live = || live(&Plan::of(0, weather), &router);
        assert_eq!(live().hash, live().hash, "{}", weather.word());
    }
}

#[test]
fn each_mechanism_is_missed_when_it_is_taken_out() {
    let router = router();
    let mut unnoticed = Vec::new();
    for ablation in ABLATIONS.iter().filter(|it| !it.is_rare) {
        let found = ablation.find(0, FEW, &router);
        println!("{found}");
        if found.shown.is_none() {
            unnoticed.push(ablation.out);
        }
    }
    assert_eq!(unnoticed, Vec::<&[Mechanism]>::new());
}

/// An item that is written before its rows needs no fault to be noticed, and only the first push.
#[test]
fn a_broken_seed_shrinks_to_a_short_story() {
    let router = router();
    let mut plan = Plan::of(1, Weather::Rough);
    plan.without.insert(Mechanism::RowsFirst);
    let shrunk = shrink(&plan, &router).expect("it breaks");
    let told = shrunk.told();
    assert_eq!(shrunk.plan.acts, [], "{told}");
    assert_eq!(shrunk.plan.only, Some([].into()), "{told}");
    assert!(told.contains("dana pushes “the beginning”"), "{told}");
    assert!(told.contains("then: I3"), "{told}");
}

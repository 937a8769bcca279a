//! Decisions per second on one core.

#[path = "../tests/common/mod.rs"]
mod common;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use towline_domain::{run, stage};

fn main() {
    divan::main();
}

/// A whole attempt: bound, in progress, succeeded, its image read, and that once more.
#[divan::bench]
fn run_facts(bencher: Bencher<'_, '_>) {
    let lines = [
        "bound 1",
        "report 1 IN_PROGRESS",
        "report 1 SUCCEEDED",
        "image 1",
        "image 1",
    ];
    let facts = lines.map(common::run_fact);
    bencher
        .counter(ItemsCount::new(facts.len()))
        .with_inputs(common::new_run)
        .bench_values(|run| {
            facts.iter().fold(run, |run, fact| {
                run::advance(run, black_box(fact), common_now()).run
            })
        });
}

/// A whole promotion: offered, approved by two, leased, tagged, offered again; five rows.
#[divan::bench]
fn stage_facts(bencher: Bencher<'_, '_>) {
    let rule = common::rule("approval 2");
    let now = common_now();
    let lines = [
        "offer 1",
        "approve 1 by lee",
        "approve 1 by park",
        "lease 1 for a",
        "tagged 1 by a",
        "offer 1",
    ];
    let facts = lines.map(|line| common::stage_fact(line, now));
    bencher
        .counter(ItemsCount::new(facts.len()))
        .with_inputs(common::new_stage)
        .bench_values(|stage| {
            facts.iter().fold(stage, |stage, fact| {
                let policy = common::policy(&rule, &[], 1);
                stage::advance(stage, black_box(fact), policy, now).stage
            })
        });
}

fn common_now() -> towline_domain::Timestamp {
    common::at(100)
}

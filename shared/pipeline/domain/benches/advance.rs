//! Decisions per second on one core.

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use towline_domain::{run, stage};

criterion_group! {
    name = advance;
    config = Criterion::default().without_plots();
    targets = run_facts, stage_facts
}
criterion_main!(advance);

/// A whole attempt: bound, in progress, succeeded, its image read, and that once more.
fn run_facts(criterion: &mut Criterion) {
    let lines = [
        "bound 1",
        "report 1 IN_PROGRESS",
        "report 1 SUCCEEDED",
        "image 1",
        "image 1",
    ];
    let facts = lines.map(common::run_fact);
    let now = common::at(100);
    let mut group = criterion.benchmark_group("advance");
    group.throughput(Throughput::Elements(facts.len() as u64));
    group.bench_function("run_facts", |bencher| {
        let all = |run| {
            facts
                .iter()
                .fold(run, |run, fact| run::advance(run, black_box(fact), now).run)
        };
        bencher.iter_batched(common::new_run, all, BatchSize::SmallInput);
    });
    group.finish();
}

/// A whole promotion: offered, approved by two, leased, tagged, offered again; five rows.
fn stage_facts(criterion: &mut Criterion) {
    let rule = common::rule("approval 2");
    let now = common::at(100);
    let lines = [
        "offer 1",
        "approve 1 by lee",
        "approve 1 by park",
        "lease 1 for a",
        "tagged 1 by a",
        "offer 1",
    ];
    let facts = lines.map(|line| common::stage_fact(line, now));
    let mut group = criterion.benchmark_group("advance");
    group.throughput(Throughput::Elements(facts.len() as u64));
    group.bench_function("stage_facts", |bencher| {
        let all = |stage| {
            facts.iter().fold(stage, |stage, fact| {
                let policy = common::policy(&rule, &[], 1);
                stage::advance(stage, black_box(fact), policy, now).stage
            })
        };
        bencher.iter_batched(common::new_stage, all, BatchSize::SmallInput);
    });
    group.finish();
}

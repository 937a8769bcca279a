//! How long a typical buildspec takes to be read and linted, and hostile ones to be refused.
//!
//! `cargo bench -p towline-buildspec --bench lint`; the limits are in the comments.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use towline_buildspec::Buildspec;
use towline_buildspec::lint::{Context, fix, lint};

const TYPICAL: &str = include_str!("typical.yml");

criterion_group! {
    name = one;
    config = within(4);
    targets = read_typical, lint_typical, fix_typical
}
criterion_group! {
    name = many;
    config = within(10).sample_size(10);
    targets = lint_a_thousand
}
criterion_group! {
    name = hostile_ones;
    config = within(2).sample_size(10);
    targets = refuse_hostile
}
criterion_main!(one, many, hostile_ones);

fn within(seconds: u64) -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(seconds))
        .without_plots()
}

fn read_typical(criterion: &mut Criterion) {
    criterion.bench_function("read_typical", |bencher| {
        bencher.iter(|| Buildspec::read(black_box(TYPICAL)).is_ok());
    });
}

/// Below 1 ms.
fn lint_typical(criterion: &mut Criterion) {
    criterion.bench_function("lint_typical", |bencher| {
        bencher.iter(|| findings("buildspec.yml", TYPICAL));
    });
}

fn fix_typical(criterion: &mut Criterion) {
    criterion.bench_function("fix_typical", |bencher| {
        bencher.iter(|| {
            let fixed = fix("buildspec.yml", black_box(TYPICAL), &Context::default());
            fixed.applied.len()
        });
    });
}

/// A thousand buildspecs below 1 s; `towline lint` reads them from a folder besides.
fn lint_a_thousand(criterion: &mut Criterion) {
    criterion.bench_function("lint_a_thousand", |bencher| {
        bencher.iter(|| {
            (0..1_000)
                .map(|number| findings(&format!("service-{number}/buildspec.yml"), TYPICAL))
                .sum::<usize>()
        });
    });
}

/// Each below 50 ms and 64 MiB.
fn refuse_hostile(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("refuse_hostile");
    for name in [
        "ten megabytes",
        "depth 10,000",
        "alias bomb",
        "a million keys",
        "tabs",
        "deep commands",
        "wild commands",
        "pipes",
    ] {
        let id = BenchmarkId::from_parameter(name);
        group.bench_with_input(id, &hostile(name), |bencher, text| {
            bencher.iter(|| findings("buildspec.yml", text));
        });
    }
    group.finish();
}

fn findings(name: &str, text: &str) -> usize {
    lint(name, black_box(text), &Context::default())
        .findings
        .len()
}

fn hostile(name: &str) -> String {
    let command = |text: String| {
        format!("version: 0.2\nphases:\n  build:\n    commands:\n      - |\n        {text}\n")
    };
    match name {
        "ten megabytes" => "a".repeat(10 << 20),
        "depth 10,000" => "[".repeat(10_000),
        "alias bomb" => std::iter::once("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned())
            .chain((1..40).map(|level| {
                let uses = vec![format!("*a{}", level - 1); 9].join(", ");
                format!("a{level}: &a{level} [{uses}]\n")
            }))
            .collect(),
        "a million keys" => (0..1_000_000)
            .map(|number| format!("k{number}:\n"))
            .collect(),
        "tabs" => "\ta: b\n".repeat(9_000),
        "deep commands" => command("$(".repeat(15_000)),
        "wild commands" => command("if case [[ <<X { ((".repeat(1_600)),
        "pipes" => {
            let pipes = format!("      - {}\n", "a | ".repeat(290));
            format!(
                "version: 0.2\nphases:\n  build:\n    commands:\n{}",
                pipes.repeat(30)
            )
        }
        _ => String::new(),
    }
}

//! How long a typical buildspec takes to be read and linted, and hostile ones to be refused.
//!
//! `cargo bench -p towline-buildspec`; the numbers to hold are in the comments.

use towline_buildspec::Buildspec;
use towline_buildspec::lint::{Context, fix, lint};

#[global_allocator]
static ALLOCATIONS: divan::AllocProfiler = divan::AllocProfiler::system();

fn main() {
    divan::main();
}

const TYPICAL: &str = include_str!("typical.yml");

#[divan::bench]
fn read_typical() -> bool {
    Buildspec::read(divan::black_box(TYPICAL)).is_ok()
}

/// Below 1 ms.
#[divan::bench]
fn lint_typical() -> usize {
    lint(
        "buildspec.yml",
        divan::black_box(TYPICAL),
        &Context::default(),
    )
    .findings
    .len()
}

#[divan::bench]
fn fix_typical() -> usize {
    fix(
        "buildspec.yml",
        divan::black_box(TYPICAL),
        &Context::default(),
    )
    .applied
    .len()
}

/// A thousand buildspecs below 1 s; `towline lint` reads them from a folder besides.
#[divan::bench(sample_count = 10)]
fn lint_a_thousand() -> usize {
    (0..1_000)
        .map(|number| {
            let name = format!("service-{number}/buildspec.yml");
            let report = lint(&name, divan::black_box(TYPICAL), &Context::default());
            report.findings.len()
        })
        .sum()
}

/// Each below 50 ms and 64 MiB.
#[divan::bench(args = ["ten megabytes", "depth 10,000", "alias bomb", "a million keys", "tabs", "deep commands", "wild commands", "pipes"], sample_count = 10)]
fn refuse_hostile(bencher: divan::Bencher, name: &str) {
    let text = hostile(name);
    bencher.bench(|| {
        lint(
            "buildspec.yml",
            divan::black_box(&text),
            &Context::default(),
        )
    });
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

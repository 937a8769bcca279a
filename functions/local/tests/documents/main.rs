//! Runs the two documents this project starts from: a test for each of their lines, named after it.
//! `presets` has one repository for each preset, from a signed push to prod.
//!
//! No test reaches AWS or a Docker daemon. `docker`, `docker-compose`, `dockerd` and `aws` are the
//! scripts of `tools/`, before those of the machine: they send every address of ECR, of any account and
//! region, to the registry of the Towline under test, and refuse what they do not know. Git, make and
//! everything else are the machine's.
//!
//! The folders of `shapes/` stand for the documents' repositories: their buildspec, Makefile and
//! Dockerfile, with shell scripts for the programs, and base images that are empty. They differ from the
//! documents' own text: comments are in English, document B's account is 111122223333, and its buildspec
//! keeps `version.json`. Most builds run after edits, which the tests make:
//! - document A's buildspec after `towline lint --fix`, and for a push with a command that pushes each
//!   promised tag;
//! - `sbcntr-backend` with the account's number in its buildspec, and after `--fix`; for a push with the
//!   tag that Towline gives and with its last two commands for a good build alone;
//! - `todobackend` with `dockerd` instead of `/usr/local/bin/dockerd`, so that the script is found, after
//!   `--fix`, and with the Makefile's `aws ecr get-login`, which version 2 of the AWS CLI does not have,
//!   replaced.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../common/mod.rs"]
mod common;
mod document_a;
mod document_b;
mod harness;
mod policies;
mod presets;
mod sbcntr_backend;
mod shop;
mod todobackend;

use std::collections::BTreeSet;
use std::process::ExitCode;

use libtest_mimic::Arguments;

use harness::{Test, test};

fn main() -> ExitCode {
    let mut modules = documents();
    modules.push(("presets", presets::tests()));
    modules.push(("main", vec![test!(every_line_of_both_documents_has_a_test)]));
    let trials = modules.into_iter().flat_map(|(module, tests)| {
        let trials = tests.into_iter().map(move |test| test.trial(module));
        trials.collect::<Vec<_>>()
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

/// The tests of both documents by their module.
fn documents() -> Vec<(&'static str, Vec<Test>)> {
    vec![
        ("document_a", document_a::tests()),
        ("document_b", document_b::tests()),
        ("policies", policies::tests()),
        ("sbcntr_backend", sbcntr_backend::tests()),
        ("todobackend", todobackend::tests()),
    ]
}

/// The lines that a test is for: `b2` and `b3` of `b2_b3_repositories_are_a_template`.
fn lines_of(test: &str) -> impl Iterator<Item = &str> {
    let is_line = |word: &&str| {
        let number = word.strip_prefix(['a', 'b']);
        number.is_some_and(|number| number.parse::<u8>().is_ok())
    };
    test.split('_').take_while(is_line)
}

fn every_line_of_both_documents_has_a_test() {
    let tests = documents().into_iter().flat_map(|(_, tests)| tests);
    let names: Vec<&str> = tests.map(|test| test.name).collect();
    let tested: BTreeSet<&str> = names.iter().copied().flat_map(lines_of).collect();
    let lines = |document: char, most: u8| (1..=most).map(move |line| format!("{document}{line}"));
    let all: Vec<String> = lines('a', 18).chain(lines('b', 25)).collect();
    let all: BTreeSet<&str> = all.iter().map(String::as_str).collect();
    let missing: Vec<_> = all.difference(&tested).collect();
    assert!(missing.is_empty(), "no test is named by {missing:?}");
    let unknown: Vec<_> = tested.difference(&all).collect();
    assert!(unknown.is_empty(), "the documents have no {unknown:?}");
    let lineless = names.iter().filter(|name| lines_of(name).next().is_none());
    let lineless: Vec<_> = lineless.collect();
    assert!(lineless.is_empty(), "no line names {lineless:?}");
}

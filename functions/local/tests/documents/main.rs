//! The two documents this project starts from, run: a test for each of their lines, named by it.
//!
//! No test reaches AWS or a Docker daemon. `docker`, `docker-compose`, `dockerd` and `aws` are the scripts of `tools/`,
//! before those of the machine: they send every address of ECR, of whatever account and region, to the registry of the
//! Towline under test, and refuse what they do not know. Git, make and all else are the machine's; without make a test
//! that needs it says so and ends.
//!
//! The folders of `shapes/` stand for the documents' repositories: their buildspec, Makefile and Dockerfile, with shell
//! scripts for the programs, and base images that are empty. Most builds run after edits, which the tests make:
//! - document A's buildspec after `towline lint --fix`, and for a push with a command that pushes each promised tag;
//! - `sbcntr-backend` with the account's number in its buildspec, and after `--fix`; for a push with the tag that
//!   Towline gives and with its last two commands for a good build alone;
//! - `todobackend` with `dockerd` instead of `/usr/local/bin/dockerd`, so that the script is found, after `--fix`, and
//!   with the Makefile's `aws ecr get-login`, which version 2 has not, replaced.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../common/mod.rs"]
mod common;
mod document_a;
mod document_b;
mod policies;
mod sbcntr_backend;
mod shop;
mod todobackend;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The lines that a test is for: `b2` and `b3` of `b2_b3_repositories_are_a_template`.
fn lines_of(test: &str) -> impl Iterator<Item = &str> {
    let is_line = |word: &&str| {
        let number = word.strip_prefix(['a', 'b']);
        number.is_some_and(|number| number.parse::<u8>().is_ok())
    };
    test.split('_').take_while(is_line)
}

#[test]
fn every_line_of_both_documents_has_a_test() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents");
    let mut tested = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = fs::read_to_string(path).unwrap();
        let mut before = "";
        for line in text.lines() {
            let name = line.strip_prefix("async ").unwrap_or(line);
            let name = name
                .strip_prefix("fn ")
                .and_then(|rest| rest.split('(').next());
            let is_test = before == "#[test]" || before.starts_with("#[tokio::test");
            tested.extend(
                name.filter(|_| is_test)
                    .into_iter()
                    .flat_map(lines_of)
                    .map(str::to_owned),
            );
            before = line;
        }
    }
    let lines = |document: char, most: u8| (1..=most).map(move |line| format!("{document}{line}"));
    let all: BTreeSet<String> = lines('a', 18).chain(lines('b', 25)).collect();
    let missing: Vec<&String> = all.difference(&tested).collect();
    assert_eq!(
        missing,
        Vec::<&String>::new(),
        "no test is named by these lines"
    );
    let unknown: Vec<&String> = tested.difference(&all).collect();
    assert_eq!(
        unknown,
        Vec::<&String>::new(),
        "the documents have no such lines"
    );
}

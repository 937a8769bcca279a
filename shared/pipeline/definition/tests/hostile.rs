//! Any definition is read or refused with a place, and nothing panics (A33).

use proptest::prelude::*;

const DEFINITION: &str = "version: 1
pipeline: market
source: {github: orchard/market, branches: [main, \"release/**\"]}
components:
  api:
    repository: orchard/api
    paths: [\"api/**\"]
    build: {preset: make, make: {build: [test, publish]}, env: {A: \"{sha}-{build}\"}, tags: [\"{env.A}\"], timeout: 20m}
stages:
  - {name: staging, from: build}
  - name: prod
    from: staging
    gates: [approval: {groups: [managers], min: 2, expires: 24h}]
    tag: [prod]
";

/// Replaces a part of a text, even in the middle of characters.
fn damaged(text: &str, from: usize, length: usize, with: &[u8]) -> Vec<u8> {
    let bytes = text.as_bytes();
    let from = from % bytes.len();
    let to = (from + length).min(bytes.len());
    [&bytes[..from], with, &bytes[to..]].concat()
}

fn read_definition(bytes: &[u8]) {
    let Err(errors) = towline_definition::read(bytes) else {
        return;
    };
    let lines = bytes.split(|byte| *byte == b'\n').count();
    assert!(!errors.errors().is_empty());
    for error in errors.errors() {
        assert!((1..=lines + 1).contains(&error.line), "{error}");
        assert!(error.column >= 1 && !error.message.is_empty(), "{error}");
    }
}

#[test]
fn a_definition_that_is_not_damaged_is_read() {
    assert!(towline_definition::read(DEFINITION.as_bytes()).is_ok());
}

proptest! {
    #[test]
    fn a_damaged_definition_is_read_or_refused_with_a_place(
        from: usize, length in 0..20_usize, with in "[-{}\\[\\]:,\"'|>&*#a-z0-9\\n \\u{80}-\\u{10ffff}]{0,8}",
    ) {
        read_definition(&damaged(DEFINITION, from, length, with.as_bytes()));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        read_definition(&bytes);
    }
}

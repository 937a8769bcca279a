//! `aws_lambda_events` reads every sample event: ours in `events/samples`, and in tests of their own, others'
//! in the folder `TOWLINE_SAMPLES`.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use towline_lambda::{envelope, http_api};
use towline_wire::eventbridge;

const SAMPLES: Option<&str> = option_env!("TOWLINE_SAMPLES");
const REQUEST: &str = include_str!("../../../../events/samples/apigateway/push.json");
const EVENT: &str = include_str!("../../../../events/samples/ecr/push.tagged.json");

/// The files of folders of ours.
fn ours(folders: &[&str]) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../events/samples");
    folders
        .iter()
        .flat_map(|folder| files(&root.join(folder)))
        .collect()
}

/// The files of a folder of others, where they are available.
fn of_others(folder: &str) -> Vec<PathBuf> {
    let root = SAMPLES.expect("TOWLINE_SAMPLES was set at build time");
    files(&Path::new(root).join(folder))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap();
    files.map(|entry| entry.unwrap().path()).collect()
}

/// Reads requests through API Gateway; returns how many.
fn requests(paths: &[PathBuf]) -> usize {
    let mut read = 0;
    for path in paths {
        let bytes = fs::read(path).unwrap();
        // One sample is a template whose values are not filled in; its body claims to be base64.
        if String::from_utf8_lossy(&bytes).contains("{{{") {
            continue;
        }
        let request = http_api::decode(&bytes);
        assert!(request.is_ok(), "{}: {request:?}", path.display());
        read += 1;
    }
    read
}

/// Reads events as Lambda and as one machine do; returns how many are events.
fn events(paths: &[PathBuf]) -> usize {
    let mut read = 0;
    for path in paths {
        let bytes = fs::read(path).unwrap();
        let on_one_machine = eventbridge::decode(&bytes);
        let found = envelope(&bytes);
        let path = path.display();
        assert_eq!(found.as_ref().ok(), on_one_machine.as_ref().ok(), "{path}");
        read += usize::from(found.is_ok());
    }
    read
}

#[test]
fn every_request_through_api_gateway_is_read() {
    let read = requests(&ours(&["apigateway"]));
    assert!(read >= 3, "{read} samples");
}

#[test]
#[ignore = "needs samples of others: set TOWLINE_SAMPLES when you build"]
fn every_request_of_others_is_read() {
    let read = requests(&of_others("apigw"));
    assert!(read >= 3, "{read} samples");
}

#[test]
fn every_event_of_a_bus_is_read_as_one_machine_reads_it() {
    let read = events(&ours(&["codebuild", "ecr", "own"]));
    assert!(read >= 25, "{read} samples");
}

#[test]
#[ignore = "needs samples of others: set TOWLINE_SAMPLES when you build"]
fn every_event_of_others_is_read_as_one_machine_reads_it() {
    let read = events(&of_others("eventbridge"));
    assert!(read >= 10, "{read} samples");
}

/// Replaces a part of a text, even in the middle of characters.
fn damaged(text: &str, from: usize, length: usize, with: &[u8]) -> Vec<u8> {
    let bytes = text.as_bytes();
    let from = from % bytes.len();
    let to = (from + length).min(bytes.len());
    [&bytes[..from], with, &bytes[to..]].concat()
}

proptest! {
    #[test]
    fn a32_what_is_damaged_is_read_or_refused_with_a_reason(
        from: usize, length in 0..40_usize, with in "[-{}\\[\\]:,\"0-9a-z\\\\ ]{0,8}",
    ) {
        for text in [REQUEST, EVENT] {
            let bytes = damaged(text, from, length, with.as_bytes());
            if let Err(error) = http_api::decode(&bytes) {
                prop_assert!(!error.to_string().is_empty());
            }
            if let Err(error) = envelope(&bytes) {
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }
}

//! `aws_lambda_events` reads every sample event: ours in `events/samples`, and others' in the
//! folder `TOWLINE_SAMPLES` if it is set.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use towline_lambda::{envelope, http_api};
use towline_wire::eventbridge;

const REQUEST: &str = include_str!("../../../../events/samples/apigateway/push.json");
const EVENT: &str = include_str!("../../../../events/samples/ecr/push.tagged.json");

/// The files of folders of ours and of others.
fn samples(ours: &[&str], of_others: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../events/samples");
    let ours = ours.iter().map(|folder| root.join(folder));
    let others = option_env!("TOWLINE_SAMPLES").map(|folder| Path::new(folder).join(of_others));
    let folders = ours.chain(others);
    let files = folders.flat_map(|folder| fs::read_dir(folder).unwrap());
    files.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn every_request_through_api_gateway_is_read() {
    let mut read = 0;
    for path in samples(&["apigateway"], "apigw") {
        let bytes = fs::read(&path).unwrap();
        // One sample is a template whose values are not filled in; its body claims to be base64.
        if String::from_utf8_lossy(&bytes).contains("{{{") {
            continue;
        }
        let request = http_api::decode(&bytes);
        assert!(request.is_ok(), "{}: {request:?}", path.display());
        read += 1;
    }
    assert!(read >= 3, "{read} samples");
}

#[test]
fn every_event_of_a_bus_is_read_as_one_machine_reads_it() {
    let mut read = 0;
    for path in samples(&["codebuild", "ecr", "own"], "eventbridge") {
        let bytes = fs::read(&path).unwrap();
        let on_one_machine = eventbridge::decode(&bytes);
        let found = envelope(&bytes);
        let path = path.display();
        assert_eq!(found.as_ref().ok(), on_one_machine.as_ref().ok(), "{path}");
        read += usize::from(found.is_ok());
    }
    assert!(read >= 25, "{read} samples");
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

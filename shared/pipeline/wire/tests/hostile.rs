//! For any input, every reader answers and none panics (A32, A33).

use proptest::prelude::*;
use towline_wire::{codebuild, ecr, eventbridge};

const EVENTS: [&str; 3] = [
    include_str!("../../../../events/samples/codebuild/failed.json"),
    include_str!("../../../../events/samples/ecr/push.tagged.json"),
    include_str!("../../../../events/samples/own/image-ready.json"),
];

/// Replaces a part of a text, even in the middle of characters.
fn damaged(text: &str, from: usize, length: usize, with: &[u8]) -> Vec<u8> {
    let bytes = text.as_bytes();
    let from = from % bytes.len();
    let to = (from + length).min(bytes.len());
    [&bytes[..from], with, &bytes[to..]].concat()
}

fn read_event(bytes: &[u8]) {
    let Ok(envelope) = eventbridge::decode(bytes) else {
        return;
    };
    let _ = ecr::decode(&envelope);
    let _ = eventbridge::intent_id(&envelope);
    if let Ok(change) = codebuild::decode(&envelope) {
        let _ = (change.attempt(), change.report());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        read_event(&bytes);
    }

    #[test]
    fn a_damaged_event_is_read_or_refused(
        which in 0..EVENTS.len(), from: usize, length in 0..40_usize, with in "[-{}\\[\\]:,\"0-9a-z\\\\ ]{0,8}",
    ) {
        read_event(&damaged(EVENTS[which], from, length, with.as_bytes()));
    }
}

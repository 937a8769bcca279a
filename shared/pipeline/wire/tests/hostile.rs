//! For any input, every reader answers, and a refusal says why (A32, A33).

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

/// Reads an event with every reader; returns what was refused without a reason.
fn refused_without_reason(bytes: &[u8]) -> Vec<&'static str> {
    let mut refusals = Vec::new();
    let envelope = match eventbridge::decode(bytes) {
        Ok(envelope) => envelope,
        Err(error) => return silent("envelope", &error).into_iter().collect(),
    };
    refusals.extend(
        ecr::decode(&envelope)
            .err()
            .and_then(|error| silent("ecr", &error)),
    );
    let id = eventbridge::intent_id(&envelope);
    refusals.extend(id.err().and_then(|error| silent("intent", &error)));
    match codebuild::decode(&envelope) {
        Ok(change) => {
            // What is not a build of ours has no attempt, and a report names the event's build.
            let (attempt, report) = (change.attempt(), change.report());
            let ours = attempt.is_none() || envelope.detail["additional-information"].is_object();
            refusals.extend((!ours).then_some("attempt"));
            let named = envelope.detail["build-id"].as_str().unwrap_or_default();
            let same = report.is_none_or(|report| named.ends_with(report.build.as_str()));
            refusals.extend((!same).then_some("report"));
        }
        Err(error) => refusals.extend(silent("codebuild", &error)),
    }
    refusals
}

fn silent(reader: &'static str, error: &dyn std::error::Error) -> Option<&'static str> {
    error.to_string().trim().is_empty().then_some(reader)
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        prop_assert_eq!(refused_without_reason(&bytes), [""; 0]);
    }

    #[test]
    fn a_damaged_event_is_read_or_refused(
        which in 0..EVENTS.len(), from: usize, length in 0..40_usize, with in "[-{}\\[\\]:,\"0-9a-z\\\\ ]{0,8}",
    ) {
        let event = damaged(EVENTS[which], from, length, with.as_bytes());
        prop_assert_eq!(refused_without_reason(&event), [""; 0]);
    }
}

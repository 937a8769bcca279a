//! The requests, their sizes, and entries that EventBridge rejects.

use jiff::Timestamp;
use serde_json::{Value, json};
use towline_ports::{Announcement, Bus as _};
use towline_wire::eventbridge as wire;

use crate::testing::{Answer, Service, broken, ok, refused, said};

fn announcement(id: &str, bytes: usize) -> Announcement {
    Announcement {
        id: id.into(),
        detail_type: "Build Due".into(),
        detail: json!({ "intent_id": id, "at": at(), "intent": "x".repeat(bytes) }),
        at: at(),
    }
}

fn at() -> Timestamp {
    "2026-11-02T09:14:05Z".parse().expect("a time")
}

/// EventBridge's answer: an error for each rejected entry.
fn answer(entries: &[Option<&str>]) -> Answer {
    let failed = entries.iter().flatten().count();
    let entries = entries.iter().map(|error| match error {
        Some(code) => json!({ "ErrorCode": code, "ErrorMessage": "not now" }),
        None => json!({ "EventId": "1" }),
    });
    ok(json!({ "FailedEntryCount": failed, "Entries": entries.collect::<Vec<_>>() }))
}

fn intents(asked: &Value) -> Vec<String> {
    let entries = asked["Entries"].as_array().expect("entries");
    let detail = |entry: &Value| -> Value {
        serde_json::from_str(entry["Detail"].as_str().expect("a text")).expect("JSON")
    };
    let id = |entry| detail(entry)["intent_id"].as_str().map(str::to_owned);
    entries.iter().filter_map(id).collect()
}

#[tokio::test]
async fn an_entry_is_what_the_rules_match_and_the_functions_read() {
    let (service, aws) = Service::start([answer(&[None])]).await;
    let announced = announcement("intent-1", 3);
    let bus = aws.bus("towline");
    bus.announce(vec![announced.clone()]).await.expect("taken");
    let (operation, asked) = service.asked().remove(0);
    assert_eq!(operation, "PutEvents");
    let entry = &asked["Entries"][0];
    assert_eq!(entry["EventBusName"], "towline");
    assert_eq!(entry["Source"], wire::SOURCE);
    assert_eq!(entry["DetailType"], "Build Due");
    assert_eq!(entry["Time"], at().as_second());
    let detail: Value =
        serde_json::from_str(entry["Detail"].as_str().expect("a text")).expect("JSON within JSON");
    assert_eq!(detail, announced.detail);
    // As the receiver reads it.
    let event = wire::own("event", "Build Due", &detail, announced.at);
    let envelope = wire::read(event).expect("an envelope");
    assert_eq!(wire::intent_id(&envelope).expect("an intent"), "intent-1");
}

#[tokio::test]
async fn a_request_holds_ten_entries_and_less_than_a_megabyte() {
    let names = |range: std::ops::Range<usize>| -> Vec<String> {
        range.map(|number| number.to_string()).collect()
    };
    for (bytes, expected) in [
        (0, vec![0..10, 10..12]),
        (200_000, vec![0..4, 4..8, 8..12]),
        (500_000, (0..12).map(|number| number..number + 1).collect()),
    ] {
        let answers = expected
            .iter()
            .map(|range| answer(&vec![None; range.len()]));
        let (service, aws) = Service::start(answers).await;
        let announcements = names(0..12).into_iter().map(|id| announcement(&id, bytes));
        let announced = aws.bus("b").announce(announcements.collect()).await;
        announced.expect("all are taken");
        let portions: Vec<_> = service
            .asked()
            .iter()
            .map(|(_, asked)| intents(asked))
            .collect();
        let expected: Vec<_> = expected.into_iter().map(names).collect();
        assert_eq!(portions, expected, "{bytes} bytes each");
    }
}

#[tokio::test]
async fn entries_that_were_not_taken_are_sent_again_and_no_others() {
    let throttled = Some("ThrottlingException");
    let (service, aws) = Service::start([
        answer(&[None, throttled, None, Some("InternalFailure")]),
        answer(&[throttled, None]),
        answer(&[None]),
    ])
    .await;
    let announcements = ["a", "b", "c", "d"].map(|id| announcement(id, 1)).to_vec();
    aws.bus("b")
        .announce(announcements)
        .await
        .expect("in the end");
    let sent: Vec<_> = service
        .asked()
        .iter()
        .map(|(_, asked)| intents(asked))
        .collect();
    let expected: [&[&str]; 3] = [&["a", "b", "c", "d"], &["b", "d"], &["b"]];
    assert_eq!(sent, expected);
}

#[tokio::test]
async fn what_is_never_taken_is_counted() {
    let one = answer(&[Some("InternalFailure")]);
    let two = answer(&[Some("InternalFailure"), None]);
    let (service, aws) = Service::start([two, one.clone(), one.clone(), one]).await;
    let announcements = ["a", "b"].map(|id| announcement(id, 1)).to_vec();
    let error = aws
        .bus("b")
        .announce(announcements)
        .await
        .expect_err("one is left");
    let expected = "announcing 1 of 2: EventBridge rejected them: InternalFailure: not now";
    assert_eq!(said(&error), expected);
    assert_eq!(service.asked().len(), 4);
}

#[tokio::test]
async fn an_answer_that_does_not_say_what_was_taken_is_an_error() {
    let (taken, refused) = (
        json!({ "EventId": "1" }),
        json!({ "ErrorCode": "Internal" }),
    );
    for (failed, entries) in [
        (1, vec![]),
        (1, vec![taken.clone()]),
        (1, vec![taken.clone(), taken.clone()]),
        (2, vec![taken.clone(), refused.clone()]),
        (0, vec![taken, refused]),
    ] {
        let answer = ok(json!({ "FailedEntryCount": failed, "Entries": entries }));
        let (_service, aws) = Service::start([answer]).await;
        let announcements = ["a", "b"].map(|id| announcement(id, 1)).to_vec();
        let error = aws.bus("b").announce(announcements).await;
        let error = said(&error.expect_err("nobody knows which"));
        let expected = format!(
            "announcing on the bus b: EventBridge rejected {failed} of 2, and does not say which"
        );
        assert_eq!(error, expected);
    }
}

#[tokio::test]
async fn a_request_is_tried_again_when_that_may_help() {
    let (service, aws) = Service::start([broken(), answer(&[None])]).await;
    let bus = aws.bus("b");
    bus.announce(vec![announcement("a", 1)])
        .await
        .expect("at last");
    assert_eq!(service.asked().len(), 2);

    service.then([refused("ResourceNotFoundException")]);
    let error = bus.announce(vec![announcement("a", 1)]).await;
    let error = said(&error.expect_err("there is no bus"));
    let expected =
        "announcing on the bus b: ResourceNotFoundException: because of ResourceNotFoundException";
    assert_eq!(error, expected);
    assert_eq!(service.asked().len(), 1);
}

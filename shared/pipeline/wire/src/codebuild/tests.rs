//! State changes in every form CodeBuild has been seen to send.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use serde_json::{Value, json};

use super::*;
use crate::eventbridge;

fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn change(status: Status) -> StateChange {
    let text = |text: &str| text.to_owned();
    StateChange {
        id: "1".into(),
        at: moment("2026-11-02T09:20:00Z"),
        account: "111122223333".into(),
        region: "eu-central-1".into(),
        build: "towline-acme-shop:6f1c0a52-7c4e-4a0e-9d63-0d3e2b7f8a11"
            .parse()
            .unwrap(),
        status,
        project: "towline-acme-shop".into(),
        commit: Some("3d1f6a0c9b7e48d25f10c6a3e9b84d7712c0fe58".parse().unwrap()),
        started_at: Some(moment("2026-11-02T09:15:00Z")),
        environment: vec![
            (text(RUN_VARIABLE), text("00112233aabbccdd")),
            (text(COMPONENT_VARIABLE), text("backend")),
            (
                text(ATTEMPT_VARIABLE),
                text("0f0e0d0c-0b0a-8908-a706-050403020100"),
            ),
        ],
        phases: vec![Phase {
            name: "BUILD".into(),
            status: Some("FAILED".into()),
            started_at: Some(moment("2026-11-02T09:15:10Z")),
            ended_at: Some(moment("2026-11-02T09:19:59Z")),
            context: vec!["COMMAND_EXECUTION_ERROR: make test. Reason: exit status 2".into()],
        }],
    }
}

fn read(event: Value) -> Result<StateChange, ShapeError> {
    decode(&eventbridge::read(event).unwrap())
}

#[test]
fn what_is_written_is_read_back() {
    for status in [
        "IN_PROGRESS",
        "SUCCEEDED",
        "FAILED",
        "FAULT",
        "STOPPED",
        "TIMED_OUT",
        "ODD",
    ] {
        let change = change(Status::of(status));
        assert_eq!(read(event(&change)).unwrap(), change);
    }
}

#[test]
fn a_build_names_its_attempt_and_why_it_failed() {
    let change = read(event(&change(Status::of("FAILED")))).unwrap();
    let attempt = change.attempt().unwrap();
    assert_eq!(attempt.component.as_str(), "backend");
    let report = change.report().unwrap();
    assert_eq!(report.status, BuildStatus::Failed);
    assert_eq!(report.started_at, Some(moment("2026-11-02T09:15:00Z")));
    assert_eq!(report.ended_at, Some(moment("2026-11-02T09:20:00Z")));
    assert_eq!(
        report.reason.unwrap(),
        "BUILD: COMMAND_EXECUTION_ERROR: make test. Reason: exit status 2"
    );
}

#[test]
fn a_build_that_runs_has_no_end_and_an_unknown_status_reports_nothing() {
    let running = change(Status::of("IN_PROGRESS"));
    assert_eq!(running.report().unwrap().ended_at, None);
    assert_eq!(change(Status::of("ODD")).report(), None);
}

#[test]
fn an_attempt_named_twice_or_not_at_all_is_none() {
    let with = |edit: fn(&mut Vec<(String, String)>)| {
        let mut change = change(Status::of("FAILED"));
        edit(&mut change.environment);
        change.attempt()
    };
    assert!(with(|_| ()).is_some());
    assert_eq!(with(Vec::clear), None);
    assert_eq!(with(|env| env.push(env[0].clone())), None);
    assert_eq!(with(|env| env[0].1 = "$(id)".into()), None);
}

#[test]
fn only_build_status_and_project_are_needed() {
    let bare = |detail: Value| {
        json!({
            "id": "1", "detail-type": DETAIL_TYPE, "source": SOURCE,
            "time": "2026-11-02T09:20:00Z", "detail": detail,
        })
    };
    let arn = "arn:aws-cn:codebuild:cn-north-1:111122223333:build/shop:1-2";
    let needed = json!({"build-status": "SUCCEEDED", "project-name": "shop", "build-id": arn});
    let change = read(bare(needed.clone())).unwrap();
    assert_eq!(change.build.as_str(), "shop:1-2");
    assert_eq!(change.attempt(), None);
    assert_eq!(change.reason(), None);
    for key in ["build-status", "project-name", "build-id"] {
        let mut detail = needed.clone();
        detail.as_object_mut().unwrap().remove(key);
        let refused = read(bare(detail)).unwrap_err().to_string();
        assert!(refused.contains(&format!("`{key}`")), "{refused}");
    }
    for id in [
        "shop:1-2",
        "arn:aws:s3:::bucket",
        "arn:x:build/",
        "arn:x:build/a b:1",
    ] {
        let mut detail = needed.clone();
        detail["build-id"] = json!(id);
        assert!(read(bare(detail)).is_err(), "{id}");
    }
}

#[test]
fn odd_values_where_nothing_is_needed_do_no_harm() {
    let mut event = event(&change(Status::of("FAILED")));
    let more = &mut event["detail"]["additional-information"];
    more["build-number"] = json!(12.0);
    more["source-version"] = json!("refs/heads/main");
    more["timeout-in-minutes"] = json!("60");
    more["build-start-time"] = json!(1_793_610_900.25);
    more["phases"] = json!([
        1,
        {"phase-type": "SUBMITTED", "start-time": null, "phase-context": "[]"},
        {"phase-status": "FAILED"},
        {"phase-type": "BUILD", "phase-status": "FAILED", "duration-in-seconds": 0.5, "phase-context": [": ", 7]},
    ]);
    more["environment"]["environment-variables"] = json!([
        {"name": "A", "value": "1"},
        {"name": "B"},
        {"name": "C", "type": "SECRETS_MANAGER", "value": "arn"},
        "D",
    ]);
    let change = read(event).unwrap();
    assert_eq!(change.environment, [("A".to_owned(), "1".to_owned())]);
    assert_eq!(change.phases.len(), 2);
    assert_eq!(change.reason().unwrap(), "BUILD did not succeed");
    assert!(change.started_at.is_some());
    assert_eq!(change.commit, None);
}

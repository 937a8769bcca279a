//! How an event appears on stdout.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::{Arc, Mutex};

use serde_json::json;

use super::*;

/// The lines that `act` writes, as JSON, without the times.
fn lines(level: LevelFilter, act: impl FnOnce()) -> Vec<Value> {
    let written = Arc::new(Mutex::new(String::new()));
    let sink = Arc::clone(&written);
    let layer = Lines {
        function: "plan-runs",
        stack: "shop".into(),
        level,
        write: move |line: &str| sink.lock().unwrap().push_str(line),
    };
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, act);
    let written = written.lock().unwrap();
    let line = |line: &str| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        let at = value.as_object_mut().unwrap().remove("timestamp");
        if let Some(at) = at {
            assert!(at.as_str().unwrap().parse::<Timestamp>().is_ok(), "{at}");
        }
        if let Some(at) = value.pointer_mut("/_aws/Timestamp") {
            assert!(at.take().as_i64().unwrap() > 1_700_000_000_000);
        }
        value
    };
    written.lines().map(line).collect()
}

#[test]
fn an_event_is_one_line_with_its_fields_and_those_around_it() {
    let cause = std::io::Error::other("connection reset\nby peer");
    let error = towline_ports::PortError::new("reading the table", cause);
    let found = lines(LevelFilter::INFO, || {
        let outer = tracing::info_span!("outer", request_id = "r-1", run = "old");
        let _outer = outer.enter();
        let inner = tracing::info_span!("inner", run = tracing::field::Empty);
        inner.record("run", "7c21e05fa9b3d864");
        let _inner = inner.enter();
        tracing::error!(
            target: "towline_test",
            error = &error as &dyn Error,
            tries = 3,
            last = true,
            level = "high",
            "could not \"plan\" {}",
            1
        );
    });
    let expected = json!({
        "level": "ERROR",
        "message": "could not \"plan\" 1",
        "function": "plan-runs",
        "target": "towline_test",
        "request_id": "r-1",
        "run": "7c21e05fa9b3d864",
        "error": "reading the table: connection reset\nby peer",
        "tries": 3,
        "last": true,
        "level_": "high",
    });
    assert_eq!(found, [expected]);
}

#[test]
fn what_others_log_is_kept_only_when_something_is_wrong() {
    let check = |level, expected: &[&str]| {
        let found = lines(level, || {
            tracing::debug!(target: "towline_test", "ours, debug");
            tracing::info!(target: "towline_test", "ours, info");
            tracing::info!(target: "hyper", "theirs, info");
            tracing::warn!(target: "hyper", "theirs, warn");
            tracing::error!(target: "lambda_runtime::layers::panic", "said already");
            tracing::info!(target: "towline::metric", name = "Counted");
        });
        let said: Vec<_> = found
            .iter()
            .map(|line| line["message"].as_str().unwrap_or("metric"))
            .collect();
        assert_eq!(said, expected);
    };
    check(LevelFilter::OFF, &["metric"]);
    check(LevelFilter::ERROR, &["metric"]);
    check(LevelFilter::INFO, &["ours, info", "theirs, warn", "metric"]);
    check(
        LevelFilter::TRACE,
        &[
            "ours, debug",
            "ours, info",
            "theirs, info",
            "theirs, warn",
            "metric",
        ],
    );
}

#[test]
fn a_metric_is_a_line_that_cloudwatch_counts() {
    let found = lines(LevelFilter::ERROR, || {
        let span = tracing::info_span!(target: "towline_test", "invocation", request_id = "r-1");
        let _span = span.enter();
        tracing::info!(
            target: "towline::metric",
            name = "PushToStartBuild",
            milliseconds = 1_234_u64,
            component = "backend",
            "a build was started"
        );
        tracing::info!(target: "towline::metric", name = "IntegrityHold");
        tracing::info!(target: "towline::metric", name = "SweepAge", seconds = 2.5);
    });
    let line = |name: &str, unit: &str, value: Value, more: Value| {
        let mut line = json!({
            "_aws": {
                "Timestamp": null,
                "CloudWatchMetrics": [{
                    "Namespace": "Towline",
                    "Dimensions": [["Stack"]],
                    "Metrics": [{"Name": name, "Unit": unit}],
                }],
            },
            "Stack": "shop",
            "function": "plan-runs",
            "request_id": "r-1",
        });
        line[name] = value;
        for (key, value) in more.as_object().unwrap() {
            line[key] = value.clone();
        }
        line
    };
    assert_eq!(
        found,
        [
            line(
                "PushToStartBuild",
                "Milliseconds",
                json!(1234),
                json!({"component": "backend"})
            ),
            line("IntegrityHold", "Count", json!(1), json!({})),
            line("SweepAge", "Seconds", json!(2.5), json!({})),
        ]
    );
}

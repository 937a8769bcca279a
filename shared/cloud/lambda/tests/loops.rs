//! The loops in their own process, driven by a Runtime API on loopback, as on Lambda.
//!
//! The process is the test itself, started again with `TOWLINE_TEST_LOOP` set.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod runtime_api;

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use towline_lambda::{SystemClock, events, requests, run, schedule};
use towline_ports::{Clock as _, PortError};
use towline_wire::http::{Headers, Request, Response};
use towline_wire::signature::{self, Secret, Secrets};

use runtime_api::{Invocation, RuntimeApi};

/// Names the loop to run; says that this process is the function.
const LOOP: &str = "TOWLINE_TEST_LOOP";
/// Signs the requests in `events/samples/apigateway`.
const SECRET: &str = "no secret, only for the samples of towline";

/// Runs the loop that the environment names, until the process is killed; false if it names none.
#[expect(clippy::disallowed_methods, reason = "so the tests name the loop")]
fn is_function() -> bool {
    let Ok(name) = std::env::var(LOOP) else {
        return false;
    };
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(async {
        match name.as_str() {
            "events" => run("under-test", events(async |event| act(&event.detail).await)).await,
            "requests" => run("under-test", requests(answer)).await,
            _ => run("under-test", schedule(async || tick())).await,
        }
    });
    true
}

async fn act(order: &Value) -> Result<(), PortError> {
    match order["do"].as_str() {
        Some("fail") => Err(PortError::new(
            "asking GitHub",
            std::io::Error::other("gone"),
        )),
        Some("panic") => panic!("nobody thought of {}", order["of"]),
        Some("wait") => {
            SystemClock.sleep(Duration::from_secs(3_600)).await;
            Ok(())
        }
        _ => {
            tracing::info!(target: "towline_test", "acted");
            Ok(())
        }
    }
}

async fn answer(request: Request) -> Response {
    assert_ne!(request.path, "/panic", "asked to");
    let length = request.body.len();
    let secrets = Secrets::new(Secret::new(SECRET).unwrap(), None);
    let status = match signature::verify(&request.headers, request.body, &secrets) {
        Ok(_) => 202,
        Err(_) => 401,
    };
    Response {
        status,
        headers: Headers::default(),
        body: format!("{} {} {length}", request.method, request.path).into_bytes(),
    }
}

fn tick() -> Result<&'static str, PortError> {
    tracing::info!(target: "towline_test", "swept");
    Ok("all well")
}

/// What Lambda and CloudWatch receive.
struct Seen {
    /// Each answer as `response …` or `error …`.
    answers: Vec<String>,
    lines: Vec<Value>,
}

impl Seen {
    /// Level, message and chosen fields of each line.
    fn said(&self, fields: &[&str]) -> Vec<String> {
        let said = self.lines.iter().map(|line| {
            let names = ["level", "message"].iter().chain(fields);
            let words = names.filter_map(|name| line[*name].as_str().map(str::to_owned));
            words.collect::<Vec<_>>().join(" | ")
        });
        said.collect()
    }
}

/// Runs a loop over invocations until all are answered.
fn drive(test: &str, name: &str, invocations: Vec<Invocation>) -> Seen {
    let api = RuntimeApi::start(invocations);
    let mut function = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(LOOP, name)
        .env("AWS_LAMBDA_RUNTIME_API", api.address())
        .env("AWS_LAMBDA_FUNCTION_NAME", "under-test")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .env_remove("TOWLINE_LOG")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let answers = api.answers();
    function.kill().unwrap();
    let output = function.wait_with_output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    Seen {
        answers,
        // The first line may begin with output of the test harness.
        lines: lines
            .lines()
            .filter_map(|line| serde_json::from_str(&line[line.find('{')?..]).ok())
            .collect(),
    }
}

fn event(detail: &Value) -> String {
    let event = json!({
        "id": "e-1", "detail-type": "Build Due", "source": "towline",
        "time": "2026-11-02T09:14:08Z", "detail": detail,
    });
    event.to_string()
}

#[test]
fn f18_events_are_acted_on_and_none_stops_the_next() {
    if is_function() {
        return;
    }
    let sample = include_str!("../../../../events/samples/own/build-due.json");
    let seen = drive(
        "f18_events_are_acted_on_and_none_stops_the_next",
        "events",
        vec![
            Invocation::of(sample),
            Invocation::of("{\"id\": "),
            Invocation::of("[1]"),
            Invocation::of(event(&json!({"do": "fail"}))),
            Invocation::of(event(&json!({"do": "panic", "of": "it"}))),
            Invocation::within(250, event(&json!({"do": "wait"}))),
            Invocation::of(sample),
        ],
    );
    assert_eq!(
        seen.answers,
        [
            "response null",
            "response null",
            "response null",
            "error Failed: asking GitHub: gone",
            "error Panicked: the function panicked",
            "error OutOfTime: not done within …",
            "response null",
        ]
    );
    assert_eq!(
        seen.said(&["request_id", "run", "kind", "error", "reason"]),
        [
            "INFO | acted | request-0 | 7c21e05fa9b3d864 | Build Due",
            "ERROR | dropped: not an event | request-1 | it is not an event of EventBridge: EOF while parsing a value at line 1 column 7",
            "ERROR | dropped: not an event | request-2 | it is not an event of EventBridge: invalid type: integer `1`, expected a string at line 1 column 2",
            "ERROR | failed | request-3 | asking GitHub: gone",
            "ERROR | panicked | request-4 | Build Due | nobody thought of \"it\"",
            "ERROR | stopped shortly before the timeout | request-5",
            "INFO | acted | request-6 | 7c21e05fa9b3d864 | Build Due",
        ]
    );
}

#[test]
fn a32_requests_are_answered_whatever_they_are() {
    if is_function() {
        return;
    }
    let push = include_str!("../../../../events/samples/apigateway/push.json");
    let base64 = include_str!("../../../../events/samples/apigateway/push.base64.json");
    let change = |pointer: &str, value: Value| {
        let mut event: Value = serde_json::from_str(push).unwrap();
        *event.pointer_mut(pointer).unwrap() = value;
        event.to_string()
    };
    let large = "x".repeat(towline_lambda::http_api::MOST_BODY + 1);
    let seen = drive(
        "a32_requests_are_answered_whatever_they_are",
        "requests",
        vec![
            Invocation::of(push),
            Invocation::of(base64),
            Invocation::of(change("/body", json!("{}"))),
            Invocation::of(change("/body", json!(large))),
            Invocation::of(change("/isBase64Encoded", json!(true))),
            Invocation::of(change("/rawPath", json!("/panic"))),
            Invocation::of("no request"),
            Invocation::of(push),
        ],
    );
    let status = |answer: &String| {
        let Some(response) = answer.strip_prefix("response ") else {
            return answer.clone();
        };
        serde_json::from_str::<Value>(response).unwrap()["statusCode"].to_string()
    };
    let answers: Vec<_> = seen.answers.iter().map(status).collect();
    let panicked = "error Panicked: the function panicked";
    assert_eq!(
        answers,
        ["202", "202", "401", "413", "400", panicked, "400", "202"]
    );
    assert_eq!(
        seen.said(&["request_id"]),
        [
            "WARN | refused | request-3",
            "WARN | refused | request-4",
            "ERROR | panicked | request-5",
            "WARN | refused | request-6",
        ]
    );
}

#[test]
fn the_clock_needs_no_event() {
    if is_function() {
        return;
    }
    let seen = drive(
        "the_clock_needs_no_event",
        "schedule",
        vec![Invocation::of("{}"), Invocation::of("whatever")],
    );
    assert_eq!(seen.answers, ["response null", "response null"]);
    assert_eq!(seen.said(&["function"]), ["INFO | swept | under-test"; 2]);
}

//! Faults that were found in functions people use for this job today, and that this one does not
//! have: the function itself, with a Runtime API and an AWS on loopback.
//!
//! Another one is a slow start, which `infra/bench` measures.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod aws;
#[path = "../../../shared/cloud/lambda/tests/runtime_api/mod.rs"]
mod runtime_api;

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use towline_wire::signature::{Secret, sign};

use aws::Aws;
use runtime_api::{Invocation, RuntimeApi};

/// A push as API Gateway passes it, its body as text and as base64.
const PUSH: &str = include_str!("../../../events/samples/apigateway/push.json");
const PUSH_BASE64: &str = include_str!("../../../events/samples/apigateway/push.base64.json");
/// Signs both.
const SECRET: &str = "no secret, only for the samples of towline";
/// The signature in GitHub's earlier form, made with the same secret.
const SHA1: &str = "sha1=adeb006382396d50289eaaf10fc2e4628c3ab61d";
/// Its commit and repository.
const COMMIT: &str = "3d1f6a0c9b7e48d25f10c6a3e9b84d7712c0fe58";
const REPOSITORY: &str = "harbour-lane/storefront";

/// Passes deliveries to one process of the function, one by one; returns the status of each answer.
fn deliver(aws: &Aws, deliveries: Vec<String>) -> Vec<u64> {
    let api = RuntimeApi::start(deliveries.into_iter().map(Invocation::of).collect());
    let mut function = Command::new(env!("CARGO_BIN_EXE_receive-github"))
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", api.address())
        .env("AWS_LAMBDA_FUNCTION_NAME", "towline-receive-github")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_ENDPOINT_URL", aws.address())
        .env("TOWLINE_TABLE", "towline")
        .env("TOWLINE_BUS", "towline")
        .env("TOWLINE_REPOSITORIES", REPOSITORY)
        .env("TOWLINE_WEBHOOK_SECRET_ID", "webhook")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let answers = api.answers();
    function.kill().unwrap();
    function.wait().unwrap();
    let status = |answer: &String| {
        let response = answer.strip_prefix("response ");
        let response = response.unwrap_or_else(|| panic!("it answered {answer}"));
        let response: Value = serde_json::from_str(response).unwrap();
        response["statusCode"].as_u64().unwrap()
    };
    answers.iter().map(status).collect()
}

fn aws() -> Aws {
    Aws::start(SECRET, &[])
}

/// The push with other headers; null removes one.
fn with_headers(headers: &Value) -> String {
    let mut push: Value = serde_json::from_str(PUSH).unwrap();
    let known = push["headers"].as_object_mut().unwrap();
    known.extend(headers.as_object().unwrap().clone());
    known.retain(|_, value| !value.is_null());
    push.to_string()
}

/// The push with another body, signed.
fn with_body(change: impl Fn(&str) -> String) -> String {
    let mut push: Value = serde_json::from_str(PUSH).unwrap();
    let body = change(push["body"].as_str().unwrap());
    let signature = sign(&Secret::new(SECRET).unwrap(), body.as_bytes());
    push["headers"]["x-hub-signature-256"] = signature.into();
    push["headers"]["content-length"] = body.len().to_string().into();
    push["body"] = body.into();
    push.to_string()
}

/// A push with its own commit.
fn numbered(number: usize) -> String {
    with_body(|body| body.replace(COMMIT, &format!("{number:040x}")))
}

/// A push whose body has more than this many bytes.
fn of_size(bytes: usize) -> String {
    with_body(|body| {
        let mut push: Value = serde_json::from_str(body).unwrap();
        push["commits"][0]["message"] = "x".repeat(bytes).into();
        push.to_string()
    })
}

#[test]
fn a_secret_that_could_not_be_read_at_a_cold_start_is_read_for_the_next_delivery() {
    for refusals in [
        &[(400, "AccessDeniedException")][..],
        &[(400, "DecryptionFailure")],
        &[(500, "InternalServiceError"); 3],
    ] {
        let aws = Aws::start(SECRET, refusals);
        let pushes = vec![PUSH.into(), PUSH.into()];
        assert_eq!(deliver(&aws, pushes), [503, 202], "{refusals:?}");
        assert_eq!(aws.announced(), ["Push Accepted"]);
    }
}

#[test]
fn later_deliveries_need_no_connection_of_their_own() {
    let aws = aws();
    assert_eq!(deliver(&aws, (1..=10).map(numbered).collect()), [202; 10]);
    // All services have the same address, so one would be enough; two may be needed at times.
    assert!((1..=2).contains(&aws.connections()));
}

#[test]
fn a_push_that_is_delivered_three_times_is_built_once() {
    let aws = aws();
    // GitHub's page redelivers with the same id, a person's tool with another.
    let again = with_headers(&json!({"x-github-delivery": "other"}));
    let deliveries = vec![PUSH.into(), PUSH.into(), again.clone()];
    assert_eq!(deliver(&aws, deliveries), [202, 200, 200]);
    // A new process knows this too.
    assert_eq!(deliver(&aws, vec![again]), [200]);
    assert_eq!(aws.announced(), ["Push Accepted"]);
}

#[test]
fn a_signature_that_is_missing_or_sha_1_alone_is_answered_401() {
    let aws = aws();
    let deliveries = [
        json!({"x-hub-signature-256": null}),
        json!({"x-hub-signature-256": null, "x-hub-signature": SHA1}),
        json!({"x-hub-signature-256": SHA1}),
        json!({"x-hub-signature-256": ""}),
    ];
    let deliveries = deliveries.iter().map(with_headers).collect();
    assert_eq!(deliver(&aws, deliveries), [401; 4]);
    assert_eq!(aws.items(), 0);
}

#[test]
fn a_body_in_base64_is_taken() {
    let aws = aws();
    assert_eq!(deliver(&aws, vec![PUSH_BASE64.into()]), [202]);
    assert_eq!(aws.announced(), ["Push Accepted"]);
}

#[test]
fn a_body_of_more_than_256_kb_is_taken() {
    for bytes in [256 * 1024, 1_000_000, 4_000_000] {
        let aws = aws();
        assert_eq!(deliver(&aws, vec![of_size(bytes)]), [202], "{bytes}");
        assert_eq!(aws.announced(), ["Push Accepted"]);
    }
}

#[test]
fn a_false_content_length_is_not_believed() {
    for length in ["0", "262145", "99999999999999999999", "-1", "many"] {
        let aws = aws();
        let push = with_headers(&json!({"content-length": length}));
        assert_eq!(deliver(&aws, vec![push]), [202], "{length}");
        assert_eq!(aws.announced(), ["Push Accepted"]);
    }
}

//! Who has access, to which path, with which credentials.

use serde_json::{Value, json};
use towline_lambda::http_api;
use towline_ports::PortError;

use super::*;
use crate::tests::{ROLE, TOKEN, World, now, request};

/// A request, its headers as `Name: value` lines, and the status it is answered with.
fn check(world: &World, method: &str, target: &str, headers: &str, status: u16) -> Response {
    let lines = headers
        .lines()
        .filter_map(|line| line.trim().split_once(": "));
    let headers: Vec<(&str, &str)> = lines.collect();
    answered(world, request(method, target, &headers), status)
}

fn answered(world: &World, request: Request, status: u16) -> Response {
    let label = format!("{request:?}");
    let response = now(world.door().answer(request));
    let text = String::from_utf8_lossy(&response.body);
    assert_eq!(response.status, status, "{label}: {text}");
    response
}

fn error(response: &Response) -> String {
    let body: Value = serde_json::from_slice(&response.body).expect("JSON");
    body["error"].as_str().expect("a reason").to_owned()
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

fn basic(login: &str, token: &str) -> String {
    let pair = STANDARD.encode(format!("{login}:{token}"));
    format!("Authorization: Basic {pair}")
}

fn caller(arn: &str) -> String {
    format!("{CALLER_ARN}: {arn}")
}

const SESSION: &str = "arn:aws:sts::111122223333:assumed-role/Deployers/kim@acme.example";

#[test]
fn a_token_is_shown_as_bearer_or_typed_into_a_browser() {
    let world = World::new();
    let wrong = "the token of nobody";
    for (method, headers, status) in [
        ("GET", bearer(TOKEN), 200),
        ("HEAD", bearer(TOKEN), 200),
        ("GET", bearer(TOKEN).replace("Bearer", "bearer"), 200),
        ("GET", basic("lee", TOKEN), 200),
        ("GET", basic("LEE", TOKEN), 200),
        ("GET", basic("lee", TOKEN).replace("Basic", "BASIC"), 200),
        ("GET", String::new(), 401),
        ("GET", bearer(wrong), 401),
        ("GET", bearer(""), 401),
        ("GET", format!("Authorization: {TOKEN}"), 401),
        ("GET", bearer(TOKEN).replace("Bearer", "Digest"), 401),
        ("GET", basic("kim", TOKEN), 401),
        ("GET", basic("", TOKEN), 401),
        ("GET", basic("lee", wrong), 401),
        ("GET", format!("Authorization: Basic {TOKEN}"), 401),
        ("GET", format!("{}\n{}", bearer(TOKEN), bearer(TOKEN)), 401),
        ("GET", format!("{}\n{}", bearer(wrong), bearer(TOKEN)), 401),
        ("GET", caller(ROLE), 401),
        // Another page could make a browser send these.
        ("HEAD", basic("lee", TOKEN), 401),
        ("POST", basic("lee", TOKEN), 401),
        ("PUT", basic("lee", TOKEN), 401),
        // A token is not a name, and no path bypasses the check.
        ("GET", format!("Cookie: token={TOKEN}"), 401),
    ] {
        check(&world, method, "/v1/runs", &headers, status);
    }
    let refused = check(&world, "GET", &format!("/v1/runs?token={TOKEN}"), "", 401);
    assert_eq!(refused.headers.only("www-authenticate"), Some("Bearer"));
    assert!(!error(&refused).contains(TOKEN));
    let browser = check(&world, "GET", "/v1/runs", "Accept: text/html,*/*", 401);
    let ways = browser.headers.only("www-authenticate").expect("ways");
    assert!(ways.contains("Basic realm="), "{ways}");
}

#[test]
fn an_identity_of_aws_is_taken_from_the_gateway_alone() {
    let world = World::new();
    for (target, headers, status) in [
        ("/aws/v1/runs", caller(ROLE), 200),
        ("/aws/v1/runs", caller(SESSION), 200),
        (
            "/aws/v1/runs",
            caller(&SESSION.replace("Deployers", "Others")),
            403,
        ),
        (
            "/aws/v1/runs",
            caller(&SESSION.replace("1111", "2222")),
            403,
        ),
        (
            "/aws/v1/runs",
            caller("arn:aws:iam::111122223333:user/lee"),
            403,
        ),
        ("/aws/v1/runs", String::new(), 401),
        ("/aws/v1/runs", bearer(TOKEN), 401),
        ("/aws/v1/runs", basic("lee", TOKEN), 401),
        (
            "/aws/v1/runs",
            format!("caller-arn: {ROLE}\nx-caller-arn: {ROLE}"),
            401,
        ),
        (
            "/aws/v1/runs",
            format!("{}\n{}", caller(ROLE), caller(SESSION)),
            401,
        ),
        ("/v1/runs", caller(SESSION), 401),
    ] {
        check(&world, "GET", target, &headers, status);
    }
    let nobody = check(
        &world,
        "GET",
        "/aws/v1/runs",
        &caller(&format!("{ROLE}2")),
        403,
    );
    assert!(error(&nobody).contains("no known person has the ARN"));
}

#[test]
fn no_client_names_itself_behind_the_gateway() {
    let world = World::new();
    let through = |headers: Value, authorizer: Value, status: u16| {
        let event = json!({
            "version": "2.0",
            "rawPath": "/aws/v1/runs",
            "headers": headers,
            "requestContext": {"http": {"method": "GET"}, "authorizer": authorizer},
        });
        let request = http_api::decode(event.to_string().as_bytes()).expect("a request");
        answered(&world, request, status);
    };
    let iam = |arn: &str| json!({"iam": {"userArn": arn}});
    through(json!({}), iam(SESSION), 200);
    through(json!({}), Value::Null, 401);
    through(json!({}), iam("arn:aws:iam::1:user/eve"), 403);
    for name in [CALLER_ARN, ":Caller-Arn"] {
        let claim = json!({
            "version": "2.0",
            "rawPath": "/aws/v1/runs",
            "headers": {name: ROLE},
            "requestContext": {"http": {"method": "GET"}},
        });
        let read = http_api::decode(claim.to_string().as_bytes());
        assert!(read.is_err(), "a header called {name}");
    }
    through(
        json!({"caller-arn": ROLE}),
        json!({"jwt": {"claims": {"sub": ROLE}}}),
        401,
    );
}

#[test]
fn a_path_leads_to_one_thing_or_nowhere() {
    let world = World::new();
    let lee = bearer(TOKEN);
    for (method, target, headers, status) in [
        ("GET", "/healthz", "", 200),
        ("HEAD", "/healthz", "", 200),
        ("POST", "/healthz", "", 405),
        ("GET", "/healthz/", "", 404),
        ("GET", "/", "", 404),
        ("GET", "/v1", "", 404),
        ("GET", "/v1/", lee.as_str(), 404),
        ("GET", "/v1/nothing", &lee, 404),
        ("GET", "/v1/runs/1", &lee, 404),
        (
            "GET",
            "/v1/promote?component=web&image=1&stage=prod",
            &lee,
            404,
        ),
        ("GET", "/v1/tags", &lee, 400),
        ("GET", "/v1/tags?component=web&wrong=1", &lee, 400),
        ("GET", "/v1/tags?component=web", &lee, 409),
        ("DELETE", "/v1/runs", &lee, 405),
        ("POST", "/v1/hold", &lee, 400),
        // A caller without access does not learn whether a path exists.
        ("GET", "/v1/nothing", "", 401),
        ("DELETE", "/v1/runs", "", 401),
        ("GET", "/aws", "", 404),
        ("GET", "/aws/healthz", "", 404),
        ("GET", "/aws/aws/v1/runs", "", 404),
        ("GET", "/aws/v1/nothing", "", 401),
        ("GET", "/AWS/v1/runs", &lee, 404),
        ("GET", "//v1/runs", &lee, 404),
        ("GET", "/slack/commands", "", 405),
        ("POST", "/slack/interactions", "", 404),
    ] {
        let response = check(&world, method, target, headers, status);
        let allow = response.headers.only("allow");
        assert_eq!(allow.is_some(), status == 405, "{target}: {allow:?}");
    }
    let body = |text: &str| Request {
        body: text.into(),
        ..request("POST", "/v1/hold", &[("authorization", &lee[15..])])
    };
    for (text, status) in [
        ("[]", 400),
        ("{}", 400),
        (
            r#"{"component":"web","stage":"prod","reason":"x","by":"kim"}"#,
            400,
        ),
        (r#"{"component":"web","stage":"prod","reason":"x"}"#, 409),
        (" ".repeat(16 * 1024 + 1).as_str(), 413),
    ] {
        answered(&world, body(text), status);
    }
}

#[test]
fn s20_a_full_disk_is_named() {
    let cause = "database or disk is full";
    let full = PortError::no_space("write to the store", "/var/lib/towline/store", cause);
    let response = http::encode(Err(full.into()));
    assert_eq!(response.status, 503);
    assert_eq!(
        error(&response),
        "no space left in /var/lib/towline/store; free some space, and try again"
    );
    let other = http::encode(Err(PortError::because("write to the store").into()));
    assert!(error(&other).starts_with("a service that Towline needs"));
}

#[test]
fn a_person_gets_lines_and_a_program_json() {
    let world = World::with_a_push("Fix the cart");
    let shown = |headers: &str| {
        let headers = format!("{}\n{headers}", bearer(TOKEN));
        let response = check(&world, "GET", "/v1/runs", &headers, 200);
        let kind = response.headers.only("content-type").map(str::to_owned);
        (
            kind.expect("a type"),
            String::from_utf8(response.body).expect("text"),
        )
    };
    for accept in ["", "Accept: */*", "Accept: application/json"] {
        let (kind, text) = shown(accept);
        assert_eq!(kind, "application/json");
        assert!(text.starts_with(r#"{"answer":"runs""#), "{text}");
    }
    let (kind, text) = shown("Accept: text/html,application/xhtml+xml,*/*;q=0.8");
    assert_eq!(kind, "text/plain; charset=utf-8");
    assert!(text.ends_with("Fix the cart\n"), "{text}");
}

#[test]
fn i12_who_does_something_is_who_showed_the_token_or_signed() {
    let world = World::with_a_push("Fix the cart");
    let tell = |target: &str, headers: &[(&str, &str)]| {
        let approve = Request {
            body: br#"{"promotion": 2}"#.to_vec(),
            ..request("POST", target, headers)
        };
        let response = answered(&world, approve, 200);
        let body: Value = serde_json::from_slice(&response.body).expect("JSON");
        body["message"].as_str().expect("a message").to_owned()
    };
    let token = format!("Bearer {TOKEN}");
    assert_eq!(
        tell("/v1/approve", &[("authorization", &token)]),
        "promotion #2 to prod: approved; waiting for approval 1/2"
    );
    assert_eq!(
        tell("/aws/v1/approve", &[(CALLER_ARN, SESSION)]),
        "promotion #2 to prod: approved; tagging the image"
    );
}

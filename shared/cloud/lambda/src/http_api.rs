//! API Gateway's HTTP API event, format 2.0, which function URLs use too, and the answer to it.
//!
//! The answer is a type of `aws_lambda_events`. Its request would be most of what the crate costs
//! (BENCHMARKS.md), so the few properties that are used have a type here.

use std::collections::BTreeMap;

use aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use aws_lambda_events::encodings::Body;
use aws_lambda_events::http::{HeaderName, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use towline_wire::http::{CALLER_ARN, Headers, Request, Response};

/// The most bytes of a body: a synchronous invocation of Lambda carries 6 MB (Lambda API, `Invoke`).
pub const MOST_BODY: usize = 6 * 1024 * 1024;

/// Why a request is rejected.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// It is not an event of this format.
    #[error("the event is not an HTTP request in format 2.0")]
    Shape(#[from] serde_json::Error),
    /// It is a request in another format, or has no path.
    #[error(
        "the event is not an HTTP request in format 2.0: `{0}` is missing or has another value"
    )]
    Field(&'static str),
    /// Its body is marked as base64, but is not.
    #[error("the body is not the base64 it claims to be")]
    Base64(#[from] base64::DecodeError),
    /// Its body is too large; answer 413.
    #[error("the body has {0} bytes and may have {MOST_BODY}")]
    TooLarge(usize),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    version: String,
    raw_path: String,
    raw_query_string: Option<String>,
    headers: Option<BTreeMap<String, String>>,
    cookies: Option<Vec<String>>,
    request_context: RequestContext,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

#[derive(Deserialize)]
struct RequestContext {
    http: Http,
    stage: Option<String>,
    authorizer: Option<Authorizer>,
}

#[derive(Deserialize)]
struct Http {
    method: String,
}

#[derive(Deserialize)]
struct Authorizer {
    iam: Option<Iam>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Iam {
    user_arn: Option<String>,
}

/// Reads a request. Its body is exactly what the client sent, so that signatures still match.
///
/// # Errors
/// When it is not such an event, or its body is too large or not the base64 it claims to be.
pub fn decode(bytes: &[u8]) -> Result<Request, RequestError> {
    let event: Event = serde_json::from_slice(bytes)?;
    if event.version != "2.0" {
        return Err(RequestError::Field("version"));
    }
    if event.raw_path.is_empty() {
        return Err(RequestError::Field("rawPath"));
    }
    let context = event.request_context;
    let caller = context
        .authorizer
        .and_then(|authorizer| authorizer.iam?.user_arn);
    Ok(Request {
        method: context.http.method.to_ascii_uppercase(),
        path: path(&event.raw_path, context.stage.as_deref()).to_owned(),
        query: event.raw_query_string.unwrap_or_default(),
        headers: headers(
            event.headers.unwrap_or_default(),
            event.cookies.unwrap_or_default(),
            caller,
        )?,
        body: body(event.body.unwrap_or_default(), event.is_base64_encoded)?,
    })
}

#[must_use]
pub fn encode(response: &Response) -> Value {
    let mut answer = ApiGatewayV2httpResponse::default();
    answer.status_code = response.status.into();
    answer.headers = response.headers.iter().filter_map(header).collect();
    let body = response.body.clone();
    answer.body = Some(match String::from_utf8(body) {
        Ok(text) => Body::Text(text),
        Err(bytes) => {
            answer.is_base64_encoded = true;
            Body::Binary(bytes.into_bytes())
        }
    });
    serde_json::to_value(answer).expect("headers of ours are texts")
}

/// Headers that are invalid in HTTP are left out.
fn header((name, value): (&str, &str)) -> Option<(HeaderName, HeaderValue)> {
    Some((name.parse().ok()?, value.parse().ok()?))
}

/// The path without the stage's name, which it begins with unless the stage is `$default`.
fn path<'a>(path: &'a str, stage: Option<&str>) -> &'a str {
    let stage = stage.filter(|stage| *stage != "$default");
    let inner = stage
        .and_then(|stage| path.strip_prefix('/')?.strip_prefix(stage))
        .filter(|rest| rest.is_empty() || rest.starts_with('/'));
    match inner {
        Some("") => "/",
        Some(rest) => rest,
        None => path,
    }
}

/// The headers; values of a repeated one are already joined by commas. The ARN of a caller that the
/// gateway authenticated by `AWS_IAM` is under [`CALLER_ARN`], which cannot be a header's name: it
/// contains a colon.
fn headers(
    headers: BTreeMap<String, String>,
    cookies: Vec<String>,
    caller: Option<String>,
) -> Result<Headers, RequestError> {
    if headers
        .keys()
        .any(|name| name.parse::<HeaderName>().is_err())
    {
        return Err(RequestError::Field("headers"));
    }
    let cookies = cookies
        .into_iter()
        .map(|cookie| ("cookie".to_owned(), cookie));
    let caller = caller.map(|arn| (CALLER_ARN.to_owned(), arn));
    Ok(headers.into_iter().chain(cookies).chain(caller).collect())
}

fn body(body: String, is_base64: bool) -> Result<Vec<u8>, RequestError> {
    let body = match is_base64 {
        true => STANDARD.decode(body)?,
        false => body.into_bytes(),
    };
    match body.len() {
        0..=MOST_BODY => Ok(body),
        more => Err(RequestError::TooLarge(more)),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use serde_json::json;

    use super::*;

    fn event(changes: &Value) -> Value {
        let mut event = json!({
            "version": "2.0",
            "rawPath": "/webhooks/github",
            "rawQueryString": "a=1&b=%20",
            "headers": {"x-github-event": "push", "accept": "a,b"},
            "cookies": ["c=1", "d=2"],
            "requestContext": {"http": {"method": "POST"}, "stage": "$default"},
            "body": "{}",
            "isBase64Encoded": false,
        });
        for (key, value) in changes.as_object().unwrap() {
            event[key] = value.clone();
        }
        event
    }

    fn read(changes: &Value) -> Result<Request, RequestError> {
        decode(event(changes).to_string().as_bytes())
    }

    #[test]
    fn a_request_is_read_as_the_client_sent_it() {
        let request = read(&json!({})).unwrap();
        assert_eq!(request.method, "POST");
        assert_eq!(request.path, "/webhooks/github");
        assert_eq!(request.query, "a=1&b=%20");
        assert_eq!(request.headers.only("X-GitHub-Event"), Some("push"));
        assert_eq!(request.headers.only("cookie"), None);
        assert_eq!(request.headers.all("cookie").count(), 2);
        assert_eq!(request.body, b"{}");
        let encoded = json!({"body": STANDARD.encode(b"\xff\x00"), "isBase64Encoded": true});
        assert_eq!(read(&encoded).unwrap().body, b"\xff\x00");
        let empty = json!({"body": null});
        assert_eq!(read(&empty).unwrap().body, b"");
    }

    #[test]
    fn a_caller_is_who_the_gateway_says_and_nobody_else() {
        let arn = "arn:aws:iam::123456789012:user/kim";
        let check = |claimed: &str, by_gateway: Value, expected: Option<&str>| {
            let context = json!({"http": {"method": "GET"}, "authorizer": by_gateway});
            let request = read(&json!({"headers": {claimed: arn}, "requestContext": context}));
            assert_eq!(request.unwrap().headers.only(CALLER_ARN), expected);
        };
        check("x-a", json!({"iam": {"userArn": arn}}), Some(arn));
        check("x-a", json!({"jwt": {"claims": {"sub": arn}}}), None);
        check("x-a", json!(null), None);
        for claimed in [CALLER_ARN, ":Caller-ARN"] {
            let claim = json!({"headers": {claimed: arn}});
            assert!(
                matches!(read(&claim), Err(RequestError::Field("headers"))),
                "{claimed}"
            );
        }
    }

    #[test]
    fn the_stage_is_no_part_of_the_path() {
        let check = |stage: &str, path: &str, expected: &str| {
            let context = json!({"http": {"method": "GET"}, "stage": stage});
            let request = read(&json!({"rawPath": path, "requestContext": context}));
            assert_eq!(request.unwrap().path, expected);
        };
        check("live", "/live/v1/runs", "/v1/runs");
        check("live", "/live", "/");
        check("live", "/lively", "/lively");
        check("$default", "/v1/runs", "/v1/runs");
    }

    #[test]
    fn a32_what_is_no_request_is_refused() {
        for changes in [
            json!({"version": "1.0"}),
            json!({"rawPath": null}),
            json!({"requestContext": []}),
            json!({"body": "not base64!", "isBase64Encoded": true}),
        ] {
            assert!(read(&changes).is_err());
        }
        for bytes in [&b""[..], b"[]", b"\xff", "[".repeat(100_000).as_bytes()] {
            assert!(decode(bytes).is_err());
        }
        let large = "x".repeat(MOST_BODY + 1);
        for (body, encoded) in [(large.clone(), false), (STANDARD.encode(large), true)] {
            let refused = read(&json!({"body": body, "isBase64Encoded": encoded}));
            assert!(matches!(refused, Err(RequestError::TooLarge(_))));
        }
    }

    #[test]
    fn an_answer_is_text_or_base64() {
        let answer = |body: &[u8]| {
            encode(&Response {
                status: 202,
                headers: [("Content-Type", "text/plain")].into_iter().collect(),
                body: body.to_vec(),
            })
        };
        assert_eq!(
            answer(b"accepted"),
            json!({
                "statusCode": 202,
                "headers": {"content-type": "text/plain"},
                "multiValueHeaders": {},
                "cookies": [],
                "body": "accepted",
                "isBase64Encoded": false,
            })
        );
        assert_eq!(answer(b"\xff")["body"], "/w==");
        assert_eq!(answer(b"\xff")["isBase64Encoded"], true);
    }
}

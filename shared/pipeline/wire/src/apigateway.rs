//! API Gateway's HTTP API event, format 2.0, which function URLs use too; and the answer to it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::http::{CALLER_ARN, Headers, Request, Response};
use crate::lenient::{ShapeError, at, needed_text, text};

/// Bytes of a body that are taken at most: a synchronous invoke of Lambda carries 6 MB
/// (Lambda API, `Invoke`).
pub const MOST_BODY: usize = 6 * 1024 * 1024;

/// Why a request cannot be handed on.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// It is no event of this format.
    #[error("the event is not an HTTP request in format 2.0")]
    Shape(#[from] ShapeError),
    /// Its body says it is base64 and is not.
    #[error("the body is not the base64 it claims to be")]
    Base64(#[from] base64::DecodeError),
    /// Its body is too large; answer 413.
    #[error("the body has {0} bytes and may have {MOST_BODY}")]
    TooLarge(usize),
}

/// Reads a request. Its body is exactly what the client sent, so that a signature still fits.
///
/// # Errors
/// When it is no such event, or its body is too large or not the base64 it claims to be.
pub fn decode(bytes: &[u8]) -> Result<Request, RequestError> {
    let event: Value = serde_json::from_slice(bytes).map_err(ShapeError::from)?;
    if text(&event, "version") != Some("2.0") {
        return Err(ShapeError::Field {
            path: "version",
            expected: "2.0",
        }
        .into());
    }
    let method = needed_text(&event, "requestContext.http.method")?;
    Ok(Request {
        method: method.to_ascii_uppercase(),
        path: path(&event)?,
        query: text(&event, "rawQueryString").unwrap_or_default().into(),
        headers: headers(&event),
        body: body(&event)?,
    })
}

/// Writes the answer.
#[must_use]
pub fn encode(response: &Response) -> Value {
    let mut headers = Map::new();
    for (name, value) in response.headers.iter() {
        headers.insert(name.into(), value.into());
    }
    let (body, encoded) = match std::str::from_utf8(&response.body) {
        Ok(text) => (text.to_owned(), false),
        Err(_) => (STANDARD.encode(&response.body), true),
    };
    json!({
        "statusCode": response.status,
        "headers": headers,
        "body": body,
        "isBase64Encoded": encoded,
    })
}

/// The path without the stage's name, with which it begins unless the stage is `$default`.
fn path(event: &Value) -> Result<String, ShapeError> {
    let path = needed_text(event, "rawPath")?;
    let stage = text(event, "requestContext.stage").filter(|stage| *stage != "$default");
    let inner = stage
        .and_then(|stage| path.strip_prefix('/')?.strip_prefix(stage))
        .filter(|rest| rest.is_empty() || rest.starts_with('/'));
    Ok(match inner {
        Some("") => "/".into(),
        Some(rest) => rest.into(),
        None => path.into(),
    })
}

/// The headers; a name that came several times has its values joined by commas already. Who the
/// gateway let in by `AWS_IAM` stands under [`CALLER_ARN`].
fn headers(event: &Value) -> Headers {
    let caller = text(event, "requestContext.authorizer.iam.userArn");
    let headers = at(event, "headers").and_then(Value::as_object);
    let cookies = at(event, "cookies").and_then(Value::as_array);
    let cookies = cookies.into_iter().flatten().filter_map(Value::as_str);
    headers
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
        .filter(|(name, _)| !name.starts_with(':'))
        .chain(cookies.map(|cookie| ("cookie", cookie)))
        .chain(caller.map(|arn| (CALLER_ARN, arn)))
        .collect()
}

fn body(event: &Value) -> Result<Vec<u8>, RequestError> {
    let body = text(event, "body").unwrap_or_default();
    let encoded = at(event, "isBase64Encoded").and_then(Value::as_bool);
    let body = if encoded == Some(true) {
        STANDARD.decode(body)?
    } else {
        body.as_bytes().to_vec()
    };
    if body.len() > MOST_BODY {
        return Err(RequestError::TooLarge(body.len()));
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

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
        check(CALLER_ARN, json!(null), None);
        check(":Caller-ARN", json!(null), None);
        check(
            ":caller-arn",
            json!({"iam": {"userArn": "other"}}),
            Some("other"),
        );
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
            json!({"statusCode": 202, "headers": {"content-type": "text/plain"}, "body": "accepted", "isBase64Encoded": false})
        );
        assert_eq!(answer(b"\xff")["body"], "/w==");
        assert_eq!(answer(b"\xff")["isBase64Encoded"], true);
    }
}

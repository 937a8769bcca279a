//! Requests that are authenticated with a secret, which may be changing.

use std::error::Error;

use serde_json::json;
use towline_wire::http::{Headers, Request, Response};
use towline_wire::signature::{Secret, Secrets};

/// Answers a request. If the cached secrets did not match, reads them again and answers once more,
/// because they may have just been changed.
///
/// A mismatch is a 401, or an `Err` with the answer to give if nothing is new: the caller is unknown,
/// or a secret is not set or invalid. Any other answer is final, even 503, because the request may have
/// had effects. `reread` returns whether anything is new; it must limit reads during floods of bad
/// signatures.
pub async fn again(
    request: Request,
    answer: impl AsyncFn(Request) -> Result<Response, Response>,
    reread: impl AsyncFn() -> bool,
) -> Response {
    let copy = request.clone();
    let first = answer(request).await;
    let is_last = matches!(&first, Ok(response) if response.status != 401);
    if !is_last && reread().await {
        return either(answer(copy).await);
    }
    either(first)
}

fn either(response: Result<Response, Response>) -> Response {
    response.unwrap_or_else(|refusal| refusal)
}

/// The keys that sign requests, from the texts of a secret's versions; none while it is not set.
///
/// # Errors
/// When the secret cannot be used: what to answer meanwhile, 503.
pub fn keys(
    what: &str,
    current: Option<&str>,
    previous: Option<&str>,
) -> Result<Option<Secrets>, Response> {
    let Some(current) = current else {
        return Ok(None);
    };
    let current = Secret::new(current).map_err(|error| unusable(what, &error))?;
    // An invalid secret was never used.
    let previous = previous.and_then(|text| Secret::new(text).ok());
    Ok(Some(Secrets::new(current, previous)))
}

/// The answer while something required cannot be used: 503. The reason is logged, not shown.
pub fn unusable(what: &str, error: &(dyn Error + 'static)) -> Response {
    tracing::error!(error, "{what} cannot be used");
    refusal(503, &format!("{what} cannot be used; try again"))
}

#[must_use]
pub fn refusal(status: u16, reason: &str) -> Response {
    let mut headers = Headers::default();
    headers.push("content-type", "application/json");
    let body = json!({"status": "refused", "reason": reason}).to_string();
    Response {
        status,
        headers,
        body: body.into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use std::cell::RefCell;

    use super::*;

    /// The final status for the first and second answers, and the calls that were made.
    fn answered(first: Result<u16, u16>, anew: bool, second: Result<u16, u16>) -> (u16, String) {
        let done = RefCell::new(String::new());
        let request = Request {
            method: "POST".into(),
            path: "/webhooks/github".into(),
            query: String::new(),
            headers: Headers::default(),
            body: b"signed".to_vec(),
        };
        let answer = async |request: Request| {
            assert_eq!(request.body, b"signed");
            let again = !done.borrow().is_empty();
            done.borrow_mut().push_str("answered ");
            let says = |status| refusal(status, "as asked");
            (if again { second } else { first }).map(says).map_err(says)
        };
        let reread = async || {
            done.borrow_mut().push_str("reread ");
            anew
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let response = runtime.unwrap().block_on(again(request, answer, reread));
        (response.status, done.take())
    }

    #[test]
    fn a4_a_refused_signature_is_checked_again_with_fresh_secrets() {
        let check = |first, anew, second, status, done: &str| {
            assert_eq!(answered(first, anew, second), (status, done.into()));
        };
        let (once, anew, twice) = ("answered ", "answered reread ", "answered reread answered ");
        check(Ok(202), true, Ok(500), 202, once);
        check(Ok(400), true, Ok(500), 400, once);
        check(Ok(401), true, Ok(202), 202, twice);
        check(Ok(401), true, Ok(401), 401, twice);
        check(Ok(401), false, Ok(202), 401, anew);
        // A store that did not answer is not asked twice; a secret that was not set may be set now.
        check(Ok(503), true, Ok(202), 503, once);
        check(Err(503), true, Ok(202), 202, twice);
        check(Err(403), true, Err(403), 403, twice);
        check(Err(503), false, Ok(202), 503, anew);
    }

    #[test]
    fn a3_a_secret_that_is_none_lets_nobody_in() {
        let good = "x".repeat(32);
        let read = |current, previous| keys("the secret", current, previous);
        assert!(read(None, Some(&good)).unwrap().is_none());
        assert!(read(Some(&good), None).unwrap().is_some());
        assert!(read(Some(&good), Some("short")).unwrap().is_some());
        for bad in ["", "short", " surrounded by white space, as if pasted "] {
            assert_eq!(read(Some(bad), Some(&good)).unwrap_err().status, 503);
        }
    }
}

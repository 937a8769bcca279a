//! Requests that are let in by a secret, which may be changing just now.

use std::error::Error;

use serde_json::json;
use towline_wire::http::{Headers, Request, Response};
use towline_wire::signature::{Secret, Secrets};

/// Answers a request, and once more if it was refused with 401: its secret may be a new one.
///
/// `answer` is told whether it is asked once more; then it reads its secrets anew, and has no
/// answer when there is nothing new to read.
pub async fn again(
    request: Request,
    answer: impl AsyncFn(Request, bool) -> Option<Response>,
) -> Response {
    let copy = request.clone();
    let first = answer(request, false).await;
    match first {
        Some(response) if response.status != 401 => response,
        first => match answer(copy, true).await.or(first) {
            Some(response) => response,
            None => refusal(500, "nobody answered"),
        },
    }
}

/// The keys that sign requests, from the texts of a secret's versions; none while nobody has set it.
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
    // One that is no secret was never in use.
    let previous = previous.and_then(|text| Secret::new(text).ok());
    Ok(Some(Secrets::new(current, previous)))
}

/// What to answer while something that is needed cannot be used: 503. Why is logged, not told.
pub fn unusable(what: &str, error: &(dyn Error + 'static)) -> Response {
    tracing::error!(error, "{what} cannot be used");
    refusal(503, &format!("{what} cannot be used; try again"))
}

/// An answer that says why nothing was done.
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

//! Keeps the times until which GitHub asks us to pause.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use hyper::StatusCode;
use jiff::Timestamp;

use crate::http::Answer;
use crate::lock;

/// The shortest pause, so that a slow clock does not cause a loop of requests.
const SHORTEST: Duration = Duration::from_secs(1);

/// The default pause (GitHub REST API, "Rate limits", secondary rate limits).
const UNNAMED: Duration = Duration::from_secs(60);

/// The longest pause: limits reset every hour (same page).
const LONGEST: Duration = Duration::from_secs(3600);

/// Until when requests must wait, by rate limit.
#[derive(Default)]
pub(crate) struct Pauses(Mutex<HashMap<String, Timestamp>>);

impl Pauses {
    /// Until when to wait, if later than now.
    pub(crate) fn until(&self, whose: &str, now: Timestamp) -> Option<Timestamp> {
        let mut pauses = lock(&self.0);
        pauses.retain(|_, until| *until > now);
        pauses.get(whose).copied()
    }

    /// Adds a pause; a shorter one does not shorten it.
    pub(crate) fn pause(&self, whose: &str, until: Timestamp) {
        let mut pauses = lock(&self.0);
        let known = pauses.entry(whose.to_owned()).or_insert(until);
        *known = until.max(*known);
    }
}

/// Requests that are kept for calls that cannot wait, of the 5,000 an hour of a token or an
/// installation (GitHub REST API, "Rate limits").
const RESERVE: u32 = 500;

/// The requests that are left, by rate limit, and when that ends.
#[derive(Default)]
pub(crate) struct Budgets(Mutex<HashMap<String, (u32, Timestamp)>>);

impl Budgets {
    /// Notes the remaining requests that an answer names.
    pub(crate) fn note(&self, whose: &str, answer: &Answer) {
        let left = number(answer, "x-ratelimit-remaining");
        let reset = number(answer, "x-ratelimit-reset").map(i64::from);
        let reset = reset.and_then(|reset| Timestamp::from_second(reset).ok());
        if let (Some(left), Some(reset)) = (left, reset) {
            lock(&self.0).insert(whose.to_owned(), (left, reset));
        }
    }

    /// If only the reserve is left, until when.
    pub(crate) fn short_until(&self, whose: &str, now: Timestamp) -> Option<Timestamp> {
        let (left, reset) = lock(&self.0).get(whose).copied()?;
        (left < RESERVE && reset > now).then_some(reset)
    }
}

fn number(answer: &Answer, name: &str) -> Option<u32> {
    answer.header(name)?.trim().parse().ok()
}

/// Until when an answer asks us to wait; none if it is not about limits.
///
/// Both limits answer 403 or 429. `Retry-After` comes first, then `x-ratelimit-reset` if
/// `x-ratelimit-remaining` is 0, otherwise it is a minute (same page).
pub(crate) fn limited(answer: &Answer, now: Timestamp) -> Option<Timestamp> {
    let refused = match answer.status {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::FORBIDDEN => false,
        _ => return None,
    };
    let seconds = |name| number(answer, name);
    let pause = if answer.header("retry-after").is_some() {
        let named = seconds("retry-after").map(u64::from);
        named.map_or(UNNAMED, Duration::from_secs)
    } else if seconds("x-ratelimit-remaining") == Some(0) {
        let reset = seconds("x-ratelimit-reset").map(i64::from);
        let reset = reset.and_then(|reset| Timestamp::from_second(reset).ok());
        reset.map_or(UNNAMED, |reset| {
            Duration::try_from(reset.duration_since(now)).unwrap_or(SHORTEST)
        })
    } else if refused || answer.refusal().contains("rate limit") {
        UNNAMED
    } else {
        return None;
    };
    now.checked_add(pause.clamp(SHORTEST, LONGEST)).ok()
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderMap, HeaderName};

    use super::*;

    #[test]
    fn an_answer_says_how_long_to_wait() {
        let now = Timestamp::from_second(1_000_000).expect("a time");
        for (status, headers, message, expected) in [
            (429, &[("retry-after", "7")][..], "", Some(7)),
            (403, &[("retry-after", "30")], "", Some(30)),
            (429, &[("retry-after", "0")], "", Some(1)),
            (429, &[("retry-after", "999999")], "", Some(3600)),
            (
                429,
                &[("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT")],
                "",
                Some(60),
            ),
            (
                403,
                &[
                    ("x-ratelimit-remaining", "0"),
                    ("x-ratelimit-reset", "1000042"),
                ],
                "",
                Some(42),
            ),
            (
                403,
                &[
                    ("x-ratelimit-remaining", "0"),
                    ("x-ratelimit-reset", "999000"),
                ],
                "",
                Some(1),
            ),
            (403, &[("x-ratelimit-remaining", "0")], "", Some(60)),
            (429, &[], "", Some(60)),
            (
                403,
                &[],
                "You have exceeded a secondary rate limit",
                Some(60),
            ),
            (
                403,
                &[("x-ratelimit-remaining", "17")],
                "Resource not accessible by integration",
                None,
            ),
            (200, &[("x-ratelimit-remaining", "0")], "", None),
            (404, &[("retry-after", "7")], "", None),
        ] {
            let headers = headers.iter().map(|(name, value)| {
                let value = value.parse().expect("a header");
                (HeaderName::from_static(name), value)
            });
            let answer = Answer {
                status: StatusCode::from_u16(status).expect("a status"),
                headers: HeaderMap::from_iter(headers),
                body: Some(format!("{{\"message\":{message:?}}}").into_bytes()),
            };
            let expected = expected.map(|seconds| now + Duration::from_secs(seconds));
            assert_eq!(limited(&answer, now), expected, "{answer:?}");
        }
    }

    #[test]
    fn a_pause_ends_by_itself_and_is_not_shortened() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let pauses = Pauses::default();
        pauses.pause("acme", at(60));
        pauses.pause("acme", at(30));
        assert_eq!(pauses.until("acme", at(59)), Some(at(60)));
        assert_eq!(pauses.until("other", at(59)), None);
        assert_eq!(pauses.until("acme", at(60)), None);
    }
}

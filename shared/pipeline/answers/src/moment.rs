//! A moment as a person types it: `2026-02-27T12:00`, RFC 3339, `2h ago`.

use std::str::FromStr;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use serde::{Deserialize, Serialize};

/// A moment that may be relative to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Moment {
    /// A fixed one.
    At(Timestamp),
    /// This long before now.
    Ago(SignedDuration),
}

/// Why a text is not a moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write a moment as 2026-02-27T12:00 (UTC), 2026-02-27T12:00+09:00 or 2h ago")]
pub struct MomentError;

impl Moment {
    /// The moment, relative to `now`; none if it is in the future.
    #[must_use]
    pub fn before(self, now: Timestamp) -> Option<Timestamp> {
        let at = match self {
            Self::At(at) => at,
            Self::Ago(span) => now.checked_sub(span).ok()?,
        };
        (at <= now).then_some(at)
    }
}

impl TryFrom<String> for Moment {
    type Error = MomentError;

    fn try_from(text: String) -> Result<Self, MomentError> {
        text.parse()
    }
}

impl From<Moment> for String {
    fn from(moment: Moment) -> Self {
        match moment {
            Moment::At(at) => at.to_string(),
            Moment::Ago(span) => format!("{span:#} ago"),
        }
    }
}

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Self, MomentError> {
        let text = text.trim();
        if let Some(span) = text.strip_suffix("ago") {
            return ago(span.trim()).map(Self::Ago).ok_or(MomentError);
        }
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(Self::At(at));
        }
        // A date-time without a zone also parses when an offset follows, so that is tried first.
        let named = |text: &str| {
            text.parse::<DateTime>()
                .or_else(|_| text.parse::<Date>().map(|date| date.at(0, 0, 0, 0)))
        };
        let civil = named(text).map_err(|_| MomentError)?;
        let at = civil.to_zoned(TimeZone::UTC).map_err(|_| MomentError)?;
        Ok(Self::At(at.timestamp()))
    }
}

/// A duration; a day has 24 hours here, months and years are not supported.
fn ago(text: &str) -> Option<SignedDuration> {
    let span: Span = text.parse().ok()?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    (!length.is_negative()).then_some(length)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn a_moment_is_read_as_people_write_it() {
        let now: Timestamp = "2026-03-02T13:00:00Z".parse().unwrap();
        let check = |text: &str, expected: &str| {
            let read = text
                .parse::<Moment>()
                .ok()
                .and_then(|moment| moment.before(now));
            assert_eq!(
                read.map(|at| at.to_string()).unwrap_or_default(),
                expected,
                "{text}"
            );
        };
        check("2026-02-27T12:00", "2026-02-27T12:00:00Z");
        check("2026-02-27 12:00", "2026-02-27T12:00:00Z");
        check("2026-02-27 12:00:30", "2026-02-27T12:00:30Z");
        check("2026-02-27", "2026-02-27T00:00:00Z");
        check("2026-02-27T12:00:00+09:00", "2026-02-27T03:00:00Z");
        check("2026-02-27T12:00+09:00", "2026-02-27T03:00:00Z");
        check("2026-02-27T12:00:00Z", "2026-02-27T12:00:00Z");
        check("2h ago", "2026-03-02T11:00:00Z");
        let written = String::from("1d 2h 30m ago".parse::<Moment>().unwrap());
        check(&written, "2026-03-01T10:30:00Z");
        check("1d 30m ago", "2026-03-01T12:30:00Z");
        check("90 minutes ago", "2026-03-02T11:30:00Z");
        for wrong in [
            "",
            "ago",
            "2h",
            "soon",
            "1 month ago",
            "-2h ago",
            "2026-02-30",
            "25:00",
            "2027-01-01",
        ] {
            check(wrong, "");
        }
    }
}

//! Times in the formats of AWS services.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;
use towline_domain::Timestamp;

/// Larger numbers are milliseconds: as seconds they would be after the year 5000.
const MOST_SECONDS: f64 = 1e11;

/// The time of a value: RFC 3339, seconds or milliseconds since 1970, or CodeBuild's
/// `Sep 1, 2017 4:12:29 PM`, which has no zone and is read as UTC.
pub(crate) fn any(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => from_text(text.trim()),
        Value::Number(number) => from_number(number.as_f64()?),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// CodeBuild's form, in UTC.
pub(crate) fn american(at: Timestamp) -> String {
    at.strftime("%b %-d, %Y %-I:%M:%S %p").to_string()
}

fn from_text(text: &str) -> Option<Timestamp> {
    if let Ok(at) = text.parse() {
        return Some(at);
    }
    if let Ok(number) = text.parse() {
        return from_number(number);
    }
    // Newer Java runtimes write a narrow no-break space before PM.
    let text = text.replace(['\u{202f}', '\u{a0}'], " ").replace(',', " ");
    let words: Vec<&str> = text.split_whitespace().collect();
    let at = DateTime::strptime("%b %d %Y %I:%M:%S %p", words.join(" ")).ok()?;
    Some(at.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn from_number(number: f64) -> Option<Timestamp> {
    let seconds = if number.abs() > MOST_SECONDS {
        number / 1e3
    } else {
        number
    };
    let whole = jiff::SignedDuration::try_from_secs_f64(seconds).ok()?;
    Timestamp::from_duration(whole).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_moment_is_read_in_every_form() {
        let check = |value: Value, expected: &str| {
            let read = any(&value).map(|at| at.to_string()).unwrap_or_default();
            assert_eq!(read, expected, "{value}");
        };
        check(json!("Sep 1, 2017 4:12:29 PM"), "2017-09-01T16:12:29Z");
        check(json!("Sep 01, 2017 04:12:29 AM"), "2017-09-01T04:12:29Z");
        check(json!("Dec 3, 2021, 6:02:30 PM"), "2021-12-03T18:02:30Z");
        check(
            json!("Dec 3, 2021, 6:02:30\u{202f}PM"),
            "2021-12-03T18:02:30Z",
        );
        check(json!("2017-09-01T16:14:28Z"), "2017-09-01T16:14:28Z");
        check(
            json!("2017-09-01T18:14:28.5+02:00"),
            "2017-09-01T16:14:28.5Z",
        );
        check(json!(1_504_282_468), "2017-09-01T16:14:28Z");
        check(json!(1_504_282_468.5), "2017-09-01T16:14:28.5Z");
        check(json!(1_504_282_468_000_i64), "2017-09-01T16:14:28Z");
        check(json!("1504282468"), "2017-09-01T16:14:28Z");
        for none in [
            json!(null),
            json!(true),
            json!({}),
            json!(""),
            json!("soon"),
            json!("NaN"),
            json!("inf"),
            json!(1e300),
            json!("Sep 31, 2017 4:12:29 PM"),
        ] {
            check(none, "");
        }
    }

    #[test]
    fn what_is_written_in_codebuilds_form_is_read_back() {
        for text in [
            "2017-09-01T16:12:29Z",
            "2026-01-31T00:00:00Z",
            "2026-12-09T12:59:59Z",
        ] {
            let at: Timestamp = text.parse().expect("a timestamp");
            assert_eq!(any(&json!(american(at))), Some(at), "{}", american(at));
        }
    }
}

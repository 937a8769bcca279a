//! Reads foreign JSON: needed fields must be valid, other fields may be anything.

use serde_json::Value;

/// Why a JSON text does not have the expected form.
#[derive(Debug, thiserror::Error)]
pub enum ShapeError {
    /// It is unreadable.
    #[error("the JSON does not have the expected form")]
    Json(#[from] serde_json::Error),
    /// A needed value is missing or of another kind.
    #[error("`{path}` is missing or is not {expected}")]
    Field {
        /// Where it should be.
        path: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A value is invalid.
    #[error("`{path}` cannot be used: {reason}")]
    Value {
        /// Where it is.
        path: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// The text at a path of keys joined by dots.
pub(crate) fn text<'a>(value: &'a Value, path: &'static str) -> Option<&'a str> {
    at(value, path)?.as_str()
}

/// The text at a path, which must exist and not be empty.
pub(crate) fn needed_text<'a>(value: &'a Value, path: &'static str) -> Result<&'a str, ShapeError> {
    text(value, path)
        .filter(|text| !text.is_empty())
        .ok_or(ShapeError::Field {
            path,
            expected: "a text",
        })
}

/// A name parsed from the text at a path, which must exist.
pub(crate) fn needed<T>(value: &Value, path: &'static str) -> Result<T, ShapeError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    parse(needed_text(value, path)?, path)
}

/// A name parsed from a text; the path is for the message.
pub(crate) fn parse<T>(text: &str, path: &'static str) -> Result<T, ShapeError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| ShapeError::Value {
        path,
        reason: error.to_string(),
    })
}

/// The value at a path of keys joined by dots.
pub(crate) fn at<'a>(value: &'a Value, path: &'static str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, key| value.get(key))
}

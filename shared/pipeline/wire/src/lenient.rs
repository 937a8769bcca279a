//! Reads JSON that others wrote: what is needed must be there, what is not needed may be anything.

use serde_json::Value;

/// Why a JSON text is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum ShapeError {
    /// It cannot be read at all.
    #[error("it is not the JSON expected here")]
    Json(#[from] serde_json::Error),
    /// Something needed is not there, or is something else.
    #[error("`{path}` is missing or is not {expected}")]
    Field {
        /// Where it should be.
        path: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// Something is there and contradicts what it should be.
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

/// The text at a path, which must be there and not be empty.
pub(crate) fn needed_text<'a>(value: &'a Value, path: &'static str) -> Result<&'a str, ShapeError> {
    text(value, path)
        .filter(|text| !text.is_empty())
        .ok_or(ShapeError::Field {
            path,
            expected: "a text",
        })
}

/// A name parsed from the text at a path, which must be there.
pub(crate) fn needed<T>(value: &Value, path: &'static str) -> Result<T, ShapeError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    parse(needed_text(value, path)?, path)
}

/// A name parsed from a text, with where it stood for the message.
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

//! Parses arguments that several commands share.

use std::borrow::Cow;

/// Why an argument is refused: tells the person who typed it how to write it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WordError(Cow<'static, str>);

impl WordError {
    /// Refuses an argument, and says how to write it.
    pub fn new(how: impl Into<Cow<'static, str>>) -> Self {
        Self(how.into())
    }
}

/// Returns the argument if it is good; otherwise an error that says `how` to write it.
///
/// # Errors
/// When the argument is not good.
pub fn word(text: &str, is_good: bool, how: &'static str) -> Result<String, WordError> {
    match is_good {
        true => Ok(text.to_owned()),
        false => Err(WordError::new(how)),
    }
}

/// Parses `NAME=VALUE`.
///
/// # Errors
/// When there is no name or no `=`.
pub fn pair(text: &str) -> Result<(String, String), WordError> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => Err(WordError::new("write it as NAME=VALUE")),
    }
}

//! Words of the command line that several commands read the same way.

use std::borrow::Cow;

/// Why a word is refused: how to write it, for the person who typed it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WordError(Cow<'static, str>);

impl WordError {
    /// Refuses a word, and says how to write it.
    pub fn new(how: impl Into<Cow<'static, str>>) -> Self {
        Self(how.into())
    }
}

/// The word if it is good; if not, `how` to write it.
///
/// # Errors
/// When it is not good.
pub fn word(text: &str, is_good: bool, how: &'static str) -> Result<String, WordError> {
    match is_good {
        true => Ok(text.to_owned()),
        false => Err(WordError::new(how)),
    }
}

/// `NAME=VALUE`.
///
/// # Errors
/// When there is no name or no `=`.
pub fn pair(text: &str) -> Result<(String, String), WordError> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => Err(WordError::new("write it as NAME=VALUE")),
    }
}

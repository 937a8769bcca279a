//! Parses the arguments of questions and commands: references, numbers and limits.

use std::convert::Infallible;

use clap::builder::{RangedU64ValueParser, TypedValueParser};

/// The most lines to show.
pub(crate) const MOST_LINES: usize = 500;

/// The default number of lines.
const USUAL_LIMIT: usize = 10;

/// The number of lines in an answer.
pub(super) fn limited(limit: Option<usize>) -> usize {
    limit.unwrap_or(USUAL_LIMIT).clamp(1, MOST_LINES)
}

/// A reference as it is printed, where `…` stands for more digits.
pub(super) fn reference(text: &str) -> Result<String, Infallible> {
    Ok(text.trim_end_matches('…').to_owned())
}

/// Parses the number of lines to show.
pub(super) fn lines() -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::<u64>::new()
        .range(1..=MOST_LINES as u64)
        .try_map(usize::try_from)
}

/// Why a text is not the number of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write the number of a {of}, such as {example}")]
pub struct NumberError {
    of: &'static str,
    example: &'static str,
}

/// `58` or `#58`.
pub(super) fn promotion(text: &str) -> Result<u64, NumberError> {
    let digits = text.strip_prefix('#').unwrap_or(text);
    digits.parse().map_err(|_| NumberError {
        of: "promotion",
        example: "58",
    })
}

/// `142`, `#142` or `build#142`.
///
/// # Errors
/// When the word is not one of these.
pub fn build(text: &str) -> Result<u64, NumberError> {
    let digits = text.strip_prefix("build").unwrap_or(text);
    let digits = digits.strip_prefix('#').unwrap_or(digits);
    digits.parse().map_err(|_| NumberError {
        of: "build",
        example: "142 or build#142",
    })
}

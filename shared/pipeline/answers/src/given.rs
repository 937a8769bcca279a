//! Checks the texts in a person's command, and the result of applying it.

use towline_state::apply::Applied;

use super::Refusal;
use super::refusal::LONGEST_TEXT;

/// The state after an accepted fact.
pub(super) fn taken<S, R: Into<Refusal>>(applied: Applied<S, R>) -> Result<S, Refusal> {
    match applied {
        Applied::Taken(state) => Ok(state),
        Applied::Refused(why) => Err(why.into()),
    }
}

/// A text for people: one paragraph, without control characters, not too long.
pub(super) fn text(given: Option<String>) -> Result<Option<String>, Refusal> {
    let given = given.map(|given| given.trim().to_owned());
    let Some(given) = given.filter(|given| !given.is_empty()) else {
        return Ok(None);
    };
    if given.chars().count() > LONGEST_TEXT {
        return Err(Refusal::TooLong);
    }
    if given.chars().any(char::is_control) {
        return Err(Refusal::ControlCharacters);
    }
    Ok(Some(given))
}

pub(super) fn required(given: String) -> Result<String, Refusal> {
    text(Some(given))?.ok_or(Refusal::NoReason)
}

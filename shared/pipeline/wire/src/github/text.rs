//! Texts of a body, read without a copy.

use std::borrow::Cow;
use std::ops::Deref;

use serde::Deserialize;

/// A text that is borrowed from the body unless it has an escape.
#[derive(Deserialize, Default)]
pub(super) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

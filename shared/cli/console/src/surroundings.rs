//! The environment of this process.

use std::ffi::OsString;

/// An environment variable, when it is set and not empty.
#[expect(
    clippy::disallowed_methods,
    reason = "the environment comes in here and nowhere else"
)]
pub fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The same as text.
pub fn text(name: &str) -> Option<String> {
    variable(name).and_then(|value| value.into_string().ok())
}

//! Why a function or one invocation failed.

use std::error::Error;
use std::fmt::Write as _;

/// Any error, with its causes.
#[derive(Debug)]
pub struct Failure(pub(crate) Box<dyn Error + Send + Sync>);

impl Failure {
    pub(crate) fn cause(&self) -> &(dyn Error + 'static) {
        self.0.as_ref()
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// An error and its causes in one line.
pub(crate) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |&error| error.source()) {
        let _ = write!(text, ": {cause}"); // writing to a string cannot fail
    }
    text
}

//! Why a function or one invocation failed.

use std::error::Error;

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

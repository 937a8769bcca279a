//! What went wrong in a build, as a sentence for its log.

/// A sentence for a build's log. A person reads it; nothing is decided by it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Said(String);

impl From<String> for Said {
    fn from(sentence: String) -> Self {
        Self(sentence)
    }
}

impl From<&str> for Said {
    fn from(sentence: &str) -> Self {
        Self(sentence.to_owned())
    }
}

impl From<Said> for String {
    fn from(said: Said) -> Self {
        said.0
    }
}

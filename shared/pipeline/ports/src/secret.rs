//! Secrets that somebody else keeps.

use std::fmt;

use async_trait::async_trait;

use crate::PortError;

/// The text of a secret, of any length. `Debug` never shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// Takes it as it is.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that sends or uses it; do not log it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretText(…)")
    }
}

/// A secret that may change while we run.
#[async_trait]
pub trait KeptSecret: Send + Sync {
    /// Its text, possibly as it was a while ago; where that was refused somewhere, as it is now.
    /// None while nobody has set it.
    ///
    /// # Errors
    /// When whoever keeps it does not give it.
    async fn text(&self, refused: bool) -> Result<Option<SecretText>, PortError>;
}

/// A secret that stays the same.
#[async_trait]
impl KeptSecret for SecretText {
    async fn text(&self, _: bool) -> Result<Option<Self>, PortError> {
        Ok(Some(self.clone()))
    }
}

//! Secrets that somebody else keeps.

use async_trait::async_trait;
use secrecy::SecretString;

use crate::PortError;

/// A secret that may change while we run.
#[async_trait]
pub trait KeptSecret: Send + Sync {
    /// Its text, possibly as it was a while ago; where that was refused somewhere, as it is now.
    /// None while nobody has set it.
    ///
    /// # Errors
    /// When whoever keeps it does not give it.
    async fn text(&self, refused: bool) -> Result<Option<SecretString>, PortError>;
}

/// A secret that stays the same.
#[async_trait]
impl KeptSecret for SecretString {
    async fn text(&self, _: bool) -> Result<Option<Self>, PortError> {
        Ok(Some(self.clone()))
    }
}

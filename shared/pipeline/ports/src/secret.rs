//! Secrets in a secret store.

use async_trait::async_trait;
use secrecy::SecretString;

use crate::PortError;

/// A secret that may change while we run.
#[async_trait]
pub trait KeptSecret: Send + Sync {
    /// Its text, which may be cached unless the cached one was `refused`. None while the secret is not
    /// set.
    ///
    /// # Errors
    /// When the store does not return it.
    async fn text(&self, refused: bool) -> Result<Option<SecretString>, PortError>;
}

/// A constant secret.
#[async_trait]
impl KeptSecret for SecretString {
    async fn text(&self, _: bool) -> Result<Option<Self>, PortError> {
        Ok(Some(self.clone()))
    }
}

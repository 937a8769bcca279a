//! What GitHub is asked with: a secret that may change while the function runs.

use async_trait::async_trait;
use towline_aws::{CachedSecret, SecretVersions};
use towline_github::{Credentials, CredentialsSource};
use towline_ports::PortError;

/// The secret.
pub struct GitHubSecret(pub CachedSecret);

#[async_trait]
impl CredentialsSource for GitHubSecret {
    async fn read(&self) -> Result<Credentials, PortError> {
        credentials(self.0.read().await?.as_ref())
    }

    async fn reread(&self) -> Result<Credentials, PortError> {
        match self.0.reread().await? {
            Some(versions) => credentials(&versions),
            None => self.read().await,
        }
    }
}

fn credentials(versions: &SecretVersions) -> Result<Credentials, PortError> {
    let Some(text) = &versions.current else {
        return Ok(Credentials::None);
    };
    Credentials::from_json(text.expose())
        .map_err(|error| PortError::new("reading the secret for GitHub", error))
}

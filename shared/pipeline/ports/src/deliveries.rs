//! Deliveries of webhooks to us, and asking for them again.

use async_trait::async_trait;
use jiff::Timestamp;
use towline_domain::redelivery::Attempt;

use crate::{PortError, RepositoryRef};

/// The webhooks that deliver pushes to us.
#[async_trait]
pub trait Deliveries: Send + Sync {
    /// All attempts since then to deliver pushes to us: by the webhooks of these repositories, of their
    /// owners and of the App, as far as the credentials may read them.
    async fn attempts(
        &self,
        repositories: &[RepositoryRef],
        since: Timestamp,
    ) -> Result<Vec<Attempt>, PortError>;

    /// Asks for the delivery again, as it was last listed by [`Self::attempts`].
    async fn repeat(&self, guid: &str) -> Result<(), PortError>;
}

//! The bus: what has just been committed is announced to whoever acts on it.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;

use crate::PortError;

/// One event of ours.
#[derive(Debug, Clone, PartialEq)]
pub struct Announcement {
    /// The intent it announces.
    pub id: String,
    /// Its detail-type, such as `Build Due`.
    pub detail_type: String,
    /// Its detail: a JSON object; with the envelope well under EventBridge's 256 KB.
    pub detail: Value,
    /// When it was announced.
    pub at: Timestamp,
}

/// Where announcements go. They may arrive twice, late, or in another order.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Announces; what could not be announced is announced again by `sweep`, so an error here
    /// loses nothing.
    async fn announce(&self, announcements: Vec<Announcement>) -> Result<(), PortError>;
}

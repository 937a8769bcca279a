//! The bus: announces what was just committed to the functions that act on it.

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
    /// Its detail: a JSON object, with the envelope well under EventBridge's 256 KB.
    pub detail: Value,
    /// When it was announced.
    pub at: Timestamp,
}

/// Receives announcements. They may arrive twice, late, or in another order.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Announces events. After an error, `sweep` announces them again, so nothing is lost.
    async fn announce(&self, announcements: Vec<Announcement>) -> Result<(), PortError>;
}

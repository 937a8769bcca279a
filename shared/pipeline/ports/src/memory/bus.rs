//! A `Bus` that only records.

use std::sync::Mutex;

use async_trait::async_trait;

use super::lock;
use crate::limits::bytes_of;
use crate::{Announcement, Bus, PortError};

/// Bytes of one entry with its envelope (EventBridge API, `PutEvents`).
const MOST_ENTRY: usize = 256 << 10;

/// Keeps announcements until a test takes them.
#[derive(Debug, Default)]
pub struct MemoryBus {
    announced: Mutex<Vec<Announcement>>,
}

impl MemoryBus {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns and clears the announcements, in order.
    #[must_use]
    pub fn take(&self) -> Vec<Announcement> {
        std::mem::take(&mut *lock(&self.announced))
    }
}

#[async_trait]
impl Bus for MemoryBus {
    async fn announce(&self, announcements: Vec<Announcement>) -> Result<(), PortError> {
        for announcement in &announcements {
            check(announcement)?;
        }
        lock(&self.announced).extend(announcements);
        Ok(())
    }
}

fn check(announcement: &Announcement) -> Result<(), PortError> {
    let Announcement {
        id,
        detail_type,
        detail,
        at: _,
    } = announcement;
    let refused = |why: &str| Err(PortError::because(format!("announce {id}: {why}")));
    if !detail.is_object() {
        return refused("its detail is not a JSON object");
    }
    if detail_type.is_empty() || detail_type.len() > 128 {
        return refused("its detail-type has not 1 to 128 characters");
    }
    if id.len() + detail_type.len() + bytes_of(detail) > MOST_ENTRY {
        return refused("it has more than 256 KB");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;
    use crate::contract::{self, BusWorld};

    #[async_trait]
    impl BusWorld for MemoryBus {
        fn bus(&self) -> &dyn Bus {
            self
        }

        async fn arrived(&self) -> Vec<Value> {
            let taken = self.take().into_iter();
            taken.map(|announcement| announcement.detail).collect()
        }
    }

    #[tokio::test]
    async fn it_keeps_the_contract() {
        contract::bus(&MemoryBus::new()).await;
    }

    fn announcement(detail_type: &str, detail: Value) -> Announcement {
        Announcement {
            id: "intent".into(),
            detail_type: detail_type.into(),
            detail,
            at: Timestamp::UNIX_EPOCH,
        }
    }

    #[tokio::test]
    async fn what_was_announced_is_taken_once_in_order() {
        let bus = MemoryBus::new();
        let one = announcement("Build Due", json!({ "number": 1 }));
        let other = announcement("Build Due", json!({ "number": 2 }));
        bus.announce(vec![one.clone()]).await.expect("it is taken");
        bus.announce(vec![other.clone()])
            .await
            .expect("it is taken");
        assert_eq!(bus.take(), [one, other]);
        assert_eq!(bus.take(), []);
    }

    #[tokio::test]
    async fn what_eventbridge_refuses_is_refused_with_all_that_came_with_it() {
        let bus = MemoryBus::new();
        let good = announcement("Build Due", json!({}));
        for bad in [
            announcement("", json!({})),
            announcement("Build Due", json!("text")),
            announcement("Build Due", json!({ "a": "x".repeat(MOST_ENTRY) })),
        ] {
            assert!(bus.announce(vec![good.clone(), bad]).await.is_err());
            assert_eq!(bus.take(), []);
        }
    }
}

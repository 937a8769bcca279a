//! The contract of a bus.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{Announcement, Bus};

/// The detail-type that is announced; a bus with rules must pass it on.
pub const DETAIL_TYPE: &str = "Build Due";

/// A bus and its receiver.
#[async_trait]
pub trait BusWorld: Send + Sync {
    fn bus(&self) -> &dyn Bus;

    /// The details that have arrived since the last call, in any order. Everything that was announced
    /// before has arrived by then, or never will.
    async fn arrived(&self) -> Vec<Value>;
}

/// Panics unless a bus keeps the contract of [`Bus`].
pub async fn bus(world: &dyn BusWorld) {
    let announce = async |numbers: &[u64]| {
        let numbers = numbers.iter();
        let announcements = numbers.map(|number| Announcement {
            id: format!("intent-{number}"),
            detail_type: DETAIL_TYPE.into(),
            detail: json!({"intent_id": format!("intent-{number}"), "number": number}),
            at: Timestamp::UNIX_EPOCH,
        });
        let announced = world.bus().announce(announcements.collect()).await;
        announced.expect("there is room");
    };
    let arrived = async || {
        let details = world.arrived().await;
        let number = |detail: &Value| detail["number"].as_u64().expect("a number");
        let mut numbers: Vec<u64> = details.iter().map(number).collect();
        numbers.sort_unstable();
        numbers
    };
    announce(&[]).await;
    assert!(arrived().await.is_empty());
    announce(&[1, 2]).await;
    announce(&[3]).await;
    assert_eq!(arrived().await, [1, 2, 3]);
    assert!(arrived().await.is_empty(), "what has arrived is taken");
    // A repeated announcement arrives again: handlers make sure that this does no harm.
    announce(&[3]).await;
    assert_eq!(arrived().await, [3]);
}

//! What a round does with items that it cannot read.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use serde_json::json;
use towline_domain::Timestamp;
use towline_ports::memory::{MemoryBuilds, MemoryBus, MemoryClock, MemoryStore};
use towline_ports::{Item, Key, Store as _, Write};
use towline_state::Context;

use super::{Swept, handle};

/// An item of a later version is left as it is, and is out of the way until later (F17, F36).
#[test]
fn an_item_that_cannot_be_read_is_set_aside() {
    set_aside().now_or_never().expect("nothing waits");
}

async fn set_aside() {
    let (store, bus) = (MemoryStore::new(), MemoryBus::new());
    let clock = MemoryClock::new(Timestamp::UNIX_EPOCH, 1);
    let context = Context {
        store: &store,
        bus: &bus,
        clock: &clock,
    };
    let key = Key::new("RUN#1", "run");
    let body = json!({"owes": "an unknown form"});
    let put = Write::Put {
        key: key.clone(),
        body: body.clone().into(),
        due: Some(Timestamp::UNIX_EPOCH),
    };
    store.transact(vec![put]).await.expect("it is new");
    let builds = MemoryBuilds::new(Arc::new(MemoryClock::new(Timestamp::UNIX_EPOCH, 2)), 1);
    let failed = Swept {
        failed: 1,
        ..Swept::default()
    };
    assert_eq!(handle(context, &builds).await.expect("it answers"), failed);
    let swept = handle(context, &builds).await.expect("it answers");
    assert_eq!(swept, Swept::default(), "it is not due again yet");
    let Item { body: now, due, .. } = store
        .get(&key)
        .await
        .expect("it answers")
        .expect("it is still there");
    assert_eq!(now, body);
    assert!(due > Some(Timestamp::UNIX_EPOCH + Duration::from_secs(60)));
}

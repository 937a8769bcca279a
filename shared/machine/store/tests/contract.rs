//! The store keeps the contract that every store keeps.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use tokio::runtime::Runtime;
use towline_ports::contract;
use towline_store::SqliteStore;

fn open(dir: &Path) -> SqliteStore {
    SqliteStore::open(dir).expect("a new store")
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract() {
    let dir = tempfile::tempdir().expect("a folder");
    let number = AtomicU32::new(0);
    contract::store(async || {
        let number = number.fetch_add(1, Ordering::Relaxed);
        open(&dir.path().join(number.to_string()))
    })
    .await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn it_does_what_the_model_does(choices in prop::collection::vec(any::<u64>(), 1..100)) {
        let dir = tempfile::tempdir().expect("a folder");
        let runtime = Runtime::new().expect("a runtime");
        runtime.block_on(contract::model(&open(dir.path()), &choices));
    }
}

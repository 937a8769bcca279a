//! Durable transactions per second, by how many want to write at the same time.

use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use towline_ports::{Key, Store, Write};
use towline_store::SqliteStore;

/// Transactions of each writer in one sample.
const EACH: u64 = 20;

fn main() {
    divan::main();
}

/// Two items of about 1 KB each, as an accepted push writes: a fact and an intent.
#[divan::bench(args = [1, 16, 128], sample_count = 20, sample_size = 1)]
fn transactions(bencher: Bencher<'_, '_>, writers: u64) {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Arc::new(SqliteStore::open(dir.path()).expect("a new store"));
    let runtime = Runtime::new().expect("a runtime");
    let mut round = 0;
    bencher
        .counter(ItemsCount::new(writers * EACH))
        .with_inputs(|| {
            round += 1;
            round
        })
        .bench_local_values(|round| {
            runtime.block_on(async {
                let mut tasks = JoinSet::new();
                for writer in 0..writers {
                    tasks.spawn(write(Arc::clone(&store), round, writer));
                }
                tasks.join_all().await;
            });
        });
}

async fn write(store: Arc<SqliteStore>, round: u64, writer: u64) {
    let partition = format!("{round}/{writer}");
    for number in 0..EACH {
        let create = |kind: &str| Write::Create {
            key: Key::new(&partition, format!("{kind}/{number}")),
            body: json!({ "text": "x".repeat(1_000) }),
            due: None,
        };
        let writes = vec![create("fact"), create("intent")];
        store.transact(writes).await.expect("the keys are free");
    }
}

/// One item by its key, as it is read before every decision.
#[divan::bench]
fn get(bencher: Bencher<'_, '_>) {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Arc::new(SqliteStore::open(dir.path()).expect("a new store"));
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(write(Arc::clone(&store), 0, 0));
    let key = Key::new("0/0", "fact/7");
    bencher.bench_local(|| {
        let item = runtime.block_on(store.get(&key));
        assert!(item.expect("the store answers").is_some());
    });
}

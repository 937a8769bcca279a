//! Durable transactions per second, by the number of concurrent writers.

use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use towline_ports::{Key, Store, Write};
use towline_store::SqliteStore;

/// Transactions of each writer in one round.
const EACH: u64 = 20;

criterion_group! {
    name = store;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .without_plots();
    targets = transactions, get
}
criterion_main!(store);

/// Two items of about 1 KB each, as an accepted push writes: a fact and an intent.
fn transactions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("transactions");
    for writers in [1, 16, 128] {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Arc::new(SqliteStore::open(dir.path()).expect("a new store"));
        let runtime = Runtime::new().expect("a runtime");
        let mut round = 0;
        group.throughput(Throughput::Elements(writers * EACH));
        group.bench_function(BenchmarkId::from_parameter(writers), |bencher| {
            bencher.iter(|| {
                round += 1;
                runtime.block_on(async {
                    let mut tasks = JoinSet::new();
                    for writer in 0..writers {
                        tasks.spawn(write(Arc::clone(&store), round, writer));
                    }
                    tasks.join_all().await;
                });
            });
        });
    }
    group.finish();
}

async fn write(store: Arc<SqliteStore>, round: u64, writer: u64) {
    let partition = format!("{round}/{writer}");
    for number in 0..EACH {
        let create = |kind: &str| Write::Create {
            key: Key::new(&partition, format!("{kind}/{number}")),
            body: json!({ "text": "x".repeat(1_000) }).into(),
            due: None,
        };
        let writes = vec![create("fact"), create("intent")];
        store.transact(writes).await.expect("the keys are free");
    }
}

/// One item by its key, as it is read before every decision.
fn get(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Arc::new(SqliteStore::open(dir.path()).expect("a new store"));
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(write(Arc::clone(&store), 0, 0));
    let key = Key::new("0/0", "fact/7");
    criterion.bench_function("get", |bencher| {
        bencher.iter(|| {
            let item = runtime.block_on(store.get(&key));
            assert!(item.expect("the store answers").is_some());
        });
    });
}

//! The contract of sizes: what a store accepts, and that content stays unchanged.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{create, delete, done, get, key, put, query};
use crate::limits::{MOST_BODY, MOST_DEPTH, MOST_KEYS, MOST_PARTITION, MOST_SORT, MOST_WRITES};
use crate::{Item, Key, Query, Row, Store, TransactError, Write};

fn create_body(key: Key, body: Value) -> Write {
    let due = None;
    let body = body.into();
    Write::Create { key, body, due }
}

/// An object of this many bytes as JSON.
fn sized(bytes: usize) -> Value {
    json!({ "a": "x".repeat(bytes - r#"{"a":""}"#.len()) })
}

/// An object with this many levels.
fn deep(levels: usize) -> Value {
    (1..levels).fold(json!({}), |within, _| json!({ "a": within }))
}

pub(super) async fn contents_come_back_as_they_were_given<S: Store>(store: Arc<S>) {
    let bodies = [
        json!({}),
        json!({ "": null, "b": [true, false, [], {}], "c": { "d": -1 } }),
        json!({ "large": u64::MAX, "small": i64::MIN, "half": 0.5 }),
        json!({ "text": "\u{0}\n\"\\'😀 é \u{202e} 1; DROP TABLE items; --" }),
    ];
    let times = [
        None,
        Some(Timestamp::MIN),
        Some(Timestamp::MAX),
        Timestamp::from_nanosecond(1_750_000_000_123_456_789).ok(),
    ];
    let keys = [
        key("a"),
        key("\0"),
        Key::new("'; --", "\"'\\%_"),
        Key::new("😀", "é"),
    ];
    for ((body, due), key) in bodies.into_iter().zip(times).zip(keys) {
        let write = Write::Create {
            key: key.clone(),
            body: body.clone().into(),
            due,
        };
        done(&*store, vec![write]).await;
        let expected = Item {
            key: key.clone(),
            version: 1,
            body: body.into(),
            due,
        };
        assert_eq!(get(&*store, &key).await, Some(expected));
    }
}

pub(super) async fn what_is_within_the_limits_is_taken<S: Store>(store: Arc<S>) {
    let store = &*store;
    let partition = "é".repeat(MOST_PARTITION / 2);
    let longest = Key::new(&partition, "s".repeat(MOST_SORT));
    done(store, vec![create_body(longest.clone(), sized(MOST_BODY))]).await;
    let item = get(store, &longest).await.expect("it was written");
    assert_eq!(item.body, sized(MOST_BODY));
    assert_eq!(query(store, &Query::all(&partition)).await.items, [item]);

    done(store, vec![create_body(key("deep"), deep(MOST_DEPTH))]).await;
    let item = get(store, &key("deep")).await.expect("it was written");
    assert_eq!(item.body, deep(MOST_DEPTH));

    let many = (0..MOST_WRITES).map(|number| create(Key::new("many", number.to_string()), 0));
    done(store, many.collect()).await;
    let found = query(store, &Query::all("many")).await.items;
    assert_eq!(found.len(), MOST_WRITES);
}

pub(super) async fn what_is_over_a_limit_is_refused_and_nothing_written<S: Store>(store: Arc<S>) {
    refuses_writes(&*store).await;
    refuses_rows(&*store).await;
    refuses_reads(&*store).await;
}

async fn refuses_writes(store: &impl Store) {
    let refused = [
        ("no change", vec![]),
        (
            "101 changes",
            (0..=MOST_WRITES)
                .map(|n| put(key(&n.to_string()), 0))
                .collect(),
        ),
        ("a key twice", vec![put(key("a"), 0), delete(key("a"), 1)]),
        ("no partition", vec![put(Key::new("", "a"), 0)]),
        ("no sort", vec![put(key(""), 0)]),
        (
            "a long partition",
            vec![put(Key::new("x".repeat(MOST_PARTITION + 1), "a"), 0)],
        ),
        (
            "a long sort, counted in bytes",
            vec![put(key(&"é".repeat(MOST_SORT / 2 + 1)), 0)],
        ),
        (
            "a large content",
            vec![create_body(key("a"), sized(MOST_BODY + 1))],
        ),
        (
            "a deep content",
            vec![create_body(key("a"), deep(MOST_DEPTH + 1))],
        ),
        ("no object", vec![create_body(key("a"), json!([]))]),
        (
            "over 4 MB in all",
            (0..14)
                .map(|n| create_body(key(&n.to_string()), sized(MOST_BODY)))
                .collect(),
        ),
    ];
    for (name, mut writes) in refused {
        if (1..MOST_WRITES).contains(&writes.len()) {
            writes.insert(0, put(key("first"), 0));
        }
        let answer = store.transact(writes).await;
        assert!(
            matches!(answer, Err(TransactError::Port(_))),
            "{name}: {answer:?}"
        );
        let found = query(store, &Query::all("p")).await.items;
        assert_eq!(found, [], "{name}");
    }
}

async fn refuses_rows(store: &impl Store) {
    let row = |sort: &str, body: Value| Row {
        key: key(sort),
        body: body.into(),
    };
    for (name, rows) in [
        ("no row", vec![]),
        (
            "a key twice",
            vec![row("a", json!({})), row("a", json!({}))],
        ),
        ("a large content", vec![row("a", sized(MOST_BODY + 1))]),
        ("no object", vec![row("a", json!(1))]),
    ] {
        assert!(store.put_rows(rows).await.is_err(), "{name}");
        let found = query(store, &Query::all("p")).await.items;
        assert_eq!(found, [], "{name}");
    }
}

async fn refuses_reads(store: &impl Store) {
    for bad in [Key::new("", "a"), key(""), key(&"x".repeat(MOST_SORT + 1))] {
        assert!(store.get(&bad).await.is_err());
    }
    let keys = |many: usize| (0..many).map(|n| key(&n.to_string())).collect::<Vec<_>>();
    for bad in [
        keys(0),
        keys(MOST_KEYS + 1),
        vec![key("a"), key("a")],
        vec![key("a"), key("")],
    ] {
        assert!(store.get_many(&bad).await.is_err());
    }
    assert_eq!(
        store
            .get_many(&keys(MOST_KEYS))
            .await
            .expect("as many as can be")
            .len(),
        MOST_KEYS
    );
    assert!(store.query(&Query::all("")).await.is_err());
    for limit in [0, 1_001] {
        let query = Query {
            limit,
            ..Query::all("p")
        };
        assert!(store.query(&query).await.is_err());
        assert!(store.due(Timestamp::MAX, limit).await.is_err());
    }
}

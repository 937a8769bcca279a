//! The contract of the order and range of queries.

use std::sync::Arc;

use jiff::Timestamp;

use super::{create, delete, done, due, get, get_many, key, put, put_due, query, sorts};
use crate::{Key, Query, Store};

/// In the order of their UTF-8 bytes, which differs from that of words and of UTF-16.
const SORTS: [&str; 14] = [
    "\0", " ", "#", "#1", "/", "A", "a", "a#", "a/b", "aé", "b", "~", "é", "\u{ff5e}",
];

/// Two more, which UTF-16 would order the other way.
const BEYOND: [&str; 2] = ["\u{1f600}", "\u{10ffff}"];

fn all() -> Vec<&'static str> {
    SORTS.into_iter().chain(BEYOND).collect()
}

async fn fill(store: &impl Store) {
    let writes = all().into_iter().rev().map(|sort| create(key(sort), 0));
    done(store, writes.collect()).await;
}

pub(super) async fn sorts_are_in_the_order_of_their_bytes<S: Store>(store: Arc<S>) {
    fill(&*store).await;
    let mut expected = all();
    assert!(expected.is_sorted_by_key(|sort| sort.as_bytes()));
    let page = query(&*store, &Query::all("p")).await;
    assert_eq!(sorts(&page), expected);
    assert_eq!(page.next, None, "there is no more");
    expected.reverse();
    let page = query(&*store, &Query::all("p").newest_first()).await;
    assert_eq!(sorts(&page), expected);
}

pub(super) async fn a_prefix_finds_what_begins_with_it_and_nothing_else<S: Store>(store: Arc<S>) {
    let store = &*store;
    fill(store).await;
    let odd = ["%", "_", "*", "[", "\\", "zz", "é ", "\u{d7ff}", "\u{e000}"];
    for prefix in all().into_iter().chain(odd).chain([""]) {
        let mut expected = all();
        expected.retain(|sort| sort.starts_with(prefix));
        let found = query(store, &Query::all("p").prefix(prefix)).await;
        assert_eq!(sorts(&found), expected, "prefix {prefix:?}");
        expected.reverse();
        let found = query(store, &Query::all("p").prefix(prefix).newest_first()).await;
        assert_eq!(sorts(&found), expected, "prefix {prefix:?}, newest first");
    }
}

/// All results of a query, page by page.
async fn walk(store: &impl Store, mut query: Query) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        let page = super::query(store, &query).await;
        assert!(page.items.len() <= query.limit);
        found.extend(page.items.into_iter().map(|item| item.key.sort.to_string()));
        let Some(next) = page.next else {
            return found;
        };
        assert_eq!(found.last(), Some(&next), "it continues behind the last");
        query.after = Some(next);
    }
}

pub(super) async fn a_query_ends_where_it_is_told_and_continues_where_it_stopped<S: Store>(
    store: Arc<S>,
) {
    let store = &*store;
    fill(store).await;
    for (prefix, up_to) in [
        ("", None),
        ("", Some("a")),
        ("", Some("a\u{10ffff}")),
        ("", Some("")),
        ("", Some("\u{10ffff}")),
        ("a", None),
        ("a", Some("a/b")),
        ("a", Some("a/c")),
        ("a", Some("A")),
        ("a", Some("b")),
    ] {
        for newest_first in [false, true] {
            let mut expected = all();
            expected.retain(|sort| {
                sort.starts_with(prefix) && up_to.is_none_or(|up_to| *sort <= up_to)
            });
            if newest_first {
                expected.reverse();
            }
            let query = Query {
                up_to: up_to.map(str::to_owned),
                newest_first,
                ..Query::all("p").prefix(prefix)
            };
            for limit in [1, 2, 3, expected.len().max(1), 1_000] {
                let found = walk(store, query.clone().limit(limit)).await;
                assert_eq!(found, expected, "{query:?}, limit {limit}");
            }
            // The item to continue after may have been deleted.
            for after in all().into_iter().chain(["a\u{1}", "0"]) {
                let query = Query {
                    after: Some(after.to_owned()),
                    ..query.clone()
                };
                let mut behind = expected.clone();
                behind.retain(|sort| {
                    if newest_first {
                        *sort < after
                    } else {
                        *sort > after
                    }
                });
                let found = super::query(store, &query).await;
                assert_eq!(sorts(&found), behind, "{query:?}");
            }
        }
    }
}

pub(super) async fn many_are_read_in_the_order_they_are_asked_for<S: Store>(store: Arc<S>) {
    let store = &*store;
    let keys = [
        key("z"),
        Key::new("other", "a"),
        key("nothing"),
        key("a"),
        Key::new("nowhere", "a"),
    ];
    let written = [&keys[3], &keys[1], &keys[0]];
    for (number, key) in (0..).zip(written) {
        done(store, vec![put(key.clone(), number)]).await;
    }
    done(store, vec![put(keys[1].clone(), 7)]).await;
    let mut expected = Vec::new();
    for key in &keys {
        expected.push(get(store, key).await);
    }
    let found = get_many(store, &keys).await;
    assert_eq!(found, expected);
    let numbers = found.into_iter().map(|item| {
        let item = item?;
        Some((item.version, item.body["number"].as_u64()?))
    });
    let numbers: Vec<Option<(u64, u64)>> = numbers.collect();
    assert_eq!(
        numbers,
        [Some((1, 2)), Some((2, 7)), None, Some((1, 0)), None]
    );
    assert_eq!(get_many(store, &keys[..1]).await, expected[..1]);
}

pub(super) async fn partitions_are_apart<S: Store>(store: Arc<S>) {
    let store = &*store;
    let partitions = ["a", "a#", "aa", "A", "b", "é"];
    for partition in partitions {
        let writes = ["1", "2"].map(|sort| create(Key::new(partition, sort), 0));
        done(store, writes.to_vec()).await;
    }
    for partition in partitions {
        let page = query(store, &Query::all(partition)).await;
        assert_eq!(sorts(&page), ["1", "2"]);
        assert!(
            page.items
                .iter()
                .all(|item| *item.key.partition == *partition)
        );
    }
    for partition in ["c", "a%", "1"] {
        let page = query(store, &Query::all(partition)).await;
        assert_eq!((page.items.len(), page.next), (0, None));
    }
}

/// A time, in nanoseconds from 1970 on.
fn at(nanosecond: i128) -> Timestamp {
    Timestamp::from_nanosecond(nanosecond).expect("it lies between the years -9999 and 9999")
}

pub(super) async fn due_items_come_earliest_first_and_not_too_soon<S: Store>(store: Arc<S>) {
    let store = &*store;
    let now = 1_750_000_000_000_000_000;
    let times = [
        ("first", Some(Timestamp::MIN)),
        ("before 1970", Some(at(-1))),
        ("earlier", Some(at(now - 1))),
        ("now", Some(at(now))),
        ("later", Some(at(now + 1))),
        ("last", Some(Timestamp::MAX)),
        ("never", None),
    ];
    // Their order by name differs from that by time.
    for (number, (sort, due)) in times.into_iter().enumerate() {
        let key = Key::new(format!("p{}", 9 - number), sort);
        done(store, vec![put_due(key, 0, due)]).await;
    }
    assert_eq!(due(store, Timestamp::MIN, 1_000).await, ["first"]);
    let until_now = ["first", "before 1970", "earlier", "now"];
    assert_eq!(due(store, at(now), 1_000).await, until_now);
    assert_eq!(due(store, at(now), 4).await, until_now);
    assert_eq!(due(store, at(now), 3).await, until_now[..3]);
    assert_eq!(due(store, at(now), 1).await, until_now[..1]);
    let ever = ["first", "before 1970", "earlier", "now", "later", "last"];
    assert_eq!(due(store, Timestamp::MAX, 1_000).await, ever);
}

pub(super) async fn due_follows_the_item<S: Store>(store: Arc<S>) {
    let store = &*store;
    done(store, vec![put_due(key("a"), 1, Some(at(5)))]).await;
    assert_eq!(due(store, at(5), 10).await, ["a"]);
    done(store, vec![put_due(key("a"), 2, Some(at(9)))]).await;
    assert_eq!(due(store, at(8), 10).await, [""; 0]);
    assert_eq!(due(store, at(9), 10).await, ["a"]);
    done(store, vec![put(key("a"), 3)]).await;
    assert_eq!(due(store, at(9), 10).await, [""; 0]);
    done(store, vec![put_due(key("a"), 4, Some(at(1)))]).await;
    let found = store.due(at(1), 10).await.expect("the store answers");
    assert_eq!(found.items.first(), get(store, &key("a")).await.as_ref());
    done(store, vec![delete(key("a"), 4)]).await;
    assert_eq!(due(store, at(9), 10).await, [""; 0]);
}

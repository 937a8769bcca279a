//! The contract of conditional changes, alone and against concurrent ones.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{body, conflict, create, delete, done, get, key, put, query, replace, sorts, won};
use crate::{Key, Query, Row, Store, Write};

/// The number of concurrent writers.
const RIVALS: u64 = 12;

pub(super) async fn every_condition_holds_back_exactly_what_it_says<S: Store>(store: Arc<S>) {
    let store = &*store;
    // The result of each change for a free key and for version 2: the version after it, or a conflict.
    type Case<'a> = (&'a str, &'a dyn Fn(Key) -> Write, Option<u64>, Option<u64>);
    let cases: [Case<'_>; 9] = [
        ("create", &|key| create(key, 7), Some(1), None),
        ("put", &|key| put(key, 7), Some(1), Some(3)),
        ("replace 0", &|key| replace(key, 0, 7), None, None),
        ("replace 1", &|key| replace(key, 1, 7), None, None),
        ("replace 2", &|key| replace(key, 2, 7), None, Some(3)),
        ("replace 3", &|key| replace(key, 3, 7), None, None),
        ("delete 1", &|key| delete(key, 1), Some(0), None),
        ("delete 2", &|key| delete(key, 2), Some(0), Some(0)),
        ("delete 3", &|key| delete(key, 3), Some(0), None),
    ];
    for (name, write, when_free, when_there) in cases {
        for (there, expected) in [(false, when_free), (true, when_there)] {
            let key = key(&format!("{name}/{there}"));
            if there {
                done(store, vec![create(key.clone(), 1)]).await;
                done(store, vec![replace(key.clone(), 1, 2)]).await;
            }
            let before = get(store, &key).await;
            let Some(version) = expected else {
                let named = conflict(store, vec![write(key.clone())]).await;
                assert_eq!(named, key, "{name}, there: {there}");
                assert_eq!(get(store, &key).await, before, "{name}, there: {there}");
                continue;
            };
            done(store, vec![write(key.clone())]).await;
            let after = get(store, &key).await;
            let found = after.as_ref().map_or(0, |item| item.version);
            assert_eq!(found, version, "{name}, there: {there}");
            if version == before.as_ref().map_or(0, |item| item.version) {
                assert_eq!(after, before, "{name} changes nothing");
            } else if let Some(after) = after {
                assert_eq!(after.body, body(7), "{name}, there: {there}");
            }
        }
    }
}

pub(super) async fn a_transaction_makes_all_of_its_changes_or_none<S: Store>(store: Arc<S>) {
    let store = &*store;
    done(
        store,
        vec![
            create(key("kept"), 1),
            create(key("old"), 1),
            create(key("gone"), 1),
        ],
    )
    .await;
    let before = query(store, &Query::all("p")).await;
    let good = [
        create(key("new"), 2),
        replace(key("old"), 1, 2),
        delete(key("gone"), 1),
        put(key("other"), 2),
    ];
    for place in 0..=good.len() {
        let mut writes = good.to_vec();
        writes.insert(place, create(key("kept"), 2));
        assert_eq!(conflict(store, writes).await, key("kept"));
        let after = query(store, &Query::all("p")).await;
        assert_eq!(after, before, "with the conflict at place {place}");
    }
    done(store, good.to_vec()).await;
    let after = query(store, &Query::all("p")).await;
    assert_eq!(sorts(&after), ["kept", "new", "old", "other"]);
}

pub(super) async fn the_first_condition_that_fails_is_named<S: Store>(store: Arc<S>) {
    let store = &*store;
    done(store, vec![create(key("a"), 1), create(key("b"), 1)]).await;
    let writes = vec![
        put(key("c"), 1),
        create(key("b"), 2),
        replace(key("a"), 9, 2),
    ];
    assert_eq!(conflict(store, writes).await, key("b"));
    assert_eq!(get(store, &key("c")).await, None);
}

pub(super) async fn versions_rise_by_one_and_begin_again_after_a_delete<S: Store>(store: Arc<S>) {
    let store = &*store;
    for round in 0..2 {
        done(store, vec![create(key("a"), round)]).await;
        for version in 1..=20 {
            let item = get(store, &key("a")).await.expect("it was written");
            assert_eq!(item.version, version);
            let write = if version % 2 == 0 {
                put(key("a"), version)
            } else {
                replace(key("a"), version, version)
            };
            done(store, vec![write]).await;
        }
        for _ in 0..2 {
            done(store, vec![delete(key("a"), 21)]).await;
            assert_eq!(get(store, &key("a")).await, None);
        }
    }
}

/// How many writers win if each does what `write` returns.
async fn winners<S: Store + 'static>(store: &Arc<S>, write: impl Fn(u64) -> Write) -> usize {
    let mut tasks = JoinSet::new();
    for number in 0..RIVALS {
        let store = Arc::clone(store);
        let own = put(Key::new("won", number.to_string()), number);
        let writes = vec![own, write(number)];
        tasks.spawn(async move { won(&*store, writes).await });
    }
    let outcomes = tasks.join_all().await;
    outcomes.into_iter().filter(|won| *won).count()
}

pub(super) async fn of_twelve_that_create_one_wins<S: Store + 'static>(store: Arc<S>) {
    for round in 0..10 {
        let contested = key(&round.to_string());
        let winners = winners(&store, |number| create(contested.clone(), number)).await;
        assert_eq!(winners, 1, "round {round}");
        let item = get(&*store, &contested).await.expect("one has won");
        assert_eq!(item.version, 1);
        let traces = query(&*store, &Query::all("won")).await.items;
        let total: u64 = traces.iter().map(|item| item.version).sum();
        assert_eq!(total, round + 1, "only winners left a trace");
    }
}

pub(super) async fn of_twelve_that_replace_one_wins<S: Store + 'static>(store: Arc<S>) {
    done(&*store, vec![create(key("a"), 0)]).await;
    for version in 1..=10 {
        let winners = winners(&store, |number| replace(key("a"), version, number)).await;
        assert_eq!(winners, 1, "version {version}");
        let item = get(&*store, &key("a")).await.expect("it was written");
        assert_eq!(item.version, version + 1);
    }
}

pub(super) async fn twelve_that_count_together_lose_no_step<S: Store + 'static>(store: Arc<S>) {
    const STEPS: u64 = 5;
    done(&*store, vec![create(key("count"), 0)]).await;
    let mut tasks = JoinSet::new();
    for _ in 0..RIVALS {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let mut steps = 0;
            while steps < STEPS {
                let item = get(&*store, &key("count")).await.expect("it was written");
                let count = item.body["number"].as_u64().expect("it is a number");
                let next = replace(key("count"), item.version, count + 1);
                steps += u64::from(won(&*store, vec![next]).await);
            }
        });
    }
    tasks.join_all().await;
    let item = get(&*store, &key("count")).await.expect("it was written");
    assert_eq!(item.body, body(RIVALS * STEPS));
    assert_eq!(item.version, RIVALS * STEPS + 1);
}

/// Rows exist once they are acknowledged, and replace earlier ones. They need no due time.
pub(super) async fn rows_are_there_when_acknowledged<S: Store>(store: Arc<S>) {
    let store = &*store;
    let row = |sort: &str, number: u64| Row {
        key: key(sort),
        body: body(number).into(),
    };
    let many = (0..120).map(|number| row(&format!("{number:03}"), number));
    store.put_rows(many.collect()).await.expect("rows");
    let found = query(store, &Query::all("p")).await.items;
    assert_eq!(found.len(), 120);
    store.put_rows(vec![row("007", 700)]).await.expect("a row");
    let again = get(store, &key("007")).await.expect("it was written");
    assert_eq!((again.version, again.body), (1, body(700).into()));
    assert_eq!(again.due, None);
}

/// If two write a row each and then change one item, one wins, and both rows exist.
pub(super) async fn the_rows_of_a_loser_stay_beside_those_of_the_winner<S: Store + 'static>(
    store: Arc<S>,
) {
    done(&*store, vec![create(key("head"), 0)]).await;
    for version in 1..=10 {
        let mut tasks = JoinSet::new();
        for number in 0..RIVALS {
            let store = Arc::clone(&store);
            tasks.spawn(async move {
                let row = Row {
                    key: Key::new("rows", format!("{version:02}#{number:02}")),
                    body: body(number).into(),
                };
                store.put_rows(vec![row]).await.expect("a row");
                won(&*store, vec![replace(key("head"), version, number)]).await
            });
        }
        let winners = tasks.join_all().await.into_iter().filter(|won| *won);
        assert_eq!(winners.count(), 1, "version {version}");
    }
    let rows = query(&*store, &Query::all("rows")).await.items;
    assert_eq!(rows.len(), 10 * RIVALS as usize);
}

pub(super) async fn a_write_that_was_answered_is_read_back<S: Store + 'static>(store: Arc<S>) {
    let mut tasks = JoinSet::new();
    for number in 0..RIVALS {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let partition = format!("own/{number}");
            for step in 0..20 {
                let key = Key::new(&partition, format!("{step:02}"));
                done(&*store, vec![create(key.clone(), step)]).await;
                let item = get(&*store, &key).await.expect("it was acknowledged");
                assert_eq!(item.body, body(step));
                let newest = Query::all(&partition).newest_first().limit(1);
                let newest = query(&*store, &newest).await;
                assert_eq!(newest.items, [item]);
            }
        });
    }
    tasks.join_all().await;
}

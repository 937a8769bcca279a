//! Contract tests that every adapter of a port passes, and the version in memory.
//!
//! [`store()`] is what a `Store` promises, case by case; [`model()`] compares one with a model of a few
//! lines over any sequence of operations. Each other port has one function. It takes a world: the
//! adapter, and the actions of the outside on it.

mod builds;
mod bus;
mod images;
mod repositories;
mod source;
mod statuses;

mod conditions;
mod model;
mod order;
mod sizes;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{Item, Key, Page, Query, Store, TransactError, Write};

pub use builds::{BuildsWorld, builds};
pub use bus::{BusWorld, DETAIL_TYPE, bus};
pub use images::{IMAGE_REPOSITORY, ImagesWorld, images};
pub use model::model;
pub use repositories::{REGISTERED, RepositoriesWorld, repositories};
pub use source::{HISTORY, SourceCommit, source};
pub use statuses::{StatusesWorld, statuses};

/// Panics unless the stores that `make` creates keep the contract of [`Store`]. Each case gets a
/// new, empty one. Use a runtime with several threads, or there are no races.
pub async fn store<S: Store + 'static>(make: impl AsyncFn() -> S) {
    let fresh = async || Arc::new(make().await);
    conditions::every_condition_holds_back_exactly_what_it_says(fresh().await).await;
    conditions::a_transaction_makes_all_of_its_changes_or_none(fresh().await).await;
    conditions::the_first_condition_that_fails_is_named(fresh().await).await;
    conditions::versions_rise_by_one_and_begin_again_after_a_delete(fresh().await).await;
    conditions::of_twelve_that_create_one_wins(fresh().await).await;
    conditions::of_twelve_that_replace_one_wins(fresh().await).await;
    conditions::twelve_that_count_together_lose_no_step(fresh().await).await;
    conditions::rows_are_there_when_acknowledged(fresh().await).await;
    conditions::the_rows_of_a_loser_stay_beside_those_of_the_winner(fresh().await).await;
    conditions::a_write_that_was_answered_is_read_back(fresh().await).await;
    order::sorts_are_in_the_order_of_their_bytes(fresh().await).await;
    order::a_prefix_finds_what_begins_with_it_and_nothing_else(fresh().await).await;
    order::a_query_ends_where_it_is_told_and_continues_where_it_stopped(fresh().await).await;
    order::many_are_read_in_the_order_they_are_asked_for(fresh().await).await;
    order::partitions_are_apart(fresh().await).await;
    order::due_items_come_earliest_first_and_not_too_soon(fresh().await).await;
    order::due_follows_the_item(fresh().await).await;
    sizes::contents_come_back_as_they_were_given(fresh().await).await;
    sizes::what_is_within_the_limits_is_taken(fresh().await).await;
    sizes::what_is_over_a_limit_is_refused_and_nothing_written(fresh().await).await;
}

fn key(sort: &str) -> Key {
    Key::new("p", sort)
}

fn body(number: u64) -> Value {
    json!({ "number": number })
}

fn create(key: Key, number: u64) -> Write {
    Write::Create {
        key,
        body: body(number).into(),
        due: None,
    }
}

fn replace(key: Key, version: u64, number: u64) -> Write {
    Write::Replace {
        key,
        version,
        body: body(number).into(),
        due: None,
    }
}

fn delete(key: Key, version: u64) -> Write {
    Write::Delete { key, version }
}

fn put(key: Key, number: u64) -> Write {
    put_due(key, number, None)
}

fn put_due(key: Key, number: u64, due: Option<Timestamp>) -> Write {
    Write::Put {
        key,
        body: body(number).into(),
        due,
    }
}

async fn done(store: &impl Store, writes: Vec<Write>) {
    store
        .transact(writes)
        .await
        .expect("nothing stands in the way of these changes");
}

/// Whether the change was made; `false` is a conflict, and nothing else may go wrong.
async fn won(store: &impl Store, writes: Vec<Write>) -> bool {
    match store.transact(writes).await {
        Ok(()) => true,
        Err(TransactError::Conflict(_)) => false,
        Err(TransactError::Port(error)) => panic!("the store did not answer: {error:?}"),
    }
}

async fn conflict(store: &impl Store, writes: Vec<Write>) -> Key {
    match store.transact(writes).await {
        Err(TransactError::Conflict(key)) => key,
        other => panic!("a conflict was due, not {other:?}"),
    }
}

async fn get(store: &impl Store, key: &Key) -> Option<Item> {
    store.get(key).await.expect("the store answers")
}

async fn get_many(store: &impl Store, keys: &[Key]) -> Vec<Option<Item>> {
    store.get_many(keys).await.expect("the store answers")
}

async fn query(store: &impl Store, query: &Query) -> Page {
    store.query(query).await.expect("the store answers")
}

async fn due(store: &impl Store, until: Timestamp, limit: usize) -> Vec<String> {
    let due = store.due(until, limit).await.expect("the store answers");
    due.items
        .into_iter()
        .map(|item| item.key.sort.to_string())
        .collect()
}

fn sorts(page: &Page) -> Vec<&str> {
    page.items.iter().map(|item| &*item.key.sort).collect()
}

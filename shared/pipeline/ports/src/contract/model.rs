//! Compares a store with a small model, over any sequence of operations.

use jiff::Timestamp;
use serde_json::json;

use super::{get, get_many, query};
use crate::memory::SplitMix64;
use crate::{Due, Item, Key, Page, Query, Row, Store, TransactError, Write};

const PARTITIONS: [&str; 2] = ["a", "a#"];
const SORTS: [&str; 8] = ["#", "/", "a", "a/", "a/b", "a~", "é", "\u{1f600}"];
const PREFIXES: [&str; 6] = ["", "a", "a/", "#", "é", "b"];

/// Panics if the store, empty at first, answers differently from the model; each choice is one
/// operation, so that a failing sequence can be shortened.
pub async fn model<S: Store>(store: &S, choices: &[u64]) {
    let mut model = Model::default();
    for choice in choices {
        let mut dice = Dice(SplitMix64::new(*choice));
        match dice.roll(7) {
            6 => {
                let rows = dice.rows();
                let answer = store.put_rows(rows.clone()).await;
                answer.expect("the store answers");
                model.put_rows(rows);
            }
            0..3 => {
                let writes = dice.writes(&model);
                let answer = match store.transact(writes.clone()).await {
                    Ok(()) => None,
                    Err(TransactError::Conflict(key)) => Some(key),
                    Err(TransactError::Port(error)) => panic!("the store answers: {error:?}"),
                };
                assert_eq!(answer, model.transact(&writes), "{writes:?}");
            }
            3 => {
                let asked = dice.query();
                let page = query(store, &asked).await;
                let expected = model.query(&asked);
                assert_eq!(page.items, expected.items, "{asked:?}");
                // At the very end, a store may not know yet that there are no more items.
                if expected.next.is_some() {
                    assert_eq!(page.next, expected.next, "{asked:?}");
                }
            }
            4 => {
                let key = dice.key();
                assert_eq!(get(store, &key).await, model.get(&key).cloned(), "{key:?}");
                let mut keys: Vec<Key> = (0..4).map(|_| dice.key()).collect();
                keys.sort_by_key(|key| std::cmp::Reverse(key.clone()));
                keys.dedup();
                let expected: Vec<_> = keys.iter().map(|key| model.get(key).cloned()).collect();
                assert_eq!(get_many(store, &keys).await, expected, "{keys:?}");
            }
            _ => {
                let (until, limit) = (dice.time(), 1 + dice.roll(5));
                let Due {
                    items: found,
                    complete,
                } = store.due(until, limit).await.expect("the store answers");
                let due = |item: &Item| item.due.expect("only what is due was found");
                assert!(found.is_sorted_by_key(due), "{found:?}");
                let mut expected = model.due(until);
                assert_eq!(found.len(), expected.len().min(limit));
                // At exactly the limit, a store may not know yet that there is no more.
                assert!(expected.len() >= limit || complete, "{found:?}");
                assert!(expected.len() <= limit || !complete, "{found:?}");
                // Items due at the same time come in any order.
                let last = found.last().map(due);
                expected.retain(|item| item.due < last);
                for item in &expected {
                    assert!(found.contains(item), "{item:?} is missing");
                }
                assert!(found.iter().all(|item| model.0.contains(item)), "{found:?}");
            }
        }
    }
}

/// All items, in any order.
#[derive(Default)]
struct Model(Vec<Item>);

impl Model {
    fn get(&self, key: &Key) -> Option<&Item> {
        self.0.iter().find(|item| item.key == *key)
    }

    fn version(&self, key: &Key) -> u64 {
        self.get(key).map_or(0, |item| item.version)
    }

    /// The key in conflict, if one is.
    fn transact(&mut self, writes: &[Write]) -> Option<Key> {
        let fails = |write: &&Write| match write {
            Write::Create { key, .. } => self.version(key) != 0,
            Write::Replace { key, version, .. } => *version == 0 || self.version(key) != *version,
            Write::Put { .. } => false,
            Write::Delete { key, version } => ![0, *version].contains(&self.version(key)),
        };
        if let Some(write) = writes.iter().find(fails) {
            return Some(write.key().clone());
        }
        for write in writes {
            let version = self.version(write.key()) + 1;
            match write {
                Write::Create { key, body, due }
                | Write::Put { key, body, due }
                | Write::Replace { key, body, due, .. } => {
                    self.0.retain(|item| item.key != *key);
                    self.0.push(Item {
                        key: key.clone(),
                        version,
                        body: body.clone(),
                        due: *due,
                    });
                }
                Write::Delete { key, .. } => self.0.retain(|item| item.key != *key),
            }
        }
        None
    }

    fn put_rows(&mut self, rows: Vec<Row>) {
        for Row { key, body } in rows {
            self.0.retain(|item| item.key != key);
            self.0.push(Item {
                key,
                version: 1,
                body,
                due: None,
            });
        }
    }

    fn query(&self, query: &Query) -> Page {
        let behind = |sort: &str, after: &str| {
            if query.newest_first {
                sort < after
            } else {
                sort > after
            }
        };
        let mut items = self.0.clone();
        items.retain(|Item { key, .. }| {
            *key.partition == *query.partition
                && key.sort.starts_with(&query.prefix)
                && query
                    .up_to
                    .as_ref()
                    .is_none_or(|up_to| *key.sort <= **up_to)
                && query
                    .after
                    .as_ref()
                    .is_none_or(|after| behind(&key.sort, after))
        });
        items.sort_by(|one, other| one.key.sort.as_bytes().cmp(other.key.sort.as_bytes()));
        if query.newest_first {
            items.reverse();
        }
        let more = items.len() > query.limit;
        items.truncate(query.limit);
        let last = items.last().map(|item| item.key.sort.to_string());
        Page {
            items,
            next: last.filter(|_| more),
        }
    }

    fn due(&self, until: Timestamp) -> Vec<Item> {
        let mut items = self.0.clone();
        items.retain(|item| item.due.is_some_and(|due| due <= until));
        items
    }
}

struct Dice(SplitMix64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        // Modulo a small number; the slight unevenness does not matter.
        (self.0.draw() >> 33) as usize % sides
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len())]
    }

    fn key(&mut self) -> Key {
        Key::new(self.one(&PARTITIONS), self.one(&SORTS))
    }

    fn time(&mut self) -> Timestamp {
        let second = self.roll(5) as i64;
        Timestamp::from_second(second).expect("a few seconds after 1970")
    }

    /// One to four changes of different keys, whose conditions mostly hold.
    fn writes(&mut self, model: &Model) -> Vec<Write> {
        let mut writes: Vec<Write> = Vec::new();
        for _ in 0..=self.roll(4) {
            let key = self.key();
            if writes.iter().all(|write| *write.key() != key) {
                writes.push(self.write(key, model));
            }
        }
        writes
    }

    /// One to four rows of different keys.
    fn rows(&mut self) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        for _ in 0..=self.roll(4) {
            let key = self.key();
            if rows.iter().all(|row| row.key != key) {
                let body = json!({ "row": self.roll(1_000) }).into();
                rows.push(Row { key, body });
            }
        }
        rows
    }

    fn write(&mut self, key: Key, model: &Model) -> Write {
        let version = match self.roll(8) {
            0 => 0,
            1 => model.version(&key) + 1,
            _ => model.version(&key),
        };
        let body = json!({ "number": self.roll(1_000) }).into();
        let due = (self.roll(2) == 0).then(|| self.time());
        match self.roll(6) {
            0..2 => Write::Create { key, body, due },
            2..4 => Write::Replace {
                key,
                version,
                body,
                due,
            },
            4 => Write::Put { key, body, due },
            _ => Write::Delete { key, version },
        }
    }

    fn query(&mut self) -> Query {
        Query {
            partition: self.one(&PARTITIONS).to_owned(),
            prefix: self.one(&PREFIXES).to_owned(),
            up_to: (self.roll(2) == 0).then(|| self.one(&SORTS).to_owned()),
            newest_first: self.roll(2) == 0,
            limit: 1 + self.roll(9),
            after: (self.roll(2) == 0).then(|| self.one(&SORTS).to_owned()),
        }
    }
}

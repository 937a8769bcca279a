//! A `Store` in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use async_trait::async_trait;
use jiff::Timestamp;

use super::lock;
use crate::limits;
use crate::{Due, Item, Key, Page, PortError, Query, Row, Store, TransactError, Write};

/// A store that forgets everything when it is dropped.
#[derive(Debug, Default)]
pub struct MemoryStore {
    items: Mutex<Items>,
}

#[derive(Debug, Default)]
struct Items {
    by_key: BTreeMap<Key, Item>,
    /// The keys of items that are due at some time.
    by_due: BTreeSet<(Timestamp, Key)>,
}

impl Items {
    fn put(&mut self, item: Item) {
        let key = item.key.clone();
        let due = item.due;
        let before = self.by_key.insert(key.clone(), item);
        let before = before.and_then(|before| before.due);
        if before != due {
            self.index(key, before, due);
        }
    }

    fn remove(&mut self, key: &Key) {
        let before = self.by_key.remove(key);
        if let Some(Item { key, due, .. }) = before {
            self.index(key, due, None);
        }
    }

    fn index(&mut self, key: Key, before: Option<Timestamp>, now: Option<Timestamp>) {
        let mut place = (Timestamp::MIN, key);
        if let Some(before) = before {
            place.0 = before;
            self.by_due.remove(&place);
        }
        if let Some(now) = now {
            place.0 = now;
            self.by_due.insert(place);
        }
    }
}

impl MemoryStore {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at an item without copying it.
    pub fn look<T>(&self, key: &Key, look: impl FnOnce(Option<&Item>) -> T) -> T {
        look(lock(&self.items).by_key.get(key))
    }

    /// All items, in the order of their keys.
    #[must_use]
    pub fn dump(&self) -> Vec<Item> {
        lock(&self.items).by_key.values().cloned().collect()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, key: &Key) -> Result<Option<Item>, PortError> {
        limits::check_key(key)?;
        Ok(lock(&self.items).by_key.get(key).cloned())
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, PortError> {
        limits::check_keys(keys)?;
        let items = &lock(&self.items).by_key;
        Ok(keys.iter().map(|key| items.get(key).cloned()).collect())
    }

    async fn query(&self, query: &Query) -> Result<Page, PortError> {
        limits::check_query(query)?;
        let items = lock(&self.items);
        let mut found: Vec<&Item> = items
            .by_key
            .range(Key::new(&query.partition, "")..)
            .map(|(_, item)| item)
            .take_while(|item| *item.key.partition == *query.partition)
            .filter(|item| is_asked_for(query, &item.key.sort))
            .collect();
        if query.newest_first {
            found.reverse();
        }
        let more = found.len() > query.limit;
        found.truncate(query.limit);
        let last = found.last().map(|item| item.key.sort.to_string());
        Ok(Page {
            next: last.filter(|_| more),
            items: found.into_iter().cloned().collect(),
        })
    }

    async fn due(&self, until: Timestamp, limit: usize) -> Result<Due, PortError> {
        limits::check_items(limit)?;
        let items = lock(&self.items);
        let due = items.by_due.iter().take_while(|(due, _)| *due <= until);
        let mut found = due.filter_map(|(_, key)| items.by_key.get(key));
        let some = found.by_ref().take(limit).cloned().collect();
        Ok(Due {
            items: some,
            complete: found.next().is_none(),
        })
    }

    async fn put_rows(&self, rows: Vec<Row>) -> Result<(), PortError> {
        limits::check_rows(&rows)?;
        let mut items = lock(&self.items);
        for Row { key, body } in rows {
            items.put(Item {
                key,
                version: 1,
                body,
                due: None,
            });
        }
        Ok(())
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), TransactError> {
        limits::check_writes(&writes).map_err(PortError::from)?;
        let mut items = lock(&self.items);
        if let Some(write) = writes.iter().find(|write| !holds(write, &items.by_key)) {
            return Err(TransactError::Conflict(write.key().clone()));
        }
        for write in writes {
            match write {
                Write::Create { key, body, due }
                | Write::Replace { key, body, due, .. }
                | Write::Put { key, body, due } => {
                    let before = items.by_key.get(&key).map_or(0, |item| item.version);
                    items.put(Item {
                        key,
                        version: before + 1,
                        body,
                        due,
                    });
                }
                Write::Delete { key, .. } => items.remove(&key),
            }
        }
        Ok(())
    }
}

fn is_asked_for(query: &Query, sort: &str) -> bool {
    let not_over = query.up_to.as_deref().is_none_or(|up_to| sort <= up_to);
    let behind = query.after.as_deref().is_none_or(|after| {
        if query.newest_first {
            sort < after
        } else {
            sort > after
        }
    });
    sort.starts_with(&query.prefix) && not_over && behind
}

/// Whether a change is allowed in the current state.
fn holds(write: &Write, items: &BTreeMap<Key, Item>) -> bool {
    let version = items.get(write.key()).map(|item| item.version);
    match write {
        Write::Create { .. } => version.is_none(),
        Write::Replace { version: read, .. } => version == Some(*read),
        Write::Put { .. } => true,
        Write::Delete { version: read, .. } => version.is_none_or(|version| version == *read),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use tokio::runtime::Builder;

    use super::*;
    use crate::contract;

    #[tokio::test(flavor = "multi_thread")]
    async fn it_keeps_the_contract() {
        contract::store(async || MemoryStore::new()).await;
    }

    #[tokio::test]
    async fn a_dump_is_everything_in_order() {
        let store = MemoryStore::new();
        let put = |partition: &str, sort: &str| Write::Put {
            key: Key::new(partition, sort),
            body: json!({}).into(),
            due: None,
        };
        let writes = vec![put("b", "1"), put("a", "2"), put("a", "1")];
        store.transact(writes).await.expect("nothing is in the way");
        let keys: Vec<Key> = store.dump().into_iter().map(|item| item.key).collect();
        let expected = [("a", "1"), ("a", "2"), ("b", "1")];
        assert_eq!(keys, expected.map(|(one, other)| Key::new(one, other)));
    }

    proptest! {
        #[test]
        fn it_does_what_the_model_does(choices in prop::collection::vec(any::<u64>(), 1..100)) {
            let runtime = Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(contract::model(&MemoryStore::new(), &choices));
        }
    }
}

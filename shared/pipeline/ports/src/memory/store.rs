//! A `Store` in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use jiff::Timestamp;

use super::lock;
use crate::limits;
use crate::{Due, Item, Key, Page, PortError, Query, Row, Store, TransactError, Write};

/// A store that forgets everything when it is dropped.
#[derive(Debug, Default)]
pub struct MemoryStore {
    items: Mutex<BTreeMap<Key, Item>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at an item without copying it.
    pub fn look<T>(&self, key: &Key, look: impl FnOnce(Option<&Item>) -> T) -> T {
        look(lock(&self.items).get(key))
    }

    /// All items, in the order of their keys.
    #[must_use]
    pub fn dump(&self) -> Vec<Item> {
        lock(&self.items).values().cloned().collect()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, key: &Key) -> Result<Option<Item>, PortError> {
        limits::check_key(key)?;
        Ok(lock(&self.items).get(key).cloned())
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, PortError> {
        limits::check_keys(keys)?;
        let items = lock(&self.items);
        Ok(keys.iter().map(|key| items.get(key).cloned()).collect())
    }

    async fn query(&self, query: &Query) -> Result<Page, PortError> {
        limits::check_query(query)?;
        let items = lock(&self.items);
        let mut found: Vec<&Item> = items
            .range(Key::new(&query.partition, "")..)
            .map(|(_, item)| item)
            .take_while(|item| item.key.partition == query.partition)
            .filter(|item| is_asked_for(query, &item.key.sort))
            .collect();
        if query.newest_first {
            found.reverse();
        }
        let more = found.len() > query.limit;
        found.truncate(query.limit);
        let last = found.last().map(|item| item.key.sort.clone());
        Ok(Page {
            next: last.filter(|_| more),
            items: found.into_iter().cloned().collect(),
        })
    }

    async fn due(&self, until: Timestamp, limit: usize) -> Result<Due, PortError> {
        limits::check_items(limit)?;
        let items = lock(&self.items);
        let mut found: Vec<&Item> = items
            .values()
            .filter(|item| item.due.is_some_and(|due| due <= until))
            .collect();
        found.sort_by_key(|item| item.due); // stable: those due together stay in order of keys
        Ok(Due {
            complete: found.len() <= limit,
            items: found.into_iter().take(limit).cloned().collect(),
        })
    }

    async fn put_rows(&self, rows: Vec<Row>) -> Result<(), PortError> {
        limits::check_rows(&rows)?;
        let mut items = lock(&self.items);
        for Row { key, body } in rows {
            let item = Item {
                key: key.clone(),
                version: 1,
                body,
                due: None,
            };
            items.insert(key, item);
        }
        Ok(())
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), TransactError> {
        limits::check_writes(&writes).map_err(PortError::from)?;
        let mut items = lock(&self.items);
        if let Some(write) = writes.iter().find(|write| !holds(write, &items)) {
            return Err(TransactError::Conflict(write.key().clone()));
        }
        for write in writes {
            match write {
                Write::Create { key, body, due }
                | Write::Replace { key, body, due, .. }
                | Write::Put { key, body, due } => {
                    let version = items.get(&key).map_or(0, |item| item.version) + 1;
                    let item = Item {
                        key: key.clone(),
                        version,
                        body,
                        due,
                    };
                    items.insert(key, item);
                }
                Write::Delete { key, .. } => {
                    items.remove(&key);
                }
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
            body: json!({}),
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

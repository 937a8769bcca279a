//! The store, watched at every commit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use towline_ports::memory::{MemoryStore, SplitMix64};
use towline_ports::{Due, Item, Key, Page, PortError, Query, Row, Store, TransactError, Write};

use super::units::{index_units, kilobytes, units};
use crate::chance::Chance;
use crate::hidden;
use crate::mechanism::Mechanism;
use crate::watch::Watch;
use crate::weather::Fault;

/// How far the index of what is due is behind, at most, in milliseconds.
const MOST_LAG: u64 = 60_000;

pub struct FaultyStore {
    pub(crate) inner: MemoryStore,
    pub(crate) chance: Arc<Chance>,
    pub(crate) watch: Arc<Watch>,
    /// Without [`Mechanism::RowsFirst`]: the rows that are not written yet.
    pub(crate) late: Mutex<Vec<Row>>,
    /// When each item was last written.
    pub(crate) written: Mutex<BTreeMap<Key, Timestamp>>,
}

impl FaultyStore {
    fn late(&self) -> MutexGuard<'_, Vec<Row>> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn written(&self) -> MutexGuard<'_, BTreeMap<Key, Timestamp>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_written(&self, keys: &[Key], now: Timestamp) {
        let written = keys.iter().map(|key| (key.clone(), now));
        self.written().extend(written);
    }

    fn keep_back(&self, rows: &mut Vec<Row>) {
        if self.chance.lacks(Mechanism::RowsFirst) {
            self.late().append(rows);
        }
        if self.chance.lacks(Mechanism::Rows) {
            let is_ledger = |row: &Row| {
                let partition = &row.key.partition;
                partition.starts_with("LEDGER#") || partition.starts_with("DECISIONS#")
            };
            rows.retain(|row| !is_ledger(row));
        }
    }

    /// The store behind it, without faults.
    #[must_use]
    pub fn inner(&self) -> &MemoryStore {
        &self.inner
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn get(&self, key: &Key) -> Result<Option<Item>, PortError> {
        self.chance.before("get").await?;
        let found = self.inner.get(key).await?;
        Ok(found.map(|item| hidden::read(&self.chance, item)))
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, PortError> {
        self.chance.before("get many").await?;
        let found = self.inner.get_many(keys).await?.into_iter();
        let read = |item: Item| hidden::read(&self.chance, item);
        Ok(found.map(|item| item.map(read)).collect())
    }

    async fn query(&self, query: &Query) -> Result<Page, PortError> {
        self.chance.before("query").await?;
        if hidden::is_hidden(&self.chance, query) {
            return Ok(Page {
                items: Vec::new(),
                next: None,
            });
        }
        self.inner.query(query).await
    }

    async fn due(&self, until: Timestamp, limit: usize) -> Result<Due, PortError> {
        self.chance.before("due").await?;
        if self.chance.lacks(Mechanism::Announcing) {
            return Ok(Due {
                items: Vec::new(),
                complete: true,
            });
        }
        let mut due = self.inner.due(until, limit).await?;
        let lags = || "the index of what is due is behind".into();
        if let Some(how) = self.chance.struck(Fault::Lag, lags) {
            let shown = self.chance.now() - Duration::from_millis(how % MOST_LAG);
            let written = self.written();
            due.items
                .retain(|item| written.get(&item.key).is_none_or(|at| *at <= shown));
        }
        Ok(due)
    }

    async fn put_rows(&self, mut rows: Vec<Row>) -> Result<(), PortError> {
        self.chance.before("put rows").await?;
        self.chance.count("(writes)", rows.len() as u64);
        if self.chance.weighs() {
            let units = rows.iter().map(|row| kilobytes(&row.key, &row.body)).sum();
            self.chance.count("(write units)", units);
        }
        self.keep_back(&mut rows);
        // Rows are not written together: without an answer, any of them may have been written.
        let said = || "put rows: only some were written".into();
        let fails = self.chance.struck(Fault::Error, said);
        let mut lots = fails.map(SplitMix64::new);
        let mut written = rows;
        written.retain(|_| lots.as_mut().is_none_or(|lots| lots.draw() % 2 == 0));
        for row in &written {
            self.chance.trace_key(&row.key, 1);
        }
        self.watch.rows_are_put(&written, self.chance.now());
        if !written.is_empty() {
            self.inner.put_rows(written).await?;
        }
        if fails.is_some() {
            return Err(PortError::because("writing rows: no answer"));
        }
        self.chance.after("put rows").await
    }

    async fn transact(&self, mut writes: Vec<Write>) -> Result<(), TransactError> {
        self.chance.before("transact").await?;
        hidden::write(&self.chance, &mut writes);
        self.chance.count("(writes)", writes.len() as u64);
        if self.chance.weighs() {
            let units = writes.iter().map(|write| units(write, writes.len())).sum();
            self.chance.count("(write units)", units);
        }
        let said = || "transact: a conflict with another transaction".into();
        if let Some(write) = writes.first()
            && self.chance.strikes(Fault::Conflict, said)
        {
            return Err(TransactError::Conflict(write.key().clone()));
        }
        let mut indexed = 0;
        for write in writes.iter().filter(|_| self.chance.weighs()) {
            let known = self.inner.get(write.key()).await?;
            indexed += index_units(write, known.as_ref());
        }
        let keys: Vec<Key> = writes.iter().map(|write| write.key().clone()).collect();
        self.inner.transact(writes).await?;
        self.chance.count("(index units)", indexed);
        for key in &keys {
            let version = |item: Option<&Item>| item.map_or(0, |item| item.version);
            self.chance.trace_key(key, self.inner.look(key, version));
        }
        let now = self.chance.now();
        self.note_written(&keys, now);
        self.watch.time_is(now);
        self.watch.committed(&keys, &self.inner);
        let late = std::mem::take(&mut *self.late());
        if !late.is_empty() {
            self.inner.put_rows(late.clone()).await?;
            self.watch.rows_are_put(&late, self.chance.now());
        }
        self.chance.after("transact").await?;
        Ok(())
    }
}

//! The writes and intents of one decision.

use serde::Serialize;
use serde_json::Value;
use towline_domain::intent::Intent;
use towline_ports::{Key, Row};

use crate::content::body;
use crate::outbox::{Announced, Outbox, intent_id};
use crate::read::Read;

/// The most items of two changes that are joined, so that later additions still fit into DynamoDB's
/// limit of 100.
const MOST_TOGETHER: usize = 60;

/// The result of one decision. Its rows are written first, then its items, all together or not at all.
#[derive(Debug, Default, Clone)]
pub struct Change {
    pub(crate) rows: Vec<Row>,
    pub(crate) heads: Vec<Head>,
    pub(crate) intents: Vec<Announced>,
    pub(crate) done: Vec<String>,
    pub(crate) forgotten: Vec<String>,
}

/// An item that must be unchanged since it was read.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) key: Key,
    /// The version that was read; none if its key must be free.
    pub(crate) version: Option<u64>,
    pub(crate) body: Value,
    pub(crate) outbox: Outbox,
}

impl Change {
    /// Writes an item whose key must be free.
    pub fn create(&mut self, key: Key, value: &impl Serialize) {
        self.heads.push(Head {
            key,
            version: None,
            body: body(value),
            outbox: Outbox::default(),
        });
    }

    /// Writes an item that must be unchanged since it was read; `None` for one that did not exist.
    pub fn save<T>(&mut self, key: Key, read: Option<&Read<T>>, value: &impl Serialize) {
        match read {
            Some(read) => self.heads.push(Head {
                key,
                version: Some(read.version),
                body: body(value),
                outbox: read.outbox.clone(),
            }),
            None => self.create(key, value),
        }
    }

    /// Writes a row. It is written before the items, without a version check.
    pub fn put(&mut self, key: Key, value: &impl Serialize) {
        self.withdraw(&key);
        let body = body(value).into();
        self.rows.push(Row { key, body });
    }

    pub fn owe(&mut self, intent: Intent) {
        self.owe_with_reads(intent, Vec::new());
    }

    /// Like [`Self::owe`]; the intent's handler will want to read these keys too.
    pub fn owe_with_reads(&mut self, intent: Intent, reads: Vec<Key>) {
        if !self.intents.iter().any(|known| known.intent == intent) {
            self.intents.push(Announced { intent, reads });
        }
    }

    /// Leaves an item unchanged after all.
    pub fn withdraw(&mut self, key: &Key) {
        self.rows.retain(|row| row.key != *key);
        self.heads.retain(|head| head.key != *key);
    }

    /// An intent is done, or nothing is left to do for it.
    pub fn done(&mut self, id: &str) {
        self.done.push(id.to_owned());
    }

    /// Ends an intent of one of the items, because it is no longer needed.
    pub fn forget(&mut self, intent: &Intent) {
        self.intents.retain(|known| known.intent != *intent);
        self.forgotten.push(intent_id(intent));
    }

    pub fn add(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.heads.extend(other.heads);
        for Announced { intent, reads } in other.intents {
            self.owe_with_reads(intent, reads);
        }
        self.done.extend(other.done);
        self.forgotten.extend(other.forgotten);
    }

    /// Adds another change; returns it if both are too large for one transaction or would write the same
    /// item.
    pub fn take_in(&mut self, other: Self) -> Option<Self> {
        let is_here = |key: &Key| {
            let heads = self.heads.iter().map(|head| &head.key);
            heads
                .chain(self.rows.iter().map(|row| &row.key))
                .any(|known| known == key)
        };
        let heads = other.heads.iter().map(|head| &head.key);
        let twice = heads
            .chain(other.rows.iter().map(|row| &row.key))
            .any(is_here);
        if twice || self.heads.len() + other.heads.len() > MOST_TOGETHER {
            return Some(other);
        }
        self.add(other);
        None
    }

    /// How many rows and items it writes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len() + self.heads.len()
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.intents.is_empty() && self.done.is_empty()
    }
}

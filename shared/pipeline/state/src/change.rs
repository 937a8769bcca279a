//! What one decision writes and owes.

use serde::Serialize;
use towline_domain::intent::Intent;
use towline_ports::{Key, Write};

use crate::keys;
use crate::outbox::{Announced, intent_id};
use crate::read::{Read, body};

/// Writes of two changes that are made one; what is added later still fits into the 100 that
/// DynamoDB takes.
const MOST_TOGETHER: usize = 60;

/// Changes that happen together or not at all.
#[derive(Debug, Default, Clone)]
pub struct Change {
    pub(crate) writes: Vec<Write>,
    pub(crate) intents: Vec<Announced>,
}

impl Change {
    /// Writes an item whose key must be free.
    pub fn create(&mut self, key: Key, value: &impl Serialize) {
        self.writes.push(Write::Create {
            key,
            body: body(value),
            due: None,
        });
    }

    /// Writes an item that must still be as it was read; `None` for one that was not there.
    pub fn save<T>(&mut self, key: Key, read: Option<&Read<T>>, value: &impl Serialize) {
        match read {
            Some(read) => self.writes.push(Write::Replace {
                key,
                version: read.version,
                body: body(value),
                due: None,
            }),
            None => self.create(key, value),
        }
    }

    /// Writes an item that says the same whoever writes it.
    pub fn put(&mut self, key: Key, value: &impl Serialize) {
        self.withdraw(&key);
        self.writes.push(Write::Put {
            key,
            body: body(value),
            due: None,
        });
    }

    /// Owes an intent.
    pub fn owe(&mut self, intent: Intent) {
        self.owe_guessing(intent, Vec::new());
    }

    /// As [`Self::owe`]; whoever acts on it will want to read these too.
    pub fn owe_guessing(&mut self, intent: Intent, guesses: Vec<Key>) {
        if !self.intents.iter().any(|known| known.intent == intent) {
            self.intents.push(Announced { intent, guesses });
        }
    }

    /// Leaves an item as it is after all.
    pub fn withdraw(&mut self, key: &Key) {
        self.writes.retain(|write| write.key() != key);
    }

    /// An intent is done, or nothing is left to do for it.
    pub fn done(&mut self, id: &str) {
        let key = keys::intent(id);
        self.withdraw(&key);
        self.writes.push(Write::Delete { key });
    }

    /// Nobody needs to look after this any more.
    pub fn forget(&mut self, intent: &Intent) {
        self.intents.retain(|known| known.intent != *intent);
        self.done(&intent_id(intent));
    }

    /// Makes all of another change too.
    pub fn add(&mut self, other: Self) {
        self.writes.extend(other.writes);
        self.intents.extend(other.intents);
    }

    /// The same writes in several changes of at most `most` each.
    pub fn portions(self, most: usize) -> impl Iterator<Item = Self> {
        let mut writes = self.writes.into_iter().peekable();
        std::iter::from_fn(move || {
            writes.peek()?;
            Some(Self {
                writes: writes.by_ref().take(most).collect(),
                ..Self::default()
            })
        })
    }

    /// Takes all of another change in; gives it back when both are too much for one transaction
    /// or would write the same item.
    pub fn take_in(&mut self, other: Self) -> Option<Self> {
        let intents = |change: &Self| {
            let owed = change.intents.iter();
            let ids = owed.map(|owed| intent_id(&owed.intent));
            ids.map(|id| keys::intent(&id)).collect::<Vec<_>>()
        };
        let keys = |change: &Self| {
            let mut keys: Vec<Key> = change
                .writes
                .iter()
                .map(|write| write.key().clone())
                .collect();
            keys.extend(intents(change));
            keys
        };
        let mut all = keys(self);
        all.extend(keys(&other));
        let many = all.len();
        all.sort();
        all.dedup();
        if all.len() < many || many > MOST_TOGETHER {
            return Some(other);
        }
        self.writes.extend(other.writes);
        self.intents.extend(other.intents);
        None
    }

    /// How many writes it makes, intents not counted.
    pub fn len(&self) -> usize {
        self.writes.len()
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.intents.is_empty()
    }
}

//! Commits a decision: its rows, then the items that make them count, then the announcements.

use std::sync::Arc;
use std::time::Duration;

use towline_domain::Timestamp;
use towline_domain::intent::Intent;
use towline_ports::limits::MOST_ROWS;
use towline_ports::{Announcement, Bus, Clock, Item, Key, Query, Row, Store, TransactError, Write};

use crate::change::{Change, Head};
use crate::content::{HandlerError, Stored, body, decode};
use crate::keys;
use crate::outbox::{
    Announced, MOST_PATIENCE, Outbox, Owed, PATIENCE, announcement, first_due, id_in, intent_id,
    is_intent, may_owe, owner, place, together,
};
use crate::read::Read;

/// How often to decide again because an input was changed.
const MOST_TRIES: u32 = 10;

/// The store, the bus and the clock: what every handler needs to decide, commit and announce.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub store: &'a dyn Store,
    /// The bus for announcements.
    pub bus: &'a dyn Bus,
    /// Time and random numbers.
    pub clock: &'a dyn Clock,
}

/// The remaining rounds of a decision.
pub struct Rounds {
    left: u32,
}

impl Default for Rounds {
    fn default() -> Self {
        Self { left: MOST_TRIES }
    }
}

impl Context<'_> {
    /// The time now, to the millisecond, which is what the store keeps.
    pub fn now(&self) -> Timestamp {
        let now = self.clock.now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    /// Reads a value.
    pub async fn read<T: Stored>(&self, key: &Key) -> Result<Option<Read<T>>, HandlerError> {
        let item = self.store.get(key).await?;
        item.as_ref().map(Read::of).transpose()
    }

    /// Reads the values of a query, at most its limit.
    ///
    /// # Errors
    /// When the store does not answer, or has a value that this version cannot read.
    pub async fn list<T: Stored>(&self, query: &Query) -> Result<Vec<T>, HandlerError> {
        let mut query = query.clone();
        let mut values = Vec::new();
        loop {
            let page = self.store.query(&query).await?;
            query.limit -= page.items.len();
            values_of(&page.items, &mut values)?;
            query.after = page.next;
            if query.after.is_none() || query.limit == 0 {
                return Ok(values);
            }
        }
    }

    /// Reads every value of a partition, however many there are.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub async fn whole<T: Stored>(
        &self,
        partition: impl Into<String>,
    ) -> Result<Vec<T>, HandlerError> {
        let mut query = Query::all(partition);
        let mut values = Vec::new();
        loop {
            let page = self.store.query(&query).await?;
            values_of(&page.items, &mut values)?;
            query.after = page.next;
            if query.after.is_none() {
                return Ok(values);
            }
        }
    }

    /// Commits and announces. `false` means a conflict: load and decide again; after ten rounds it
    /// is an error, and the caller retries later.
    ///
    /// # Errors
    /// When the store does not answer, or others kept changing the same items.
    pub async fn commit(&self, change: Change, rounds: &mut Rounds) -> Result<bool, HandlerError> {
        let done = self.carry_out(change, rounds, |_| ()).await?;
        Ok(done.is_some())
    }

    /// Like [`Self::commit`]; returns the items as they are now.
    pub(crate) async fn committed(
        &self,
        change: Change,
        rounds: &mut Rounds,
    ) -> Result<Option<Vec<Item>>, HandlerError> {
        let items = |writes: &[Write]| writes.iter().filter_map(written).collect();
        self.carry_out(change, rounds, items).await
    }

    /// Commits and announces. Returns what is known about the written items.
    ///
    /// Rows go first, because they have no effect before the items are written. The items follow, all
    /// together or not at all. Intents in other items are removed last, because acting on one again
    /// finds nothing to do.
    async fn carry_out<T>(
        &self,
        change: Change,
        rounds: &mut Rounds,
        keep: impl FnOnce(&[Write]) -> T,
    ) -> Result<Option<T>, HandlerError> {
        let now = self.now();
        let Parts {
            mut rows,
            writes,
            elsewhere,
            announcements,
        } = parts(change, now);
        while !rows.is_empty() {
            let rest = rows.split_off(rows.len().min(MOST_ROWS));
            self.store
                .put_rows(std::mem::replace(&mut rows, rest))
                .await?;
        }
        let kept = keep(&writes);
        if !writes.is_empty() {
            match self.store.transact(writes).await {
                Ok(()) => {}
                Err(TransactError::Port(error)) => return Err(error.into()),
                Err(TransactError::Conflict(key)) => {
                    self.next_round(rounds, key).await?;
                    return Ok(None);
                }
            }
        }
        self.announce(announcements).await;
        for id in elsewhere {
            // The change is committed, so it has not failed. The sweep announces the intent again.
            if let Err(error) = self.amend_if(&id, |_| true, |_| None).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    error,
                    intent = id,
                    "cannot end an intent; the sweep will announce it again"
                );
            }
        }
        Ok(Some(kept))
    }

    /// Waits before the next round, if there is one.
    async fn next_round(&self, rounds: &mut Rounds, key: Key) -> Result<(), HandlerError> {
        rounds.left -= 1;
        if rounds.left == 0 {
            return Err(HandlerError::Contended(key.partition.to_string()));
        }
        self.back_off(MOST_TRIES - rounds.left).await;
        Ok(())
    }

    /// Announces committed intents. A failure loses nothing: `sweep` announces them again.
    pub async fn announce(&self, announcements: Vec<Announcement>) {
        if announcements.is_empty() {
            return;
        }
        if let Err(error) = self.bus.announce(announcements).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot announce; the sweep announces it later"
            );
        }
    }

    /// Ends an intent.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn finish(&self, owed: &Owed) -> Result<(), HandlerError> {
        self.amend(owed, |_| None).await.map(drop)
    }

    /// Postpones an intent, because something it needs is not available now.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn postpone(&self, owed: &Owed) -> Result<(), HandlerError> {
        let due = self.now() + PATIENCE;
        // The service has answered, so this does not count as a failure.
        let later = |owed: &Owed| {
            let tries = 0;
            Some(Owed {
                tries,
                due,
                obstacle: None,
                ..owed.clone()
            })
        };
        self.amend(owed, later).await.map(drop)
    }

    /// Changes or ends an intent in its item; returns whether it was still owed. An intent that was
    /// created again since it was read counts as a different one, and stays.
    ///
    /// # Errors
    /// When the store does not answer, or others kept changing the same item.
    pub async fn amend(
        &self,
        read: &Owed,
        change: impl Fn(&Owed) -> Option<Owed>,
    ) -> Result<bool, HandlerError> {
        let same = |owed: &Owed| owed.since == read.since;
        self.amend_if(&read.id, same, change).await
    }

    async fn amend_if(
        &self,
        id: &str,
        holds: impl Fn(&Owed) -> bool,
        change: impl Fn(&Owed) -> Option<Owed>,
    ) -> Result<bool, HandlerError> {
        let place = place(id);
        let mut rounds = Rounds::default();
        loop {
            let Some(item) = self.store.get(&place).await? else {
                return Ok(false);
            };
            let mut outbox = Outbox::of(&item)?;
            let Some(owed) = outbox.find(id).filter(|owed| holds(owed)).cloned() else {
                return Ok(false);
            };
            match change(&owed) {
                Some(owed) => outbox.put(owed),
                None => outbox.remove(id),
            }
            if self.keep(item, &outbox).await? {
                return Ok(true);
            }
            self.next_round(&mut rounds, place.clone()).await?;
        }
    }

    /// Writes an item with its current intents; `false` on a conflict.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn keep(&self, item: Item, outbox: &Outbox) -> Result<bool, HandlerError> {
        let (key, version) = (item.key, item.version);
        let write = match (is_intent(&key), outbox.owed()) {
            (true, []) => Write::Delete { key, version },
            (true, [owed, ..]) => Write::Replace {
                key,
                version,
                body: body(owed).into(),
                due: outbox.due(self.now()),
            },
            (false, _) => Write::Replace {
                key,
                version,
                body: outbox.within(item.body.into_json()).into(),
                due: outbox.due(self.now()),
            },
        };
        match self.store.transact(vec![write]).await {
            Ok(()) => Ok(true),
            Err(TransactError::Conflict(_)) => Ok(false),
            Err(TransactError::Port(error)) => Err(error.into()),
        }
    }

    /// Makes an item that cannot be read due later, so that it does not hold up the others.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn set_aside(&self, item: Item) -> Result<(), HandlerError> {
        let write = Write::Replace {
            key: item.key,
            version: item.version,
            body: item.body,
            due: Some(self.now() + MOST_PATIENCE),
        };
        match self.store.transact(vec![write]).await {
            Ok(()) | Err(TransactError::Conflict(_)) => Ok(()),
            Err(TransactError::Port(error)) => Err(error.into()),
        }
    }

    /// Waits a random time, up to a limit that grows with every round (full jitter).
    async fn back_off(&self, round: u32) {
        let most = 20u64 << round.min(6);
        self.clock
            .sleep(Duration::from_millis(self.clock.random() % most))
            .await;
    }
}

fn values_of<T: Stored>(items: &[Item], values: &mut Vec<T>) -> Result<(), HandlerError> {
    for item in items {
        values.push(decode(item).map(Arc::unwrap_or_clone)?);
    }
    Ok(())
}

/// The parts of a change.
struct Parts {
    rows: Vec<Row>,
    writes: Vec<Write>,
    /// Intents to end in items that are not written.
    elsewhere: Vec<String>,
    announcements: Vec<Announcement>,
}

fn parts(change: Change, now: Timestamp) -> Parts {
    let mut heads = change.heads;
    let mut writes = Vec::new();
    let mut elsewhere = Vec::new();
    for id in change.done {
        let place = place(&id);
        match heads.iter_mut().find(|head| head.key == place) {
            Some(head) => head.outbox.remove(&id),
            None => elsewhere.push(id),
        }
    }
    for hash in &change.forgotten {
        heads.iter_mut().for_each(|head| head.outbox.remove(hash));
    }
    let mut announcements = Vec::new();
    for Announced { intent, reads } in together(change.intents) {
        let hash = intent_id(&intent);
        let place = owing(&heads, &intent, &hash);
        let id = place.map_or_else(|| hash.clone(), |place| id_in(&heads[place].key, &hash));
        let owed = Owed {
            id,
            due: first_due(&intent, now),
            intent,
            since: now,
            tries: 0,
            obstacle: None,
        };
        if !owed.intent.is_watch() && !owed.intent.can_wait() {
            announcements.push(announcement(&owed, now, &reads));
        }
        match place {
            Some(place) => heads[place].outbox.put(owed),
            None => {
                let key = keys::intent(&hash);
                writes.push(Write::Put {
                    key,
                    body: body(&owed).into(),
                    due: Some(owed.due),
                });
            }
        }
    }
    // An intent that this change creates again stays.
    elsewhere.retain(|id| !writes.iter().any(|write| *write.key() == place(id)));
    writes.extend(heads.into_iter().map(|head| head.write(now)));
    Parts {
        rows: change.rows,
        writes,
        elsewhere,
        announcements,
    }
}

/// The item that stores an intent: the item it is about, otherwise the first item that can store
/// intents. None if all are full.
fn owing(heads: &[Head], intent: &Intent, hash: &str) -> Option<usize> {
    let owner = owner(intent);
    let has_room = |head: &Head| head.outbox.find(hash).is_some() || !head.outbox.is_full();
    let own = |head: &Head| Some(&head.key) == owner.as_ref() && has_room(head);
    let own = heads.iter().position(own);
    own.or_else(|| {
        let mut heads = heads.iter();
        heads.position(|head| may_owe(&head.key) && has_room(head))
    })
}

impl Head {
    fn write(self, now: Timestamp) -> Write {
        let (key, body, due) = (
            self.key,
            self.outbox.within(self.body).into(),
            self.outbox.due(now),
        );
        match self.version {
            Some(version) => Write::Replace {
                key,
                version,
                body,
                due,
            },
            None => Write::Create { key, body, due },
        }
    }
}

/// The item after a write, if its version is known.
fn written(write: &Write) -> Option<Item> {
    let (key, version, body, due) = match write {
        Write::Create { key, body, due } => (key, 1, body, due),
        Write::Replace {
            key,
            version,
            body,
            due,
        } => (key, version + 1, body, due),
        Write::Put { .. } | Write::Delete { .. } => return None,
    };
    Some(Item {
        key: key.clone(),
        version,
        body: body.clone(),
        due: *due,
    })
}

/// The time from one moment to a later one, for a metric.
pub fn milliseconds(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0)
}

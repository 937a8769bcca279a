//! How a decision becomes durable: committed in one transaction, then announced.

use std::time::Duration;

use serde::de::DeserializeOwned;
use towline_domain::Timestamp;
use towline_ports::{Announcement, Bus, Clock, Key, Query, Store, TransactError, Write};

use crate::change::Change;
use crate::keys;
use crate::outbox::{Announced, Owed, PATIENCE, announcement, first_due, intent_id, together};
use crate::read::{HandlerError, Read, body, decode};

/// How often a decision is made again because somebody else changed what it was made on.
const MOST_TRIES: u32 = 5;

/// The store, the bus and the clock: what every handler needs to decide, commit and announce.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Where state lives.
    pub store: &'a dyn Store,
    /// Where intents are announced.
    pub bus: &'a dyn Bus,
    /// Time and chance.
    pub clock: &'a dyn Clock,
}

/// The rounds a decision may take.
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
    pub async fn read<T: DeserializeOwned>(
        &self,
        key: &Key,
    ) -> Result<Option<Read<T>>, HandlerError> {
        let item = self.store.get(key).await?;
        item.as_ref().map(Read::of).transpose()
    }

    /// Reads the values of a query.
    pub async fn list<T: DeserializeOwned>(&self, query: &Query) -> Result<Vec<T>, HandlerError> {
        let page = self.store.query(query).await?;
        page.items
            .iter()
            .map(|item| decode(&item.key, &item.body))
            .collect()
    }

    /// Commits and announces. `false` means somebody else was faster: load and decide again;
    /// after five times that is an error, and whoever called tries later (F22).
    pub async fn commit(
        &self,
        mut change: Change,
        rounds: &mut Rounds,
    ) -> Result<bool, HandlerError> {
        if change.is_empty() {
            return Ok(true);
        }
        let now = self.now();
        let mut announcements = Vec::new();
        for Announced { intent, guesses } in together(change.intents) {
            let owed = Owed {
                id: intent_id(&intent),
                intent,
                since: now,
                tries: 0,
                dead: None,
            };
            let due = first_due(&owed.intent, now);
            let key = keys::intent(&owed.id);
            change.writes.retain(|write| *write.key() != key);
            change.writes.push(Write::Put {
                key,
                body: body(&owed),
                due: Some(due),
            });
            if !owed.intent.is_watch() && !owed.intent.can_wait() {
                announcements.push(announcement(&owed, now, &guesses));
            }
        }
        match self.store.transact(change.writes).await {
            Ok(()) => {}
            Err(TransactError::Port(error)) => return Err(error.into()),
            Err(TransactError::Conflict(key)) => {
                rounds.left -= 1;
                if rounds.left == 0 {
                    return Err(HandlerError::Contended(key.partition));
                }
                self.back_off(MOST_TRIES - rounds.left).await;
                return Ok(false);
            }
        }
        self.announce(announcements).await;
        Ok(true)
    }

    /// Announces what is committed. A failure loses nothing: `sweep` announces it again.
    pub async fn announce(&self, announcements: Vec<Announcement>) {
        if announcements.is_empty() {
            return;
        }
        if let Err(error) = self.bus.announce(announcements).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "could not announce; sweep will"
            );
        }
    }

    /// Nothing is left to do for an intent.
    pub async fn finish(&self, owed: &Owed) -> Result<(), HandlerError> {
        let mut change = Change::default();
        change.done(&owed.id);
        let mut rounds = Rounds::default();
        while !self.commit(change.clone(), &mut rounds).await? {}
        Ok(())
    }

    /// Keeps an intent for later, because what it needs is not to be had now.
    pub async fn postpone(&self, owed: &Owed) -> Result<(), HandlerError> {
        let key = keys::intent(&owed.id);
        let Some(read) = self.read::<Owed>(&key).await? else {
            return Ok(());
        };
        // Whoever was to act has answered: this is no failure, and does not count as one (F9).
        let later = Owed {
            tries: 0,
            ..read.value
        };
        let due = Some(self.now() + PATIENCE);
        let write = Write::Replace {
            key,
            version: read.version,
            body: body(&later),
            due,
        };
        match self.store.transact(vec![write]).await {
            // Somebody else postponed it or did it: either is as good.
            Ok(()) | Err(TransactError::Conflict(_)) => Ok(()),
            Err(TransactError::Port(error)) => Err(error.into()),
        }
    }

    /// Waits a random time that may be longer with every round (full jitter).
    async fn back_off(&self, round: u32) {
        let most = 20u64 << round.min(6);
        self.clock
            .sleep(Duration::from_millis(self.clock.random() % most))
            .await;
    }
}

/// The time from one moment to a later one, for a metric.
pub fn milliseconds(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0)
}

//! How a decision becomes durable: committed in one transaction, then announced.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use towline_domain::Timestamp;
use towline_domain::intent::{Intent, StageKey};
use towline_domain::names::{ComponentName, RunId};
use towline_ports::{
    Announcement, Bus, Clock, Item, Key, PortError, Query, Store, TransactError, Write,
};

use towline_wire::eventbridge;
use tracing::Span;
use tracing::field::Empty;

use crate::keys;

/// How often a decision is made again because somebody else changed what it was made on.
const MOST_TRIES: u32 = 5;
/// Writes of two changes that are made one; what is added later still fits into the 100 that
/// DynamoDB takes.
const MOST_TOGETHER: usize = 60;
/// How long whoever acts on an announced intent has before it is announced again.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest time between two announcements of one intent.
const MOST_PATIENCE: Duration = Duration::from_secs(600);
/// Keys in an announcement: with what its intent needs in any case one request is enough.
pub(crate) const MOST_GUESSED: usize = 60;
/// How often a bound build is looked after.
const WATCH: Duration = Duration::from_secs(60);

/// Why a handler did not finish. Trying again may help.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// The world did not answer.
    #[error(transparent)]
    Port(#[from] PortError),
    /// Others kept changing the same item (F22).
    #[error("others kept changing {0}; try again")]
    Contended(String),
    /// An item of the store is not what this version writes (F36).
    #[error("reading {key} from the store")]
    Unreadable {
        /// Its partition.
        key: String,
        /// What is wrong with it.
        #[source]
        cause: serde_json::Error,
    },
}

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

/// A value as it was read.
#[derive(Debug, Clone)]
pub(crate) struct Read<T> {
    /// The value.
    pub(crate) value: T,
    /// The version to replace.
    pub(crate) version: u64,
}

/// An intent as it is kept until it is done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Owed {
    /// Its id.
    pub(crate) id: String,
    /// What is owed.
    pub(crate) intent: Intent,
    /// Since when.
    pub(crate) since: Timestamp,
    /// How often it was announced again.
    pub(crate) tries: u32,
    /// Why it was given up, if it was; then a person must look.
    pub(crate) dead: Option<String>,
}

impl Owed {
    /// What every line logged while acting on it carries.
    pub(crate) fn span(&self) -> Span {
        let span = tracing::info_span!(
            "intent",
            intent = self.id,
            run = Empty,
            component = Empty,
            attempt = Empty,
            stage = Empty,
            promotion = Empty,
            commit = Empty,
            build = Empty,
        );
        let of_run = |run: &RunId, component: Option<&ComponentName>| {
            span.record("run", run.as_str());
            component.map(|component| span.record("component", component.as_str()));
        };
        let of_stage = |stage: &StageKey, promotion: Option<u64>| {
            span.record("component", stage.component.as_str());
            span.record("stage", stage.stage.as_str());
            promotion.map(|promotion| span.record("promotion", promotion));
        };
        match &self.intent {
            Intent::PushAccepted(push) => drop(span.record("commit", push.commit.as_str())),
            Intent::BuildStopDue { build } => drop(span.record("build", build.as_str())),
            Intent::BuildDue(of)
            | Intent::ImageDue { of, .. }
            | Intent::IndexDue(of)
            | Intent::ImageRecorded { of, .. }
            | Intent::BuildWatchDue(of) => {
                of_run(&of.run, Some(&of.component));
                span.record("attempt", of.attempt.as_str());
            }
            Intent::BuildRetryDue { run, component, .. }
            | Intent::BuildSuperseded { run, component, .. } => of_run(run, Some(component)),
            Intent::BuildStatusDue { run, component, .. } => of_run(run, component.as_ref()),
            Intent::ImageReady { stage, candidate } => {
                of_stage(stage, None);
                span.record("run", candidate.run.as_str());
            }
            Intent::PromotionDue { stage, promotion }
            | Intent::DeployDue {
                stage, promotion, ..
            }
            | Intent::PromotionWatchDue {
                stage, promotion, ..
            } => of_stage(stage, Some(*promotion)),
            Intent::StageStatusDue { stage, commit, .. } => {
                of_stage(stage, None);
                span.record("commit", commit.as_str());
            }
            Intent::StatusesDue { .. } => {}
        }
        span.clone()
    }
}

/// The id of an intent: the same for the same intent, so that owing it twice owes it once.
pub(crate) fn intent_id(intent: &Intent) -> String {
    let bytes = serde_json::to_vec(intent).expect("an intent holds only strings and numbers");
    hex::encode(&Sha256::digest(bytes)[..16])
}

/// Changes that happen together or not at all.
#[derive(Debug, Default, Clone)]
pub(crate) struct Change {
    writes: Vec<Write>,
    intents: Vec<Announced>,
}

/// An intent, and what else whoever acts on it will want to read: the keys are announced with it,
/// so that one request is enough. Who does not hear of them reads them when it needs them.
#[derive(Debug, Clone)]
struct Announced {
    intent: Intent,
    guesses: Vec<Key>,
}

impl Change {
    /// Writes an item whose key must be free.
    pub(crate) fn create(&mut self, key: Key, value: &impl Serialize) {
        self.writes.push(Write::Create {
            key,
            body: body(value),
            due: None,
        });
    }

    /// Writes an item that must still be as it was read; `None` for one that was not there.
    pub(crate) fn save<T>(&mut self, key: Key, read: Option<&Read<T>>, value: &impl Serialize) {
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
    pub(crate) fn put(&mut self, key: Key, value: &impl Serialize) {
        self.withdraw(&key);
        self.writes.push(Write::Put {
            key,
            body: body(value),
            due: None,
        });
    }

    /// Owes an intent.
    pub(crate) fn owe(&mut self, intent: Intent) {
        self.owe_guessing(intent, Vec::new());
    }

    /// As [`Self::owe`]; whoever acts on it will want to read these too.
    pub(crate) fn owe_guessing(&mut self, intent: Intent, guesses: Vec<Key>) {
        if !self.intents.iter().any(|known| known.intent == intent) {
            self.intents.push(Announced { intent, guesses });
        }
    }

    /// Leaves an item as it is after all.
    pub(crate) fn withdraw(&mut self, key: &Key) {
        self.writes.retain(|write| write.key() != key);
    }

    /// An intent is done, or nothing is left to do for it.
    pub(crate) fn done(&mut self, id: &str) {
        let key = keys::intent(id);
        self.withdraw(&key);
        self.writes.push(Write::Delete { key });
    }

    /// Nobody needs to look after this any more.
    pub(crate) fn forget(&mut self, intent: &Intent) {
        self.intents.retain(|known| known.intent != *intent);
        self.done(&intent_id(intent));
    }

    /// Takes all writes but the first so many out of it.
    pub(crate) fn split_off(&mut self, first: usize) -> Self {
        Self {
            writes: self.writes.split_off(first),
            ..Self::default()
        }
    }

    /// The same writes in several changes of at most `most` each.
    pub(crate) fn portions(self, most: usize) -> impl Iterator<Item = Self> {
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
    pub(crate) fn take_in(&mut self, other: Self) -> Option<Self> {
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
    pub(crate) fn len(&self) -> usize {
        self.writes.len()
    }

    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.intents.is_empty()
    }
}

/// A value as an item's content.
pub(crate) fn body(value: &impl Serialize) -> Value {
    serde_json::to_value(value)
        .expect("what we keep holds only strings, numbers, lists and maps with string keys")
}

/// The rounds a decision may take.
pub(crate) struct Rounds {
    left: u32,
}

impl Rounds {
    pub(crate) fn new() -> Self {
        Self { left: MOST_TRIES }
    }
}

impl<T: DeserializeOwned> Read<T> {
    /// An item as a value.
    pub(crate) fn of(item: &Item) -> Result<Self, HandlerError> {
        Ok(Self {
            value: decode(&item.key, &item.body)?,
            version: item.version,
        })
    }
}

impl Context<'_> {
    /// The time now, to the millisecond, which is what the store keeps.
    pub(crate) fn now(&self) -> Timestamp {
        let now = self.clock.now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    /// Reads a value.
    pub(crate) async fn read<T: DeserializeOwned>(
        &self,
        key: &Key,
    ) -> Result<Option<Read<T>>, HandlerError> {
        let item = self.store.get(key).await?;
        item.as_ref().map(Read::of).transpose()
    }

    /// Reads the values of a query.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        query: &Query,
    ) -> Result<Vec<T>, HandlerError> {
        let page = self.store.query(query).await?;
        page.items
            .iter()
            .map(|item| decode(&item.key, &item.body))
            .collect()
    }

    /// Commits and announces. `false` means somebody else was faster: load and decide again;
    /// after five times that is an error, and whoever called tries later (F22).
    pub(crate) async fn commit(
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
    pub(crate) async fn announce(&self, announcements: Vec<Announcement>) {
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
    pub(crate) async fn finish(&self, owed: &Owed) -> Result<(), HandlerError> {
        let mut change = Change::default();
        change.done(&owed.id);
        let mut rounds = Rounds::new();
        while !self.commit(change.clone(), &mut rounds).await? {}
        Ok(())
    }

    /// Keeps an intent for later, because what it needs is not to be had now.
    pub(crate) async fn postpone(&self, owed: &Owed) -> Result<(), HandlerError> {
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

/// The write that marks an intent as announced once more, or given up for good.
pub(crate) fn announced_again(read: &Read<Owed>, now: Timestamp, dead: Option<&str>) -> Write {
    let owed = Owed {
        tries: read.value.tries + 1,
        dead: dead.map(Into::into),
        ..read.value.clone()
    };
    let due = dead.is_none().then(|| {
        now + if owed.intent.is_watch() {
            WATCH
        } else {
            patience(owed.tries)
        }
    });
    Write::Replace {
        key: keys::intent(&owed.id),
        version: read.version,
        body: body(&owed),
        due,
    }
}

/// An intent as it goes on the bus, with the keys of what else its reader will want.
pub(crate) fn announcement(owed: &Owed, now: Timestamp, guesses: &[Key]) -> Announcement {
    let mut detail = eventbridge::detail(&owed.id, &owed.intent, now);
    if !guesses.is_empty() {
        let keys = guesses.iter().take(MOST_GUESSED);
        let keys = keys.map(|key| (&key.partition, &key.sort));
        detail["reads"] = json!(keys.collect::<Vec<_>>());
    }
    Announcement {
        id: owed.id.clone(),
        detail_type: owed.intent.detail_type().into(),
        detail,
        at: now,
    }
}

/// All that is to be shown as one intent.
fn together(intents: Vec<Announced>) -> Vec<Announced> {
    let (mut reports, mut others): (Vec<_>, Vec<_>) = intents
        .into_iter()
        .partition(|owed| !owed.intent.reports().is_empty());
    if reports.len() > 1 {
        let guesses = reports.iter_mut();
        let guesses = guesses
            .flat_map(|owed| std::mem::take(&mut owed.guesses))
            .collect();
        let reports = reports.into_iter().map(|owed| owed.intent).collect();
        let intent = Intent::StatusesDue { reports };
        others.push(Announced { intent, guesses });
    } else {
        others.extend(reports);
    }
    others
}

fn first_due(intent: &Intent, now: Timestamp) -> Timestamp {
    match intent {
        Intent::PromotionWatchDue { at, .. } => *at,
        Intent::BuildWatchDue(_) => now + WATCH,
        Intent::PushAccepted(_)
        | Intent::BuildDue(_)
        | Intent::BuildStopDue { .. }
        | Intent::ImageDue { .. }
        | Intent::IndexDue(_)
        | Intent::BuildRetryDue { .. }
        | Intent::BuildSuperseded { .. }
        | Intent::ImageRecorded { .. }
        | Intent::ImageReady { .. }
        | Intent::PromotionDue { .. }
        | Intent::DeployDue { .. }
        | Intent::BuildStatusDue { .. }
        | Intent::StageStatusDue { .. }
        | Intent::StatusesDue { .. } => now + PATIENCE,
    }
}

/// The time from one moment to a later one, for a metric.
pub(crate) fn milliseconds(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0)
}

/// How long until an intent is announced again: 30 s, doubling to ten minutes.
fn patience(tries: u32) -> Duration {
    PATIENCE
        .saturating_mul(1 << tries.min(6))
        .min(MOST_PATIENCE)
}

fn decode<T: DeserializeOwned>(key: &Key, body: &Value) -> Result<T, HandlerError> {
    T::deserialize(body).map_err(|cause| HandlerError::Unreadable {
        key: key.partition.clone(),
        cause,
    })
}

//! Reads the items of one round of a decision, each once. Items that are known to be needed are read in
//! one request.

use std::collections::BTreeMap;

use serde::Deserialize as _;
use towline_domain::definition::Definition;
use towline_domain::intent::Intent;
use towline_domain::names::{ComponentName, RepositoryId, RunId};
use towline_domain::run::Run;
use towline_ports::limits::{MOST_KEYS, check_key};
use towline_ports::{Item, Key};
use towline_wire::eventbridge::{self, Envelope};

use crate::Context;
use crate::change::Change;
use crate::content::{HandlerError, Stored};
use crate::context::Rounds;
use crate::keys;
use crate::needs::{announced_reads, needed_for};
use crate::outbox::{self, Outbox, Owed, is_intent};
use crate::read::Read;
use crate::records::{Buildspec, Trusted};

/// The items of one round, as they were when they were first read in it.
///
/// A decision is committed with their versions, so it does not matter if they are old.
#[derive(Clone)]
pub struct Reads<'a> {
    context: Context<'a>,
    known: BTreeMap<Key, Option<Item>>,
    /// Promotion numbers drawn in rounds that failed.
    spare: Vec<(RepositoryId, u64)>,
    /// Promotion numbers drawn in this round.
    drawn: Vec<(RepositoryId, u64)>,
}

impl<'a> From<Context<'a>> for Reads<'a> {
    fn from(context: Context<'a>) -> Self {
        Self {
            context,
            known: BTreeMap::new(),
            spare: Vec::new(),
            drawn: Vec::new(),
        }
    }
}

impl<'a> Reads<'a> {
    pub fn context(&self) -> Context<'a> {
        self.context
    }

    /// Reads the items under these keys that are not known yet, with one request for every hundred.
    pub async fn load(&mut self, keys: Vec<Key>) -> Result<(), HandlerError> {
        let mut open: Vec<Key> = keys;
        open.retain(|key| !self.known.contains_key(key));
        open.sort();
        open.dedup();
        if let [key] = open.as_slice() {
            let item = self.context.store.get(key).await?;
            self.known.insert(key.clone(), item);
            return Ok(());
        }
        for portion in open.chunks(MOST_KEYS) {
            let items = self.context.store.get_many(portion).await?;
            self.known.extend(portion.iter().cloned().zip(items));
        }
        Ok(())
    }

    /// A value, read unless it is known.
    pub async fn read<T: Stored>(&mut self, key: &Key) -> Result<Option<Read<T>>, HandlerError> {
        self.item(key).await?.map(Read::of).transpose()
    }

    /// Like [`Self::read`], for a value that will not be saved.
    pub async fn value<T: Stored>(&mut self, key: &Key) -> Result<Option<T>, HandlerError> {
        Ok(self.read(key).await?.map(|read| read.value))
    }

    /// The version of an item, 0 if it does not exist; read unless it is known.
    pub async fn version(&mut self, key: &Key) -> Result<u64, HandlerError> {
        Ok(self.item(key).await?.map_or(0, |item| item.version))
    }

    async fn item(&mut self, key: &Key) -> Result<Option<&Item>, HandlerError> {
        self.load(vec![key.clone()]).await?;
        Ok(self.known.get(key).and_then(Option::as_ref))
    }

    /// The default branch's last valid definition, which applies to the stages.
    pub async fn trusted(&mut self, id: RepositoryId) -> Result<Option<Definition>, HandlerError> {
        let read = self.read::<Trusted>(&keys::trusted_definition(id)).await?;
        Ok(read.map(|read| read.value.definition))
    }

    /// A run with its definition, if both are known.
    pub async fn built_by(
        &mut self,
        id: &RunId,
    ) -> Result<Option<(Run, Definition)>, HandlerError> {
        let Some(run) = self.read::<Run>(&keys::run(id)).await? else {
            return Ok(None);
        };
        let definition = self.definition(&run.value).await?;
        Ok(definition.map(|definition| (run.value, definition)))
    }

    /// The definition of a run; none if it was refused earlier.
    pub async fn definition(&mut self, run: &Run) -> Result<Option<Definition>, HandlerError> {
        let Some(hash) = &run.definition else {
            return Ok(None);
        };
        let key = keys::content(run.key.repository, hash);
        Ok(self.read(&key).await?.map(|read| read.value))
    }

    /// The buildspec of one component of a run, byte for byte what CodeBuild gets.
    pub async fn buildspec(
        &mut self,
        run: &Run,
        component: &ComponentName,
    ) -> Result<Option<String>, HandlerError> {
        let Some(known) = run.components.get(component) else {
            return Ok(None);
        };
        let key = keys::content(run.key.repository, &known.buildspec);
        let read = self.read::<Buildspec>(&key).await?;
        Ok(read.map(|read| read.value.text))
    }

    /// The versions of all known items.
    pub fn versions(&self) -> Vec<(Key, u64)> {
        let version = |item: &Option<Item>| item.as_ref().map_or(0, |item| item.version);
        let known = self.known.iter();
        known
            .map(|(key, item)| (key.clone(), version(item)))
            .collect()
    }

    /// Reads all known items again, for the next round.
    pub async fn again(&mut self) -> Result<(), HandlerError> {
        self.spare.append(&mut self.drawn);
        let known = std::mem::take(&mut self.known);
        self.load(known.into_keys().collect()).await
    }

    /// Only what is known about one item.
    pub fn only(&self, key: &Key) -> Self {
        let known = self.known.get_key_value(key);
        let known = known.map(|(key, item)| (key.clone(), item.clone()));
        Self {
            known: known.into_iter().collect(),
            ..Self::from(self.context)
        }
    }

    /// The lowest number drawn in a failed round, if all numbers from it up to `next` were drawn
    /// here.
    pub(crate) fn spare_number(&mut self, repository: RepositoryId, next: u64) -> Option<u64> {
        let own = |all: &[(RepositoryId, u64)]| -> Vec<u64> {
            let all = all.iter().filter(|(of, _)| *of == repository);
            all.map(|(_, number)| *number).collect()
        };
        let spare = own(&self.spare).into_iter().min()?;
        let all = [own(&self.spare), own(&self.drawn)].concat();
        let above = all.iter().filter(|number| **number >= spare).count();
        if next != spare + above as u64 {
            return None;
        }
        self.spare.retain(|known| *known != (repository, spare));
        self.drawn.push((repository, spare));
        Some(spare)
    }

    /// Whether a failed round has drawn a number.
    pub(crate) fn has_spare_number(&self, repository: RepositoryId) -> bool {
        self.spare.iter().any(|(of, _)| *of == repository)
    }

    /// Remembers a number drawn in this round.
    pub(crate) fn number_is_drawn(&mut self, repository: RepositoryId, number: u64) {
        self.drawn.push((repository, number));
    }

    /// Commits; the committed items are then known.
    ///
    /// # Errors
    /// As of [`Context::commit`].
    pub async fn commit(
        &mut self,
        change: Change,
        rounds: &mut Rounds,
    ) -> Result<bool, HandlerError> {
        let Some(items) = self.context.committed(change, rounds).await? else {
            return Ok(false);
        };
        self.drawn.clear();
        for item in items {
            self.known.insert(item.key.clone(), Some(item));
        }
        Ok(true)
    }

    /// Ends an intent in its item as it was read, or reads that again.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn finish(&self, owed: &Owed) -> Result<(), HandlerError> {
        if let Some(Some(item)) = self.known.get(&outbox::place(&owed.id)) {
            let mut outbox = Outbox::of(item)?;
            let known = outbox.find(&owed.id);
            if known.is_some_and(|known| known.since == owed.since) {
                outbox.remove(&owed.id);
                if self.context.keep(item.clone(), &outbox).await? {
                    return Ok(());
                }
            }
        }
        self.context.finish(owed).await
    }

    /// Whether the item of an intent owes another one since earlier for which `is_asked_for` is true.
    ///
    /// # Errors
    /// When this version cannot read the item.
    pub fn owes_earlier(
        &self,
        owed: &Owed,
        is_asked_for: impl Fn(&Intent) -> bool,
    ) -> Result<bool, HandlerError> {
        let item = self.known.get(&outbox::place(&owed.id));
        let item = item.and_then(Option::as_ref);
        let outbox = item.map(Outbox::of).transpose()?.unwrap_or_default();
        let mut earlier = outbox
            .owed()
            .iter()
            .filter(|known| known.since < owed.since);
        Ok(earlier.any(|known| is_asked_for(&known.intent)))
    }

    /// Forgets an item that someone is about to change.
    pub fn forget(&mut self, key: &Key) {
        self.known.remove(key);
    }

    /// Reads the intent an event announces, unless it is done, and what is needed to act on it.
    /// An event of ours without an intent can never be acted on: it is logged and dropped (F18).
    ///
    /// The event's own data about the intent says only what else to read.
    pub async fn owed(&mut self, event: &Envelope) -> Result<Option<Owed>, HandlerError> {
        self.owed_with(event, needed_for).await
    }

    /// As [`Self::owed`], and also reads what `first` says that the handler begins with.
    pub async fn owed_with(
        &mut self,
        event: &Envelope,
        first: impl FnOnce(&Intent) -> Vec<Key>,
    ) -> Result<Option<Owed>, HandlerError> {
        let id = match eventbridge::intent_id(event) {
            Ok(id) => id,
            Err(error) => {
                tracing::error!(
                    event = event.id,
                    error = &error as &dyn std::error::Error,
                    "dropped"
                );
                return Ok(None);
            }
        };
        let place = outbox::place(id);
        let said = Intent::deserialize(&event.detail["intent"]);
        let mut needed = said.as_ref().map(first).unwrap_or_default();
        needed.extend(announced_reads(event));
        needed.push(place.clone());
        needed.retain(|key| check_key(key).is_ok());
        self.load(needed).await?;
        let item = self.known.get(&place).and_then(Option::as_ref);
        let outbox = item.map(Outbox::of).transpose()?.unwrap_or_default();
        if is_intent(&place) {
            self.forget(&place);
        }
        Ok(outbox.find(id).cloned())
    }
}

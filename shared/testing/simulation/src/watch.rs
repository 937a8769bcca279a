//! Checks the invariants after every commit and at every effect; each check names the invariant's id.

mod allowed;
mod effects;
mod obstacles;
mod runs;
mod stages;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;
use towline_domain::definition::{Definition, StageRule};
use towline_domain::heads::Heads;
use towline_domain::intent::{Intent, StageKey};
use towline_domain::ledger::Row;
use towline_domain::names::{
    AttemptId, BuildId, Digest, GitRef, ImageRepository, RepositoryId, RunId, Tag,
};
use towline_domain::run::{BuildStatus, Run};
use towline_domain::stage::Stage;
use towline_domain::trusted::Trusted;
use towline_ports::memory::{MemoryRepository, MemoryStore};
use towline_ports::{Content, Item, Key, Row as StoreRow};

use crate::contained::Contained;
use allowed::Allowed;

/// The most bytes of intents in one item, so that the item stays below the size limit of a store.
const MOST_OWED_BYTES: usize = 200 << 10;

/// So few intents in one item are never too many bytes.
const FEW: usize = 16;

/// Everything that was committed or done, as far as it decides what is allowed.
#[derive(Debug, Default)]
pub struct Watch {
    known: Mutex<Known>,
}

/// The knowledge of the watch.
#[derive(Debug, Default, Clone)]
pub struct Known {
    /// Every run.
    pub runs: BTreeMap<RunId, Arc<Run>>,
    /// Every stage.
    pub stages: BTreeMap<StageKey, Arc<Stage>>,
    /// The rows of every stage's ledger.
    pub rows: BTreeMap<StageKey, Vec<Row>>,
    /// Every image that was ever live in a stage.
    pub lived: BTreeSet<(StageKey, Digest)>,
    /// The definitions that applied to the stages of a repository; the last one does now.
    pub definitions: BTreeMap<RepositoryId, Vec<Definition>>,
    /// Where the refs of a repository were when they were last compared.
    pub heads: BTreeMap<RepositoryId, Arc<Heads>>,
    allowed: Allowed,
    /// Every row of a ledger that was written, whether its stage names it or not.
    pub written: BTreeMap<Key, Arc<Row>>,
    /// The open intents of each item, by their id.
    pub owed: BTreeMap<Key, BTreeMap<String, Intent>>,
    /// The builds of each attempt.
    pub of_attempt: BTreeMap<AttemptId, Vec<BuildId>>,
    /// Whether no clock is wrong, so that no attempt has a second build.
    pub right_clocks: bool,
    /// Every build that was ever started, and how it ended.
    pub builds: BTreeMap<BuildId, Option<BuildStatus>>,
    /// Every push to the registry.
    pub pushed: BTreeSet<(ImageRepository, Tag, Digest)>,
    /// The open intents that wait for a person to fix something, by their id, and at what service.
    pub obstructed: BTreeMap<String, String>,
    /// Those that must be announced by now, and since when: the service allows again what it denied.
    pub released: BTreeMap<String, Timestamp>,
    /// The tags that were put on images which have not become live since.
    pub put: BTreeSet<(Tag, Digest)>,
    /// Tags that outsiders pushed.
    pub meddled: BTreeSet<Tag>,
    /// What the refs contain.
    pub contained: Contained,
    /// The time of the last commit.
    pub now: Timestamp,
    pub violations: Vec<String>,
}

impl Watch {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the knowledge.
    pub fn look<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        look(&self.known())
    }

    pub(crate) fn pushed(&self, repository: &ImageRepository, tag: &Tag, digest: &Digest) {
        let push = (repository.clone(), tag.clone(), digest.clone());
        self.known().pushed.insert(push);
    }

    pub(crate) fn tag_was_put(&self, tag: &Tag, digest: &Digest) {
        self.known().put.insert((tag.clone(), digest.clone()));
    }

    pub(crate) fn meddled(&self, tag: &Tag) {
        self.known().meddled.insert(tag.clone());
    }

    pub(crate) fn ref_moved(
        &self,
        place: (RepositoryId, &GitRef),
        repository: &MemoryRepository,
        now: Timestamp,
    ) {
        self.known().contained.moved(place, repository, now);
    }

    /// A transaction was committed now.
    pub(crate) fn time_is(&self, now: Timestamp) {
        self.known().now = now;
    }

    pub(crate) fn build_ended(&self, build: &BuildId, status: BuildStatus) {
        self.known().builds.insert(build.clone(), Some(status));
    }

    /// Something else that does not hold.
    pub(crate) fn violated(&self, what: String) {
        self.known().violations.push(what);
    }

    /// From now on, a second build of an attempt is a violation, or not.
    pub(crate) fn expects_right_clocks(&self, right: bool) {
        self.known().right_clocks = right;
    }

    /// Checks rows, which have no effect yet.
    pub(crate) fn rows_are_put(&self, rows: &[StoreRow], now: Timestamp) {
        let mut known = self.known();
        for row in rows {
            if row.key.partition.starts_with("LEDGER#") {
                known.row(&row.key, content(&row.body));
            } else if &*row.key.partition == "PASSED" {
                known.released(&row.key.sort, now);
            }
        }
    }

    /// Checks a transaction that changed these items.
    pub(crate) fn committed(&self, changed: &[Key], store: &MemoryStore) {
        let mut known = self.known();
        for key in changed {
            store.look(key, |item| {
                known.owes(key, item);
                let Some(item) = item else { return };
                let id = |of: &str| key.partition.strip_prefix(of)?.parse().ok();
                if let Some(id) = id("DEFINITION#").map(RepositoryId) {
                    let trusted: Arc<Trusted> = content(&item.body);
                    let definitions = known.definitions.entry(id).or_default();
                    definitions.push(trusted.definition.clone());
                } else if let Some(id) = id("HEADS#").map(RepositoryId) {
                    known.heads.insert(id, content(&item.body));
                }
            });
        }
        for key in changed {
            let is_run = key.partition.starts_with("RUN#") && &*key.sort == "run";
            let is_stage = key.partition.starts_with("STAGES#");
            if is_run {
                let run = store.look(key, |item| item.map(|item| content(&item.body)));
                if let Some(run) = run {
                    known.run(run);
                }
            } else if is_stage {
                let stage = store.look(key, |item| item.map(|item| content(&item.body)));
                if let Some(stage) = stage {
                    known.stage(stage);
                }
            }
        }
    }
}

/// The value in an item's content, as a handler reads it.
fn content<T: DeserializeOwned + Send + Sync + 'static>(body: &Content) -> Arc<T> {
    let decoded = body.decoded(|json| Ok::<T, Infallible>(value(json)));
    match decoded {
        Ok(decoded) => decoded,
    }
}

fn value<T: DeserializeOwned>(body: &Value) -> T {
    T::deserialize(body)
        .unwrap_or_else(|error| panic!("the store holds what nobody can read: {error}"))
}

impl Known {
    /// The rule of a stage.
    #[must_use]
    pub fn rule(&self, key: &StageKey) -> Option<&StageRule> {
        let definitions = self.definitions.get(&key.repository)?;
        definitions.last()?.stage(&key.stage)
    }

    fn must(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.violations.push(otherwise());
        }
    }

    /// Records the intents of an item.
    fn owes(&mut self, key: &Key, item: Option<&Item>) {
        let owed = match item {
            Some(item) if key.partition.starts_with("INTENT#") => std::slice::from_ref(&*item.body),
            Some(item) => item.body["owes"].as_array().map_or(&[][..], Vec::as_slice),
            None => &[],
        };
        if owed.len() > FEW {
            let bytes: usize = owed.iter().map(|owed| owed.to_string().len()).sum();
            self.must(bytes <= MOST_OWED_BYTES, || {
                format!("I14: {key:?} owes {} intents of {bytes} bytes", owed.len())
            });
        }
        let mut known = self.owed.remove(key).unwrap_or_default();
        let is_gone = |id: &&String| !owed.iter().any(|owed| owed["id"] == **id);
        let gone: Vec<String> = known.keys().filter(is_gone).cloned().collect();
        for id in gone {
            self.waits_no_more(&id);
            known.remove(&id);
        }
        for owed in owed {
            let id = owed["id"].as_str().unwrap_or_default();
            match owed["obstacle"]["by"].as_str() {
                Some(by) => drop(self.obstructed.insert(id.into(), by.into())),
                None => self.waits_no_more(id),
            }
            if !known.contains_key(id) {
                let intent: Intent = value(&owed["intent"]);
                self.allowed.add(&intent);
                known.insert(id.into(), intent);
            }
        }
        if !known.is_empty() {
            self.owed.insert(key.clone(), known);
        }
    }

    fn row(&mut self, key: &Key, row: Arc<Row>) {
        let known = self.written.get(key);
        let same = known.is_none_or(|known| *known == row);
        self.must(same, || format!("I3: a row was rewritten: {key:?}"));
        self.written.insert(key.clone(), row);
    }

    /// The number of rows that were written for decisions that were not committed.
    #[must_use]
    pub fn orphans(&self) -> usize {
        let named: usize = self.rows.values().map(Vec::len).sum();
        self.written.len() - named
    }
}

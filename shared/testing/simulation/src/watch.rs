//! Checks the invariants after every commit and at every effect; each check names the invariant's id.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;
use towline_domain::definition::{Definition, Origin, StageRule};
use towline_domain::filter;
use towline_domain::heads::Heads;
use towline_domain::intent::{Intent, StageKey};
use towline_domain::ledger::{Head, Row, What};
use towline_domain::names::{
    AttemptId, BuildId, CommitSha, Digest, GitRef, ImageRepository, RepositoryId, RunId, Tag,
};
use towline_domain::run::{Attempt, AttemptState, BuildStatus, Failure, Run};
use towline_domain::stage::{Promotion, Stage};
use towline_domain::trusted::Trusted;
use towline_ports::memory::{MemoryRepository, MemoryStore};
use towline_ports::{CommitStatus, Content, Item, Key, Row as StoreRow};

use crate::contained::Contained;
use crate::shop;

/// The most bytes of intents in one item, so that the item stays below the size limit of a store.
const MOST_OWED_BYTES: usize = 200 << 10;

/// How long an invocation lives, and a step more.
const MOST_LIFE: Duration = Duration::from_secs(31);

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
    /// Every intent that was ever committed.
    pub intents: Vec<Intent>,
    /// Every row of a ledger that was written, whether its stage names it or not.
    pub written: BTreeMap<Key, Arc<Row>>,
    /// The open intents, by their item and id.
    pub owed: BTreeMap<(Key, String), Intent>,
    /// The builds of each attempt.
    pub of_attempt: BTreeMap<AttemptId, Vec<BuildId>>,
    /// Whether no clock is wrong, so that no attempt has a second build.
    pub right_clocks: bool,
    /// Every build that was ever started, and how it ended.
    pub builds: BTreeMap<BuildId, Option<BuildStatus>>,
    /// Every push to the registry.
    pub pushed: BTreeSet<(ImageRepository, Tag, Digest)>,
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

    /// From now on, a second build of an attempt is a violation, or not.
    pub(crate) fn expects_right_clocks(&self, right: bool) {
        self.known().right_clocks = right;
    }

    /// Returns whether the build is new.
    pub(crate) fn build_started(&self, build: &BuildId, attempt: &AttemptId) -> bool {
        let mut known = self.known();
        if known.builds.contains_key(build) {
            return false;
        }
        let of = known.of_attempt.entry(attempt.clone()).or_default();
        of.push(build.clone());
        let single = of.len() == 1 || !known.right_clocks;
        known.must(single, || {
            format!("I5: {attempt} has a second build, {build}")
        });
        known.builds.insert(build.clone(), None);
        true
    }

    pub(crate) fn build_starts(&self, attempt: &AttemptId) {
        let mut known = self.known();
        let owed =
            |intent: &Intent| matches!(intent, Intent::BuildDue(of) if of.attempt == *attempt);
        let holds = known.intents.iter().any(owed);
        known.must(holds, || {
            format!("I4: a build of {attempt} that nobody owed")
        });
    }

    pub(crate) fn build_stops(&self, build: &BuildId) {
        let mut known = self.known();
        let owed = |intent: &Intent| matches!(intent, Intent::BuildStopDue { build: known } if known == build);
        let holds = known.intents.iter().any(owed);
        known.must(holds, || format!("I4: a stop of {build} that nobody owed"));
    }

    pub(crate) fn tag_is_put(&self, tag: &Tag, digest: &Digest) {
        let mut known = self.known();
        let acts = |stage: &Arc<Stage>| {
            stage
                .waiting
                .iter()
                .any(|promotion| promotion.acting && promotion.candidate.digest == *digest)
        };
        let live = |stage: &Arc<Stage>| {
            let live = stage.pointer.as_ref();
            live.is_some_and(|live| live.candidate.digest == *digest)
        };
        // To a clock that is ahead, a lease has ended that still holds: then two may carry out one
        // promotion, and the later tag changes nothing.
        let stages = || known.stages.values();
        let holds = stages().any(acts) || (!known.right_clocks && stages().any(live));
        known.must(holds, || {
            format!("I9: {tag} is put on {digest}, which no stage is being moved to")
        });
    }

    pub(crate) fn index_is_put(
        &self,
        repository: &ImageRepository,
        index: &str,
        tag: &Tag,
        digest: &Digest,
    ) {
        let mut known = self.known();
        let owed = known.intents.iter().filter_map(|intent| {
            let Intent::IndexDue(of) = intent else {
                return None;
            };
            known.runs.get(&of.run)?.attempt(&of.attempt)
        });
        let is_meant = |attempt: &Attempt| {
            let parts = attempt.index().unwrap_or_default();
            attempt.tags.contains(tag)
                && parts.iter().all(|(_, part)| index.contains(part.as_str()))
        };
        let holds = owed
            .filter(|(_, component, _)| component.repository == *repository)
            .any(|(_, _, attempt)| attempt.index().is_some() && is_meant(attempt));
        known.must(holds, || {
            format!("I4: an index under {tag} that nobody owed: {index}")
        });
        let push = (repository.clone(), tag.clone(), digest.clone());
        known.pushed.insert(push);
    }

    pub(crate) fn status_is_set(&self, commit: &CommitSha, status: &CommitStatus) {
        let mut known = self.known();
        let owed = |intent: &Intent| {
            if let Intent::StageStatusDue {
                stage, commit: of, ..
            } = intent
            {
                let context = || format!("towline/{}/{}", stage.stage, stage.component);
                return of == commit && status.context == context();
            }
            let Intent::BuildStatusDue { run, component, .. } = intent else {
                return false;
            };
            let context = || match component {
                None => "towline/run".into(),
                Some(component) => format!("towline/build/{component}"),
            };
            let run = known.runs.get(run);
            run.is_some_and(|run| run.key.commit == *commit) && status.context == context()
        };
        let holds = known.intents.iter().any(owed);
        known.must(holds, || {
            format!(
                "I4: {} of {} that nobody owed",
                status.context,
                commit.short()
            )
        });
    }

    /// Checks rows, which have no effect yet.
    pub(crate) fn rows_are_put(&self, rows: &[StoreRow]) {
        let mut known = self.known();
        for row in rows {
            if row.key.partition.starts_with("LEDGER#") {
                known.row(&row.key, content(&row.body));
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
        let id = |owed: &Value| owed["id"].as_str().unwrap_or_default().to_owned();
        let before = self.owed.range((key.clone(), String::new())..);
        let before = before.take_while(|((place, _), _)| place == key);
        let is_gone = |place: &&(Key, String)| !owed.iter().any(|owed| owed["id"] == place.1);
        let gone = before.map(|(place, _)| place).filter(is_gone);
        for place in gone.cloned().collect::<Vec<_>>() {
            self.owed.remove(&place);
        }
        for owed in owed {
            let place = (key.clone(), id(owed));
            if !self.owed.contains_key(&place) {
                let intent: Intent = value(&owed["intent"]);
                self.intents.extend_from_slice(intent.reports());
                self.intents.push(intent.clone());
                self.owed.insert(place, intent);
            }
        }
    }

    fn row(&mut self, key: &Key, row: Arc<Row>) {
        let known = self.written.get(key);
        let same = known.is_none_or(|known| *known == row);
        self.must(same, || format!("I3: a row was rewritten: {key:?}"));
        self.written.insert(key.clone(), row);
    }

    /// The rows that a stage names now, oldest first: each must exist already.
    fn named(&mut self, before: &Stage, after: &Stage) -> Vec<Row> {
        let of = format!(
            "LEDGER#{}#{}/{}",
            after.key.repository, after.key.component, after.key.stage
        );
        let mut head = after.ledger.clone();
        let mut rows = Vec::new();
        while head.sequence > before.ledger.sequence {
            let sort = format!("{:012}#{}", head.sequence, &head.hash[..16]);
            let known = self.written.get(&Key::new(&of, &sort));
            let Some(row) = known.map(|row| Row::clone(row)) else {
                self.violations
                    .push(format!("I3: {of} names row {sort}, which is not there"));
                break;
            };
            head = Head {
                sequence: row.sequence - 1,
                hash: row.previous.clone(),
            };
            rows.push(row);
        }
        rows.reverse();
        rows
    }

    /// The number of rows that were written for decisions that were not committed.
    #[must_use]
    pub fn orphans(&self) -> usize {
        let named: usize = self.rows.values().map(Vec::len).sum();
        self.written.len() - named
    }

    fn run(&mut self, after: Arc<Run>) {
        self.must(after.id == after.key.id(), || {
            format!("I1: run {} is not that of its key", after.id)
        });
        match self.runs.remove(&after.id) {
            None => self.takes_over(&after),
            Some(before) => {
                self.must(
                    (&before.key, before.order) == (&after.key, after.order),
                    || format!("I1: run {} is another one", after.id),
                );
                for (name, component) in &before.components {
                    for (position, attempt) in component.attempts.iter().enumerate() {
                        let later = after
                            .components
                            .get(name)
                            .and_then(|component| component.attempts.get(position));
                        self.attempt(attempt, later);
                    }
                }
            }
        }
        for component in after.components.values() {
            for (number, attempt) in (1..).zip(&component.attempts) {
                self.must(attempt.number == number, || {
                    format!("I2: attempt {} has number {}", attempt.id, attempt.number)
                });
                self.evidence(&component.repository, attempt);
            }
            let running = component.attempts.iter().rev().skip(1);
            let over = running
                .filter(|attempt| !attempt.state.is_terminal())
                .count()
                == 0;
            self.must(over, || {
                format!("I10: two attempts of run {} at once", after.id)
            });
        }
        self.runs.insert(after.id.clone(), after);
    }

    /// A new run must end the builds of older ones of its ref, component by component.
    fn takes_over(&mut self, new: &Run) {
        let older = self.runs.values().filter(|run| {
            (run.key.repository, &run.key.git_ref) == (new.key.repository, &new.key.git_ref)
                && run.order < new.order
        });
        let mut forgotten = Vec::new();
        for run in older {
            for name in new.components.keys() {
                let runs = run
                    .components
                    .get(name)
                    .is_some_and(|component| !component.latest().state.is_terminal());
                let ends = |intent: &Intent| matches!(intent, Intent::BuildSuperseded { run: of, component, .. } if *of == run.id && component == name);
                if runs && !self.intents.iter().any(ends) {
                    forgotten.push(format!(
                        "I10: run {} builds {name} beside the newer run {}, and nobody ends that",
                        run.id, new.id
                    ));
                }
            }
        }
        self.violations.extend(forgotten);
    }

    fn attempt(&mut self, before: &Attempt, after: Option<&Attempt>) {
        let Some(after) = after.filter(|after| after.id == before.id) else {
            self.violations
                .push(format!("I2: attempt {} is gone", before.id));
            return;
        };
        if before.state.is_terminal() {
            let same = (&before.state, &before.build, &before.image)
                == (&after.state, &after.build, &after.image);
            self.must(same, || format!("I2: {before:?} became {after:?}"));
        }
        if !before.state.is_terminal() {
            self.looked_up(after);
        }
        let back = before.state == AttemptState::Building && after.state == AttemptState::Due;
        self.must(!back, || format!("I2: {} went back to due", before.id));
        let kept = before.build.is_none() || before.build == after.build;
        self.must(kept, || format!("I5: {} changed its build", before.id));
        for (position, part) in before.parts.iter().enumerate() {
            self.attempt(part, after.parts.get(position));
        }
        let runs = after.parts.iter().any(|part| !part.state.is_terminal());
        self.must(!(runs && after.state.is_terminal()), || {
            format!("I14: {} ended without its parts", after.id)
        });
    }

    /// An attempt is not given up while the result of its build can be looked up.
    fn looked_up(&mut self, attempt: &Attempt) {
        let AttemptState::Failed {
            why: Failure::NoResult { .. },
            ..
        } = &attempt.state
        else {
            return;
        };
        let build = attempt.build.as_ref();
        let ended = build.and_then(|build| self.builds.get(build).copied().flatten());
        self.must(ended.is_none(), || {
            format!(
                "I6: {} was given up although its build ended {ended:?}",
                attempt.id
            )
        });
    }

    fn evidence(&mut self, repository: &ImageRepository, attempt: &Attempt) {
        for part in &attempt.parts {
            self.evidence(repository, part);
        }
        if attempt.state != AttemptState::Succeeded {
            return;
        }
        let reported = attempt
            .build
            .as_ref()
            .and_then(|build| self.builds.get(build).copied().flatten());
        let built = reported == Some(BuildStatus::Succeeded) || attempt.index().is_some();
        self.must(built, || {
            format!("I6: {} succeeded and its build {reported:?}", attempt.id)
        });
        let pushed = attempt.image.as_ref().is_some_and(|digest| {
            let push = (
                repository.clone(),
                attempt.unique_tag.clone(),
                digest.clone(),
            );
            self.pushed.contains(&push)
        });
        self.must(pushed, || {
            format!("I6: {} succeeded without its image", attempt.id)
        });
    }

    fn stage(&mut self, after: Arc<Stage>) {
        let key = after.key.clone();
        let before = self.stages.remove(&key);
        let before = before.unwrap_or_else(|| Arc::new(Stage::new(key.clone())));
        let rows = self.named(&before, &after);
        self.history(&before, &after, &rows);
        self.rows.entry(key.clone()).or_default().extend(rows);
        let acting = after.waiting.iter().filter(|known| known.acting).count();
        self.must(acting <= 1, || {
            format!("I9: {acting} promotions act in {key:?}")
        });
        for promotion in after.waiting.iter().filter(|known| known.acting) {
            let began = before
                .promotion(promotion.number)
                .is_none_or(|known| !known.acting);
            if began {
                self.begins(&after, promotion);
            }
        }
        if before.lease.is_none() && after.lease.is_some() {
            self.tags_begin(&after);
        }
        if before.pointer != after.pointer {
            self.moves(&before, &after);
        }
        self.stages.insert(key, after);
    }

    /// Checks a promotion whose tags are about to be set: while this invocation lived, an admitted ref
    /// contained its commit.
    fn tags_begin(&mut self, stage: &Stage) {
        let mut waiting = stage.waiting.iter();
        let Some(promotion) = waiting.find(|known| known.acting) else {
            return;
        };
        if !promotion.needs_its_commit() {
            return;
        }
        let repository = stage.key.repository;
        let definitions = self.definitions.get(&repository);
        let admits = |git_ref: &GitRef| {
            let mut definitions = definitions.into_iter().flatten();
            definitions.any(|known| filter::admits(&known.source, git_ref, "main", "").is_ok())
        };
        let commit = &promotion.candidate.commit;
        let since = self.now - MOST_LIFE;
        let holds = (self.contained).was_since((repository, commit), admits, since);
        let (number, short) = (promotion.number, commit.short().to_owned());
        self.must(holds, || {
            format!("F26: #{number} begins although no admitted ref contains {short}")
        });
    }

    fn history(&mut self, before: &Stage, after: &Stage, rows: &[Row]) {
        let mut head = before.ledger.clone();
        for row in rows {
            if let What::Drifted { tag, digest } = &row.what {
                let meddled = self.meddled.contains(tag);
                self.must(meddled, || {
                    format!("F33: nobody outside moved {tag} to {digest}")
                });
            }
            self.must(
                row.sequence == head.sequence + 1 && row.previous == head.hash,
                || format!("I3: row {} does not follow {head:?}", row.sequence),
            );
            head = Head {
                sequence: row.sequence,
                hash: row.hash(),
            };
        }
        self.must(head == after.ledger, || {
            format!("I3: the ledger of {:?} stands elsewhere", after.key)
        });
    }

    /// Whether the ledger says that a person promotes it without approval, and from any ref.
    fn is_overridden(&self, stage: &Stage, number: u64) -> bool {
        let mut rows = self.rows.get(&stage.key).into_iter().flatten();
        rows.any(
            |row| matches!(row.what, What::Overridden { promotion, .. } if promotion == number),
        )
    }

    /// Checks a promotion that starts: it must not have to wait any more.
    fn begins(&mut self, stage: &Stage, promotion: &Promotion) {
        if promotion.rollback {
            return;
        }
        let number = promotion.number;
        self.must(stage.hold.is_none(), || {
            format!("I8: #{number} enters a stage that is held")
        });
        let newer = stage
            .pointer
            .as_ref()
            .is_none_or(|live| live.candidate.order < promotion.candidate.order);
        self.must(newer, || {
            format!("I8: #{number} is older than what is live")
        });
        let rule = self.rule(&stage.key).and_then(|rule| rule.approval.clone());
        let Some(rule) = rule.filter(|_| !self.is_overridden(stage, number)) else {
            return;
        };
        let rows = self.rows.get(&stage.key).into_iter().flatten();
        let said_yes: BTreeSet<String> = rows
            .filter_map(|row| match (&row.what, &row.by) {
                (
                    What::Approved {
                        promotion,
                        digest,
                        commit,
                        ..
                    },
                    towline_domain::person::Actor::Person(login),
                ) if *promotion == number => {
                    let exact = *digest == stage.promotion(number)?.candidate.digest
                        && *commit == stage.promotion(number)?.candidate.commit;
                    let person = shop::person(login);
                    let may = person.is_in(&rule.groups)
                        && (rule.allow_self
                            || !person.is_one_of(&stage.promotion(number)?.candidate.authors));
                    (exact && may).then(|| login.to_lowercase())
                }
                _ => None,
            })
            .collect();
        self.must(said_yes.len() >= rule.min as usize, || {
            format!("I12: #{number} acts with the yes of {said_yes:?} alone")
        });
    }

    /// Checks a move of the pointer: the image must have passed all stages before.
    fn moves(&mut self, before: &Stage, after: &Stage) {
        let key = after.key.clone();
        let Some(live) = after.pointer.clone() else {
            self.violations
                .push(format!("I8: {key:?} has lost its pointer"));
            return;
        };
        let version = before.pointer.as_ref().map_or(0, |known| known.version);
        self.must(live.version == version + 1, || {
            format!(
                "I8: {key:?} went from version {version} to {}",
                live.version
            )
        });
        let acted = before
            .promotion(live.promotion)
            .is_some_and(|known| known.acting && known.candidate == live.candidate);
        self.must(acted, || format!("I8: nobody was moving {key:?} there"));
        let digest = live.candidate.digest.clone();
        if live.rollback {
            let lived = self.lived.contains(&(key.clone(), digest.clone()));
            self.must(lived, || format!("I8: {digest} never was live in {key:?}"));
        } else {
            let newer = before
                .pointer
                .as_ref()
                .is_none_or(|known| known.candidate.order < live.candidate.order);
            self.must(newer, || format!("I8: {key:?} went back on its own"));
        }
        let built = self.runs.get(&live.candidate.run).is_some_and(|run| {
            let component = run.components.get(&key.component);
            run.key.commit == live.candidate.commit
                && component.is_some_and(|component| {
                    component.attempts.iter().any(|attempt| {
                        attempt.state == AttemptState::Succeeded
                            && attempt.image.as_ref() == Some(&digest)
                    })
                })
        });
        self.must(built, || format!("I7: no build of ours made {digest}"));
        let git_ref = live.candidate.git_ref.clone();
        let mut definitions = self.definitions.get(&key.repository).into_iter().flatten();
        let admitted =
            definitions.any(|known| filter::admits(&known.source, &git_ref, "main", "").is_ok());
        let overridden = self.is_overridden(after, live.promotion);
        self.must(admitted || overridden || live.rollback, || {
            format!(
                "I7: {digest} is of {}, which no definition admits",
                git_ref.name()
            )
        });
        let from = self.rule(&key).map(|rule| rule.from.clone());
        if let Some(Origin::Stage(stage)) = from {
            let origin = StageKey {
                stage,
                ..key.clone()
            };
            let lived = self.lived.contains(&(origin, digest.clone()));
            self.must(lived, || {
                format!("I7: {digest} skipped a stage before {key:?}")
            });
        }
        self.lived.insert((key, digest));
    }
}

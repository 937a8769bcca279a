//! Checks the invariants after every commit and at every effect; each check names the invariant's id.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::de::DeserializeOwned;
use serde_json::Value;
use towline_domain::definition::{Definition, Origin};
use towline_domain::heads::Heads;
use towline_domain::intent::{Intent, StageKey};
use towline_domain::ledger::{Head, Row, What};
use towline_domain::names::{AttemptId, BuildId, CommitSha, Digest, ImageRepository, RunId, Tag};
use towline_domain::run::{Attempt, AttemptState, BuildStatus, Run};
use towline_domain::stage::{Promotion, Stage};
use towline_ports::{CommitStatus, Item, Key, Row as StoreRow};

use crate::shop;

/// The most bytes of intents in one item, so that the item stays below the size limit of a store.
const MOST_OWED_BYTES: usize = 200 << 10;

/// Everything that was committed or done, as far as it decides what is allowed.
#[derive(Debug, Default)]
pub struct Watch {
    known: Mutex<Known>,
}

/// The knowledge of the watch.
#[derive(Debug, Default, Clone)]
pub struct Known {
    /// Every run.
    pub runs: BTreeMap<RunId, Run>,
    /// Every stage.
    pub stages: BTreeMap<StageKey, Stage>,
    /// The rows of every stage's ledger.
    pub rows: BTreeMap<StageKey, Vec<Row>>,
    /// Every image that was ever live in a stage.
    pub lived: BTreeSet<(StageKey, Digest)>,
    /// The definition that applies to the stages.
    pub definition: Option<Definition>,
    /// Where the refs were when they were last compared.
    pub heads: Option<Heads>,
    /// Every intent that was ever committed.
    pub intents: Vec<Intent>,
    /// Every row of a ledger that was written, whether its stage names it or not.
    pub written: BTreeMap<Key, Row>,
    /// The open intents, by their item and id.
    pub owed: BTreeMap<(Key, String), Intent>,
    /// Every build that was ever started, and how it ended.
    pub builds: BTreeMap<BuildId, Option<BuildStatus>>,
    /// Every push to the registry.
    pub pushed: BTreeSet<(ImageRepository, Tag, Digest)>,
    /// Tags that outsiders pushed.
    pub meddled: BTreeSet<Tag>,
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

    pub(crate) fn build_ended(&self, build: &BuildId, status: BuildStatus) {
        self.known().builds.insert(build.clone(), Some(status));
    }

    /// Returns whether the build is new.
    pub(crate) fn build_started(&self, build: &BuildId) -> bool {
        let mut known = self.known();
        if known.builds.contains_key(build) {
            return false;
        }
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
        let acts = |stage: &Stage| {
            stage
                .waiting
                .iter()
                .any(|promotion| promotion.acting && promotion.candidate.digest == *digest)
        };
        let holds = known.stages.values().any(acts);
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
                let context = format!("towline/{}/{}", stage.stage, stage.component);
                return of == commit && status.context == context;
            }
            let Intent::BuildStatusDue { run, component, .. } = intent else {
                return false;
            };
            let context = match component {
                None => "towline/run".into(),
                Some(component) => format!("towline/build/{component}"),
            };
            let run = known.runs.get(run);
            run.is_some_and(|run| run.key.commit == *commit) && status.context == context
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
                known.row(&row.key, value(&row.body));
            }
        }
    }

    /// Checks a transaction.
    pub(crate) fn committed(&self, changed: &[(Key, Option<Item>)]) {
        let mut known = self.known();
        for (key, item) in changed {
            known.owes(key, item.as_ref());
            let Some(item) = item else { continue };
            if key.partition.starts_with("DEFINITION#") {
                known.definition = Some(value(&item.body["definition"]));
            } else if key.partition.starts_with("HEADS#") {
                known.heads = Some(value(&item.body));
            }
        }
        for (key, item) in changed {
            let Some(item) = item else { continue };
            if key.partition.starts_with("RUN#") && key.sort == "run" {
                known.run(value(&item.body));
            } else if key.partition.starts_with("STAGES#") {
                known.stage(value(&item.body));
            }
        }
    }
}

fn value<T: DeserializeOwned>(body: &Value) -> T {
    serde_json::from_value(body.clone())
        .unwrap_or_else(|error| panic!("the store holds what nobody can read: {error}"))
}

impl Known {
    fn must(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.violations.push(otherwise());
        }
    }

    /// Records the intents of an item.
    fn owes(&mut self, key: &Key, item: Option<&Item>) {
        let owed = match item {
            Some(item) if key.partition.starts_with("INTENT#") => vec![item.body.clone()],
            Some(item) => item.body["owes"].as_array().cloned().unwrap_or_default(),
            None => Vec::new(),
        };
        let bytes: usize = owed.iter().map(|owed| owed.to_string().len()).sum();
        self.must(bytes <= MOST_OWED_BYTES, || {
            format!("I14: {key:?} owes {} intents of {bytes} bytes", owed.len())
        });
        let open: BTreeMap<(Key, String), Intent> = owed
            .iter()
            .map(|owed| {
                let id = owed["id"].as_str().unwrap_or_default();
                ((key.clone(), id.to_owned()), value(&owed["intent"]))
            })
            .collect();
        self.owed
            .retain(|known, _| known.0 != *key || open.contains_key(known));
        for (id, intent) in open {
            if !self.owed.contains_key(&id) {
                self.intents.extend_from_slice(intent.reports());
                self.intents.push(intent.clone());
                self.owed.insert(id, intent);
            }
        }
    }

    fn row(&mut self, key: &Key, row: Row) {
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
            let Some(row) = self.written.get(&Key::new(&of, &sort)).cloned() else {
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

    fn run(&mut self, after: Run) {
        self.must(after.id == after.key.id(), || {
            format!("I1: run {} is not that of its key", after.id)
        });
        match self.runs.get(&after.id).cloned() {
            None => {}
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
        let back = before.state == AttemptState::Building && after.state == AttemptState::Due;
        self.must(!back, || format!("I2: {} went back to due", before.id));
        let kept = before.build.is_none() || before.build == after.build;
        self.must(kept, || format!("I5: {} changed its build", before.id));
        for (position, leg) in before.legs.iter().enumerate() {
            self.attempt(leg, after.legs.get(position));
        }
        let runs = after.legs.iter().any(|leg| !leg.state.is_terminal());
        self.must(!(runs && after.state.is_terminal()), || {
            format!("I14: {} ended without its parts", after.id)
        });
    }

    fn evidence(&mut self, repository: &ImageRepository, attempt: &Attempt) {
        for leg in &attempt.legs {
            self.evidence(repository, leg);
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

    fn stage(&mut self, after: Stage) {
        let key = after.key.clone();
        let before = match self.stages.get(&key) {
            Some(known) => known.clone(),
            None => Stage::new(key.clone()),
        };
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
        if before.pointer != after.pointer {
            self.moves(&before, &after);
        }
        self.stages.insert(key, after);
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
        let rule = self
            .definition
            .as_ref()
            .and_then(|definition| definition.stage(&stage.key.stage))
            .and_then(|rule| rule.approval.clone());
        let Some(rule) = rule else { return };
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
            self.must(newer, || format!("I8: {key:?} went back by itself"));
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
        let from = self
            .definition
            .as_ref()
            .and_then(|definition| definition.stage(&key.stage))
            .map(|rule| rule.from.clone());
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

//! The state of the world: in words for stories, and checked once everything has finished.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use towline_domain::definition::Deploy;
use towline_domain::image::Candidate;
use towline_domain::intent::{Intent, StageKey};
use towline_domain::ledger::{Ending, Head, Row, What};
use towline_domain::names::{CommitSha, ComponentName, GitRef, RepositoryId};
use towline_domain::reason::Refusal;
use towline_domain::report::{self, Line};
use towline_domain::run::{AttemptState, Run, RunStatus};
use towline_domain::stage::{HoldReason, Stage, Wait};

use towline_wire::eventbridge::Promoted;

use crate::shop;
use crate::watch::Known;
use crate::world::World;

impl World {
    /// The open intents, except watches for things that wait for a person.
    #[must_use]
    pub fn owed(&self) -> Vec<Intent> {
        self.watch
            .look(|known| known.owed.values().filter(is_work).cloned().collect())
    }

    pub(crate) fn owes_nothing(&self) -> bool {
        self.watch
            .look(|known| !known.owed.values().any(|intent| is_work(&intent)))
    }

    /// Runs, stages and the registry's stage tags in words, without random numbers.
    #[must_use]
    pub fn view(&self) -> String {
        self.watch.look(|known| {
            let mut text = String::new();
            let mut runs: Vec<&Run> = known.runs.values().map(Arc::as_ref).collect();
            runs.sort_by_key(|run| run.order);
            for run in runs {
                let _ = writeln!(text, "{}", of_run(run));
            }
            for stage in known.stages.values() {
                let _ = writeln!(text, "{}", self.of_stage(known, stage));
            }
            text
        })
    }

    fn of_stage(&self, known: &Known, stage: &Stage) -> String {
        let title = |candidate: &Candidate| {
            let run = known.runs.get(&candidate.run);
            run.map_or("?".into(), |run| run.title.display())
        };
        let live = match &stage.pointer {
            None => "nothing".into(),
            Some(live) => {
                let on = self.is_tagged(known, stage);
                let back = if live.rollback { ", rolled back" } else { "" };
                let off = if on { "" } else { ", but its tag is elsewhere" };
                format!("{}{back}{off}", title(&live.candidate))
            }
        };
        let rule = known.rule(&stage.key);
        let mut text = of_other(stage.key.repository);
        let _ = write!(text, "{}/{}: {live}", stage.key.component, stage.key.stage);
        for promotion in &stage.waiting {
            let wait = rule.and_then(|rule| stage.wait_of(promotion, rule));
            let why = match wait {
                None => "is on its way".into(),
                Some(Wait::Approval { given, needed }) => format!("has {given} of {needed} yes"),
                Some(Wait::Turn { .. }) => "waits its turn".into(),
                Some(Wait::Hold(_)) => "waits for the hold".into(),
                Some(Wait::Source { .. }) => "waits for the source".into(),
                Some(Wait::Person(_)) => "waits for a person".into(),
            };
            let _ = write!(text, "; {} {why}", title(&promotion.candidate));
        }
        if let Some(hold) = &stage.hold {
            // Digests differ from run to run.
            let reason = match &hold.reason {
                HoldReason::TagMoved { tag, .. } => format!("tag {tag} was moved"),
                HoldReason::Asked { .. } | HoldReason::RolledBack { .. } => hold.reason.to_string(),
            };
            let _ = write!(text, "; held by {}: {reason}", hold.by);
        }
        text
    }

    fn is_tagged(&self, known: &Known, stage: &Stage) -> bool {
        let Some(live) = &stage.pointer else {
            return true;
        };
        let rule = known.rule(&stage.key);
        let tags = self.ports.images.inner.tags(&live.candidate.repository);
        rule.is_none_or(|rule| {
            rule.tags
                .iter()
                .all(|tag| tags.get(tag) == Some(&live.candidate.digest))
        })
    }

    /// What should hold once faults stop and everything has finished, and does not.
    #[must_use]
    pub fn faults_at_rest(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut must = |holds: bool, otherwise: String| {
            if !holds {
                faults.push(otherwise);
            }
        };
        self.watch.look(|known| {
            for run in known.runs.values() {
                must(
                    run.status() != RunStatus::Building,
                    format!("I14: run {} is still building", of_run(run)),
                );
            }
            for (key, stage) in &known.stages {
                let acts = stage.waiting.iter().any(|promotion| promotion.acting);
                must(!acts, format!("I14: a promotion still acts in {key:?}"));
                let held = stage.hold.as_ref().map(|hold| &hold.reason);
                let held_for_a_tag = matches!(held, Some(HoldReason::TagMoved { .. }));
                let tagged = held_for_a_tag || self.is_tagged(known, stage);
                must(
                    tagged,
                    format!("I9: a tag of {key:?} is not where it should be"),
                );
                let rows = known.rows.get(key).map_or(&[][..], Vec::as_slice);
                if let Err(why) = folds(rows, stage) {
                    must(false, format!("I3: {key:?}: {why}"));
                }
            }
            for ((place, _), intent) in &known.owed {
                if let Intent::PromotionWatchDue {
                    stage, promotion, ..
                } = intent
                    && place.partition.starts_with("STAGES#")
                {
                    let waits = known.stages[stage].promotion(*promotion);
                    must(
                        waits.is_some_and(|waits| !waits.acting),
                        format!("I14: {stage:?} still watches #{promotion}, which does not wait"),
                    );
                }
            }
            for (repository, git_ref, head) in self.refs() {
                let name = git_ref.name();
                must(
                    has_run(known, repository, &git_ref, &head),
                    format!("I10: the head of {name} has no run of its own"),
                );
            }
            for fault in left_behind(known, &self.deleted) {
                must(false, fault);
            }
        });
        faults.extend(self.watch.look(|known| self.not_shown(known)));
        faults.extend(self.watch.look(|known| self.not_deployed(known)));
        faults
    }

    /// Lines that should be shown beside commits and are not.
    fn not_shown(&self, known: &Known) -> Vec<String> {
        // If a commit has several runs, the newest that shows anything counts.
        let mut right: BTreeMap<(RepositoryId, CommitSha, String), Vec<Line>> = BTreeMap::new();
        let mut runs: Vec<&Run> = known.runs.values().map(Arc::as_ref).collect();
        runs.sort_by_key(|run| run.order);
        for run in runs {
            let mut tell = |context: String, line: Option<Line>| {
                let place = (run.key.repository, run.key.commit.clone(), context);
                let newer = line.into_iter().collect::<Vec<_>>();
                let known = right.entry(place).or_default();
                if !newer.is_empty() {
                    *known = newer;
                }
            };
            tell("towline/run".into(), report::run(run));
            for name in run.components.keys().chain(run.skipped.keys()) {
                tell(format!("towline/build/{name}"), report::build(run, name));
            }
        }
        for (key, stage) in &known.stages {
            let definitions = known.definitions.get(&key.repository);
            let definitions = definitions.map_or(&[][..], Vec::as_slice);
            let mut rows = known.rows.get(key).cloned().unwrap_or_default();
            rows.reverse();
            let mut commits: BTreeSet<&CommitSha> = BTreeSet::new();
            for row in &rows {
                if let What::Requested { commit, .. } | What::Overridden { commit, .. } = &row.what
                {
                    commits.insert(commit);
                }
            }
            for commit in commits {
                // A new definition alone does not renew what is shown.
                let rules = definitions
                    .iter()
                    .filter_map(|known| known.stage(&key.stage));
                let lines = rules.filter_map(|rule| report::stage(stage, rule, commit));
                let mut lines: Vec<Line> = lines.collect();
                if lines.is_empty() {
                    lines.extend(report::stage_before(&rows, commit));
                }
                let context = format!("towline/{}/{}", key.stage, key.component);
                right
                    .entry((key.repository, commit.clone(), context))
                    .or_default()
                    .extend(lines);
            }
        }
        let shown = |repository: RepositoryId, commit: &CommitSha, context: &str| {
            let all = self.ports.statuses.inner.of(repository, commit);
            all.into_iter().find(|status| status.context == context)
        };
        right
            .into_iter()
            .filter(|(_, lines)| !lines.is_empty())
            .filter_map(|((repository, commit, context), lines)| {
                let found = shown(repository, &commit, &context).map(|status| status.description);
                let fits = lines.iter().any(|line| Some(&line.text) == found.as_ref());
                (!fits).then(|| {
                    let short = commit.short();
                    format!("{context} of {short} shows {found:?}, not {lines:?}")
                })
            })
            .collect()
    }

    /// Live images in a stage that deploys by event that were not announced, and announced ones
    /// that were never live.
    fn not_deployed(&self, known: &Known) -> Vec<String> {
        let mut faults = Vec::new();
        for promoted in &self.promoted {
            let key = StageKey {
                repository: promoted.repository_id,
                component: promoted.component.clone(),
                stage: promoted.stage.clone(),
            };
            if !known.lived.contains(&(key, promoted.digest.clone())) {
                faults.push(format!("I7: {promoted:?} never was live"));
            }
            let same = |other: &&Promoted| other.id == promoted.id;
            let mut others = self.promoted.iter().filter(same);
            if !others.all(|other| (&other.digest, other.at) == (&promoted.digest, promoted.at)) {
                faults.push(format!("I11: {} says two things", promoted.id));
            }
        }
        for (key, stage) in &known.stages {
            let deploy = known.rule(key).and_then(|rule| rule.deploy);
            let (Some(Deploy::Event), Some(live)) = (deploy, &stage.pointer) else {
                continue;
            };
            let told = self.promoted.iter().any(|promoted| {
                promoted.repository_id == key.repository
                    && promoted.promotion == live.promotion
                    && promoted.digest == live.candidate.digest
            });
            if !told {
                faults.push(format!(
                    "I14: promotion #{} was told nobody",
                    live.promotion
                ));
            }
        }
        faults
    }

    pub(crate) fn refs(&self) -> Vec<(RepositoryId, GitRef, CommitSha)> {
        let source = &self.ports.source.inner;
        let repositories = [shop::REPOSITORY, shop::OTHER].into_iter();
        let refs = repositories.flat_map(|id| {
            let refs = source.change(id, |repository| repository.refs.clone());
            refs.into_iter()
                .map(move |(git_ref, head)| (id, git_ref, head))
        });
        refs.collect()
    }
}

/// Whether an intent does not wait for a person.
fn is_work(intent: &&Intent) -> bool {
    !matches!(intent, Intent::PromotionWatchDue { .. })
}

/// The name of a repository that is not the shop.
fn of_other(repository: RepositoryId) -> String {
    match repository {
        shop::REPOSITORY => String::new(),
        other => format!("{} ", shop::name_of(other)),
    }
}

fn of_run(run: &Run) -> String {
    let mut text = of_other(run.key.repository);
    let _ = write!(text, "{} {}:", run.key.git_ref.name(), run.title.display());
    if let Some(reason) = &run.refused {
        let _ = write!(text, " {}: {reason}", run.status().word());
    }
    let mut parts: Vec<String> = run
        .components
        .iter()
        .map(|(name, component)| {
            let states: Vec<&str> = component
                .attempts
                .iter()
                .map(|attempt| match &attempt.state {
                    state if state.is_fault() => "fault",
                    state => state.word(),
                })
                .collect();
            format!(" {name} {}", states.join(", "))
        })
        .collect();
    parts.sort();
    text + &parts.join(";")
}

/// Whether the newest run of a ref is for its head and was not given up, or its head was refused for a
/// reason of its own. Runs that were refused do not count otherwise: they left the ref as it was.
fn has_run(known: &Known, repository: RepositoryId, git_ref: &GitRef, head: &CommitSha) -> bool {
    let counts = |run: &&Run| run.key.repository == repository && run.key.git_ref == *git_ref;
    let is_refused = |run: &Run| {
        let is_old = matches!(run.refused, Some(Refusal::Superseded { .. }));
        run.key.commit == *head && run.refused.is_some() && !is_old
    };
    let runs = known.runs.values().map(Arc::as_ref).filter(counts);
    if runs.clone().any(is_refused) {
        return true;
    }
    let runs = runs.filter(|run| run.refused.is_none());
    runs.max_by_key(|run| run.order).is_some_and(|run| {
        let mut components = run.components.values();
        let given_up = components
            .any(|component| matches!(component.latest().state, AttemptState::Superseded { .. }));
        run.key.commit == *head && !given_up
    })
}

/// Images that should have been promoted to staging automatically and were not.
fn left_behind(known: &Known, deleted: &BTreeSet<(RepositoryId, GitRef)>) -> Vec<String> {
    let mut newest: BTreeMap<_, (u64, Candidate)> = Default::default();
    let is_kept = |run: &&Run| {
        let place = (run.key.repository, run.key.git_ref.clone());
        !deleted.contains(&place)
    };
    for run in known.runs.values().map(Arc::as_ref).filter(is_kept) {
        let repository = run.key.repository;
        for (name, component) in &run.components {
            let made = component.attempts.iter();
            for candidate in made.filter_map(|attempt| run.candidate(name, attempt)) {
                let place = (repository, name.clone());
                let known = newest.entry(place).or_insert((0, candidate.clone()));
                if known.0 < run.order {
                    *known = (run.order, candidate);
                }
            }
        }
    }
    let is_staging = |key: &StageKey, (repository, name): &(RepositoryId, ComponentName)| {
        key.repository == *repository && key.component == *name && key.stage.as_str() == "staging"
    };
    let staging = |place: &_| {
        let mut stages = known.stages.values();
        stages.find(|stage| is_staging(&stage.key, place))
    };
    newest
        .into_iter()
        .filter(|(place, (order, candidate))| {
            let Some(stage) = staging(place) else {
                return true;
            };
            let there = stage.pointer.as_ref().is_some_and(|live| {
                live.candidate.order >= *order
                    || live.candidate.digest == candidate.digest
                    || live.rollback
            }) || stage.left.contains(&candidate.digest);
            let rows = known.rows.get(&stage.key).map_or(&[][..], Vec::as_slice);
            !there
                && stage.hold.is_none()
                && !was_turned_away(rows, candidate)
                && !rows.iter().any(gave_way_to_nothing)
        })
        .map(|(place, (_, candidate))| {
            let name = &place.1;
            let rows = known.rows.iter();
            let rows = rows.filter(|(key, _)| is_staging(key, &place));
            let rows: Vec<&Row> = rows
                .flat_map(|(_, rows)| rows.iter().rev().take(6))
                .collect();
            format!(
                "I9: {} of {name} never reached staging: {rows:#?}",
                candidate.digest
            )
        })
        .collect()
}

/// Whether a promotion ended because a force-push removed its commit. Older images that it superseded are not
/// offered again, so someone has to promote one.
fn gave_way_to_nothing(row: &Row) -> bool {
    matches!(
        &row.what,
        What::Ended {
            how: Ending::CommitRemoved { .. },
            ..
        }
    )
}

/// Whether somebody rejected an image, or its promotion failed.
fn was_turned_away(rows: &[Row], candidate: &Candidate) -> bool {
    let mut requested = rows.iter().filter_map(|row| {
        let What::Requested {
            promotion, digest, ..
        } = &row.what
        else {
            return None;
        };
        (*digest == candidate.digest).then_some(*promotion)
    });
    let ended = |number: u64| {
        rows.iter().any(|row| {
            matches!(&row.what, What::Ended { promotion, how: Ending::Rejected { .. } | Ending::Failed { .. } | Ending::CommitRemoved { .. } } if *promotion == number)
        })
    };
    requested.any(ended)
}

/// Whether the rows of a ledger, from first to last, give the stage.
///
/// # Errors
/// With what they say otherwise.
pub fn folds(rows: &[Row], stage: &Stage) -> Result<(), String> {
    let mut head = Head::default();
    let (mut version, mut live, mut held) = (0, None, None);
    let mut waiting = BTreeSet::new();
    for row in rows {
        if (row.sequence, &row.previous) != (head.sequence + 1, &head.hash) {
            return Err(format!(
                "row {} does not follow the one before",
                row.sequence
            ));
        }
        head = Head {
            sequence: row.sequence,
            hash: row.hash(),
        };
        match &row.what {
            What::Requested { promotion, .. } | What::Overridden { promotion, .. } => {
                waiting.insert(*promotion);
            }
            What::Ended { promotion, .. } => drop(waiting.remove(promotion)),
            What::Moved {
                promotion,
                to,
                version: now,
                ..
            } => {
                waiting.remove(promotion);
                (version, live) = (*now, Some(to.clone()));
            }
            What::Held { reason } => held = Some(reason.clone()),
            What::Resumed => held = None,
            What::Approved { .. } | What::Denied { .. } | What::Drifted { .. } => {}
        }
    }
    let pointer = stage.pointer.as_ref();
    let numbers: BTreeSet<u64> = stage.waiting.iter().map(|known| known.number).collect();
    let same = head == stage.ledger
        && version == pointer.map_or(0, |pointer| pointer.version)
        && live.as_ref() == pointer.map(|pointer| &pointer.candidate.digest)
        && held.as_ref() == stage.hold.as_ref().map(|hold| &hold.reason)
        && waiting == numbers;
    if same {
        Ok(())
    } else {
        Err(format!(
            "the rows give version {version} of {live:?}, held {held:?}, waiting {waiting:?}"
        ))
    }
}

//! What must hold once faults stop and everything has finished.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use towline_domain::definition::Deploy;
use towline_domain::image::Candidate;
use towline_domain::intent::{Intent, StageKey};
use towline_domain::ledger::{Ending, Row, What};
use towline_domain::names::{CommitSha, ComponentName, GitRef, RepositoryId};
use towline_domain::reason::Refusal;
use towline_domain::run::{AttemptState, Run, RunStatus};
use towline_domain::stage::HoldReason;
use towline_wire::eventbridge::Promoted;

use crate::fold::folds;
use crate::view::of_run;
use crate::watch::Known;
use crate::world::World;

impl World {
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
            let owed = known.owed.iter();
            for (place, intent) in
                owed.flat_map(|(place, owed)| owed.values().map(move |it| (place, it)))
            {
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

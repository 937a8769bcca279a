//! The state of the world in words, for stories.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use towline_domain::image::Candidate;
use towline_domain::intent::Intent;
use towline_domain::names::RepositoryId;
use towline_domain::run::Run;
use towline_domain::stage::{HoldReason, Stage, Wait};

use crate::shop;
use crate::watch::Known;
use crate::world::World;

impl World {
    /// The open intents, except watches for things that wait for a person.
    #[must_use]
    pub fn owed(&self) -> Vec<Intent> {
        self.watch.look(|known| {
            let owed = known.owed.values().flat_map(BTreeMap::values);
            let work = owed.filter(|intent| is_work(known, intent));
            work.cloned().collect()
        })
    }

    pub(crate) fn owes_nothing(&self) -> bool {
        self.watch.look(|known| {
            let mut owed = known.owed.values().flat_map(BTreeMap::values);
            !owed.any(|intent| is_work(known, intent))
        })
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

    pub(crate) fn is_tagged(&self, known: &Known, stage: &Stage) -> bool {
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
}

/// Whether an intent does not wait for a person. A promotion that was denied stays owed; if somebody then
/// holds the stage, it is tried in vain until that ends.
fn is_work(known: &Known, intent: &Intent) -> bool {
    match intent {
        Intent::PromotionWatchDue { .. } => false,
        Intent::PromotionDue { stage, promotion } => {
            let stage = known.stages.get(stage).filter(|stage| stage.hold.is_some());
            let promotion = stage.and_then(|stage| stage.promotion(*promotion));
            promotion.is_none_or(|promotion| promotion.acting || promotion.rollback)
        }
        Intent::PushAccepted(_)
        | Intent::BuildDue(_)
        | Intent::BuildStopDue { .. }
        | Intent::ImageDue { .. }
        | Intent::IndexDue(_)
        | Intent::BuildRetryDue { .. }
        | Intent::BuildSuperseded { .. }
        | Intent::ImageRecorded { .. }
        | Intent::ImageReady { .. }
        | Intent::DeployDue { .. }
        | Intent::BuildStatusDue { .. }
        | Intent::StageStatusDue { .. }
        | Intent::StatusesDue { .. }
        | Intent::BuildWatchDue(_) => true,
    }
}

/// The name of a repository that is not the shop.
fn of_other(repository: RepositoryId) -> String {
    match repository {
        shop::REPOSITORY => String::new(),
        other => format!("{} ", shop::name_of(other)),
    }
}

pub(crate) fn of_run(run: &Run) -> String {
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

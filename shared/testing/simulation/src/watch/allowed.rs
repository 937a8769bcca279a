//! What the intents that were ever committed allow, so that an effect is looked up and not searched.

use std::collections::BTreeSet;

use towline_domain::intent::{AttemptRef, Intent, StageKey};
use towline_domain::names::{AttemptId, BuildId, CommitSha, ComponentName, RunId, StageName};

/// Everything that any intent has ever allowed.
#[derive(Debug, Default, Clone)]
pub(super) struct Allowed {
    pub(super) builds: BTreeSet<AttemptId>,
    pub(super) stops: BTreeSet<BuildId>,
    pub(super) indexes: Vec<AttemptRef>,
    /// Builds of a component that a newer run ends.
    pub(super) superseded: BTreeSet<(RunId, ComponentName)>,
    /// Statuses of a run, or of one of its components.
    pub(super) of_builds: BTreeSet<(RunId, Option<ComponentName>)>,
    pub(super) of_stages: BTreeSet<(CommitSha, StageName, ComponentName)>,
}

impl Allowed {
    pub(super) fn add(&mut self, intent: &Intent) {
        match intent {
            Intent::BuildDue(of) => drop(self.builds.insert(of.attempt.clone())),
            Intent::BuildStopDue { build } => drop(self.stops.insert(build.clone())),
            Intent::IndexDue(of) => self.indexes.push(of.clone()),
            Intent::BuildSuperseded { run, component, .. } => {
                self.superseded.insert((run.clone(), component.clone()));
            }
            Intent::BuildStatusDue { run, component, .. } => {
                self.of_builds.insert((run.clone(), component.clone()));
            }
            Intent::StageStatusDue { stage, commit, .. } => {
                let StageKey {
                    component, stage, ..
                } = stage;
                let of = (commit.clone(), stage.clone(), component.clone());
                self.of_stages.insert(of);
            }
            Intent::StatusesDue { reports } => reports.iter().for_each(|report| self.add(report)),
            Intent::PushAccepted(_)
            | Intent::ImageDue { .. }
            | Intent::BuildRetryDue { .. }
            | Intent::ImageRecorded { .. }
            | Intent::ImageReady { .. }
            | Intent::PromotionDue { .. }
            | Intent::DeployDue { .. }
            | Intent::BuildWatchDue(_)
            | Intent::PromotionWatchDue { .. } => {}
        }
    }
}

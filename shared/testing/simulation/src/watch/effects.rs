//! Checks what handlers do outside, before they do it: each effect must be owed.

use std::sync::Arc;

use towline_domain::intent::Intent;
use towline_domain::names::{AttemptId, BuildId, CommitSha, Digest, ImageRepository, Tag};
use towline_domain::run::Attempt;
use towline_domain::stage::Stage;
use towline_ports::CommitStatus;

use super::Watch;

impl Watch {
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
}

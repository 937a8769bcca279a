//! Checks what handlers do outside, before they do it: each effect must be owed.

use std::sync::Arc;

use towline_domain::names::{AttemptId, BuildId, CommitSha, Digest, ImageRepository, Tag};
use towline_domain::run::Attempt;
use towline_domain::stage::Stage;
use towline_ports::CommitStatus;

use super::{Known, Watch};

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
        let holds = known.allowed.builds.contains(attempt);
        known.must(holds, || {
            format!("I4: a build of {attempt} that nobody owed")
        });
    }

    /// A build pushes an image: only while it runs, and only under the tags of its attempt (S6).
    pub(crate) fn build_pushes(&self, build: &BuildId, attempt: &AttemptId, tag: &Tag) {
        let mut known = self.known();
        let runs = known.builds.get(build) == Some(&None);
        known.must(runs, || format!("S6: {build} pushes {tag} after its end"));
        let mut own = known.runs.values().filter_map(|run| run.attempt(attempt));
        let is_own = own.any(|(_, _, attempt)| attempt.tags.contains(tag));
        known.must(is_own, || {
            format!("S6: {build} pushes {tag}, which is not a tag of {attempt}")
        });
    }

    pub(crate) fn build_stops(&self, build: &BuildId) {
        let mut known = self.known();
        let holds = known.allowed.stops.contains(build);
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
        let owed = known.allowed.indexes.iter();
        let owed = owed.filter_map(|of| known.runs.get(&of.run)?.attempt(&of.attempt));
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
        let holds = is_allowed(&known, commit, &status.context);
        known.must(holds, || {
            format!(
                "I4: {} of {} that nobody owed",
                status.context,
                commit.short()
            )
        });
    }
}

/// Whether a status is about a run of the commit, or about the commit in a stage, and was ever owed.
fn is_allowed(known: &Known, commit: &CommitSha, context: &str) -> bool {
    let mut words = context.split('/').skip(1);
    let (Some(first), second) = (words.next(), words.next()) else {
        return false;
    };
    let component = second.and_then(|second| second.parse().ok());
    let stage = first.parse().ok().zip(component.clone());
    let in_stage = stage.is_some_and(|(stage, component)| {
        let of = (commit.clone(), stage, component);
        known.allowed.of_stages.contains(&of)
    });
    let of_runs = || {
        let mut runs = known.runs.values().filter(|run| run.key.commit == *commit);
        runs.any(|run| {
            let of = (run.id.clone(), component.clone());
            known.allowed.of_builds.contains(&of)
        })
    };
    in_stage || (matches!(first, "run" | "build") && of_runs())
}

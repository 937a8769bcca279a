//! A run: one commit's trip through the pipeline, and the attempts to build its components.

mod advance;
mod attempt;
mod note;
pub(crate) mod reasons;
mod retry;
mod status;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::Timestamp;
use crate::authors::Contributions;
use crate::image::Candidate;
use crate::intent::Intent;
use crate::ledger::OfBuild;
use crate::names::{
    AttemptId, BuildId, CommitSha, ComponentName, Digest, GitRef, ImageRepository, PipelineName,
    RepositoryId, RepositoryName, RunId, StageName,
};
use crate::person::Person;
use crate::reason::{self, Because, Skipped};
use crate::untrusted::Untrusted;

pub use advance::advance;
pub use attempt::{Attempt, AttemptState, NewAttempt};
pub use note::Note;
pub use reasons::{
    Contradiction, Crowded, Delay, Failure, GaveWay, NoIndex, NotRetried, NotStarted, Refusal,
    Request,
};
pub use retry::another_attempt;
pub use status::{BuildStatus, RunStatus};

/// Automatic attempts if a build fails through no fault of the repository.
pub const MOST_ATTEMPTS: u32 = 3;

/// Restarts of Towline after which a build is not tried again: it may be what ends Towline.
pub const MOST_INTERRUPTIONS: u32 = 50;

/// The identity of a run: each exists only once (I1).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunKey {
    pub repository: RepositoryId,
    /// The ref that was pushed.
    pub git_ref: GitRef,
    pub commit: CommitSha,
    pub pipeline: PipelineName,
    /// How often the ref returned to a commit that already had a run: 0 the first time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub again: u32,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl RunKey {
    /// The run's id: always the same for the same key.
    #[must_use]
    pub fn id(&self) -> RunId {
        let (repository, again) = (self.repository.to_string(), self.again.to_string());
        let git_ref = self.git_ref.full();
        let mut parts = vec![
            repository.as_str(),
            &git_ref,
            self.commit.as_str(),
            self.pipeline.as_str(),
        ];
        parts.extend((self.again > 0).then_some(again.as_str()));
        let text = fingerprint(&parts);
        text[..16].parse().expect("16 hexadecimal digits")
    }
}

/// A hash over parts that cannot run into each other.
fn fingerprint(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

/// A run and its builds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub id: RunId,
    pub key: RunKey,
    /// The repository's name at the time of the push.
    pub repository_name: RepositoryName,
    /// Its order among the runs of its ref; a later push has a higher one.
    pub order: u64,
    /// Who pushed, by login.
    pub pusher: String,
    /// Who pushed or wrote it, by login and address.
    pub authors: Vec<String>,
    /// First line of the commit's message.
    pub title: Untrusted,
    /// When it was planned.
    pub at: Timestamp,
    /// What it builds, and why.
    pub components: BTreeMap<ComponentName, ComponentRun>,
    /// What it does not build, and why not.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub skipped: BTreeMap<ComponentName, Skipped>,
    /// Why nothing of it is built, if the whole run was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<reason::Refusal>,
    /// What else people should know about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
    /// The name of its definition in the store; none if it was refused earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    /// The stages that took images from builds when it was planned, for the environment of its
    /// builds: offers are decided when there is an image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub enters: Vec<StageName>,
    /// Whether its state is shown beside its commit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shown: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentRun {
    pub repository: ImageRepository,
    /// Why it is built.
    pub reason: Because,
    /// The name of its buildspec in the store.
    pub buildspec: String,
    /// Why its latest attempt, which failed through no fault of the repository, is not retried
    /// although it should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_retried: Option<NotRetried>,
    /// Its attempts, oldest first; at least one.
    pub attempts: Vec<Attempt>,
}

impl ComponentRun {
    /// The attempt that counts.
    #[must_use]
    pub fn latest(&self) -> &Attempt {
        self.attempts
            .last()
            .expect("a component of a run is made with its first attempt")
    }
}

/// A report about a build, from an event or a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildReport {
    pub build: BuildId,
    pub status: BuildStatus,
    /// The commit that it builds, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitSha>,
    /// When it began, if that is known.
    pub started_at: Option<Timestamp>,
    /// When it ended, if it has and that is known.
    pub ended_at: Option<Timestamp>,
    /// Why it failed, in the words of the failed phase.
    pub reason: Option<String>,
    /// Whether it ended only because Towline stopped or was restarted on the machine that ran it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// Its outputs, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, String>,
    /// The build that took its place in the queue, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gave_way: Option<GaveWay>,
}

/// A fact that concerns a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A build was started for an attempt.
    BuildBound(AttemptId, BuildId),
    /// No build can ever be started for it.
    BuildRefused(AttemptId, NotStarted),
    /// No build could be started yet.
    BuildDelayed(AttemptId, Delay),
    /// A build was reported on.
    BuildReported(AttemptId, BuildReport),
    /// The image of an attempt was read from the registry.
    ImageRead {
        attempt: AttemptId,
        /// The digest under its unique tag.
        digest: Digest,
        /// The digest in an event, if it was another one.
        contradicts: Option<Digest>,
    },
    /// The registry holds nothing under the unique tag, long after the build succeeded.
    ImageMissing(AttemptId),
    /// The index of the images of an attempt's parts was put.
    IndexPut {
        attempt: AttemptId,
        index: Digest,
        /// The digest under the attempt's unique tag.
        found: Digest,
    },
    /// The index of an attempt's parts can never be put.
    IndexRefused(AttemptId, NoIndex),
    /// The attempt's deadline has passed.
    DeadlinePassed(AttemptId),
    /// A newer run builds the component.
    Superseded(ComponentName, RunId),
    /// A person asks to stop a build.
    CancelRequested {
        component: ComponentName,
        build: u64,
        by: Person,
    },
    /// Another attempt is requested after attempt `after`.
    RetryRequested {
        component: ComponentName,
        /// The number of the attempt it follows.
        after: u32,
        /// Who requests it; none if Towline itself does.
        by: Option<Person>,
        next: Box<NewAttempt>,
    },
    /// A person's request was denied before it reached the run's state.
    Denied {
        component: ComponentName,
        build: u64,
        by: Person,
        request: Request,
        reason: Refusal,
    },
    /// There can be no attempt after attempt `after`.
    RetryRefused {
        component: ComponentName,
        /// The number of the attempt it would follow.
        after: u32,
        why: NotRetried,
    },
}

/// The result of a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The run after it.
    pub run: Run,
    /// Whether the run changed.
    pub changed: bool,
    pub intents: Vec<Intent>,
    /// Why a request was not granted.
    pub refused: Option<Refusal>,
    /// A person's decision, for the repository's ledger of builds.
    pub said: Option<Said>,
}

/// A person's decision about a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub by: Person,
    pub what: OfBuild,
}

impl Run {
    /// Its state: what still runs first, then the worst result.
    #[must_use]
    pub fn status(&self) -> RunStatus {
        match &self.refused {
            Some(refusal) if refusal.is_wanted() => return RunStatus::Skipped,
            Some(_) => return RunStatus::Refused,
            None => {}
        }
        let of = |state: &AttemptState| match state {
            AttemptState::Due | AttemptState::Building => RunStatus::Building,
            AttemptState::Held { .. } => RunStatus::Held,
            AttemptState::Failed { .. } => RunStatus::Failed,
            AttemptState::Cancelled { .. } => RunStatus::Cancelled,
            AttemptState::Superseded { .. } => RunStatus::Superseded,
            AttemptState::Succeeded => RunStatus::Succeeded,
        };
        self.components
            .values()
            .map(|component| of(&component.latest().state))
            .min_by_key(|status| *status as u8)
            .unwrap_or(RunStatus::Nothing)
    }

    /// The image of a succeeded attempt, as a candidate for stages.
    #[must_use]
    pub fn candidate(&self, component: &ComponentName, attempt: &Attempt) -> Option<Candidate> {
        let (AttemptState::Succeeded, Some(digest)) = (&attempt.state, &attempt.image) else {
            return None;
        };
        Some(Candidate {
            digest: digest.clone(),
            commit: self.key.commit.clone(),
            git_ref: self.key.git_ref.clone(),
            run: self.id.clone(),
            order: self.order,
            repository: self.components.get(component)?.repository.clone(),
            build_number: attempt.build_number,
            authors: self.authors.clone(),
            contributions: Contributions::default(),
            shown_in: self.shown.then(|| self.repository_name.clone()),
        })
    }

    /// The attempt with that id, or the part of one, with its component.
    #[must_use]
    pub fn attempt(&self, id: &AttemptId) -> Option<(&ComponentName, &ComponentRun, &Attempt)> {
        self.components.iter().find_map(|(name, component)| {
            let mut all = component.attempts.iter().flat_map(Attempt::all);
            let attempt = all.find(|attempt| attempt.id == *id)?;
            Some((name, component, attempt))
        })
    }

    /// The attempt with that id, or the one that it is a part of.
    #[must_use]
    pub fn whole(&self, id: &AttemptId) -> Option<&Attempt> {
        let mut all = self.components.values().flat_map(|known| &known.attempts);
        all.find(|attempt| attempt.all().any(|part| part.id == *id))
    }
}

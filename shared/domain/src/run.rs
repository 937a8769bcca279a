//! A run: one commit's trip through the pipeline, and the attempts to build its components.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::Timestamp;
use crate::definition::{Definition, Origin};
use crate::intent::{AttemptRef, Intent, StageKey};
use crate::names::{
    AttemptId, BuildId, CommitSha, ComponentName, Digest, GitRef, ImageRepository, PipelineName,
    RepositoryId, RepositoryName, RunId, Tag,
};
use crate::person::Actor;
use crate::stage::Candidate;
use crate::untrusted::Untrusted;

/// Attempts made without being asked when a build fails through no fault of the repository.
pub const MOST_ATTEMPTS: u32 = 3;

/// What makes a run the only one of its kind (I1).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunKey {
    /// The repository.
    pub repository: RepositoryId,
    /// The ref that was pushed.
    pub git_ref: GitRef,
    /// The commit.
    pub commit: CommitSha,
    /// The pipeline.
    pub pipeline: PipelineName,
    /// How often the ref came back to a commit that had a run already: 0 for the first time.
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
    /// The run's id: the same for the same key, whoever asks.
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

/// Hash over parts whose borders count.
fn fingerprint(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

/// A run and all that is known of its builds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// What it is a run of.
    pub key: RunKey,
    /// The repository's name when the push came.
    pub repository_name: RepositoryName,
    /// Its place among the runs of its ref; a later push has a higher one.
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
    pub skipped: BTreeMap<ComponentName, String>,
    /// Why nothing of it is built, when the whole run was refused.
    pub refused: Option<String>,
    /// What a person should know: files outside every component, alarms.
    pub notes: Vec<String>,
}

/// One component of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentRun {
    /// Where its images go.
    pub repository: ImageRepository,
    /// Why it is built.
    pub reason: String,
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

/// One attempt to build one component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// 1 for the first.
    pub number: u32,
    /// The build's number within the repository, as in `build#142`.
    pub build_number: u64,
    /// The tag only this attempt can push.
    pub unique_tag: Tag,
    /// All tags it is expected to push, the unique one first.
    pub tags: Vec<Tag>,
    /// When it became due.
    pub due_at: Timestamp,
    /// When it is given up.
    pub deadline: Timestamp,
    /// The one build whose results count (I5).
    pub build: Option<BuildId>,
    /// Why it has not started although it is due.
    pub waiting: Option<String>,
    /// When the build began to run.
    pub started_at: Option<Timestamp>,
    /// When the build ended.
    pub ended_at: Option<Timestamp>,
    /// Whether the build is known to have succeeded; half of the evidence (I6).
    pub build_succeeded: bool,
    /// What the registry holds under the unique tag; the other half (I6).
    pub image: Option<Digest>,
    /// Where it stands.
    pub state: AttemptState,
}

/// Where an attempt stands. Only `Due` and `Building` can change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum AttemptState {
    /// Its build has not been bound.
    Due,
    /// Its build is bound and has not given both halves of the evidence.
    Building,
    /// Its build succeeded and its image was read back.
    Succeeded,
    /// It failed.
    Failed {
        /// Why, in words.
        reason: String,
        /// Whether CodeBuild, not the repository, was at fault.
        fault: bool,
    },
    /// Somebody stopped it.
    Cancelled {
        /// Who.
        by: Actor,
    },
    /// A newer run builds the same component.
    Superseded {
        /// The newer run.
        by: RunId,
    },
    /// What the registry holds contradicts what was said; a person must look.
    Held {
        /// The contradiction.
        reason: String,
    },
}

impl AttemptState {
    /// Whether nothing can change it any more (I2).
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        match self {
            Self::Due | Self::Building => false,
            Self::Succeeded
            | Self::Failed { .. }
            | Self::Cancelled { .. }
            | Self::Superseded { .. }
            | Self::Held { .. } => true,
        }
    }

    /// The word for it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Building => "building",
            Self::Succeeded => "succeeded",
            Self::Failed { .. } => "failed",
            Self::Cancelled { .. } => "cancelled",
            Self::Superseded { .. } => "superseded",
            Self::Held { .. } => "held",
        }
    }
}

/// A new attempt that is due; its number and tags are drawn before anything is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAttempt {
    /// The build's number.
    pub build_number: u64,
    /// The tag only it can push.
    pub unique_tag: Tag,
    /// All its tags, the unique one first.
    pub tags: Vec<Tag>,
    /// How long its build may run.
    pub timeout: Duration,
}

impl Attempt {
    /// How long a build may wait for capacity before it runs: CodeBuild's default queue
    /// timeout of 8 hours (CodeBuild API, `queuedTimeoutInMinutes`).
    pub const QUEUE: Duration = Duration::from_secs(8 * 3600);
    /// Added to every deadline, for clocks that disagree (F21) and reports that come late.
    pub const SLACK: Duration = Duration::from_secs(10 * 60);

    /// The id of the `number`th attempt of a component in a run.
    #[must_use]
    pub fn id(run: &RunId, component: &ComponentName, number: u32) -> AttemptId {
        let hex = fingerprint(&[run.as_str(), component.as_str(), &number.to_string()]);
        let variant = &hex[17..20];
        format!(
            "{}-{}-8{}-a{variant}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[13..16],
            &hex[20..32]
        )
        .parse()
        .expect("hexadecimal digits in UUID form")
    }

    /// An attempt that is due now.
    #[must_use]
    pub fn due(id: AttemptId, number: u32, new: NewAttempt, now: Timestamp) -> Self {
        let deadline = now + Self::QUEUE + new.timeout + Self::SLACK;
        Self {
            id,
            number,
            build_number: new.build_number,
            unique_tag: new.unique_tag,
            tags: new.tags,
            due_at: now,
            deadline,
            build: None,
            waiting: None,
            started_at: None,
            ended_at: None,
            build_succeeded: false,
            image: None,
            state: AttemptState::Due,
        }
    }
}

/// How a build stands, as CodeBuild says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BuildStatus {
    /// Queued or running.
    InProgress,
    /// Every phase went well.
    Succeeded,
    /// A command failed.
    Failed,
    /// CodeBuild itself failed.
    Fault,
    /// Somebody stopped it.
    Stopped,
    /// It ran too long.
    TimedOut,
}

impl BuildStatus {
    /// CodeBuild's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::InProgress => "IN_PROGRESS",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Fault => "FAULT",
            Self::Stopped => "STOPPED",
            Self::TimedOut => "TIMED_OUT",
        }
    }
}

/// What is known of a build, by event or by asking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildReport {
    /// The build.
    pub build: BuildId,
    /// How it stands.
    pub status: BuildStatus,
    /// When it began, if that is known.
    pub started_at: Option<Timestamp>,
    /// When it ended, if it has and that is known.
    pub ended_at: Option<Timestamp>,
    /// What went wrong, in the words of the phase that failed.
    pub reason: Option<String>,
}

/// A fact that concerns a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A build was started for an attempt.
    BuildBound(AttemptId, BuildId),
    /// No build can ever be started for it.
    BuildRefused(AttemptId, String),
    /// No build could be started yet.
    BuildDelayed(AttemptId, String),
    /// A build was reported on.
    BuildReported(AttemptId, BuildReport),
    /// The image of an attempt was read from the registry.
    ImageRead {
        /// The attempt.
        attempt: AttemptId,
        /// What the registry holds under its unique tag.
        digest: Digest,
        /// What an event said, when that was something else.
        contradicts: Option<Digest>,
    },
    /// The registry holds nothing under the unique tag, long after the build succeeded.
    ImageMissing(AttemptId),
    /// The attempt's deadline has passed.
    DeadlinePassed(AttemptId),
    /// A newer run builds the component.
    Superseded(ComponentName, RunId),
    /// Somebody wants the component's build stopped.
    CancelRequested(ComponentName, Actor),
    /// A further attempt is wanted after attempt `after`.
    RetryRequested {
        /// The component.
        component: ComponentName,
        /// The number of the attempt it follows.
        after: u32,
        /// The attempt to make.
        next: Box<NewAttempt>,
    },
}

/// What follows from a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The run after it.
    pub run: Run,
    /// Whether the run changed.
    pub changed: bool,
    /// What is owed now.
    pub intents: Vec<Intent>,
    /// Why a request was not granted.
    pub refused: Option<String>,
}

/// Decides what follows from a fact. The same fact twice changes nothing the second time (I11).
#[must_use]
pub fn advance(run: Run, fact: &Fact, now: Timestamp) -> Decision {
    let mut decision = Decision {
        run,
        changed: false,
        intents: Vec::new(),
        refused: None,
    };
    match fact {
        Fact::BuildBound(attempt, build) => decision.on(attempt, |step| step.bind(build)),
        Fact::BuildRefused(attempt, reason) => {
            decision.on(attempt, |step| step.refuse(reason, now));
        }
        Fact::BuildDelayed(attempt, reason) => decision.on(attempt, |step| step.delay(reason)),
        Fact::BuildReported(attempt, report) => decision.on(attempt, |step| step.report(report)),
        Fact::ImageRead {
            attempt,
            digest,
            contradicts,
        } => {
            decision.on(attempt, |step| {
                step.read_image(digest, contradicts.as_ref(), now);
            });
        }
        Fact::ImageMissing(attempt) => decision.on(attempt, |step| step.miss_image(now)),
        Fact::DeadlinePassed(attempt) => decision.on(attempt, |step| step.give_up(now)),
        Fact::Superseded(component, by) => {
            decision.stop(component, &AttemptState::Superseded { by: by.clone() }, now);
        }
        Fact::CancelRequested(component, by) => {
            let stopped =
                decision.stop(component, &AttemptState::Cancelled { by: by.clone() }, now);
            if !stopped {
                let commit = decision.run.key.commit.short();
                decision.refused = Some(format!("no build of {component} is running for {commit}"));
            }
        }
        Fact::RetryRequested {
            component,
            after,
            next,
        } => decision.retry(component, *after, next, now),
    }
    decision
}

impl Decision {
    /// Lets one attempt take a step; an attempt of another run is none of ours.
    fn on(&mut self, attempt: &AttemptId, take: impl FnOnce(&mut Step<'_>)) {
        let found = self
            .run
            .components
            .iter_mut()
            .find_map(|(name, component)| {
                component
                    .attempts
                    .iter_mut()
                    .find(|known| known.id == *attempt)
                    .map(|known| (name, &component.repository, known))
            });
        let Some((component, repository, attempt)) = found else {
            return;
        };
        let of = AttemptRef {
            run: self.run.id.clone(),
            component: component.clone(),
            attempt: attempt.id.clone(),
        };
        let before = attempt.clone();
        let mut step = Step {
            of,
            repository,
            attempt,
            intents: &mut self.intents,
            notes: Vec::new(),
        };
        take(&mut step);
        let notes = std::mem::take(&mut step.notes);
        self.changed |= *step.attempt != before;
        for note in notes {
            if !self.run.notes.contains(&note) {
                self.run.notes.push(note);
                self.changed = true;
            }
        }
    }

    /// Stops the component's latest attempt if it still runs; says whether it did.
    fn stop(&mut self, component: &ComponentName, state: &AttemptState, now: Timestamp) -> bool {
        let Some(latest) = self.run.components.get(component).map(ComponentRun::latest) else {
            return false;
        };
        if latest.state.is_terminal() {
            return false;
        }
        let id = latest.id.clone();
        self.on(&id, |step| step.end(state.clone(), now));
        true
    }

    fn retry(&mut self, component: &ComponentName, after: u32, next: &NewAttempt, now: Timestamp) {
        let run = self.run.id.clone();
        let Some(known) = self.run.components.get_mut(component) else {
            self.refused = Some(format!("run {run} does not build {component}"));
            return;
        };
        let latest = known.latest();
        if latest.number != after {
            return; // asked twice: the attempt is there already
        }
        if !latest.state.is_terminal() || latest.state == AttemptState::Succeeded {
            let ended = latest.state.is_terminal();
            let state = if ended {
                "has succeeded"
            } else {
                "has not ended"
            };
            let number = latest.build_number;
            self.refused = Some(format!(
                "build#{number} of {component} {state}; only what has failed or was stopped can be retried"
            ));
            return;
        }
        let number = after + 1;
        let attempt = Attempt::due(
            Attempt::id(&run, component, number),
            number,
            next.clone(),
            now,
        );
        self.intents.push(Intent::StartBuild(AttemptRef {
            run,
            component: component.clone(),
            attempt: attempt.id.clone(),
        }));
        known.attempts.push(attempt);
        self.changed = true;
    }
}

/// One attempt, about to change.
struct Step<'a> {
    of: AttemptRef,
    repository: &'a ImageRepository,
    attempt: &'a mut Attempt,
    intents: &'a mut Vec<Intent>,
    notes: Vec<String>,
}

impl Step<'_> {
    /// Binds the first build that is named; every other one is stopped (I5, F15).
    fn bind(&mut self, build: &BuildId) {
        match &self.attempt.build {
            Some(bound) if bound == build => {}
            None if !self.attempt.state.is_terminal() => {
                self.attempt.build = Some(build.clone());
                self.attempt.waiting = None;
                self.attempt.state = AttemptState::Building;
                self.intents.push(Intent::WatchBuild(self.of.clone()));
                self.settle();
            }
            Some(_) | None => self.intents.push(Intent::StopBuild {
                build: build.clone(),
            }),
        }
    }

    fn refuse(&mut self, reason: &str, now: Timestamp) {
        if self.attempt.state == AttemptState::Due {
            self.end(
                AttemptState::Failed {
                    reason: reason.into(),
                    fault: false,
                },
                now,
            );
        }
    }

    fn delay(&mut self, reason: &str) {
        if self.attempt.state == AttemptState::Due {
            self.attempt.waiting = Some(reason.into());
        }
    }

    /// Takes a report on the bound build, binding it if it is the first that is heard of (F4).
    fn report(&mut self, report: &BuildReport) {
        if self.attempt.build.is_none() && !self.attempt.state.is_terminal() {
            self.bind(&report.build);
        }
        if self.attempt.build.as_ref() != Some(&report.build) {
            if report.status == BuildStatus::InProgress {
                self.intents.push(Intent::StopBuild {
                    build: report.build.clone(),
                });
            }
            return;
        }
        if self.attempt.state.is_terminal() || self.attempt.build_succeeded {
            return;
        }
        match report.status {
            BuildStatus::InProgress => {
                self.attempt.started_at = self.attempt.started_at.or(report.started_at);
            }
            BuildStatus::Succeeded => {
                self.take_times(report);
                self.attempt.build_succeeded = true;
                self.settle();
                if !self.attempt.state.is_terminal() {
                    self.intents.push(Intent::ReadImage {
                        of: self.of.clone(),
                        repository: self.repository.clone(),
                        tag: self.attempt.unique_tag.clone(),
                    });
                }
            }
            BuildStatus::Failed
            | BuildStatus::Fault
            | BuildStatus::Stopped
            | BuildStatus::TimedOut => {
                self.take_times(report);
                self.fail(report);
            }
        }
    }

    fn take_times(&mut self, report: &BuildReport) {
        self.attempt.started_at = report.started_at;
        self.attempt.ended_at = report.ended_at;
    }

    fn fail(&mut self, report: &BuildReport) {
        let fault = report.status == BuildStatus::Fault;
        let said = report
            .reason
            .clone()
            .unwrap_or_else(|| "no phase said why; see the log".into());
        let reason = format!(
            "build#{} ended {}: {said}",
            self.attempt.build_number,
            report.status.word()
        );
        self.attempt.image = None;
        self.attempt.state = AttemptState::Failed { reason, fault };
        if fault && self.attempt.number < MOST_ATTEMPTS {
            self.intents.push(Intent::RetryBuild {
                run: self.of.run.clone(),
                component: self.of.component.clone(),
                after: self.attempt.number,
            });
        }
    }

    /// Takes what the registry holds under the unique tag; the first digest counts (A26, A27).
    fn read_image(&mut self, digest: &Digest, contradicts: Option<&Digest>, now: Timestamp) {
        let tag = &self.attempt.unique_tag;
        let contradiction = match (&self.attempt.image, contradicts) {
            (Some(known), _) if known != digest => Some(format!(
                "tag {tag} was on {known} and is on {digest}: somebody pushed it twice"
            )),
            (_, Some(said)) if said != digest => Some(format!(
                "the push event said {said} under tag {tag}, the registry holds {digest}"
            )),
            _ => None,
        };
        match contradiction {
            Some(reason) if self.attempt.state.is_terminal() => {
                if self.attempt.state == AttemptState::Succeeded {
                    self.notes.push(reason);
                }
            }
            Some(reason) => self.end(AttemptState::Held { reason }, now),
            None if self.attempt.state.is_terminal() => {}
            None => {
                self.attempt.image = Some(digest.clone());
                self.settle();
            }
        }
    }

    fn miss_image(&mut self, now: Timestamp) {
        if !self.attempt.state.is_terminal()
            && self.attempt.build_succeeded
            && self.attempt.image.is_none()
        {
            let reason = format!(
                "build#{} succeeded but pushed nothing to {} under tag {}; push \"$ECR_REGISTRY/$IMAGE_REPO:$IMAGE_TAG\" in the build phase",
                self.attempt.build_number, self.repository, self.attempt.unique_tag
            );
            self.end(
                AttemptState::Failed {
                    reason,
                    fault: false,
                },
                now,
            );
        }
    }

    fn give_up(&mut self, now: Timestamp) {
        if !self.attempt.state.is_terminal() && now >= self.attempt.deadline {
            let reason = format!(
                "build#{} had no result by its deadline, {}",
                self.attempt.build_number, self.attempt.deadline
            );
            self.end(
                AttemptState::Failed {
                    reason,
                    fault: false,
                },
                now,
            );
        }
    }

    /// Success needs both halves of the evidence, in whichever order they come (F5, I6).
    fn settle(&mut self) {
        if self.attempt.state == AttemptState::Building
            && self.attempt.build_succeeded
            && self.attempt.image.is_some()
        {
            self.attempt.state = AttemptState::Succeeded;
        }
    }

    /// Ends an attempt that has not ended; its build, if it runs, is stopped.
    fn end(&mut self, state: AttemptState, now: Timestamp) {
        if self.attempt.state.is_terminal() {
            return;
        }
        if let (Some(build), false) = (&self.attempt.build, self.attempt.build_succeeded) {
            self.intents.push(Intent::StopBuild {
                build: build.clone(),
            });
        }
        self.attempt.ended_at = self.attempt.ended_at.or(Some(now));
        self.attempt.waiting = None;
        self.attempt.state = state;
    }
}

/// How a run stands, taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Nothing of it may be built.
    Refused,
    /// There was nothing to build.
    Nothing,
    /// Something is still being built.
    Building,
    /// Something contradicts itself.
    Held,
    /// Something failed.
    Failed,
    /// Something was stopped by a person.
    Cancelled,
    /// A newer run took over.
    Superseded,
    /// Everything was built.
    Succeeded,
}

impl RunStatus {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Nothing => "nothing to build",
            Self::Building => "building",
            Self::Held => "held",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
            Self::Succeeded => "succeeded",
        }
    }
}

impl Run {
    /// How it stands: what still runs first, then the worst of what has ended.
    #[must_use]
    pub fn status(&self) -> RunStatus {
        if self.refused.is_some() {
            return RunStatus::Refused;
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

    /// What the image of a succeeded attempt may enter: every stage that takes images from builds.
    #[must_use]
    pub fn offers(
        &self,
        component: &ComponentName,
        attempt: &Attempt,
        definition: &Definition,
    ) -> Vec<Intent> {
        let Some(candidate) = self.candidate(component, attempt) else {
            return Vec::new();
        };
        definition
            .stages_from(&Origin::Build)
            .map(|rule| Intent::OfferImage {
                stage: StageKey {
                    repository: self.key.repository,
                    component: component.clone(),
                    stage: rule.name.clone(),
                },
                candidate: Box::new(candidate.clone()),
            })
            .collect()
    }

    /// The image of a succeeded attempt, as stages know it.
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
        })
    }

    /// The attempt of that id, with its component.
    #[must_use]
    pub fn attempt(&self, id: &AttemptId) -> Option<(&ComponentName, &ComponentRun, &Attempt)> {
        self.components.iter().find_map(|(name, component)| {
            component
                .attempts
                .iter()
                .find(|attempt| attempt.id == *id)
                .map(|attempt| (name, component, attempt))
        })
    }
}

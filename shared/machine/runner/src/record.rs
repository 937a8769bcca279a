//! The stored data of a build.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use towline_domain::names::{
    AttemptId, BuildId, CommitSha, ComponentName, GitRef, ImageRepository, RepositoryId,
    RepositoryName, RunId,
};
use towline_domain::run::{BuildReport, BuildStatus, GaveWay};
use towline_ports::{StartBuild, Trust};
use towline_wire::codebuild;

use crate::cgroup::Group;
use crate::process::Leader;
use crate::users::User;

/// One build, from its request on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: BuildId,
    /// Its number in the project, from 1.
    pub(crate) number: i64,
    pub(crate) request: Request,
    pub(crate) state: State,
    pub(crate) status: BuildStatus,
    pub(crate) phases: Vec<Phase>,
    pub(crate) submitted_at: Timestamp,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) reason: Option<String>,
    pub(crate) exported: Vec<(String, String)>,
    /// The shell, while it runs.
    pub(crate) leader: Option<Leader>,
    /// The other user that commands run as; it decides where the build's folder is.
    pub(crate) run_as: Option<User>,
    /// The control group of its processes, while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<Group>,
    /// The build that took its place in the queue, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gave_way: Option<GaveWay>,
}

/// The state of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    Queued,
    Running,
    Ended,
}

impl State {
    /// The form in the database.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Ended => "ended",
        }
    }
}

/// A [`StartBuild`] in the database.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) attempt: AttemptId,
    pub(crate) component: ComponentName,
    pub(crate) repository_id: RepositoryId,
    pub(crate) repository: RepositoryName,
    pub(crate) commit: CommitSha,
    pub(crate) git_ref: GitRef,
    /// Whether that is the default branch.
    pub(crate) is_trusted: bool,
    pub(crate) image_repository: ImageRepository,
    pub(crate) image: String,
    pub(crate) privileged: bool,
    pub(crate) buildspec: String,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) timeout_ms: u64,
}

impl Request {
    /// Replaces the registry's address by the current one: the build may have been queued by an
    /// earlier process, at another address.
    pub(crate) fn push_to(&mut self, registry: &str) {
        for (name, value) in &mut self.environment {
            if name == codebuild::REGISTRY_VARIABLE {
                registry.clone_into(value);
            }
        }
    }
}

impl From<StartBuild> for Request {
    fn from(build: StartBuild) -> Self {
        Self {
            attempt: build.attempt,
            component: build.component,
            repository_id: build.repository.id,
            repository: build.repository.name,
            commit: build.commit,
            git_ref: build.git_ref,
            is_trusted: match build.trust {
                Trust::DefaultBranch => true,
                Trust::Other => false,
            },
            image_repository: build.image_repository,
            image: build.image,
            privileged: build.privileged,
            buildspec: build.buildspec,
            environment: build.environment,
            timeout_ms: u64::try_from(build.timeout.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// One phase that was entered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Phase {
    pub(crate) kind: PhaseKind,
    /// None while the phase runs, and for `COMPLETED`.
    pub(crate) status: Option<PhaseStatus>,
    pub(crate) started_at: Timestamp,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) context: Option<Context>,
}

/// The most characters of a message, which may contain a whole command.
const LONGEST_MESSAGE: usize = 1000;

/// Why a phase failed, in CodeBuild's form: `CODE: message`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Context {
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Context {
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into().chars().take(LONGEST_MESSAGE).collect(),
        }
    }
}

impl fmt::Display for Context {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code, self.message)
    }
}

/// CodeBuild's phases (CodeBuild API, `BuildPhase`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PhaseKind {
    Submitted,
    Queued,
    Provisioning,
    DownloadSource,
    Install,
    PreBuild,
    Build,
    PostBuild,
    UploadArtifacts,
    Finalizing,
    Completed,
}

impl PhaseKind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Submitted => "SUBMITTED",
            Self::Queued => "QUEUED",
            Self::Provisioning => "PROVISIONING",
            Self::DownloadSource => "DOWNLOAD_SOURCE",
            Self::Install => "INSTALL",
            Self::PreBuild => "PRE_BUILD",
            Self::Build => "BUILD",
            Self::PostBuild => "POST_BUILD",
            Self::UploadArtifacts => "UPLOAD_ARTIFACTS",
            Self::Finalizing => "FINALIZING",
            Self::Completed => "COMPLETED",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PhaseStatus {
    Succeeded,
    Failed,
    Fault,
    TimedOut,
    Stopped,
}

impl PhaseStatus {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Fault => "FAULT",
            Self::TimedOut => "TIMED_OUT",
            Self::Stopped => "STOPPED",
        }
    }
}

impl Record {
    /// A build that waits in the queue.
    pub(crate) fn queued(id: BuildId, number: i64, request: Request, now: Timestamp) -> Self {
        let mut record = Self {
            id,
            number,
            request,
            state: State::Queued,
            status: BuildStatus::InProgress,
            phases: Vec::new(),
            submitted_at: now,
            started_at: None,
            ended_at: None,
            reason: None,
            exported: Vec::new(),
            leader: None,
            run_as: None,
            group: None,
            gave_way: None,
        };
        record.enter(PhaseKind::Submitted, now);
        record.leave(PhaseStatus::Succeeded, None, now);
        record.enter(PhaseKind::Queued, now);
        record
    }

    pub(crate) fn project(&self) -> String {
        StartBuild::project(&self.request.repository, &self.request.component)
    }

    pub(crate) fn current(&self) -> PhaseKind {
        self.phases
            .last()
            .map_or(PhaseKind::Submitted, |phase| phase.kind)
    }

    pub(crate) fn enter(&mut self, kind: PhaseKind, now: Timestamp) {
        self.phases.push(Phase {
            kind,
            status: None,
            started_at: now,
            ended_at: None,
            context: None,
        });
    }

    /// Ends the current phase, unless it has ended.
    pub(crate) fn leave(&mut self, status: PhaseStatus, context: Option<Context>, now: Timestamp) {
        let Some(phase) = self.phases.last_mut() else {
            return;
        };
        if phase.status.is_none() && phase.kind != PhaseKind::Completed {
            phase.status = Some(status);
            phase.ended_at = Some(now);
            phase.context = context;
        }
    }

    /// Ends the build, with the reason of the first phase that failed.
    pub(crate) fn end(&mut self, status: BuildStatus, now: Timestamp) {
        self.reason = self.phases.iter().find_map(|phase| {
            let context = phase.context.as_ref()?;
            Some(format!("{}: {context}", phase.kind.word()))
        });
        self.enter(PhaseKind::Completed, now);
        self.state = State::Ended;
        self.status = status;
        self.ended_at = Some(now);
        self.leader = None;
        self.group = None;
    }

    pub(crate) fn report(&self) -> BuildReport {
        BuildReport {
            build: self.id.clone(),
            status: self.status,
            commit: Some(self.request.commit.clone()),
            started_at: self.started_at,
            ended_at: self.ended_at,
            reason: self.reason.clone(),
            interrupted: self.status == BuildStatus::Fault && self.was_interrupted(),
            outputs: codebuild::outputs(self.output_names(), &self.exported),
            gave_way: self.gave_way.clone(),
        }
    }

    fn was_interrupted(&self) -> bool {
        let mut contexts = self
            .phases
            .iter()
            .filter_map(|phase| phase.context.as_ref());
        contexts.any(|context| context.code == codebuild::INTERRUPTED)
    }

    /// The names of the outputs that the build was asked to export.
    fn output_names(&self) -> &str {
        let names = self.request.variable(codebuild::OUTPUTS_VARIABLE);
        names.unwrap_or_default()
    }
}

impl Request {
    /// The run that it belongs to.
    pub(crate) fn run(&self) -> Option<RunId> {
        self.variable(codebuild::RUN_VARIABLE)?.parse().ok()
    }

    fn variable(&self, wanted: &str) -> Option<&str> {
        let mut variables = self.environment.iter();
        let found = variables.find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.as_str())
    }
}

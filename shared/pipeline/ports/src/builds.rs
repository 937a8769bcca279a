//! Builds on CodeBuild or the local runner: start, look up, stop.

use std::time::Duration;

use async_trait::async_trait;
use towline_domain::definition::Architecture;
use towline_domain::names::{
    AttemptId, BuildId, CommitSha, ComponentName, GitRef, ImageRepository, RepositoryName,
};
use towline_domain::run::BuildReport;

use crate::PortError;

/// How far the ref of a build is trusted. What a build leaves for later builds may reach builds of
/// the same trust or less, never more (A30).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    DefaultBranch,
    /// Any other branch, or a tag.
    Other,
}

impl Trust {
    /// The trust in a ref. If the default branch is unknown, no ref is trusted.
    #[must_use]
    pub fn of(git_ref: &GitRef, default_branch: Option<&str>) -> Self {
        match git_ref {
            GitRef::Branch(name) if Some(name.as_str()) == default_branch => Self::DefaultBranch,
            GitRef::Branch(_) | GitRef::Tag(_) => Self::Other,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartBuild {
    /// The attempt it is for; also the idempotency token, which CodeBuild forgets after five
    /// minutes (CodeBuild API, `StartBuild`).
    pub attempt: AttemptId,
    /// The component; with the repository it names the CodeBuild project.
    pub component: ComponentName,
    pub repository: super::RepositoryRef,
    /// The commit to check out.
    pub commit: CommitSha,
    /// The pushed ref.
    pub git_ref: GitRef,
    /// How far that ref is trusted, which decides about the files kept between builds.
    pub trust: Trust,
    /// The image repository; the build may push there and nowhere else.
    pub image_repository: ImageRepository,
    /// The CodeBuild image to run in.
    pub image: String,
    /// The kind of machine, if it is one of several builds for different platforms; otherwise the
    /// project decides. A single machine builds for all.
    pub architecture: Option<Architecture>,
    /// Whether it needs a Docker daemon.
    pub privileged: bool,
    /// The buildspec: its text.
    pub buildspec: String,
    /// Environment variables in plain text. Everything that a stranger chose is passed here.
    pub environment: Vec<(String, String)>,
    /// How long it may run once it has started.
    pub timeout: Duration,
}

impl StartBuild {
    /// The most bytes of a buildspec.
    pub const LONGEST_BUILDSPEC: usize = towline_domain::definition::LONGEST_BUILDSPEC;

    /// [`names::project`](towline_domain::names::project).
    #[must_use]
    pub fn project(repository: &RepositoryName, component: &ComponentName) -> String {
        towline_domain::names::project(repository, component)
    }
}

/// Why a build was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no capacity now; try again later (F9).
    #[error("no capacity for another build: {0}")]
    Busy(String),
    /// It can never be started with this request.
    #[error("{0}")]
    Refused(String),
    /// It is unknown whether the build was started. Look for it before asking again.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// A build service.
#[async_trait]
pub trait Builds: Send + Sync {
    /// Starts a build. Asking again for the same attempt starts no second one while the service
    /// remembers it; after that, look with [`Builds::find`] first.
    async fn start(&self, build: StartBuild) -> Result<BuildId, StartError>;

    /// The state of a build, if it is known.
    async fn get(&self, build: &BuildId) -> Result<Option<BuildReport>, PortError>;

    /// The build that was started for an attempt, if any (F10).
    async fn find(
        &self,
        repository: &RepositoryName,
        component: &ComponentName,
        attempt: &AttemptId,
    ) -> Result<Option<BuildReport>, PortError>;

    /// The builds that wait for a place, in the order in which they start; none if the service does not
    /// say.
    async fn line(&self) -> Result<Option<Vec<BuildId>>, PortError> {
        Ok(None)
    }

    /// Stops a build; an ended one stays as it is.
    async fn stop(&self, build: &BuildId) -> Result<(), PortError>;

    /// The build's log from byte `from` on, at most 256 KiB; none if the build is unknown.
    async fn log(&self, build: &BuildId, from: u64) -> Result<Option<Vec<u8>>, PortError>;
}

//! The content of a valid `.towline.yml`: components, stages and their gates.

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use crate::glob::{Glob, GlobError};
use crate::names::{ComponentName, ImageRepository, PipelineName, StageName, Tag};
use crate::rights::Rights;

/// The name of the file with the definition, at the root of a repository.
pub const FILE: &str = ".towline.yml";

/// The most components of a definition, and the most builds that a push may start. The transaction that
/// creates a run contains up to two claims for each component, and DynamoDB takes 100 writes in one
/// transaction. The builds are in the run's item, which every event of one of them writes again.
pub const MOST_COMPONENTS: usize = 40;

/// The most bytes of a buildspec. CodeBuild accepts fewer inline; a longer one is passed another way.
pub const LONGEST_BUILDSPEC: usize = 64 * 1024;

/// Image repositories whose names start with this hold image layers, separated by trust. No component
/// can have such a repository, because its builds could write to it (A30).
pub const LAYER_CACHES: &str = "towline-cache/";

/// The CodeBuild image of a build that names none.
pub const USUAL_IMAGE: &str = "aws/codebuild/standard:7.0";

/// The platform of an image that names none.
pub const USUAL_PLATFORM: &str = "linux/amd64";

/// A whole definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// The pipeline's name.
    pub pipeline: PipelineName,
    /// The pushes that start runs.
    pub source: Source,
    /// The components, in the order written; at least one.
    pub components: Vec<Component>,
    /// The stages, each after the stage it takes its images from; at most 64.
    pub stages: Vec<StageRule>,
    /// The groups that may operate and override.
    #[serde(default, skip_serializing_if = "Rights::is_default")]
    pub rights: Rights,
    /// Features that the definition uses and this version does not support; a run that needs one is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_executed: Vec<NotExecuted>,
}

impl Definition {
    #[must_use]
    pub fn component(&self, name: &ComponentName) -> Option<&Component> {
        self.components
            .iter()
            .find(|component| component.name == *name)
    }

    #[must_use]
    pub fn stage(&self, name: &StageName) -> Option<&StageRule> {
        self.stages.iter().find(|stage| stage.name == *name)
    }

    /// The stages that take their images from `origin`.
    pub fn stages_from<'a>(&'a self, origin: &'a Origin) -> impl Iterator<Item = &'a StageRule> {
        self.stages
            .iter()
            .filter(move |stage| stage.from == *origin)
    }

    /// The unsupported features in `scope`, by their path in the file.
    pub fn not_executed_in<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = &'a str> {
        self.not_executed
            .iter()
            .filter(move |feature| feature.scope == *scope)
            .map(|feature| feature.path.as_str())
    }
}

/// A feature that the definition uses and this version does not support yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotExecuted {
    /// What is refused because of it.
    pub scope: Scope,
    /// Its path in the file, such as `stages.prod.deploy.ecs`.
    pub path: String,
    /// Its line, from 1.
    pub line: u32,
}

/// The part of a pipeline that a feature concerns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Every run.
    Pipeline,
    /// Builds of one component.
    Component(ComponentName),
    /// Promotions into one stage.
    Stage(StageName),
}

/// The pushes that start a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// `owner/name`, if the definition names its repository; a push from another is refused.
    pub github: Option<String>,
    /// Patterns of branches; none means only the default branch.
    pub branches: Vec<Glob>,
    /// Patterns of Git tags; none means no tags.
    pub tags: Vec<Glob>,
    /// Texts in the head commit's message that mean "no run".
    pub skip_message: Vec<String>,
}

/// What one image is built from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    pub name: ComponentName,
    /// The repository its images are pushed to.
    pub repository: ImageRepository,
    /// Files that belong to it; none means every file.
    pub paths: Vec<Glob>,
    /// Other files whose change rebuilds it too (shared code).
    pub watch: Vec<Glob>,
    /// Files that never cause a build.
    pub ignore: Vec<Glob>,
    pub build: Build,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// How its buildspec is made.
    pub preset: Preset,
    /// The folder the build works in, relative to the repository's root; `.` for the root.
    pub context: String,
    /// The CodeBuild image, unless [`Build::images`] has one for the platform.
    pub image: String,
    /// The CodeBuild images of platforms that have their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<(String, String)>,
    /// `install.runtime-versions`, as written.
    pub runtime: Vec<(String, String)>,
    /// Commands that must pass before anything is published.
    pub test: Vec<String>,
    /// Environment variables; values may contain placeholders (see [`crate::tags`]).
    pub env: Vec<(String, String)>,
    /// The tags the build pushes; at least one differs for every attempt.
    pub tags: Vec<String>,
    /// `os/architecture` of the image. If there are several, each is built on its own machine. At least
    /// one.
    pub platforms: Vec<String>,
    /// Files that later stages may read, each known by its name without its extension (see
    /// [`crate::outputs`]).
    pub outputs: Vec<String>,
    /// The container's name in `imagedefinitions.json`; the component's name if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Variables with their references into Secrets Manager.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<(String, String)>,
    /// Test reports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reports: Vec<Report>,
    /// Files and folders that are kept between builds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cache: Vec<String>,
    /// Whether layers are kept in the registry between builds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub layer_cache: bool,
    /// How long the build may run.
    pub timeout: Duration,
}

impl Default for Build {
    /// The default build of a component: its Dockerfile at the root, within an hour, which is
    /// CodeBuild's own default.
    fn default() -> Self {
        Self {
            preset: Preset::Docker {
                dockerfile: "Dockerfile".into(),
                target: None,
                args: Vec::new(),
            },
            context: ".".into(),
            image: USUAL_IMAGE.into(),
            images: Vec::new(),
            runtime: Vec::new(),
            test: Vec::new(),
            env: Vec::new(),
            tags: vec!["{sha}-{build}".into()],
            platforms: vec![USUAL_PLATFORM.into()],
            outputs: Vec::new(),
            container: None,
            secrets: Vec::new(),
            reports: Vec::new(),
            cache: Vec::new(),
            layer_cache: false,
            timeout: Duration::from_secs(60 * 60),
        }
    }
}

impl Build {
    /// The CodeBuild image that builds for this platform.
    #[must_use]
    pub fn image_for(&self, platform: &str) -> &str {
        let own = self.images.iter().find(|(known, _)| known == platform);
        own.map_or(&self.image, |(_, image)| image)
    }
}

/// The processor of a build's machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// For `linux/amd64`, and for all platforms that have no machines of their own.
    X86,
    /// For `linux/arm64` and `linux/arm/v7`.
    Arm,
}

impl Architecture {
    /// The processor that builds for a platform.
    #[must_use]
    pub fn of(platform: &str) -> Self {
        match platform.split('/').nth(1) {
            Some("arm" | "arm64") => Self::Arm,
            _ => Self::X86,
        }
    }
}

/// Test reports of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The group they belong to.
    pub name: String,
    /// Their files, as patterns below the folder.
    pub files: Vec<String>,
    /// The folder they are in, relative to the context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Their format in CodeBuild's words, such as `JUNITXML`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
}

/// How a component's buildspec is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "preset")]
pub enum Preset {
    /// `docker build` and `docker push`.
    Docker {
        /// Path of the Dockerfile relative to the context.
        dockerfile: String,
        /// Build stage to stop at.
        target: Option<String>,
        /// Build arguments.
        args: Vec<(String, String)>,
    },
    /// Targets of the repository's own Makefile.
    Make {
        /// Targets that build, test and publish, in order.
        build: Vec<String>,
        /// Targets that clean up, even after a failure.
        always: Vec<String>,
        /// Whether `make login` logs in to the registry, instead of Towline.
        login: bool,
    },
    /// An image assembled from files, without a Docker daemon.
    Pack {
        /// Commands that make the files.
        run: Vec<String>,
        /// The folder whose content becomes the image, relative to the context.
        root: String,
        /// `reference@sha256:…` of the base image.
        base: Option<String>,
        /// The image's entrypoint.
        entrypoint: Vec<String>,
        /// The image's command.
        command: Vec<String>,
        /// The user the image runs as.
        user: Option<String>,
        /// The directory the image starts in.
        workdir: Option<String>,
        /// Ports the image listens on, such as `8080` or `53/udp`.
        expose: Vec<String>,
    },
    /// A buildspec file of the repository.
    Buildspec {
        /// Its path from the repository's root.
        path: String,
    },
    /// A buildspec written into the definition.
    Inline { text: String },
}

impl Preset {
    /// Whether its builds need Docker, and so CodeBuild's privileged mode.
    #[must_use]
    pub fn needs_docker(&self) -> bool {
        match self {
            Self::Docker { .. }
            | Self::Make { .. }
            | Self::Buildspec { .. }
            | Self::Inline { .. } => true,
            Self::Pack { .. } => false,
        }
    }
}

/// The rules for promotions into one stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageRule {
    pub name: StageName,
    /// Where its images come from.
    pub from: Origin,
    /// Whether an image that arrives at the origin is promoted automatically.
    pub promote: Promote,
    /// How several waiting promotions are handled.
    pub concurrency: Concurrency,
    /// Who must approve, if an approval is required.
    pub approval: Option<ApprovalRule>,
    /// Tags put on the digest; at least one.
    pub tags: Vec<Tag>,
    /// Whether a rollback holds the stage.
    pub hold_after_rollback: bool,
    /// What happens when one of its tags is moved outside Towline.
    #[serde(default, skip_serializing_if = "Drift::is_default")]
    pub drift: Drift,
    /// How a live image is deployed, if Towline does that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy: Option<Deploy>,
    /// The parameters in the event of a deployment; values may contain placeholders (see [`crate::outputs`]).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<(String, String)>,
}

/// What happens when a tag of a stage is moved outside Towline.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drift {
    /// The tags are put back on the live image.
    #[default]
    Restore,
    /// The stage is held until a person resumes it.
    Hold,
}

impl Drift {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How a live image is deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deploy {
    /// By the event `Image Promoted`, for other deployers.
    Event,
}

/// Where a stage takes its images from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Fresh from a build.
    Build,
    /// Live in another stage.
    Stage(StageName),
}

/// When promotions happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Promote {
    /// As soon as an image arrives at the origin.
    Auto,
    /// On request.
    Manual,
}

/// How several waiting promotions of a stage are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Concurrency {
    /// One after the other, oldest first.
    Queue,
    /// The newest waiting one wins; one in progress is finished.
    Supersede,
    /// Each as soon as its own gates pass.
    Parallel,
}

/// Who must approve a promotion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRule {
    /// Groups whose members may approve; none means every known person.
    pub groups: Vec<String>,
    /// How many different people must approve, at least 1.
    pub min: u32,
    /// Whether the people who pushed or wrote the commit may approve it.
    pub allow_self: bool,
    /// How long the promotion waits for approval.
    pub expires: Option<Duration>,
    /// Whether a newer candidate replaces one that is still waiting.
    pub supersede: bool,
}

//! A buildspec as types: everything that CodeBuild's user guide documents for versions 0.1 and 0.2.
//!
//! The format is that of the CodeBuild user guide, "Build specification reference for CodeBuild".

mod batch;
mod problem;
mod read;
#[cfg(test)]
mod tests;

use crate::yaml::YamlError;
pub use batch::{Batch, BatchBuild, BatchEnv, BatchForm, Dynamic, Fanout, Matrix, Static};
pub use problem::{Problem, ProblemKind, ReadError, Reading, Warning};

/// Name and value in the order of the document.
pub type Pairs = Vec<(String, String)>;

/// Keys that are kept and printed but not understood, in the order of the document.
pub type Others = Vec<(String, Raw)>;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Buildspec {
    /// Its version of the format.
    pub version: Version,
    /// The Linux user of all commands; root if absent.
    pub run_as: Option<String>,
    /// Shell and variables.
    pub env: Env,
    /// The settings of an explicit proxy server.
    pub proxy: Option<Proxy>,
    /// The builds that StartBuildBatch starts from this one; StartBuild ignores it.
    pub batch: Option<Batch>,
    /// The commands.
    pub phases: Phases,
    /// Test reports by group name or ARN.
    pub reports: Vec<(String, Report)>,
    pub artifacts: Option<Artifacts>,
    /// The cache between builds.
    pub cache: Option<Cache>,
    /// Other keys at the top level.
    pub other: Others,
}

/// The version of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// Each command runs in its own shell, so exported variables are lost with the next command.
    V0_1,
    /// All commands of a build share one shell.
    #[default]
    V0_2,
}

/// Shell and variables.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Env {
    /// The shell that runs the commands; `sh` if absent.
    pub shell: Option<Shell>,
    /// Literal values; the lowest precedence of all sources (StartBuild, then project, then this).
    pub variables: Pairs,
    /// Variable and the Parameter Store name it is read from.
    pub parameter_store: Pairs,
    /// Variable and `secret-id:json-key:version-stage:version-id`.
    pub secrets_manager: Pairs,
    /// Variables whose last value is reported with the build.
    pub exported_variables: Vec<String>,
    /// Whether CodeBuild's Git credential helper is used.
    pub git_credential_helper: Option<bool>,
    pub other: Others,
}

/// The shells that CodeBuild supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    /// `bash`, also written `/bin/bash`.
    Bash,
    /// `/bin/sh`, also written `sh`.
    Sh,
    /// `powershell.exe`.
    PowerShell,
    /// `cmd.exe`.
    Cmd,
}

/// The settings of an explicit proxy server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proxy {
    /// Whether artifacts are uploaded through it; no if absent.
    pub upload_artifacts: Option<bool>,
    /// Whether CloudWatch logs are sent through it; no if absent.
    pub logs: Option<bool>,
    pub other: Others,
}

/// The four phases that have commands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Phases {
    /// Tools and runtimes.
    pub install: Phase,
    /// Preparation such as a login.
    pub pre_build: Phase,
    /// The work.
    pub build: Phase,
    /// Cleaning up; runs also after a failed `build`.
    pub post_build: Phase,
    /// Phases CodeBuild does not have; they never run.
    pub other: Others,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PhaseName {
    Install,
    PreBuild,
    Build,
    PostBuild,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Phase {
    /// The Linux user; overrides that of the buildspec.
    pub run_as: Option<String>,
    /// What happens after a failed command; CodeBuild's default if absent.
    pub on_failure: Option<OnFailure>,
    /// Runtime and version as written (`golang`, `1.20`); only `install` has them.
    pub runtime_versions: Pairs,
    /// The commands, in order; the first that fails skips the rest.
    pub commands: Vec<String>,
    /// Commands that run after `commands`, failed or not.
    pub finally: Vec<String>,
    /// GitHub Actions steps, instead of commands; only CodeBuild itself runs them, and only for a
    /// source on GitHub.
    pub steps: Vec<Step>,
    pub other: Others,
}

/// A step in the syntax of GitHub Actions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Step {
    /// The displayed name.
    pub name: Option<String>,
    /// The id that later steps use.
    pub id: Option<String>,
    /// The action with its version.
    pub uses: Option<String>,
    /// The inputs of the action.
    pub with: Pairs,
    /// The variables of the step.
    pub env: Pairs,
    /// A script instead of an action.
    pub run: Option<String>,
    pub other: Others,
}

/// What happens after a failed phase. Not supported on Lambda compute and reserved capacity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnFailure {
    /// The build ends.
    Abort,
    /// The next phase runs.
    Continue,
    /// The build is retried.
    Retry {
        /// How often, 0 to 100; CodeBuild's default is 3.
        count: u8,
        /// Only if the failure matches; if absent, always.
        regex: Option<String>,
    },
}

/// One report group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Patterns of the report files.
    pub files: Vec<String>,
    /// The folder the patterns start from.
    pub base_directory: Option<String>,
    /// Whether folders are dropped from the names.
    pub discard_paths: Option<bool>,
    /// The format as written, such as `JUNITXML`.
    pub file_format: Option<String>,
    pub other: Others,
}

/// The artifacts of a build.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Artifacts {
    /// Patterns of the files.
    pub files: Vec<String>,
    /// The name; the shell evaluates it.
    pub name: Option<String>,
    /// The folder the patterns start from.
    pub base_directory: Option<String>,
    /// Whether folders are dropped from the names.
    pub discard_paths: Option<bool>,
    /// Patterns of files to leave out.
    pub exclude_paths: Vec<String>,
    /// Whether symbolic links stay links in a ZIP.
    pub enable_symlinks: Option<bool>,
    /// The prefix before the build's id in the artifact's key, with the namespace type `BUILD_ID`.
    pub s3_prefix: Option<String>,
    /// Further artifacts by identifier.
    pub secondary: Vec<(String, Artifacts)>,
    pub other: Others,
}

/// The cache between builds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cache {
    /// Patterns of the files.
    pub paths: Vec<String>,
    /// The key; the shell evaluates it.
    pub key: Option<String>,
    /// Prefixes of keys to look for if the key does not exist; at most five, ignored without a key.
    pub fallback_keys: Vec<String>,
    /// What to do with the cache; both if absent.
    pub action: Option<CacheAction>,
    pub other: Others,
}

/// What to do with a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheAction {
    /// It is only read.
    Restore,
    /// It is only written.
    Save,
}

/// A part of a document that is kept without interpretation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Raw {
    /// A plain scalar that is printed unquoted and may be a number or a boolean.
    Bare(String),
    Text(String),
    List(Vec<Raw>),
    /// A mapping.
    Map(Vec<(String, Raw)>),
}

impl CacheAction {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Restore => "restore",
            Self::Save => "save",
        }
    }
}

impl Version {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V0_1 => "0.1",
            Self::V0_2 => "0.2",
        }
    }
}

impl Shell {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Sh => "/bin/sh",
            Self::PowerShell => "powershell.exe",
            Self::Cmd => "cmd.exe",
        }
    }
}

impl PhaseName {
    /// All of them in the order they run.
    pub const ALL: [Self; 4] = [Self::Install, Self::PreBuild, Self::Build, Self::PostBuild];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::PreBuild => "pre_build",
            Self::Build => "build",
            Self::PostBuild => "post_build",
        }
    }
}

impl Phases {
    #[must_use]
    pub fn get(&self, name: PhaseName) -> &Phase {
        match name {
            PhaseName::Install => &self.install,
            PhaseName::PreBuild => &self.pre_build,
            PhaseName::Build => &self.build,
            PhaseName::PostBuild => &self.post_build,
        }
    }

    /// The phase with that name, mutable.
    pub fn get_mut(&mut self, name: PhaseName) -> &mut Phase {
        match name {
            PhaseName::Install => &mut self.install,
            PhaseName::PreBuild => &mut self.pre_build,
            PhaseName::Build => &mut self.build,
            PhaseName::PostBuild => &mut self.post_build,
        }
    }
}

impl std::fmt::Display for OnFailure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Abort => formatter.write_str("ABORT"),
            Self::Continue => formatter.write_str("CONTINUE"),
            Self::Retry { count, regex: None } => write!(formatter, "RETRY-{count}"),
            Self::Retry {
                count,
                regex: Some(regex),
            } => write!(formatter, "RETRY-{count}-{regex}"),
        }
    }
}

impl Buildspec {
    /// Reads a buildspec as leniently as CodeBuild: a single command needs no list, values may be
    /// numbers, unknown keys only warn.
    ///
    /// # Errors
    /// When it is not YAML, or CodeBuild would refuse it, or it would pass without building anything
    /// because its phases stand outside `phases`.
    pub fn read(text: &str) -> Result<(Self, Vec<Warning>), ReadError> {
        let reading = Self::read_all(text)?;
        if let Some(problem) = reading
            .problems
            .iter()
            .find(|problem| problem.kind.refuses())
        {
            return Err(problem.into());
        }
        let warnings = reading
            .problems
            .iter()
            .filter(|problem| problem.kind != ProblemKind::Lenient)
            .map(Warning::from)
            .collect();
        Ok((reading.spec, warnings))
    }

    /// Reads as much of a buildspec as possible, with all problems and the place of every value.
    ///
    /// # Errors
    /// When it is not YAML.
    pub fn read_all(text: &str) -> Result<Reading, YamlError> {
        read::read(text)
    }
}

//! Generates the buildspec of a component from its preset.
//!
//! The text depends on the definition alone. Everything that a stranger can choose (branch, tag,
//! title) or that differs from build to build is passed as environment variables of StartBuild,
//! listed in [`PROVIDED`], and used as `"$NAME"`. The definition's own values (folders, arguments,
//! targets) are in the text, quoted for the shell.
//!
//! Every generated build publishes last: tests come first, `post_build` only cleans up and never
//! fails a good build.

mod commands;
mod docker;
mod extras;
mod given;
mod make;
mod names;
mod outputs;
mod pack;
mod shell;
#[cfg(test)]
mod tests;

pub use extras::{Extras, REPORT_FORMATS, Report, Tool};
pub use names::{LONGEST_VALUE, PROVIDED, check_environment, is_name, provided, reserved};
pub use outputs::{Output, OutputFrom, output_variable};
pub use shell::quote;

use crate::model::{Buildspec, Env, Phases, ReadError, Shell};

/// The most characters CodeBuild takes as an inline buildspec (not in its API model; AWS CDK pull request
/// 14974).
pub const INLINE_LIMIT: usize = 25_600;

/// The settings that all presets share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Common {
    /// The definition's own variables with literal values; they go under `env.variables`. A value that is
    /// expanded for each build goes to StartBuild instead.
    pub variables: Vec<(String, String)>,
    /// Runtime and version for the `install` phase, such as `golang` and `1.22`.
    pub runtime_versions: Vec<(String, String)>,
    /// The folder the build starts in, relative to the root of the repository; `.` is the root.
    pub context: String,
    /// Commands that must succeed before anything is published.
    pub test: Vec<String>,
    /// How the build logs in to the registry.
    pub login: Login,
}

impl Default for Common {
    /// No variables, runtimes or tests, at the root of the repository, with an ECR login.
    fn default() -> Self {
        Self {
            variables: Vec::new(),
            runtime_versions: Vec::new(),
            context: ".".to_owned(),
            test: Vec::new(),
            login: Login::Ecr,
        }
    }
}

/// How a build logs in to a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// With a password from `aws ecr get-login-password` for the region `$AWS_DEFAULT_REGION`.
    Ecr,
    /// Without a login, as the registry on one machine does.
    Open,
}

/// The work of the build, which decides its buildspec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Preset {
    /// `docker build` and `docker push`.
    Docker(Docker),
    /// With the repository's own Makefile.
    Make(Make),
    /// An image from files, without a Docker daemon.
    Pack(Pack),
    /// The text of a buildspec: from the definition (`inline`) or read from a file of the repository.
    Given(String),
}

/// `docker build` and `docker push`; works with and without buildx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Docker {
    /// The Dockerfile, relative to [`Common::context`].
    pub dockerfile: String,
    /// The stage of the Dockerfile to build; the last if absent.
    pub target: Option<String>,
    /// The platform of the image.
    pub platform: Platform,
    /// Whether layers are kept in the registry between builds, under the names in `$CACHE_FROM` and
    /// `$CACHE_TO`.
    pub layer_cache: bool,
    /// Build arguments; without a value, the environment variable of that name is passed.
    pub arguments: Vec<(String, Option<String>)>,
}

impl Default for Docker {
    /// The file `Dockerfile`, its last stage, for the platform of the machine.
    fn default() -> Self {
        Self {
            dockerfile: "Dockerfile".to_owned(),
            target: None,
            platform: Platform::Machine,
            layer_cache: false,
            arguments: Vec::new(),
        }
    }
}

/// The platform an image is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Platform {
    /// The platform of the machine that builds it.
    Machine,
    /// This one, such as `linux/arm64`.
    Named(String),
    /// The one in `$IMAGE_PLATFORM`: the image has several, and each is a build of its own.
    Provided,
}

/// A build with the repository's own Makefile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Make {
    /// Targets of the `build` phase in order, the one that publishes last; the first that fails ends the
    /// build.
    pub build: Vec<String>,
    /// Targets that run in `post_build` even after a failure; their own failures are ignored.
    pub always: Vec<String>,
    /// Who logs in.
    pub login: MakeLogin,
}

/// Who logs in to the registry for a Makefile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MakeLogin {
    /// The generated buildspec, as [`Common::login`] says.
    Builtin,
    /// This target of the Makefile.
    Target(String),
}

/// An image from files by `towline pack`, without a Docker daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pack {
    /// Commands that create the files; they run before the tests.
    pub build: Vec<String>,
    /// The folder whose content becomes the image's root, relative to [`Common::context`].
    pub root: String,
    /// The base image, as `NAME@sha256:<64 hex digits>`; none if absent.
    pub base: Option<String>,
    /// The entrypoint; that of the base image if empty.
    pub entrypoint: Vec<String>,
    /// The arguments of the entrypoint.
    pub command: Vec<String>,
    /// Environment of the container.
    pub environment: Vec<(String, String)>,
    /// Labels besides those for the origin of the image.
    pub labels: Vec<(String, String)>,
    /// The platform of the image; the machine's counts as `linux/amd64`.
    pub platform: Platform,
    /// The user the container runs as.
    pub user: Option<String>,
    /// The folder the container starts in.
    pub working_directory: Option<String>,
    /// Ports the container listens on.
    pub ports: Vec<u16>,
}

impl Default for Pack {
    /// The context's files unchanged, without a base image, for `linux/amd64`.
    fn default() -> Self {
        Self {
            build: Vec::new(),
            root: ".".to_owned(),
            base: None,
            entrypoint: Vec::new(),
            command: Vec::new(),
            environment: Vec::new(),
            labels: Vec::new(),
            platform: Platform::Named("linux/amd64".to_owned()),
            user: None,
            working_directory: None,
            ports: Vec::new(),
        }
    }
}

/// Why no buildspec can be generated from a definition. Retrying does not help; the definition must change.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenerateError {
    /// CodeBuild would refuse the text.
    #[error(
        "the buildspec has {characters} characters; CodeBuild accepts at most {INLINE_LIMIT}: move commands into a script of the repository"
    )]
    TooLong {
        /// Its length.
        characters: usize,
    },
    #[error(
        "`{name}` is not the name of an environment variable: use letters, digits and `_`, no digit first"
    )]
    Name { name: String },
    /// A variable that the build service, the shell or the loader reads; see [`reserved`].
    #[error(
        "the variable `{name}` is reserved, because it would change how the build itself runs: use another name"
    )]
    Reserved { name: String },
    /// A variable of [`PROVIDED`].
    #[error("the variable `{name}` is set by Towline for every build: use another name")]
    Provided { name: String },
    /// A variable that is in the definition more than once.
    #[error("the variable `{name}` is set twice: keep one of them")]
    Twice { name: String },
    /// The definition sets a variable that the given buildspec fetches from a secret store.
    #[error(
        "the variable `{name}` comes from a secret store in the buildspec: do not set it in the definition too"
    )]
    Secret { name: String },
    /// A path that leaves the repository, or that is invalid in a shell or an option.
    #[error(
        "`{path}` is not a path inside the repository: write it relative, without `..` and line breaks"
    )]
    Path { path: String },
    /// Not the name of a Makefile target.
    #[error(
        "`{target}` is not a Makefile target: use letters, digits and `_ . / -`, no `-` or `.` first"
    )]
    Target { target: String },
    /// A make preset without a target.
    #[error("the preset `make` has no targets to build: name them under `make: {{build: [...]}}`")]
    NoTargets,
    /// A base image that could change under its name.
    #[error("the base image `{base}` has no digest: write it as `name@sha256:<64 hex digits>`")]
    Base { base: String },
    /// A setting of [`Common`] that a given buildspec must contain itself.
    #[error(
        "your own buildspec decides about `{setting}`: move it from the definition into the buildspec"
    )]
    NotWithGiven {
        /// What was set.
        setting: &'static str,
    },
    /// A value that StartBuild would refuse.
    #[error(
        "the variable `{name}` has {characters} characters; CodeBuild accepts at most {LONGEST_VALUE}: shorten it, or keep it in a file of the repository"
    )]
    ValueTooLong {
        name: String,
        /// How long its value is.
        characters: usize,
    },
    #[error(
        "`{name}` is not a reference to a secret: write `secret-id`, or `secret-id:json-key`, on one line"
    )]
    Reference { name: String },
    /// A report that CodeBuild would refuse.
    #[error(
        "the report `{name}` needs a name of letters, digits, `-` and `_`, files, and one of the formats {}", REPORT_FORMATS.join(", ")
    )]
    Report { name: String },
    /// A report that is in the definition more than once.
    #[error("the report `{name}` is defined twice: keep one of them")]
    ReportTwice { name: String },
    /// Outputs of a build whose phases run in separate shells on CodeBuild, or not as commands.
    #[error(
        "the buildspec cannot have outputs: that needs `version: 0.2`, and no `steps` after the build"
    )]
    NoOutputs,
    /// More reports than a project may have.
    #[error("CodeBuild accepts at most {most} reports per project: merge some of them")]
    Reports {
        /// The most that CodeBuild accepts.
        most: usize,
    },
    /// A program that cannot be downloaded safely.
    #[error(
        "`{source_of}` is not the `s3://bucket/key` of a program with its SHA-256 in 64 hex digits"
    )]
    Tool {
        /// Where it should be.
        source_of: String,
    },
    /// A NUL, which is invalid in commands and variables.
    #[error("a command or value of the build contains a NUL character: remove it")]
    Nul,
    /// The given text is not a buildspec.
    #[error("the buildspec cannot be used")]
    Given(#[from] ReadError),
}

/// The text of the buildspec for one component, at most [`INLINE_LIMIT`] characters long.
///
/// The same input gives the same text, byte for byte.
///
/// # Errors
/// When the definition asks for something that cannot be built safely; the message says what to change.
pub fn generate(common: &Common, preset: &Preset) -> Result<String, GenerateError> {
    generate_with(common, preset, &Extras::default())
}

/// The same with optional settings.
///
/// # Errors
/// As [`generate`].
pub fn generate_with(
    common: &Common,
    preset: &Preset,
    extras: &Extras,
) -> Result<String, GenerateError> {
    generate_whole(common, preset, extras).and_then(within_limit)
}

/// The same regardless of length: if it has more than [`INLINE_LIMIT`] characters, CodeBuild reads
/// it from a bucket, by its ARN.
///
/// # Errors
/// As [`generate`], but never [`GenerateError::TooLong`].
pub fn generate_whole(
    common: &Common,
    preset: &Preset,
    extras: &Extras,
) -> Result<String, GenerateError> {
    names::check_variables(&common.variables)?;
    check_environment(&common.variables)?;
    extras.check(common)?;
    match preset {
        Preset::Docker(docker) => finish(common, extras, docker::phases(common, docker)?),
        Preset::Make(make) => finish(common, extras, make::phases(common, make)?),
        Preset::Pack(pack) => finish(common, extras, pack::phases(common, pack, extras)?),
        Preset::Given(text) => given::buildspec(common, extras, text),
    }
}

fn finish(common: &Common, extras: &Extras, phases: Phases) -> Result<String, GenerateError> {
    let mut spec = Buildspec {
        phases,
        ..Buildspec::default()
    };
    spec.env = Env {
        shell: Some(Shell::Bash),
        variables: common.variables.clone(),
        exported_variables: vec!["IMAGE_DIGEST".to_owned()],
        ..Env::default()
    };
    spec.phases
        .install
        .runtime_versions
        .clone_from(&common.runtime_versions);
    extras.add_to(&mut spec, common);
    outputs::add_to(&mut spec, common, &extras.outputs)?;
    print(&spec)
}

fn print(spec: &Buildspec) -> Result<String, GenerateError> {
    let commands = crate::model::PhaseName::ALL
        .into_iter()
        .flat_map(|name| &spec.phases.get(name).commands);
    let values = spec.env.variables.iter().map(|(_, value)| value);
    if commands.chain(values).any(|text| text.contains('\0')) {
        return Err(GenerateError::Nul);
    }
    Ok(spec.to_yaml())
}

fn within_limit(text: String) -> Result<String, GenerateError> {
    let characters = text.chars().count();
    if characters > INLINE_LIMIT {
        Err(GenerateError::TooLong { characters })
    } else {
        Ok(text)
    }
}

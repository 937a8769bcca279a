//! Decides which environment variables a definition may set.

use super::GenerateError;

/// The variables that the orchestrator passes to StartBuild, or that the generated commands set.
/// They are never under `env.variables`, so that the text is the same for every build.
///
/// `IMAGE_TAG` is the attempt's own tag and `IMAGE_TAGS` all tags including that one, separated by
/// spaces; `IMAGE_WHOLE_TAG` is the tag of the whole image, if this build makes it for one platform
/// of several. All tags are valid by [`crate::tag::is_valid`]. `CACHE_TO` is where layers are
/// written and `CACHE_FROM` where they are read, as `repository:tag` below the registry, separated
/// by spaces.
pub const PROVIDED: &[&str] = &[
    "BUILD_NUMBER",
    "BUILD_UUID",
    "CACHE_FROM",
    "CACHE_TO",
    "CREATED_AT",
    "ECR_REGISTRY",
    "GIT_BRANCH",
    "GIT_REF",
    "GIT_SHA",
    "IMAGE_DIGEST",
    "IMAGE_PLATFORM",
    "IMAGE_REPO",
    "IMAGE_TAG",
    "IMAGE_TAGS",
    "IMAGE_WHOLE_TAG",
    "SOURCE_URL",
];

/// Names that control the build service, the shell, the loader or the Docker client.
///
/// The Docker names are included because the generated login passes the registry's password to the
/// daemon and file they point to. `DOCKER_BUILDKIT` changes only how an image is built, so it is
/// allowed.
const RESERVED: &[&str] = &[
    "BASHOPTS",
    "BASH_ENV",
    "BASH_XTRACEFD",
    "CDPATH",
    "DOCKER_CERT_PATH",
    "DOCKER_CONFIG",
    "DOCKER_CONTEXT",
    "DOCKER_HOST",
    "DOCKER_TLS_VERIFY",
    "ENV",
    "GLOBIGNORE",
    "HOME",
    "IFS",
    "PATH",
    "POSIXLY_CORRECT",
    "PROMPT_COMMAND",
    "PS4",
    "PWD",
    "SHELL",
    "SHELLOPTS",
];

const RESERVED_PREFIXES: &[&str] = &["AWS_", "BASH_FUNC_", "CODEBUILD_", "LD_", "TOWLINE_"];

/// Whether a definition may not set this variable because it changes how the build itself runs.
#[must_use]
pub fn reserved(name: &str) -> bool {
    RESERVED.contains(&name)
        || RESERVED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

/// Whether Towline sets this variable for every build.
#[must_use]
pub fn provided(name: &str) -> bool {
    PROVIDED.contains(&name)
}

/// Whether `text` can be the name of an environment variable: `[A-Za-z_][A-Za-z0-9_]*`.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let starts_well = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    starts_well
        && text
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || character == '_')
}

/// The longest value of an environment variable on CodeBuild, in characters
/// (`InvalidInputException`: "EnvironmentVariable should be at most 4096 characters", seen by
/// buildkite-serverless-agent, issue 35).
pub const LONGEST_VALUE: usize = 4_096;

/// Checks that StartBuild accepts these values, before a build is started.
///
/// # Errors
/// When one of them is too long.
pub fn check_environment(values: &[(String, String)]) -> Result<(), GenerateError> {
    let too_long = values.iter().find_map(|(name, value)| {
        let characters = value.chars().count();
        (characters > LONGEST_VALUE).then(|| (name.clone(), characters))
    });
    match too_long {
        Some((name, characters)) => Err(GenerateError::ValueTooLong { name, characters }),
        None => Ok(()),
    }
}

/// Refuses a name that is in both lists.
pub(super) fn refuse_unless_free(
    names: &[(String, String)],
    taken: &[(String, String)],
) -> Result<(), GenerateError> {
    let both = names
        .iter()
        .find(|(name, _)| taken.iter().any(|(other, _)| name == other));
    match both {
        Some((name, _)) => Err(GenerateError::Twice { name: name.clone() }),
        None => Ok(()),
    }
}

pub(super) fn check_variables(variables: &[(String, String)]) -> Result<(), GenerateError> {
    for (index, (name, _)) in variables.iter().enumerate() {
        let name = name.clone();
        if reserved(&name) {
            return Err(GenerateError::Reserved { name });
        }
        if provided(&name) {
            return Err(GenerateError::Provided { name });
        }
        if !is_name(&name) {
            return Err(GenerateError::Name { name });
        }
        if variables[..index]
            .iter()
            .any(|(earlier, _)| *earlier == name)
        {
            return Err(GenerateError::Twice { name });
        }
    }
    Ok(())
}

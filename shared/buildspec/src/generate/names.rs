//! Which environment variables a definition may set.

use super::GenerateError;

/// The variables the orchestrator passes to StartBuild, or that the generated commands set. They never stand
/// under `env.variables`, so that the text is the same for every build.
///
/// `IMAGE_TAG` is the attempt's own tag and `IMAGE_TAGS` all tags, that one included, with spaces between them;
/// tags are valid by [`crate::tag::is_valid`].
pub const PROVIDED: &[&str] = &[
    "BUILD_NUMBER",
    "BUILD_UUID",
    "CREATED_AT",
    "ECR_REGISTRY",
    "GIT_BRANCH",
    "GIT_REF",
    "GIT_SHA",
    "IMAGE_DIGEST",
    "IMAGE_REPO",
    "IMAGE_TAG",
    "IMAGE_TAGS",
    "SOURCE_URL",
];

/// Names by which the build service, the shell, the loader or the Docker client take orders.
///
/// The Docker names are among them because the generated login hands the registry's password to the daemon and
/// file they point to. `DOCKER_BUILDKIT` changes only how an image is built and is free.
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

//! Commands that several presets share. Each is independent: its exit status decides whether the
//! build continues.

use super::shell::option;
use super::{Login, Platform};

/// The password of the registry on standard output, so that it is never an argument.
pub(super) const PASSWORD: &str = r#"aws ecr get-login-password --region "$AWS_DEFAULT_REGION""#;

/// Labels for the origin of an image (OCI image specification, "Pre-Defined Annotation Keys").
pub(super) const LABELS: &str = concat!(
    r#"--label="org.opencontainers.image.revision=$GIT_SHA""#,
    r#" --label="org.opencontainers.image.source=$SOURCE_URL""#,
    r#" --label="org.opencontainers.image.created=$CREATED_AT""#,
);

/// The name of the image under the attempt's own tag.
pub(super) const IMAGE: &str = r#""$ECR_REGISTRY/$IMAGE_REPO:$IMAGE_TAG""#;

/// Every tag in turn. Pathname expansion must be off (`set -f`), as the list is split into words on purpose.
pub(super) const EACH_TAG: &str = "for tag in ${IMAGE_TAGS:-$IMAGE_TAG}; do";

/// Logs Docker in; the subshell limits `pipefail` to this command.
pub(super) fn docker_login(login: Login) -> Option<String> {
    match login {
        Login::Ecr => Some(format!(
            r#"(set -o pipefail; {PASSWORD} | docker login --username AWS --password-stdin "$ECR_REGISTRY")"#
        )),
        Login::Open => None,
    }
}

/// Logs Docker out; a failure here does not fail the build.
pub(super) fn docker_logout(login: Login) -> Option<String> {
    match login {
        Login::Ecr => Some(r#"docker logout "$ECR_REGISTRY" || true"#.to_owned()),
        Login::Open => None,
    }
}

/// Exports the digest the registry gave the pushed image; empty when Docker does not know it.
///
/// An image can have digests of other repositories, so only that of this one counts. It is information only:
/// the digest that goes into the ledger is read from the registry.
pub(super) fn export_docker_digest() -> String {
    format!(
        "export IMAGE_DIGEST=\"$(docker inspect --format '{{{{range .RepoDigests}}}}{{{{println .}}}}{{{{end}}}}' {IMAGE} \
         | grep -F -e \"$ECR_REGISTRY/$IMAGE_REPO@\" | grep -o -E -e 'sha256:[0-9a-f]{{64}}$' | head -n 1)\""
    )
}

/// The option for the platform; none for the machine's own.
pub(super) fn platform(platform: &Platform) -> Option<String> {
    match platform {
        Platform::Machine => None,
        Platform::Named(name) => Some(option("platform", name)),
        Platform::Provided => Some(r#"--platform="$IMAGE_PLATFORM""#.to_owned()),
    }
}

//! The preset `docker`: one `docker build`, one push per tag.

use super::commands::{
    EACH_TAG, IMAGE, LABELS, docker_login, docker_logout, export_docker_digest, platform,
};
use super::shell::{enter, inner_path, option, pair};
use super::{Common, Docker, GenerateError, is_name};
use crate::model::{Phase, Phases};

pub(super) fn phases(common: &Common, docker: &Docker) -> Result<Phases, GenerateError> {
    let mut phases = Phases::default();
    phases.pre_build.commands.extend(docker_login(common.login));
    phases.pre_build.commands.push(CHOOSE_BUILDER.to_owned());
    phases.build = Phase {
        commands: build(common, docker)?,
        ..Phase::default()
    };
    phases
        .post_build
        .commands
        .extend(docker_logout(common.login));
    phases.post_build.commands.push(untag_each());
    if docker.layer_cache {
        phases.pre_build.commands.push(USE_CACHE.to_owned());
        phases.post_build.commands.push(FORGET_BUILDER.to_owned());
    }
    Ok(phases)
}

/// Buildx adds attestations by default, which would turn the image into an index of two; plain
/// `docker build` rejects the options that disable them.
const CHOOSE_BUILDER: &str = concat!(
    "if docker buildx version > /dev/null 2>&1; ",
    r#"then export TOWLINE_BUILDER="docker buildx build --load --provenance=false --sbom=false"; "#,
    r#"else export TOWLINE_BUILDER="docker build"; fi"#,
);

/// The daemon's own builder keeps layers only locally. Without the other builder, whose image comes
/// from Docker Hub, the build is slower but otherwise the same. ECR accepts a cache only as an image
/// manifest (ECR user guide, "Amazon ECR supports build cache"), and an error while writing it does
/// not fail the build.
const USE_CACHE: &str = concat!(
    r#"if docker buildx version > /dev/null 2>&1 && docker buildx create --name="towline-$TOWLINE_ATTEMPT" --driver=docker-container --bootstrap > /dev/null; then "#,
    r#"TOWLINE_BUILDER="$TOWLINE_BUILDER --builder=towline-$TOWLINE_ATTEMPT --cache-to=type=registry,ref=$ECR_REGISTRY/$CACHE_TO,mode=max,image-manifest=true,oci-mediatypes=true,ignore-error=true"; "#,
    r#"for from in $CACHE_FROM; do TOWLINE_BUILDER="$TOWLINE_BUILDER --cache-from=type=registry,ref=$ECR_REGISTRY/$from"; done; "#,
    "else echo 'no layers are kept: docker buildx has no builder for it here'; fi",
);

/// Removes the builder with its layers, which a daemon that outlives the build would keep. Each part of
/// an attempt has its own builder.
const FORGET_BUILDER: &str =
    r#"docker buildx rm "towline-$TOWLINE_ATTEMPT" > /dev/null 2>&1 || true"#;

fn build(common: &Common, docker: &Docker) -> Result<Vec<String>, GenerateError> {
    let mut commands = Vec::new();
    if !common.test.is_empty() {
        commands.push(enter(&common.context)?);
        commands.extend(common.test.iter().cloned());
    }
    commands.push(enter(&common.context)?);
    commands.push(format!(
        "$TOWLINE_BUILDER {} {LABELS} --tag={IMAGE} .",
        options(docker)?.join(" ")
    ));
    commands.push(push_each_tag());
    commands.push(export_docker_digest());
    Ok(commands)
}

fn options(docker: &Docker) -> Result<Vec<String>, GenerateError> {
    let mut options = vec![option("file", inner_path(&docker.dockerfile)?)];
    options.extend(docker.target.iter().map(|target| option("target", target)));
    options.extend(platform(&docker.platform));
    for (name, value) in &docker.arguments {
        options.push(match value {
            Some(value) => pair("build-arg", name, value),
            None if is_name(name) => option("build-arg", name),
            None => return Err(GenerateError::Name { name: name.clone() }),
        });
    }
    Ok(options)
}

fn push_each_tag() -> String {
    let name = r#""$ECR_REGISTRY/$IMAGE_REPO:$tag""#;
    format!("(set -f; {EACH_TAG} docker tag {IMAGE} {name} && docker push {name} || exit 1; done)")
}

/// A daemon that outlives the build would keep every image forever. Layers that other images use
/// stay. After a failed build some tags do not exist, and messages about them would only hide why
/// it failed.
fn untag_each() -> String {
    format!(
        r#"(set -f; {EACH_TAG} docker image rm "$ECR_REGISTRY/$IMAGE_REPO:$tag" 2> /dev/null; done) || true"#
    )
}

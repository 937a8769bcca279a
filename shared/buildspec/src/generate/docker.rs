//! The preset `docker`: one `docker build`, one push per tag.

use super::commands::{EACH_TAG, IMAGE, LABELS, docker_login, docker_logout, export_docker_digest};
use super::shell::{enter, inner_path, option, pair};
use super::{Common, Docker, GenerateError, Written, is_name};
use crate::model::{Phase, Phases};

pub(super) fn phases(common: &Common, docker: &Docker) -> Result<Written, GenerateError> {
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
    Ok(Written {
        phases,
        artifacts: None,
    })
}

/// Buildx adds attestations by default, which would turn the image into an index of two; plain `docker build`
/// refuses the options that switch them off.
const CHOOSE_BUILDER: &str = concat!(
    "if docker buildx version > /dev/null 2>&1; ",
    r#"then export TOWLINE_BUILDER="docker buildx build --load --provenance=false --sbom=false"; "#,
    r#"else export TOWLINE_BUILDER="docker build"; fi"#,
);

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
    options.extend(
        docker
            .platform
            .iter()
            .map(|platform| option("platform", platform)),
    );
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

/// A daemon that outlives the build would keep every image for ever. Layers that other images use stay. After a
/// failed build some tags are not there, and saying so would only hide why it failed.
fn untag_each() -> String {
    format!(
        r#"(set -f; {EACH_TAG} docker image rm "$ECR_REGISTRY/$IMAGE_REPO:$tag" 2> /dev/null; done) || true"#
    )
}

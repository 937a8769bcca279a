//! The preset `pack`: makes an image from files by `towline pack`, without a Docker daemon.

use super::commands::{EACH_TAG, LABELS, PASSWORD, platform};
use super::shell::{enter, inner_path, option, pair};
use super::{Common, Extras, GenerateError, Login, Pack, Tool};
use crate::model::Phases;

pub(super) fn phases(
    common: &Common,
    pack: &Pack,
    extras: &Extras,
) -> Result<Phases, GenerateError> {
    let mut phases = Phases::default();
    if !extras.tools.is_empty() {
        phases.pre_build.commands.push(Tool::fetch(&extras.tools)?);
    }
    phases
        .pre_build
        .commands
        .push(r#"export TOWLINE_DIGEST_FILE="$(mktemp)""#.to_owned());
    phases.build.commands = build(common, pack)?;
    phases
        .post_build
        .commands
        .push(r#"rm -f -- "$TOWLINE_DIGEST_FILE" || true"#.to_owned());
    if !extras.tools.is_empty() {
        phases.post_build.commands.push(Tool::remove());
    }
    Ok(phases)
}

fn build(common: &Common, pack: &Pack) -> Result<Vec<String>, GenerateError> {
    let enter = enter(&common.context)?;
    let mut commands = Vec::new();
    for own in [&pack.build, &common.test] {
        if !own.is_empty() {
            commands.push(enter.clone());
            commands.extend(own.iter().cloned());
        }
    }
    commands.push(enter);
    commands.push(publish(common.login, &options(pack)?));
    commands.push(r#"export IMAGE_DIGEST="$(cat -- "$TOWLINE_DIGEST_FILE")""#.to_owned());
    Ok(commands)
}

/// Pushes one image with all tags; the subshell keeps the list of tags and `pipefail` local.
fn publish(login: Login, options: &[String]) -> String {
    let collect_tags = format!(r#"set --; {EACH_TAG} set -- "$@" --tag="$tag"; done"#);
    let options = options.join(" ");
    let pack = format!(
        r#"towline pack --output-file="$TOWLINE_DIGEST_FILE" --repository="$ECR_REGISTRY/$IMAGE_REPO" "$@" {options} {LABELS}"#
    );
    match login {
        Login::Ecr => {
            format!("(set -f -o pipefail; {collect_tags}; {PASSWORD} | {pack} --password-stdin)")
        }
        Login::Open => format!("(set -f; {collect_tags}; {pack})"),
    }
}

fn options(pack: &Pack) -> Result<Vec<String>, GenerateError> {
    let mut options = vec![option("root", inner_path(&pack.root)?)];
    options.extend(platform(&pack.platform));
    if let Some(base) = &pack.base {
        options.push(option("base", pinned(base)?));
    }
    if !pack.entrypoint.is_empty() {
        options.push(option("entrypoint", &json(&pack.entrypoint)));
    }
    if !pack.command.is_empty() {
        options.push(option("cmd", &json(&pack.command)));
    }
    options.extend(
        pack.environment
            .iter()
            .map(|(name, value)| pair("env", name, value)),
    );
    options.extend(
        pack.labels
            .iter()
            .map(|(name, value)| pair("label", name, value)),
    );
    options.extend(pack.user.iter().map(|user| option("user", user)));
    options.extend(
        pack.working_directory
            .iter()
            .map(|folder| option("workdir", folder)),
    );
    options.extend(
        pack.ports
            .iter()
            .map(|port| option("expose", &port.to_string())),
    );
    Ok(options)
}

fn pinned(base: &str) -> Result<&str, GenerateError> {
    let is_pinned = base.split_once("@sha256:").is_some_and(|(name, digest)| {
        let is_hex = digest
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        !name.is_empty() && digest.len() == 64 && is_hex
    });
    if is_pinned {
        Ok(base)
    } else {
        Err(GenerateError::Base {
            base: base.to_owned(),
        })
    }
}

fn json(words: &[String]) -> String {
    serde_json::Value::from(words).to_string()
}

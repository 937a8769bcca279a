//! The preset `make`: the targets of a Makefile, each a command of its own.

use super::commands::{docker_login, docker_logout, export_docker_digest};
use super::shell::enter;
use super::{Common, GenerateError, Make, MakeLogin};
use crate::model::Phases;

pub(super) fn phases(common: &Common, make: &Make) -> Result<Phases, GenerateError> {
    if make.build.is_empty() {
        return Err(GenerateError::NoTargets);
    }
    let enter = enter(&common.context)?;
    let mut phases = Phases::default();
    match &make.login {
        MakeLogin::Builtin => phases.pre_build.commands.extend(docker_login(common.login)),
        MakeLogin::Target(login) => phases
            .pre_build
            .commands
            .extend([enter.clone(), run(login)?]),
    }
    phases.build.commands = build(common, make, &enter)?;
    phases.post_build.commands = clean_up(common, make, &enter)?;
    Ok(phases)
}

fn build(common: &Common, make: &Make, enter: &str) -> Result<Vec<String>, GenerateError> {
    let mut commands = vec![enter.to_owned()];
    if !common.test.is_empty() {
        commands.extend(common.test.iter().cloned());
        commands.push(enter.to_owned());
    }
    for target in &make.build {
        commands.push(run(target)?);
    }
    commands.push(export_docker_digest());
    Ok(commands)
}

fn clean_up(common: &Common, make: &Make, enter: &str) -> Result<Vec<String>, GenerateError> {
    let mut commands = Vec::new();
    if !make.always.is_empty() {
        commands.push(format!("{enter} || true"));
    }
    for target in &make.always {
        commands.push(format!("{} || true", run(target)?));
    }
    if make.login == MakeLogin::Builtin {
        commands.extend(docker_logout(common.login));
    }
    Ok(commands)
}

/// The command for a target.
pub(super) fn run(target: &str) -> Result<String, GenerateError> {
    let starts_well =
        target.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_');
    let is_plain = target
        .chars()
        .all(|character| character.is_ascii_alphanumeric() || "_./-".contains(character));
    if !starts_well || !is_plain {
        return Err(GenerateError::Target {
            target: target.to_owned(),
        });
    }
    Ok(format!("make {target}"))
}

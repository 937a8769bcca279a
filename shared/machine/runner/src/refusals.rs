//! Features of a buildspec that one machine does not support: refused before anything runs if they change
//! what the build does, or only logged if they change how AWS does it.

use regex_lite::Regex;
use towline_buildspec::Buildspec;
use towline_buildspec::model::{Cache, OnFailure, Phase, PhaseName, Shell, Version};

use crate::environment;
use crate::users::{self, User};

/// Why a buildspec cannot run here, if so.
pub(crate) fn objection(spec: &Buildspec, user: Option<&User>) -> Option<String> {
    let env = &spec.env;
    let stores = env.parameter_store.iter().chain(&env.secrets_manager);
    let names = stores.map(|(name, _)| (name.as_str(), ""));
    let variables = env.variables.iter();
    let variables = variables.map(|(name, value)| (name.as_str(), value.as_str()));
    shell(spec)
        .or_else(|| batch(spec))
        .or_else(|| {
            PhaseName::ALL
                .into_iter()
                .find_map(|name| phase(spec, name))
        })
        .or_else(|| {
            let mut all = variables.chain(names);
            all.find_map(|(name, value)| environment::objection(name, value))
        })
        .or_else(|| users::wanted(spec, user).err().map(String::from))
}

fn shell(spec: &Buildspec) -> Option<String> {
    let shell = spec.env.shell?;
    matches!(shell, Shell::PowerShell | Shell::Cmd).then(|| {
        let shell = shell.as_str();
        format!("env.shell is {shell}, but only bash and /bin/sh are supported here")
    })
}

fn batch(spec: &Buildspec) -> Option<String> {
    let is_idle = |name| {
        let Phase {
            commands, finally, ..
        } = spec.phases.get(name);
        commands.is_empty() && finally.is_empty()
    };
    let nothing_else = spec.batch.is_some() && PhaseName::ALL.into_iter().all(is_idle);
    nothing_else.then(|| {
        "the buildspec has a batch and no commands: batches are not supported on one machine; run \
         each of its builds with its own buildspec"
            .into()
    })
}

fn phase(spec: &Buildspec, name: PhaseName) -> Option<String> {
    let phase = spec.phases.get(name);
    let name = name.as_str();
    if !phase.steps.is_empty() {
        return Some(format!(
            "phases.{name}.steps are GitHub Actions steps, which only CodeBuild supports"
        ));
    }
    let Some(OnFailure::Retry {
        regex: Some(regex), ..
    }) = &phase.on_failure
    else {
        return None;
    };
    let error = Regex::new(regex).err()?;
    Some(format!(
        "phases.{name}.on-failure has an invalid pattern: {error}"
    ))
}

/// Features that are ignored, for the log.
pub(crate) fn not_applied(spec: &Buildspec) -> Vec<String> {
    let env = &spec.env;
    let proxy = spec.proxy.as_ref();
    let proxied =
        proxy.is_some_and(|proxy| proxy.upload_artifacts == Some(true) || proxy.logs == Some(true));
    let main = spec.artifacts.as_ref();
    let secondary = main.into_iter().flat_map(|main| &main.secondary);
    let mut artifacts = main.into_iter().chain(secondary.map(|(_, one)| one));
    let no_paths = |cache: &Cache| cache.paths.is_empty();
    let all = [
        (
            spec.batch.is_some(),
            "batch (this build runs the phases, like StartBuild)".to_owned(),
        ),
        (
            env.git_credential_helper == Some(true),
            "git-credential-helper (git has no CodeBuild credentials here)".to_owned(),
        ),
        (proxied, "proxy (nothing is uploaded)".to_owned()),
        (
            artifacts.any(|one| one.s3_prefix.is_some()),
            "artifacts s3-prefix (artifacts are kept in a folder)".to_owned(),
        ),
        (
            spec.cache.as_ref().is_some_and(no_paths),
            "cache (it has no paths)".to_owned(),
        ),
        (
            spec.version == Version::V0_1 && !env.exported_variables.is_empty(),
            "exported-variables (in version 0.1 variables last only for their command)".to_owned(),
        ),
    ];
    let applies = all.into_iter().filter(|(says, _)| *says);
    applies.map(|(_, what)| what).collect()
}

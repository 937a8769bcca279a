//! From a component's preset to the text of its buildspec.

use towline_buildspec::generate::{self, Common, Docker, Login, Make, MakeLogin, Output, Pack};
use towline_domain::definition::{Component, Preset};
use towline_domain::names::CommitSha;
use towline_ports::{RepositoryRef, Source};

use super::source_files::{self, Stop};

/// The largest buildspec file read from a repository; CodeBuild takes 25,600 characters inline.
const MOST_BYTES: usize = 64 * 1024;

/// The text, or why there is none.
pub(super) async fn text_of(
    source: &dyn Source,
    repository: &RepositoryRef,
    commit: &CommitSha,
    component: &Component,
) -> Result<Result<String, String>, Stop> {
    let Preset::Buildspec { path } = &component.build.preset else {
        return Ok(text(component, None));
    };
    let file = source_files::read(source, repository, commit, path, MOST_BYTES).await?;
    Ok(file.and_then(|file| text(component, Some(file))))
}

/// The text for a component, byte for byte as CodeBuild gets it; `file` is the repository's own
/// buildspec where the preset asks for it.
///
/// # Errors
/// When no safe buildspec can be made of what the definition says; the sentence says what to change.
pub fn text(component: &Component, file: Option<Vec<u8>>) -> Result<String, String> {
    let preset = preset_of(component, file)?;
    let given = matches!(preset, generate::Preset::Given(_));
    let build = &component.build;
    let common = Common {
        variables: Vec::new(), // values may hold placeholders, so they travel with StartBuild
        runtime_versions: if given {
            Vec::new()
        } else {
            build.runtime.clone()
        },
        context: if given {
            ".".into()
        } else {
            build.context.clone()
        },
        test: if given {
            Vec::new()
        } else {
            build.test.clone()
        },
        login: Login::Ecr,
    };
    generate::generate(&common, &preset).map_err(|error| {
        let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| {
            error.source()
        });
        causes
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(": ")
    })
}

fn preset_of(component: &Component, file: Option<Vec<u8>>) -> Result<generate::Preset, String> {
    let build = &component.build;
    Ok(match &build.preset {
        Preset::Docker {
            dockerfile,
            target,
            args,
        } => generate::Preset::Docker(Docker {
            dockerfile: dockerfile.clone(),
            target: target.clone(),
            platform: Some(build.platform.clone()),
            arguments: args
                .iter()
                .map(|(name, value)| (name.clone(), Some(value.clone())))
                .collect(),
        }),
        Preset::Make {
            build: targets,
            always,
            login,
        } => generate::Preset::Make(Make {
            build: targets.clone(),
            always: always.clone(),
            login: if *login {
                MakeLogin::Target("login".into())
            } else {
                MakeLogin::Builtin
            },
            outputs: build.outputs.iter().map(|path| Output::of(path)).collect(),
        }),
        Preset::Pack {
            run,
            root,
            base,
            entrypoint,
            command,
            user,
            workdir,
            expose,
        } => generate::Preset::Pack(Pack {
            build: run.clone(),
            root: root.clone(),
            base: base.clone(),
            entrypoint: entrypoint.clone(),
            command: command.clone(),
            environment: Vec::new(),
            labels: Vec::new(),
            platform: build.platform.clone(),
            user: user.clone(),
            working_directory: workdir.clone(),
            ports: expose
                .iter()
                .map(|port| {
                    port.parse()
                        .map_err(|_| format!("port {port:?} is not a number from 1 to 65535"))
                })
                .collect::<Result<_, _>>()?,
        }),
        Preset::Buildspec { path } => {
            let bytes = file.unwrap_or_default();
            generate::Preset::Given(
                String::from_utf8(bytes).map_err(|_| format!("{path} is not UTF-8"))?,
            )
        }
        Preset::Inline { text } => generate::Preset::Given(text.clone()),
    })
}

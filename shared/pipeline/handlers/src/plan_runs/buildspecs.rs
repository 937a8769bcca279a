//! From a component's preset to the text of its buildspec.

use towline_buildspec::generate::{
    self, Common, Docker, Extras, Login, Make, MakeLogin, Output, Pack, Platform, Tool,
};
use towline_domain::definition::{self, Build, Component, Preset};
use towline_domain::names::CommitSha;
use towline_ports::{RepositoryRef, Source, StartBuild};

use super::source_files::{self, Stop};

/// The largest buildspec there can be.
const MOST_BYTES: usize = StartBuild::LONGEST_BUILDSPEC;

/// What is known of the place that builds run in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Where builds get the program `towline` from, for each kind of machine; they have it when there is none.
    pub tools: Vec<Tool>,
}

/// The text, or why there is none.
pub(super) async fn text_of(
    source: &dyn Source,
    repository: &RepositoryRef,
    commit: &CommitSha,
    component: &Component,
    settings: &Settings,
) -> Result<Result<String, String>, Stop> {
    let Preset::Buildspec { path } = &component.build.preset else {
        return Ok(text(component, None, settings));
    };
    let file = source_files::read(source, repository, commit, path, MOST_BYTES).await?;
    Ok(file.and_then(|file| text(component, Some(file), settings)))
}

/// The text for a component, byte for byte as CodeBuild gets it; `file` is the repository's own
/// buildspec where the preset asks for it.
///
/// # Errors
/// When no safe buildspec can be made of what the definition says; the sentence says what to change.
pub fn text(
    component: &Component,
    file: Option<Vec<u8>>,
    settings: &Settings,
) -> Result<String, String> {
    let preset = preset_of(component, file)?;
    let build = &component.build;
    let common = match preset {
        generate::Preset::Given(_) => Common::default(),
        generate::Preset::Docker(_) | generate::Preset::Make(_) | generate::Preset::Pack(_) => {
            Common {
                variables: Vec::new(), // values may hold placeholders, so they travel with StartBuild
                runtime_versions: build.runtime.clone(),
                context: build.context.clone(),
                test: build.test.clone(),
                login: Login::Ecr,
            }
        }
    };
    let text = generate::generate_whole(&common, &preset, &extras(component, settings));
    let text = text.map_err(|error| {
        let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| {
            error.source()
        });
        causes
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(": ")
    })?;
    if text.len() > MOST_BYTES {
        return Err(format!(
            "it has {} bytes; at most {MOST_BYTES} are taken: move commands into a script of the repository",
            text.len()
        ));
    }
    Ok(text)
}

fn extras(component: &Component, settings: &Settings) -> Extras {
    let build = &component.build;
    let container = build
        .container
        .as_deref()
        .unwrap_or(component.name.as_str());
    let output = |path: &String| match build.preset {
        Preset::Make { .. } => Output::of_make(path, container),
        Preset::Docker { .. } | Preset::Pack { .. } => Output::of(path, container),
        Preset::Buildspec { .. } | Preset::Inline { .. } => Output::given(path),
    };
    let report = |report: &definition::Report| {
        let written = generate::Report {
            files: report.files.clone(),
            folder: report.folder.clone(),
            format: report.format.clone(),
        };
        (report.name.clone(), written)
    };
    Extras {
        secrets: build.secrets.clone(),
        reports: build.reports.iter().map(report).collect(),
        cache: build.cache.clone(),
        outputs: build.outputs.iter().map(output).collect(),
        tools: settings.tools.clone(),
    }
}

/// One text builds for every platform, so that a single one stands in it by name.
fn platform_of(build: &Build) -> Platform {
    match build.platforms.as_slice() {
        [only] => Platform::Named(only.clone()),
        _ => Platform::Provided,
    }
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
            platform: platform_of(build),
            layer_cache: build.layer_cache,
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
            platform: platform_of(build),
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

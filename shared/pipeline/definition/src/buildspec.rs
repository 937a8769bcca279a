//! Generates the text of a component's buildspec from its preset.

use towline_buildspec::generate::{
    self, Common, Docker, Extras, Login, Make, MakeLogin, Output, Pack, Platform, Tool,
};
use towline_domain::causes::with_causes;
use towline_domain::definition::{self, Build, Component, LONGEST_BUILDSPEC, Preset};

/// The environment that builds run in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The downloads of the program `towline`, for each kind of machine; if empty, builds have it already.
    pub tools: Vec<Tool>,
}

/// Why no buildspec can be generated.
#[derive(Debug, thiserror::Error)]
pub enum BuildspecError {
    /// No safe buildspec can be generated from the definition.
    #[error("{}", with_causes(.0))]
    Generate(generate::GenerateError),
    /// It is too long.
    #[error(
        "the buildspec has {bytes} bytes; the limit is {LONGEST_BUILDSPEC}: move commands into a script of the repository"
    )]
    TooLong {
        /// Its size.
        bytes: usize,
    },
    /// A port of the image is not a number.
    #[error("port {0:?} is not a number from 1 to 65535")]
    Port(String),
    /// The repository's own buildspec is not text.
    #[error("{0} is not UTF-8")]
    NotUtf8(String),
}

/// The text for a component, byte for byte as CodeBuild gets it; `file` is the repository's own
/// buildspec if the preset uses it.
///
/// # Errors
/// When no safe buildspec can be made of what the definition says; the sentence says what to change.
pub fn text(
    component: &Component,
    file: Option<Vec<u8>>,
    settings: &Settings,
) -> Result<String, BuildspecError> {
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
    let text = generate::generate_whole(&common, &preset, &extras(component, settings))
        .map_err(BuildspecError::Generate)?;
    if text.len() > LONGEST_BUILDSPEC {
        return Err(BuildspecError::TooLong { bytes: text.len() });
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

/// One text builds for every platform, so only a single one is named in it.
fn platform_of(build: &Build) -> Platform {
    match build.platforms.as_slice() {
        [only] => Platform::Named(only.clone()),
        _ => Platform::Provided,
    }
}

fn preset_of(
    component: &Component,
    file: Option<Vec<u8>>,
) -> Result<generate::Preset, BuildspecError> {
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
                .map(|port| port.parse().map_err(|_| BuildspecError::Port(port.clone())))
                .collect::<Result<_, _>>()?,
        }),
        Preset::Buildspec { path } => {
            let bytes = file.unwrap_or_default();
            generate::Preset::Given(
                String::from_utf8(bytes).map_err(|_| BuildspecError::NotUtf8(path.clone()))?,
            )
        }
        Preset::Inline { text } => generate::Preset::Given(text.clone()),
    })
}

//! Chooses the component to build, its buildspec and its variables.

use std::fs;
use std::path::{Component as Part, Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use towline_definition::buildspec::{self, Settings};
use towline_definition::{self as definition, FILE};
use towline_domain::definition::{
    Component, Definition, Preset, Scope, USUAL_IMAGE, USUAL_PLATFORM,
};
use towline_domain::names::{AttemptId, CommitSha, ComponentName, GitRef, ImageRepository};
use towline_domain::tags::{self, Values};
use towline_handlers::start_builds::BuildOf;
use towline_ports::{Clock as _, RepositoryRef, StartBuild, Trust};

use super::Args;
use towline_console::outcome::{Failure, Outcome, refused};
use towline_console::output::Output;
use towline_operator::definition as file;
use towline_ports::system::{SystemClock, random_bytes};
use towline_source::checkout::Git;
use towline_source::described::{self, Described};

/// The buildspec that CodeBuild uses if a project names none.
const USUAL_SPEC: &str = "buildspec.yml";

/// The name of a build without a component.
const NO_COMPONENT: &str = "build";

/// The timeout of a build without a component: the default of CodeBuild's projects.
const USUAL_TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// What is built.
pub(super) struct Chosen {
    pub(super) repository: Described,
    component: Option<Component>,
    /// The buildspec, and what it is called.
    text: String,
    called: String,
    /// Variables of `--env`, which override all others.
    given: Vec<(String, String)>,
}

/// Decides what to build.
pub(super) fn chosen(args: &Args, output: Output) -> Outcome<Chosen> {
    let repository = described::describe(&args.repo).map_err(anyhow::Error::from)?;
    let git = Git::at(&repository.path);
    if git
        .maybe(&["rev-parse", "--is-inside-work-tree"])
        .as_deref()
        != Some("true")
    {
        let path = repository.path.display();
        return refused(format!(
            "{path} is a bare repository: it has no working tree"
        ));
    }
    let component = component(args, &repository.path, output)?;
    let (text, called) = buildspec(args, &repository.path, component.as_ref())?;
    Ok(Chosen {
        repository,
        component,
        text,
        called,
        given: args.env.clone(),
    })
}

fn component(args: &Args, top: &Path, output: Output) -> Outcome<Option<Component>> {
    let path = top.join(FILE);
    if !path.exists() {
        return match &args.component {
            Some(name) => refused(format!(
                "there is no {}, so there is no component {name}; leave out the name to run {USUAL_SPEC}, or \
                 name a buildspec with --spec",
                path.display()
            )),
            None => Ok(None),
        };
    }
    let (path, bytes) = file::read(&path)?;
    let definition = match definition::read(&bytes) {
        Ok(definition) => definition,
        Err(errors) if output.is_json() => {
            return refused(format!("{}: {errors}", path.display()));
        }
        Err(errors) => {
            let source = String::from_utf8_lossy(&bytes);
            output.progress(file::mistakes(&path, &source, &errors).trim_end());
            return Err(Failure::Found);
        }
    };
    match (&args.component, definition.components.as_slice()) {
        (Some(name), _) => match definition.component(name) {
            Some(component) => executed(&definition, component),
            None => refused(format!(
                "{} has no component {name}; it has {}",
                path.display(),
                names(&definition)
            )),
        },
        (None, [only]) => executed(&definition, only),
        (None, _) if args.spec.is_some() => Ok(None),
        (None, _) => refused(format!("name a component: {}", names(&definition))),
    }
}

fn names(definition: &Definition) -> String {
    let names = definition.components.iter();
    let names: Vec<&str> = names.map(|component| component.name.as_str()).collect();
    names.join(", ")
}

/// The component, unless it uses something that this version does not support.
fn executed(definition: &Definition, component: &Component) -> Outcome<Option<Component>> {
    let scope = Scope::Component(component.name.clone());
    match definition.not_executed_in(&scope).next() {
        None => Ok(Some(component.clone())),
        Some(path) => refused(format!("this version of Towline does not support {path}")),
    }
}

/// The text of the buildspec, and where it is from.
fn buildspec(args: &Args, top: &Path, component: Option<&Component>) -> Outcome<(String, String)> {
    let read = |path: &Path| -> anyhow::Result<String> {
        fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
    };
    match (&args.spec, component) {
        (Some(file), _) => Ok((read(file)?, file.display().to_string())),
        (None, Some(component)) => {
            let (file, called) = match &component.build.preset {
                Preset::Buildspec { path } => {
                    let file = inside(top, path).with_context(|| {
                        format!("the buildspec {path} lies outside the repository")
                    })?;
                    (Some(read(&file)?.into_bytes()), path.clone())
                }
                Preset::Docker { .. }
                | Preset::Make { .. }
                | Preset::Pack { .. }
                | Preset::Inline { .. } => (None, format!("the buildspec of {FILE}")),
            };
            match buildspec::text(component, file, &Settings::default()) {
                Ok(text) => Ok((text, called)),
                Err(reason) => refused(format!(
                    "there is no buildspec for {}: {}",
                    component.name, reason
                )),
            }
        }
        (None, None) => {
            let file = top.join(USUAL_SPEC);
            if !file.exists() {
                return refused(format!(
                    "{} has neither {FILE} nor {USUAL_SPEC}; name a buildspec with --spec",
                    top.display()
                ));
            }
            Ok((read(&file)?, USUAL_SPEC.into()))
        }
    }
}

fn inside(top: &Path, path: &str) -> Option<PathBuf> {
    let mut parts = Path::new(path).components();
    let stays = parts.all(|part| matches!(part, Part::Normal(_) | Part::CurDir));
    stays.then(|| top.join(path))
}

impl Chosen {
    /// The repository that images are pushed to.
    fn image_repository(&self) -> ImageRepository {
        let own = self.component.as_ref();
        own.map(|component| component.repository.clone())
            .unwrap_or_else(|| {
                "local/build"
                    .parse()
                    .expect("it is the name of a repository")
            })
    }

    fn name(&self) -> ComponentName {
        let own = self.component.as_ref();
        own.map(|component| component.name.clone())
            .unwrap_or_else(|| NO_COMPONENT.parse().expect("it is the name of a component"))
    }

    /// Says in one sentence what is built, and with which buildspec.
    pub(super) fn sentence(&self) -> String {
        let of = self.component.as_ref();
        let platforms = of.map_or(&[][..], |component| component.build.platforms.as_slice());
        let part = match platforms {
            [first, _, ..] => format!(" for {first}, one of {} platforms", platforms.len()),
            _ => String::new(),
        };
        let of = of.map_or(String::new(), |component| format!("{} by ", component.name));
        format!("building {of}{}{part}", self.called)
    }

    /// The build, with the variables that `start-builds` would give it.
    pub(super) fn request(&self, commit: &CommitSha, registry: &str) -> Outcome<StartBuild> {
        let build = self.component.as_ref().map(|component| &component.build);
        let git_ref = self.git_ref();
        let attempt = attempt();
        let values = Values {
            commit,
            git_ref: &git_ref,
            build_number: 0,
            attempt: &attempt,
        };
        let tags = match build {
            Some(build) => {
                let tags = tags::of_attempt(build, values);
                tags.map_err(|error| Failure::Refused(error.to_string()))?
                    .all
            }
            None => vec!["local".parse().expect("it is a tag")],
        };
        let platform = build.and_then(|build| build.platforms.first());
        let platform = platform.map_or(USUAL_PLATFORM, String::as_str);
        let (component, image_repository) = (self.name(), self.image_repository());
        let repository = RepositoryRef {
            id: self.repository.id,
            name: self.repository.name.clone(),
        };
        let mut environment = BuildOf {
            registry,
            repository: &repository,
            commit,
            git_ref: &git_ref,
            at: SystemClock.now(),
            run: None,
            stages: &[],
            component: &component,
            image_repository: &image_repository,
            build,
            platform,
            attempt: &attempt,
            whole: &attempt,
            whole_tag: &tags[0],
            build_number: 0,
            tags: &tags,
            trust: Trust::Other,
        }
        .environment()
        .map_err(|error| Failure::Refused(error.to_string()))?;
        environment.extend(self.given.iter().cloned()); // the last of a name counts
        Ok(StartBuild {
            attempt,
            component,
            repository,
            commit: commit.clone(),
            git_ref,
            trust: Trust::Other,
            image_repository,
            image: build.map_or_else(
                || USUAL_IMAGE.into(),
                |build| build.image_for(platform).to_owned(),
            ),
            architecture: None,
            privileged: true,
            buildspec: self.text.clone(),
            environment,
            timeout: build.map_or(USUAL_TIMEOUT, |build| build.timeout),
        })
    }

    /// The current branch, or a placeholder if none is checked out.
    fn git_ref(&self) -> GitRef {
        let branch = Git::at(&self.repository.path).maybe(&["symbolic-ref", "--short", "HEAD"]);
        GitRef::Branch(branch.unwrap_or_else(|| "detached".into()))
    }
}

/// A random UUID.
fn attempt() -> AttemptId {
    let mut bytes = random_bytes::<16>();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex::encode(bytes);
    let (one, two, three, four) = (&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20]);
    format!("{one}-{two}-{three}-{four}-{}", &hex[20..])
        .parse()
        .expect("it is a UUID")
}

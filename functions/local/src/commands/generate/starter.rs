//! A first definition; the files of the folder decide the preset.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use towline_buildspec::generate::{is_name, provided, reserved};
use towline_domain::names::ComponentName;

/// The buildspec that CodeBuild looks for.
const BUILDSPEC: &str = "buildspec.yml";

/// The largest Makefile that is read.
const MOST_BYTES: u64 = 1024 * 1024;

/// The text of a `.towline.yml` for a folder.
pub(super) fn definition(folder: &Path) -> anyhow::Result<String> {
    let folder = folder
        .canonicalize()
        .with_context(|| format!("looking at {}", folder.display()))?;
    if !folder.is_dir() {
        bail!("{} is not a folder", folder.display());
    }
    let name = label(&folder);
    let build = build(&folder);
    let tags = build.tags();
    let schema = towline_definition::schema::ID;
    Ok(format!(
        "# yaml-language-server: $schema={schema}
# What Towline builds from this repository and where the images go.
# Check it with `towline validate`; see what a build runs with `towline generate buildspec {name}`.
version: 1
pipeline: {name}

components:
  {name}:
    # The image repository. Without `paths`, every change builds it.
    repository: local/{name}
    # paths: [src/**]
{build}      # At least one tag must differ from build to build.
      tags: [\"{tags}\"]

# A stage is where an image can be; a promotion puts the stage's tag on the same digest.
stages:
  - name: staging
    from: build
    promote: auto # as soon as an image is built
  - name: prod
    from: staging
    promote: auto
    gates:
      # One approval is enough, even an author's; `self: deny` would refuse approvals by authors.
      - approval: {{min: 1, self: allow, expires: 24h}}
"
    ))
}

/// The folder's name as a component name.
fn label(folder: &Path) -> String {
    let name = folder
        .file_name()
        .map(|name| name.to_string_lossy().to_lowercase());
    let name = name.unwrap_or_default();
    let takes = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    let replaced: String = name
        .chars()
        .map(|character| if takes(character) { character } else { '-' })
        .collect();
    let short: String = replaced.trim_matches('-').chars().take(40).collect();
    let short = short.trim_matches('-');
    // A name of one character is too short for an image repository, but not after `local/`.
    match short.parse::<ComponentName>() {
        Ok(name) if !short.contains("--") => name.to_string(),
        Ok(_) | Err(_) => "app".into(),
    }
}

/// How a folder appears to be built.
enum Guess {
    Buildspec,
    /// It has a Makefile that can publish.
    Make(Makefile),
    Docker,
    /// It has files.
    Pack,
}

/// What a Makefile can do.
struct Makefile {
    /// Targets that build and publish, in the order in which they must run.
    build: Vec<&'static str>,
    /// Targets that clean up.
    always: Vec<&'static str>,
    /// Whether `make login` logs in to the registry it publishes to.
    logs_in: bool,
    /// Whether `make version` prints what was built.
    tells_version: bool,
    /// A variable whose value comes from Git, unless the environment sets it.
    version: Option<String>,
}

/// CodeBuild's own file comes first, then the other files, starting with those that say most about
/// publishing.
fn build(folder: &Path) -> Guess {
    if folder.join(BUILDSPEC).is_file() {
        return Guess::Buildspec;
    }
    match makefile(folder) {
        Some(makefile) => Guess::Make(makefile),
        None if folder.join("Dockerfile").is_file() => Guess::Docker,
        None => Guess::Pack,
    }
}

impl Guess {
    /// The tag of a build.
    fn tags(&self) -> String {
        match self {
            Self::Make(Makefile {
                version: Some(name),
                ..
            }) => format!("{{env.{name}}}"),
            Self::Make(Makefile { version: None, .. })
            | Self::Buildspec
            | Self::Docker
            | Self::Pack => "{sha7}-{build}".into(),
        }
    }
}

impl std::fmt::Display for Guess {
    fn fmt(&self, text: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        text.write_str("    build:\n")?;
        match self {
            Self::Buildspec => writeln!(
                text,
                "      buildspec: {BUILDSPEC} # has to push \"$ECR_REGISTRY/$IMAGE_REPO:$IMAGE_TAG\"; see `towline lint`"
            ),
            Self::Make(makefile) => makefile.fmt(text),
            Self::Docker => text.write_str(
                "      preset: docker # builds ./Dockerfile and pushes the image
      # context: .
",
            ),
            Self::Pack => text.write_str(
                "      preset: pack # makes an image from files, without Docker
      # run: [./build.sh] # commands that make the files first
      root: . # the folder whose content becomes the image
      # entrypoint: [/bin/app]
",
            ),
        }
    }
}

impl std::fmt::Display for Makefile {
    fn fmt(&self, text: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let always = match self.always.as_slice() {
            [] => String::new(),
            targets => format!(", always: [{}]", targets.join(", ")),
        };
        let build = self.build.join(", ");
        let login = if self.logs_in { ", login: make" } else { "" };
        writeln!(
            text,
            "      preset: make # runs the targets one after the other; the last one pushes
      make: {{build: [{build}]{always}{login}}}"
        )?;
        if let Some(name) = &self.version {
            writeln!(
                text,
                "      # Without this, the Makefile runs git, which a build on AWS may not have.
      env: {{{name}: \"{{sha}}.{{build_uuid}}\"}}"
            )?;
        }
        if self.tells_version {
            text.write_str("      outputs: [version.json] # what `make version` prints\n")?;
        }
        Ok(())
    }
}

/// The Makefile of a folder, if it can publish.
fn makefile(folder: &Path) -> Option<Makefile> {
    let names = ["GNUmakefile", "makefile", "Makefile"];
    let file = names
        .iter()
        .map(|name| folder.join(name))
        .find(|file| file.is_file())?;
    let small = fs::metadata(&file).is_ok_and(|metadata| metadata.len() <= MOST_BYTES);
    let text = small.then(|| fs::read_to_string(&file).ok()).flatten()?;
    let defines = |target: &&str| text.lines().any(|line| is_rule(line, target));
    let known = |targets: &[&'static str]| targets.iter().copied().filter(defines).collect();
    let build: Vec<&str> = known(&["test", "build", "release", "publish"]);
    build.contains(&"publish").then(|| Makefile {
        always: known(&["clean", "logout"]),
        logs_in: defines(&"login"),
        tells_version: defines(&"version"),
        version: text.lines().find_map(asked_of_git),
        build,
    })
}

/// `NAME` of a line `NAME ?= $(shell git …)`, which an environment variable overrides.
fn asked_of_git(line: &str) -> Option<String> {
    let (name, value) = line.split_once("?=")?;
    let name = name.split_whitespace().next_back()?;
    let asks = value.contains("$(shell git ");
    let is_free = is_name(name) && !reserved(name) && !provided(name);
    (asks && is_free).then(|| name.to_owned())
}

/// Whether a line of a Makefile begins the rule of a target.
fn is_rule(line: &str, target: &str) -> bool {
    let Some((targets, rest)) = line.split_once(':') else {
        return false;
    };
    !line.starts_with(char::is_whitespace)
        && !rest.starts_with('=')
        && targets.split_whitespace().any(|known| known == target)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use towline_domain::definition::Preset;

    use super::*;

    #[test]
    fn what_is_guessed_is_a_good_definition() {
        let check = |name: &str, files: &[(&str, &str)], expected: &str| {
            let top = tempfile::tempdir().unwrap();
            let folder = top.path().join(name);
            fs::create_dir(&folder).unwrap();
            for (file, text) in files {
                fs::write(folder.join(file), text).unwrap();
            }
            let text = definition(&folder).unwrap();
            let read = towline_definition::read(text.as_bytes())
                .unwrap_or_else(|errors| panic!("{errors}\n{text}"));
            let component = &read.components[0];
            let preset = match &component.build.preset {
                Preset::Docker { .. } => "docker".to_owned(),
                Preset::Make {
                    build,
                    always,
                    login,
                } => {
                    let login = if *login { "login " } else { "" };
                    format!(
                        "make {login}{} always {}",
                        build.join(" "),
                        always.join(" ")
                    )
                }
                Preset::Pack { .. } => "pack".to_owned(),
                Preset::Buildspec { path } => path.clone(),
                Preset::Inline { .. } => "inline".to_owned(),
            };
            let tags = component.build.tags.join(" ");
            let outputs = component.build.outputs.join(" ");
            let found = format!("{}: {preset}, {tags} {outputs}", component.name);
            assert_eq!(found.trim_end(), expected);
            assert_eq!(read.stages.len(), 2);
            assert!(read.not_executed.is_empty(), "{:?}", read.not_executed);
        };
        let usual = "{sha7}-{build}";
        check(
            "Shop",
            &[("Dockerfile", "FROM scratch")],
            &format!("shop: docker, {usual}"),
        );
        check(
            "my shop!",
            &[
                ("Makefile", "test:\n\ttrue\npublish: test\n\ttrue\n"),
                ("Dockerfile", ""),
            ],
            &format!("my-shop: make test publish always , {usual}"),
        );
        let makefile = "export APP_VERSION ?= $(shell git rev-parse --short HEAD)\nlogin logout clean publish version:\n\ttrue\n";
        check(
            "todo",
            &[("Makefile", makefile)],
            "todo: make login publish always clean logout, {env.APP_VERSION} version.json",
        );
        let forbidden = "GIT_SHA ?= $(shell git rev-parse HEAD)\npublish:\n\ttrue\n";
        check(
            "x",
            &[("Makefile", forbidden)],
            &format!("x: make publish always , {usual}"),
        );
        check(
            "x",
            &[("Makefile", "publish := no\n")],
            &format!("x: pack, {usual}"),
        );
        check(
            "old",
            &[("buildspec.yml", ""), ("Makefile", makefile)],
            &format!("old: buildspec.yml, {usual}"),
        );
        check("쇼핑", &[], &format!("app: pack, {usual}"));
        check("a--b", &[], &format!("app: pack, {usual}"));
    }
}

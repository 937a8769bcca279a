//! A definition to begin with: what the folder looks like decides the preset.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use towline_domain::names::ComponentName;

/// The largest Makefile that is looked into.
const MOST_BYTES: u64 = 1024 * 1024;

/// The text of a `.towline.yml` for a folder.
///
/// # Errors
/// When there is no such folder.
pub(super) fn definition(folder: &Path) -> anyhow::Result<String> {
    let folder = folder
        .canonicalize()
        .with_context(|| format!("looking at {}", folder.display()))?;
    if !folder.is_dir() {
        bail!("{} is no folder", folder.display());
    }
    let name = label(&folder);
    let build = build(&folder);
    Ok(format!(
        "# What Towline builds from this repository and where the images go.
# Check it with `towline validate`; see what a build runs with `towline generate buildspec {name}`.
version: 1
pipeline: {name}

components:
  {name}:
    # The image repository. Without `paths`, every change builds it.
    repository: local/{name}
    # paths: [src/**]
{build}      # At least one tag must differ from build to build.
      tags: [\"{{sha7}}-{{build}}\"]

# A stage is where an image can be; a promotion puts the stage's tag on the same digest.
stages:
  - name: staging
    from: build
    promote: auto # as soon as an image is built
  - name: prod
    from: staging
    promote: auto
    gates:
      # One yes is enough; `self: deny` keeps authors from approving their own commits.
      - approval: {{min: 1, self: allow, expires: 24h}}
"
    ))
}

/// The folder's name as a component takes it.
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
    // A label of one character is too short for an image repository only without its `local/`.
    match short.parse::<ComponentName>() {
        Ok(name) if !short.contains("--") => name.to_string(),
        Ok(_) | Err(_) => "app".into(),
    }
}

fn build(folder: &Path) -> String {
    if folder.join("Dockerfile").is_file() {
        return "    build:
      preset: docker # builds ./Dockerfile and pushes the image
      # context: .
"
        .into();
    }
    if let Some(targets) = make_targets(folder) {
        return format!(
            "    build:
      preset: make # runs the targets one after the other; the last one pushes
      make: {{build: [{}]}}
",
            targets.join(", ")
        );
    }
    "    build:
      preset: pack # makes an image of files, without Docker
      # run: [./build.sh] # commands that make the files first
      root: . # the folder whose content becomes the image
      # entrypoint: [/bin/app]
"
    .into()
}

/// The targets of a Makefile that can publish, in the order they have to run.
fn make_targets(folder: &Path) -> Option<Vec<&'static str>> {
    let names = ["GNUmakefile", "makefile", "Makefile"];
    let file = names
        .iter()
        .map(|name| folder.join(name))
        .find(|file| file.is_file())?;
    let small = fs::metadata(&file).is_ok_and(|metadata| metadata.len() <= MOST_BYTES);
    let text = small.then(|| fs::read_to_string(&file).ok()).flatten()?;
    let defines = |target: &str| text.lines().any(|line| is_rule(line, target));
    let known = ["test", "build", "release", "publish"];
    defines("publish").then(|| known.into_iter().filter(|target| defines(target)).collect())
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
            let read = towline_wire::definition::read(text.as_bytes())
                .unwrap_or_else(|errors| panic!("{errors}\n{text}"));
            let component = &read.components[0];
            let preset = match &component.build.preset {
                Preset::Docker { .. } => "docker".to_owned(),
                Preset::Make { build, .. } => format!("make {}", build.join(" ")),
                Preset::Pack { .. } => "pack".to_owned(),
                Preset::Buildspec { .. } | Preset::Inline { .. } => "other".to_owned(),
            };
            assert_eq!(format!("{}: {preset}", component.name), expected);
            assert_eq!(read.stages.len(), 2);
            assert!(read.not_executed.is_empty(), "{:?}", read.not_executed);
        };
        check("Shop", &[("Dockerfile", "FROM scratch")], "shop: docker");
        check(
            "my shop!",
            &[("Makefile", "test:\n\ttrue\npublish: test\n\ttrue\n")],
            "my-shop: make test publish",
        );
        check("x", &[("Makefile", "publish := no\n")], "x: pack");
        check("쇼핑", &[], "app: pack");
        check("a--b", &[], "app: pack");
    }
}

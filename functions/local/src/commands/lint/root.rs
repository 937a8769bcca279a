//! The root of the source a buildspec belongs to, with the project's settings from its definition.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use towline_buildspec::lint::Context;
use towline_definition::{self as definition, DefinitionErrors, FILE};
use towline_domain::definition::{Component, Definition, Preset};

use towline_client::tree::{self, Tree};
use towline_client::words::WordError;

/// Facts about the project that are not in the files.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Facts about the project that are not in the files")]
pub struct Project {
    /// Build image, such as aws/codebuild/standard:7.0
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Whether builds may use Docker: yes or no
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no)]
    privileged: Option<bool>,
    /// The source comes from CodePipeline, without .git
    #[arg(long)]
    codepipeline: bool,
    /// Tags of the ECR repository are immutable
    #[arg(long)]
    immutable_tags: bool,
    /// Platform of images, such as linux/arm64; may be repeated
    #[arg(long = "platform", value_name = "PLATFORM")]
    platforms: Vec<String>,
    /// AWS region of the project
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// AWS account of the project
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
}

fn yes_or_no(text: &str) -> Result<bool, WordError> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(WordError::new("use yes or no")),
    }
}

/// A folder whose content CodeBuild gets as the source.
pub struct Root {
    /// Its path, without links and `..`.
    pub folder: PathBuf,
    /// The prefix that makes a path from the root relative to the current folder.
    pub prefix: String,
    /// Its files.
    pub tree: Tree,
    /// Its `.towline.yml` and its content, if there is one.
    pub definition: Option<(String, Result<Definition, DefinitionErrors>)>,
}

impl Root {
    fn open(folder: PathBuf, here: &Path) -> Self {
        let text = tree::text_of(&folder.join(FILE)).ok();
        Self {
            prefix: prefix(here, &folder),
            tree: Tree::new(folder.clone()),
            definition: text.map(|text| {
                let read = definition::read(text.as_bytes());
                (text, read)
            }),
            folder,
        }
    }

    /// The components of a definition without mistakes.
    pub fn components(&self) -> &[Component] {
        match &self.definition {
            Some((_, Ok(definition))) => &definition.components,
            Some((_, Err(_))) | None => &[],
        }
    }

    /// The settings of each project that runs this buildspec; if no component names it, the ones
    /// that were typed.
    pub fn contexts(&self, path: &str, project: &Project) -> Vec<Context<'_>> {
        let names_it = |component: &&Component| {
            matches!(&component.build.preset, Preset::Buildspec { path: named }
                if named.strip_prefix("./").unwrap_or(named) == path)
        };
        let mut contexts: Vec<Context<'_>> = self
            .components()
            .iter()
            .filter(names_it)
            .map(|component| self.context(project, Some(component)))
            .collect();
        if contexts.is_empty() {
            contexts.push(self.context(project, None));
        }
        contexts
    }

    /// The settings of a component's project; typed ones have priority.
    pub fn context(&self, project: &Project, component: Option<&Component>) -> Context<'_> {
        let build = component.map(|component| &component.build);
        let platforms = match build {
            Some(build) if project.platforms.is_empty() => build.platforms.clone(),
            _ => project.platforms.clone(),
        };
        Context {
            files: &self.tree,
            image: project
                .image
                .clone()
                .or_else(|| build.map(|build| build.image.clone())),
            // Builds with the repository's own buildspec run with Docker.
            privileged: project.privileged.or(build.map(|_| true)),
            git_metadata: project.codepipeline.then_some(false),
            immutable_tags: project.immutable_tags.then_some(true),
            platforms,
            region: project.region.clone(),
            account: project.account.clone(),
        }
    }
}

/// The known roots, so that each is opened once.
pub struct Roots {
    here: PathBuf,
    known: BTreeMap<PathBuf, Root>,
}

impl Roots {
    /// No roots yet; `here` is the current folder, without links and `..`.
    pub fn new(here: PathBuf) -> Self {
        Self {
            here,
            known: BTreeMap::new(),
        }
    }

    /// The root of a file in `folder`: the nearest folder with `.git` or `.towline.yml`, else the
    /// folder it was found in, else the current folder, if it contains the file.
    pub fn of(&mut self, folder: &Path, below: Option<&Path>) -> &Root {
        let is_root = |folder: &&Path| folder.join(".git").exists() || folder.join(FILE).is_file();
        let fallback = below.unwrap_or(if folder.starts_with(&self.here) {
            &self.here
        } else {
            folder
        });
        let root = folder.ancestors().find(is_root).unwrap_or(fallback);
        self.known
            .entry(root.to_owned())
            .or_insert_with(|| Root::open(root.to_owned(), &self.here))
    }
}

/// The path from one folder to another: empty, `sub/`, `../` or an absolute path.
fn prefix(here: &Path, folder: &Path) -> String {
    if let Ok(inner) = folder.strip_prefix(here) {
        let inner = inner.display().to_string();
        return if inner.is_empty() { inner } else { inner + "/" };
    }
    match here.strip_prefix(folder) {
        Ok(inner) => "../".repeat(inner.components().count()),
        Err(_) => format!("{}/", folder.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_from_the_root_is_shown_from_where_the_command_runs() {
        for (here, folder, expected) in [
            ("/a/b", "/a/b", ""),
            ("/a/b", "/a/b/c/d", "c/d/"),
            ("/a/b/c", "/a", "../../"),
            ("/a/b", "/x", "/x/"),
        ] {
            assert_eq!(prefix(Path::new(here), Path::new(folder)), expected);
        }
    }
}

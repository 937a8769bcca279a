//! Keeps the files that a buildspec names as artifacts.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use towline_buildspec::model::Artifacts;

/// Most files that are kept of a build.
const MOST_FILES: usize = 10_000;

/// Which of a build's artifacts is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    Main,
    Secondary(String),
}

impl Name {
    /// Its folder below that of all artifacts of the build; none when it would not be there.
    fn folder(&self) -> Option<PathBuf> {
        match self {
            Self::Main => Some("main".into()),
            Self::Secondary(name) => {
                let is_plain = !name.contains(['/', '\0']) && !["", ".", ".."].contains(&&**name);
                is_plain.then(|| Path::new("secondary").join(name))
            }
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Main => formatter.write_str("the artifacts"),
            Self::Secondary(name) => write!(formatter, "the secondary artifact {name:?}"),
        }
    }
}

/// The artifacts that name files, the main one first.
pub(crate) fn by_name(mut all: Artifacts) -> Vec<(Name, Artifacts)> {
    let secondary = std::mem::take(&mut all.secondary);
    let secondary = secondary
        .into_iter()
        .map(|(name, artifacts)| (Name::Secondary(name), artifacts));
    std::iter::once((Name::Main, all))
        .chain(secondary)
        .filter(|(_, artifacts)| !artifacts.files.is_empty())
        .collect()
}

/// Keeps one artifact below `kept`; what to say of it, or why it cannot be kept.
pub(crate) fn keep(
    name: &Name,
    artifacts: &Artifacts,
    source: &Path,
    kept: &Path,
) -> Result<Vec<String>, String> {
    let folder = name
        .folder()
        .ok_or_else(|| format!("keeping {name}: its name cannot be that of a folder"))?;
    let target = kept.join(folder);
    let collected =
        collect(artifacts, source, &target).map_err(|error| format!("keeping {name}: {error}"))?;
    if collected.files == 0 {
        let patterns = collected.missing.join(", ");
        // CodeBuild's words, and then ours.
        return Err(format!(
            "no matching artifact paths found for {name}: no file fits {patterns}"
        ));
    }
    let missing = collected.missing.iter();
    let mut said: Vec<String> = missing
        .map(|pattern| format!("No file fits the artifact pattern {pattern}"))
        .collect();
    let (files, target) = (collected.files, target.display());
    said.push(format!("Kept {files} files as artifacts in {target}"));
    Ok(said)
}

/// What was found of one artifact.
#[derive(Debug, Default, PartialEq, Eq)]
struct Collected {
    files: usize,
    /// Patterns that no file fits.
    missing: Vec<String>,
}

/// Copies the files of an artifact from the source into `target`.
///
/// Symbolic links are neither followed nor kept, and the base directory lies in the source.
fn collect(artifacts: &Artifacts, source: &Path, target: &Path) -> io::Result<Collected> {
    let base = base_directory(artifacts, source)?;
    let wanted = patterns(&artifacts.files)?;
    let unwanted = patterns(&artifacts.exclude_paths)?;
    let mut fitting = vec![false; artifacts.files.len()];
    let mut collected = Collected::default();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(base.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_dir() && path.as_os_str() != ".git" {
                folders.push(path);
            } else if kind.is_file() && !unwanted.is_match(&path) {
                let fits = wanted.matches(&path);
                if fits.is_empty() {
                    continue;
                }
                fits.into_iter().for_each(|index| fitting[index] = true);
                if collected.files == MOST_FILES {
                    return Err(io::Error::other(format!(
                        "more than {MOST_FILES} files are named as artifacts"
                    )));
                }
                collected.files += 1;
                copy(&base.join(&path), &path, artifacts, target)?;
            }
        }
    }
    let missing = artifacts.files.iter().zip(fitting);
    collected.missing = missing
        .filter(|(_, fits)| !fits)
        .map(|(pattern, _)| pattern.clone())
        .collect();
    Ok(collected)
}

fn copy(file: &Path, path: &Path, artifacts: &Artifacts, target: &Path) -> io::Result<()> {
    let name = match (artifacts.discard_paths, path.file_name()) {
        (Some(true), Some(name)) => Path::new(name),
        _ => path,
    };
    let kept = target.join(name);
    if let Some(folder) = kept.parent() {
        fs::create_dir_all(folder)?;
    }
    let copied = fs::copy(file, kept).map(|_| ());
    copied.map_err(|error| about(&format!("copying {}", path.display()), &error))
}

fn base_directory(artifacts: &Artifacts, source: &Path) -> io::Result<PathBuf> {
    let source = source.canonicalize()?;
    let given = artifacts.base_directory.as_deref().unwrap_or(".");
    let base = source
        .join(given)
        .canonicalize()
        .map_err(|error| about(&format!("the base directory {given:?}"), &error))?;
    if base.starts_with(&source) {
        Ok(base)
    } else {
        Err(io::Error::other(format!(
            "the base directory {given:?} is outside the source"
        )))
    }
}

fn about(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// CodeBuild's patterns: `*` within a folder, `**` across folders.
fn patterns(globs: &[String]) -> io::Result<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        let glob = glob.strip_prefix("./").unwrap_or(glob);
        let glob = GlobBuilder::new(glob).literal_separator(true).build();
        set.add(glob.map_err(io::Error::other)?);
    }
    set.build().map_err(io::Error::other)
}

//! Keeps the files that a buildspec names as artifacts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use towline_buildspec::model::Artifacts;

/// Most files that are kept of a build.
const MOST_FILES: usize = 10_000;

/// What was found of one artifact.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Collected {
    pub(crate) files: usize,
    /// Patterns that no file fits.
    pub(crate) missing: Vec<String>,
}

/// Copies the files of an artifact from the source into `target`.
///
/// Symbolic links are neither followed nor kept, and the base directory lies in the source.
pub(crate) fn collect(
    artifacts: &Artifacts,
    source: &Path,
    target: &Path,
) -> io::Result<Collected> {
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
                keep(&base.join(&path), &path, artifacts, target)?;
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

fn keep(file: &Path, path: &Path, artifacts: &Artifacts, target: &Path) -> io::Result<()> {
    let name = match (artifacts.discard_paths, path.file_name()) {
        (Some(true), Some(name)) => Path::new(name),
        _ => path,
    };
    let kept = target.join(name);
    if let Some(folder) = kept.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(file, kept).map(|_| ())
}

fn base_directory(artifacts: &Artifacts, source: &Path) -> io::Result<PathBuf> {
    let source = source.canonicalize()?;
    let given = artifacts.base_directory.as_deref().unwrap_or(".");
    let base = source.join(given).canonicalize()?;
    if base.starts_with(&source) {
        Ok(base)
    } else {
        Err(io::Error::other(format!(
            "the base directory {given:?} is outside the source"
        )))
    }
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

//! Keeps the files that a buildspec names as artifacts.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};

use towline_buildspec::model::Artifacts;

use crate::files::{self, Awaited, Kind, Patterns, Quota, TooMuch};
use crate::said::Said;

/// The most to keep of one artifact.
const QUOTA: Quota = Quota {
    files: 10_000,
    bytes: 1 << 30,
};

/// One of a build's artifacts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    Main,
    Secondary(String),
}

impl Name {
    /// Its folder below the folder of all artifacts of the build; none if it would be outside.
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

/// Keeps one artifact below `kept`; returns lines for the log, or why it cannot be kept.
pub(crate) fn keep(
    name: &Name,
    artifacts: &Artifacts,
    source: &Path,
    kept: &Path,
    awaited: &Awaited,
) -> Result<Vec<String>, Said> {
    let folder = name
        .folder()
        .ok_or_else(|| format!("keeping {name}: the name cannot be used for a folder"))?;
    let target = kept.join(folder);
    let collected = collect(artifacts, source, &target, awaited)
        .map_err(|error| format!("keeping {name}: {error}"))?;
    if collected.files == 0 {
        let patterns = collected.missing.join(", ");
        // First CodeBuild's message, then ours.
        return Err(format!(
            "no matching artifact paths found for {name}: no file matches {patterns}"
        )
        .into());
    }
    let missing = collected.missing.iter();
    let mut said: Vec<String> = missing
        .map(|pattern| format!("No file matches the artifact pattern {pattern}"))
        .collect();
    let (files, target) = (collected.files, target.display());
    said.push(format!("Kept {files} files as artifacts in {target}"));
    Ok(said)
}

/// The files of one artifact.
#[derive(Debug, Default, PartialEq, Eq)]
struct Collected {
    files: usize,
    missing: Vec<String>,
}

/// Copies the files of an artifact from the source into `target`.
///
/// Symbolic links are not followed. They are kept if the buildspec says so and they lead to another
/// place in the artifact.
fn collect(
    artifacts: &Artifacts,
    source: &Path,
    target: &Path,
    awaited: &Awaited,
) -> Result<Collected, Said> {
    let wanted = Patterns::new(&artifacts.files)?;
    let unwanted = Patterns::new(&artifacts.exclude_paths)?;
    let links = artifacts.enable_symlinks == Some(true);
    let mut quota = QUOTA;
    let mut collected = Collected::default();
    let mut fitting = vec![false; artifacts.files.len()];
    for base in files::bases(source, artifacts.base_directory.as_deref())? {
        wanted.visit(&base, awaited, |path, kind, fits| {
            if unwanted.fits(path) || kind == Kind::Link && !links {
                return Ok(());
            }
            let name = match (artifacts.discard_paths, path.file_name()) {
                (Some(true), Some(name)) => Path::new(name),
                _ => path,
            };
            let about = |error: io::Error| format!("copying {}: {error}", path.display());
            match kind {
                Kind::File => {
                    let file = files::open_beneath(&base, path).map_err(about)?;
                    let bytes = file.metadata().map_err(about)?.len();
                    quota.take(bytes).map_err(too_much)?;
                    copy(file, bytes, target, name).map_err(about)?;
                }
                Kind::Link => {
                    quota.take(0).map_err(too_much)?;
                    if !link(&base, path, target, name).map_err(about)? {
                        return Ok(());
                    }
                }
            }
            collected.files += 1;
            fits.iter().for_each(|index| fitting[*index] = true);
            Ok(())
        })?;
    }
    let missing = artifacts.files.iter().zip(fitting);
    collected.missing = missing
        .filter(|(_, fits)| !fits)
        .map(|(pattern, _)| pattern.clone())
        .collect();
    Ok(collected)
}

fn too_much(what: TooMuch) -> String {
    match what {
        TooMuch::Files => format!("the artifacts have more than {} files", QUOTA.files),
        TooMuch::Bytes => format!("the artifacts have more than {} MiB", QUOTA.bytes >> 20),
    }
}

/// Copies exactly the counted bytes of a file.
fn copy(file: File, bytes: u64, target: &Path, name: &Path) -> io::Result<()> {
    let mode = file.metadata()?.permissions().mode() & 0o777;
    let mut copy = File::create_new(make_room(target, name)?)?;
    io::copy(&mut file.take(bytes), &mut copy)?;
    copy.set_permissions(fs::Permissions::from_mode(mode))
}

/// Where a file or link is kept. With `discard-paths`, the last file of a name wins; it is not written
/// through a link.
fn make_room(target: &Path, name: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(target)?;
    files::make_way(target, name)?;
    let kept = target.join(name);
    match fs::remove_file(&kept) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(kept),
    }
}

/// Keeps a link if it leads to another place in the artifact; returns whether it does.
///
/// It may go up first and then down, but not up again, because the folders below may be links too.
fn link(base: &Path, path: &Path, target: &Path, name: &Path) -> io::Result<bool> {
    let leads = fs::read_link(base.join(path))?;
    let mut above = name.components().count().saturating_sub(1);
    let mut down = false;
    for part in leads.components() {
        match part {
            Component::Normal(_) => down = true,
            Component::CurDir => {}
            Component::ParentDir if above > 0 && !down => above -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Ok(false),
        }
    }
    symlink(leads, make_room(target, name)?)?;
    Ok(true)
}

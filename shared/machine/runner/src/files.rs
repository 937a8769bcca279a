//! Finds the files that match patterns below a folder, without following links out of it.
//!
//! Processes of the build may still run and change files, so each folder on a path is opened in turn,
//! and a link on the way is an error.

use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use tokio::task::{JoinError, spawn_blocking};

use crate::said::Said;

/// When dropped, tells work on another thread that its result is no longer needed.
#[derive(Debug, Default)]
struct Waiting(Arc<AtomicBool>);

#[derive(Debug, Clone)]
pub(crate) struct Awaited(Arc<AtomicBool>);

impl Waiting {
    fn awaited(&self) -> Awaited {
        Awaited(Arc::clone(&self.0))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Awaited {
    fn check(&self) -> io::Result<()> {
        match self.0.load(Ordering::Relaxed) {
            true => Err(io::Error::other("the build has ended")),
            false => Ok(()),
        }
    }
}

/// Runs blocking work on its own thread, and stops it when the result is no longer needed.
pub(crate) async fn aside<T: Send + 'static>(
    work: impl FnOnce(&Awaited) -> T + Send + 'static,
) -> Result<T, JoinError> {
    let waiting = Waiting::default();
    let awaited = waiting.awaited();
    let done = spawn_blocking(move || work(&awaited)).await;
    drop(waiting);
    done
}

/// How many files and bytes may be taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quota {
    pub(crate) files: usize,
    pub(crate) bytes: u64,
}

/// Which part of a quota is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TooMuch {
    Files,
    Bytes,
}

impl Quota {
    /// Counts one more file.
    pub(crate) fn take(&mut self, bytes: u64) -> Result<(), TooMuch> {
        self.files = self.files.checked_sub(1).ok_or(TooMuch::Files)?;
        self.bytes = self.bytes.checked_sub(bytes).ok_or(TooMuch::Bytes)?;
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Link,
}

/// CodeBuild's patterns: `*` within a folder, `**` across folders.
#[derive(Debug)]
pub(crate) struct Patterns(GlobSet);

impl Patterns {
    /// # Errors
    /// When one is invalid, or leads out of its folder.
    pub(crate) fn new(globs: &[String]) -> Result<Self, Said> {
        let mut set = GlobSetBuilder::new();
        for text in globs {
            let glob = text.strip_prefix("./").unwrap_or(text);
            let leaves = Path::new(glob)
                .components()
                .any(|part| !matches!(part, Component::Normal(_) | Component::CurDir));
            if leaves {
                return Err(format!("the pattern {text:?} leads outside the source").into());
            }
            let glob = GlobBuilder::new(glob).literal_separator(true).build();
            set.add(glob.map_err(|error| error.to_string())?);
        }
        Ok(set.build().map(Self).map_err(|error| error.to_string())?)
    }

    pub(crate) fn fits(&self, path: &Path) -> bool {
        self.0.is_match(path)
    }

    /// Visits matching files below `base`, each with the indexes of its patterns. `.git` at the top
    /// is left out.
    pub(crate) fn visit(
        &self,
        base: &Path,
        awaited: &Awaited,
        mut visit: impl FnMut(&Path, Kind, &[usize]) -> Result<(), Said>,
    ) -> Result<(), Said> {
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            let about = |error: io::Error| Said::from(format!("{}: {error}", folder.display()));
            let entries = match fs::read_dir(base.join(&folder)) {
                Ok(entries) => entries,
                // It existed a moment ago.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(about(error)),
            };
            for entry in entries {
                awaited.check().map_err(about)?;
                let entry = entry.map_err(about)?;
                let path = folder.join(entry.file_name());
                let kind = entry.file_type().map_err(about)?;
                let kind = match kind {
                    kind if kind.is_dir() && path.as_os_str() != ".git" => {
                        folders.push(path);
                        continue;
                    }
                    kind if kind.is_file() => Kind::File,
                    kind if kind.is_symlink() => Kind::Link,
                    _ => continue,
                };
                let fits = self.0.matches(&path);
                if !fits.is_empty() {
                    visit(&path, kind, &fits)?;
                }
            }
        }
        Ok(())
    }
}

/// Opens a file below `base` for reading; a link anywhere on the way is an error.
pub(crate) fn open_beneath(base: &Path, path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    // The way to it has no links, unless a process of the build has put one there.
    let resolve = ResolveFlags::NO_SYMLINKS;
    let mut folder = openat2(CWD, base, flags | OFlags::DIRECTORY, Mode::empty(), resolve)?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    for part in path.parent().into_iter().flat_map(Path::components) {
        let Component::Normal(part) = part else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let flags = flags | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        folder = openat(&folder, part, flags, Mode::empty())?;
    }
    // Opening a pipe would block until something writes to it.
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::from(openat(&folder, name, flags, Mode::empty())?);
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("not a file")),
    }
}

/// Creates the folders that lead to `path` below `base`; fails if one of them is a link.
pub(crate) fn make_way(base: &Path, path: &Path) -> io::Result<()> {
    let mut folder = base.to_owned();
    for part in path.parent().into_iter().flat_map(Path::components) {
        folder.push(part);
        match fs::symlink_metadata(&folder) {
            Ok(there) if there.is_dir() => {}
            Ok(_) => return Err(io::Error::other("something else has that name")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir(&folder)?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The folders that a `base-directory` names in the source: one, or those that match a pattern.
///
/// # Errors
/// When it does not exist, or is not in the source.
pub(crate) fn bases(source: &Path, given: Option<&str>) -> Result<Vec<PathBuf>, Said> {
    let given = given.unwrap_or(".");
    let about = |error: &dyn std::fmt::Display| format!("the base directory {given:?}: {error}");
    let source = source.canonicalize().map_err(|error| about(&error))?;
    if !given.contains(['*', '?', '[', '{']) {
        let base = source.join(given);
        let base = base.canonicalize().map_err(|error| about(&error))?;
        return match base.starts_with(&source) {
            true => Ok(vec![base]),
            false => Err(format!("the base directory {given:?} is outside the source").into()),
        };
    }
    let pattern = Patterns::new(&[given.trim_end_matches('/').to_owned()])?;
    let mut bases = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(source.join(&folder)).map_err(|error| about(&error))? {
            let entry = entry.map_err(|error| about(&error))?;
            let path = folder.join(entry.file_name());
            let is_folder = entry.file_type().map_err(|error| about(&error))?.is_dir();
            if !is_folder || path.as_os_str() == ".git" {
                continue;
            }
            match pattern.fits(&path) {
                true => bases.push(source.join(&path)),
                false => folders.push(path),
            }
        }
    }
    bases.sort();
    match bases.is_empty() {
        true => Err(about(&"no folder matches").into()),
        false => Ok(bases),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder with a file in a folder, and links to both and to what is outside.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("base");
        fs::create_dir_all(base.join("real")).unwrap();
        fs::write(base.join("real/file"), "inside").unwrap();
        fs::write(folder.path().join("secret"), "outside").unwrap();
        symlink("real", base.join("to-folder")).unwrap();
        symlink("file", base.join("real/to-file")).unwrap();
        symlink("../secret", base.join("to-secret")).unwrap();
        symlink("..", base.join("up")).unwrap();
        folder
    }

    #[test]
    fn a_file_is_opened_through_no_link() {
        let folder = folder();
        let base = folder.path().join("base");
        for (path, opens) in [
            ("real/file", true),
            ("real/to-file", false),
            ("to-folder/file", false),
            ("to-secret", false),
            ("up/secret", false),
            ("../secret", false),
            ("real", false),
            ("absent", false),
            ("", false),
        ] {
            let opened = open_beneath(&base, Path::new(path)).is_ok();
            assert_eq!(opened, opens, "{path}");
        }
    }

    #[test]
    fn a_way_is_made_through_no_link() {
        let folder = folder();
        let base = folder.path().join("base");
        for (path, made) in [
            ("new/deep/file", true),
            ("real/deep/file", true),
            ("to-folder/deep/file", false),
            ("up/deep/file", false),
            ("real/file/deep/file", false),
        ] {
            assert_eq!(make_way(&base, Path::new(path)).is_ok(), made, "{path}");
        }
        assert!(!folder.path().join("deep").exists());
        assert!(!base.join("real/deep/file").exists());
    }

    #[test]
    fn a_quota_ends() {
        let whole = Quota {
            files: 2,
            bytes: 10,
        };
        for (sizes, expected) in [
            (vec![10, 0], Ok(())),
            (vec![10, 1], Err(TooMuch::Bytes)),
            (vec![0, 0, 0], Err(TooMuch::Files)),
            (vec![u64::MAX], Err(TooMuch::Bytes)),
        ] {
            let mut quota = whole;
            let taken = sizes.iter().try_for_each(|bytes| quota.take(*bytes));
            assert_eq!(taken, expected, "{sizes:?}");
        }
    }

    #[test]
    fn work_that_nobody_waits_for_stops() {
        let folder = folder();
        let waiting = Waiting::default();
        let awaited = waiting.awaited();
        let all = Patterns::new(&["**".to_owned()]).unwrap();
        let mut seen = 0;
        let mut count = |_: &Path, _: Kind, _: &[usize]| {
            seen += 1;
            Ok(())
        };
        all.visit(folder.path(), &awaited, &mut count).unwrap();
        drop(waiting);
        let stopped = all.visit(folder.path(), &awaited, &mut count);
        assert_eq!(stopped, Err(": the build has ended".into()));
        assert_eq!(seen, 6);
    }
}

//! Restores and saves the caches of builds.
//!
//! A cache has the files of the source in `src`, and those of the home folder (on CodeBuild `/root`) in
//! `home`. `shelf` says which caches a build may use.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use towline_buildspec::model::Cache;

use crate::files::{self, Awaited, Kind, Patterns, Quota};
use crate::said::Said;
use crate::shelf::Shelves;

/// The most to keep under one key.
const QUOTA: Quota = Quota {
    files: 200_000,
    bytes: 2 << 30,
};

/// Ways to write the home folder; `/root` is CodeBuild's.
const HOMES: [&str; 4] = ["/root", "~", "$HOME", "${HOME}"];

/// Ways to write the source.
const SOURCES: [&str; 2] = ["$CODEBUILD_SRC_DIR", "${CODEBUILD_SRC_DIR}"];

/// The folders of a build's files, and its caches.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(crate) source: PathBuf,
    pub(crate) home: PathBuf,
    pub(crate) shelves: Shelves,
    /// A name that no other build has.
    pub(crate) word: String,
}

/// The paths of a cache: those in the source, those in the home folder, and lines about the others.
struct Paths {
    sides: [(&'static str, Vec<String>); 2],
    said: Vec<String>,
}

impl Paths {
    fn of(cache: &Cache) -> Self {
        let (mut source, mut home, mut said) = (Vec::new(), Vec::new(), Vec::new());
        for path in &cache.paths {
            let below = |places: &[&str]| {
                let mut places = places.iter();
                let rest = places.find_map(|place| path.strip_prefix(place)?.strip_prefix('/'));
                rest.map(|rest| rest.trim_start_matches('/').to_owned())
            };
            let (side, path) = match (below(&HOMES), below(&SOURCES)) {
                (Some(path), _) => (&mut home, path),
                (None, Some(path)) => (&mut source, path),
                (None, None) => (&mut source, path.clone()),
            };
            // A folder's name stands for its whole content.
            let path = path.trim_end_matches('/');
            let all = [path.to_owned(), format!("{path}/**")];
            match Patterns::new(&all) {
                Ok(_) => side.extend(all),
                Err(_) => said.push(format!(
                    "Not cached: {path} is neither in the source nor in the home (/root)"
                )),
            }
        }
        Self {
            sides: [("src", source), ("home", home)],
            said,
        }
    }
}

impl Places {
    fn side(&self, name: &str) -> &Path {
        match name {
            "home" => &self.home,
            _ => &self.source,
        }
    }

    /// Puts a cache into the build's folders; returns lines for the log, and its key.
    ///
    /// Files of the checkout stay as they are, and nothing is written through links in it. No process
    /// of the build runs yet.
    pub(crate) fn restore(
        &self,
        key: &str,
        fallback: &[String],
        awaited: &Awaited,
        now: SystemTime,
    ) -> (Vec<String>, Option<String>) {
        let Some(found) = self.shelves.find(key, fallback) else {
            return (vec![format!("No cache yet{}", named(key))], None);
        };
        let mut said = Vec::new();
        let mut restored = 0_usize;
        let all = ["**".to_owned()];
        for side in ["src", "home"] {
            let (from, to) = (found.folder.join(side), self.side(side));
            let put = Patterns::new(&all).and_then(|all| {
                all.visit(&from, awaited, |path, kind, _| {
                    match put(&from.join(path), to, path, kind) {
                        Ok(true) => restored += 1,
                        Ok(false) => {}
                        Err(error) => {
                            let path = path.display();
                            said.push(format!("Not restored: {path}: {error}"));
                        }
                    }
                    Ok(())
                })
            });
            if let Err(error) = put {
                said.push(format!("Restoring the cache failed: {error}"));
            }
        }
        said.truncate(MOST_SAID);
        said.push(format!(
            "Restored {restored} files from the cache{}",
            named(&found.key)
        ));
        self.shelves.was_used(&found, now);
        (said, Some(found.key))
    }

    /// Keeps the files of a cache under its key; returns lines for the log.
    pub(crate) fn save(
        &self,
        cache: &Cache,
        key: &str,
        awaited: &Awaited,
        now: SystemTime,
    ) -> Vec<String> {
        let paths = Paths::of(cache);
        let mut said = paths.said;
        let new = self.shelves.new_folder(&self.word);
        let saved = self.collect(&paths.sides, &new, awaited).and_then(|files| {
            self.shelves
                .put(&self.word, key, now)
                .map_err(|error| error.to_string())?;
            Ok(files)
        });
        match saved {
            Ok(files) => said.push(format!("Saved {files} files to the cache{}", named(key))),
            Err(error) => said.push(format!("The cache was not saved: {error}")),
        }
        // It exists only if something failed.
        let _ = fs::remove_dir_all(new);
        said
    }

    fn collect(
        &self,
        sides: &[(&str, Vec<String>)],
        new: &Path,
        awaited: &Awaited,
    ) -> Result<usize, Said> {
        let mut quota = QUOTA;
        for (side, globs) in sides {
            let (from, to) = (self.side(side), new.join(side));
            fs::create_dir_all(&to).map_err(|error| error.to_string())?;
            if globs.is_empty() {
                continue;
            }
            Patterns::new(globs)?.visit(from, awaited, |path, kind, _| {
                let about = |error: io::Error| Said::from(format!("{}: {error}", path.display()));
                let bytes = match kind {
                    Kind::File => files::open_beneath(from, path)
                        .and_then(|file| Ok(file.metadata()?.len()))
                        .map_err(about)?,
                    Kind::Link => 0,
                };
                quota.take(bytes).map_err(|_| too_much())?;
                files::make_way(&to, path).map_err(about)?;
                match kind {
                    Kind::File => {
                        let file = files::open_beneath(from, path).map_err(about)?;
                        copy(file, bytes, &to.join(path)).map_err(about)
                    }
                    Kind::Link => fs::read_link(from.join(path))
                        .and_then(|leads| symlink(leads, to.join(path)))
                        .map_err(about),
                }
            })?;
        }
        match QUOTA.files - quota.files {
            0 => Err("no file matches its paths".into()),
            files => Ok(files),
        }
    }
}

/// The most files to name that cannot be restored.
const MOST_SAID: usize = 20;

fn named(key: &str) -> String {
    match key {
        "" => String::new(),
        key => format!(" {key:?}"),
    }
}

fn too_much() -> String {
    format!(
        "more than {} files or {} GiB",
        QUOTA.files,
        QUOTA.bytes >> 30
    )
}

/// Restores one file unless something exists there; returns whether it did.
fn put(from: &Path, base: &Path, path: &Path, kind: Kind) -> io::Result<bool> {
    let to = base.join(path);
    files::make_way(base, path)?;
    if fs::symlink_metadata(&to).is_ok() {
        return Ok(false);
    }
    match kind {
        Kind::File => {
            let file = File::open(from)?;
            let bytes = file.metadata()?.len();
            copy(file, bytes, &to)?;
        }
        Kind::Link => symlink(fs::read_link(from)?, to)?,
    }
    Ok(true)
}

/// Copies a file with its mode and time, which many tools use to check whether it is current.
fn copy(file: File, bytes: u64, to: &Path) -> io::Result<()> {
    let metadata = file.metadata()?;
    let mut copy = File::create_new(to)?;
    io::copy(&mut file.take(bytes), &mut copy)?;
    let mode = metadata.permissions().mode() & 0o777;
    copy.set_permissions(fs::Permissions::from_mode(mode))?;
    copy.set_modified(metadata.modified()?)
}

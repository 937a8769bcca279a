//! Where caches are kept between builds, separated by trust.
//!
//! `cache/<repository id>/<project>` has a folder `default` for the default branch, and a folder `others`
//! for all other refs. A cache in them is named by the hash of its ref and key.
//!
//! A build saves only caches of its own ref. It restores those, or those of the default branch. So the
//! caches of one branch's builds reach neither the default branch nor any other branch (A30).

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

use crate::record::Record;

/// Caches to keep of a project's default branch; the least recently used is removed first.
const MOST_OF_DEFAULT: usize = 5;

/// Caches to keep of all other refs of a project together.
const MOST_OF_OTHERS: usize = 10;

/// The caches that a build may use.
#[derive(Debug, Clone)]
pub(crate) struct Shelves {
    /// Those of its ref, to restore and to save.
    own: Shelf,
    /// Those of the default branch, if that is another ref; only to restore.
    trusted: Option<Shelf>,
}

/// The caches of one ref, in a folder that may contain those of more refs.
#[derive(Debug, Clone)]
struct Shelf {
    folder: PathBuf,
    /// Empty for the default branch, whose caches stay when it gets another name.
    git_ref: String,
    /// The most caches in the folder.
    most: usize,
}

/// A kept cache, in the order of its last use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kept {
    used: SystemTime,
    git_ref: String,
    pub(crate) key: String,
    pub(crate) folder: PathBuf,
}

impl Shelves {
    /// Those of a build, below the folder of all caches.
    pub(crate) fn of(all: &Path, record: &Record) -> Self {
        let request = &record.request;
        let id = request.repository_id.to_string();
        let folder = all.join(id).join(record.project());
        let trusted = Shelf {
            folder: folder.join("default"),
            git_ref: String::new(),
            most: MOST_OF_DEFAULT,
        };
        if request.is_trusted {
            return Self {
                own: trusted,
                trusted: None,
            };
        }
        Self {
            own: Shelf {
                folder: folder.join("others"),
                git_ref: request.git_ref.full(),
                most: MOST_OF_OTHERS,
            },
            trusted: Some(trusted),
        }
    }

    /// The cache with the key, or the newest that starts with a fallback key; of its own ref first.
    pub(crate) fn find(&self, key: &str, fallback: &[String]) -> Option<Kept> {
        let shelves = std::iter::once(&self.own).chain(&self.trusted);
        let all: Vec<Kept> = shelves.flat_map(Shelf::of_ref).collect();
        let exact = all.iter().find(|kept| kept.key == key);
        let near = || {
            let begins = |start: &String| {
                all.iter()
                    .find(|kept| !start.is_empty() && kept.key.starts_with(start))
            };
            fallback.iter().find_map(begins)
        };
        exact.or_else(near).cloned()
    }

    /// Remembers that a cache was used, if it is of the build's own ref: other refs do not decide which
    /// caches of the default branch are kept.
    pub(crate) fn was_used(&self, kept: &Kept, now: SystemTime) {
        if kept.folder.starts_with(&self.own.folder) {
            // If this fails, the cache only looks older than it is.
            let _ = set_used(&kept.folder, now);
        }
    }

    /// Where to collect the files of a new cache; `word` is a name that no other build has.
    pub(crate) fn new_folder(&self, word: &str) -> PathBuf {
        self.own.folder.join(format!("{word}.new"))
    }

    /// Renames collected files to their final name, and removes the least recently used caches.
    pub(crate) fn put(&self, word: &str, key: &str, now: SystemTime) -> io::Result<()> {
        let (own, new) = (&self.own, self.new_folder(word));
        fs::write(new.join("ref"), &own.git_ref)?;
        fs::write(new.join("key"), key)?;
        set_used(&new, now)?;
        let place = own.place(key);
        let old = own.folder.join(format!("{word}.old"));
        match fs::rename(&place, &old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::rename(new, place)?;
        remove(&old)?;
        let mut beyond = own.all().into_iter().skip(own.most);
        beyond.try_for_each(|kept| remove(&kept.folder))
    }
}

impl Shelf {
    /// The folder of a key. No ref contains a NUL.
    fn place(&self, key: &str) -> PathBuf {
        let mut name = String::new();
        for byte in &Sha256::digest(format!("{}\0{key}", self.git_ref))[..16] {
            // Writing to a string cannot fail.
            let _ = write!(name, "{byte:02x}");
        }
        self.folder.join(name)
    }

    /// The caches of all refs in the folder, most recently used first.
    fn all(&self) -> Vec<Kept> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut all: Vec<Kept> = entries
            .filter_map(|entry| {
                let folder = entry.path();
                let key = folder.join("key");
                Some(Kept {
                    used: fs::metadata(&key).ok()?.modified().ok()?,
                    git_ref: fs::read_to_string(folder.join("ref")).ok()?,
                    key: fs::read_to_string(key).ok()?,
                    folder,
                })
            })
            .collect();
        all.sort_by(|one, other| other.cmp(one));
        all
    }

    /// The caches of its ref, most recently used first.
    fn of_ref(&self) -> Vec<Kept> {
        let mut all = self.all();
        all.retain(|kept| kept.git_ref == self.git_ref);
        all
    }
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn set_used(folder: &Path, now: SystemTime) -> io::Result<()> {
    File::options()
        .write(true)
        .open(folder.join("key"))?
        .set_modified(now)
}

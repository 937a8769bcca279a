//! The folder of a store: durable, and open in one process only.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::fault::Fault;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open, or this one has.
    #[error("{} is in use by another towline{}; stop it or use another folder", .dir.display(), in_brackets(*.pid))]
    InUse {
        dir: PathBuf,
        /// The process that has it open, if known.
        pid: Option<u32>,
    },
    /// The folder cannot be created or written to.
    #[error("the folder {} cannot be created or written to; check the path and who owns it", .dir.display())]
    Folder {
        dir: PathBuf,
        #[source]
        cause: io::Error,
    },
    /// The disk is full.
    #[error("no space left in {}; free some space, and try again", .dir.display())]
    Full {
        dir: PathBuf,
        #[source]
        cause: io::Error,
    },
    /// A newer version wrote it.
    #[error("{} was written by a newer towline (layout {found}, this one knows {known}); use that version or another folder", .path.display())]
    Newer {
        path: PathBuf,
        /// Its layout.
        found: i64,
        /// The newest layout known here.
        known: i64,
    },
    /// The file system lacks a feature that a store needs.
    #[error("{} is on a file system without shared memory, such as a network share; use a folder on a local disk", .path.display())]
    NoLocalDisk { path: PathBuf },
    /// The database or the disk is damaged.
    #[error("{0}")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The system refuses another thread.
    #[error("no thread could be started to write to the store")]
    Thread(#[source] io::Error),
}

impl OpenError {
    fn folder(dir: &Path, cause: io::Error) -> Self {
        let dir = dir.to_owned();
        let kind = cause.kind();
        if matches!(
            kind,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        ) {
            return Self::Full { dir, cause };
        }
        Self::Folder { dir, cause }
    }

    pub(crate) fn database(path: &Path, cause: rusqlite::Error) -> Self {
        Self::Database(Box::new(Fault::new(path, cause)))
    }
}

fn in_brackets(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}

/// A folder that nobody else can open while this exists.
#[derive(Debug)]
pub(crate) struct Folder {
    dir: PathBuf,
    /// Locked until it is closed, which the system does however the process ends. The file is not
    /// removed, because then two processes could each lock a file of that name.
    _lock: File,
}

impl Folder {
    pub(crate) fn open(dir: &Path) -> Result<Self, OpenError> {
        let failed = |cause| OpenError::folder(dir, cause);
        make(dir).map_err(failed)?;
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(dir.join("lock"))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse {
                    dir: dir.to_owned(),
                    pid: read_pid(&mut lock),
                });
            }
            Err(TryLockError::Error(cause)) => return Err(failed(cause)),
        }
        write_pid(&mut lock).map_err(failed)?;
        Ok(Self {
            dir: dir.to_owned(),
            _lock: lock,
        })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes the names of its files durable; SQLite does so for their content.
    pub(crate) fn sync(&self) -> Result<(), OpenError> {
        sync(&self.dir).map_err(|cause| OpenError::folder(&self.dir, cause))
    }
}

/// Creates a folder and its parents durably.
fn make(dir: &Path) -> io::Result<()> {
    let dir = std::path::absolute(dir)?;
    let missing: Vec<&Path> = dir.ancestors().take_while(|dir| !dir.exists()).collect();
    fs::create_dir_all(&dir)?;
    for made in missing.iter().rev() {
        made.parent().map_or(Ok(()), sync)?;
    }
    Ok(())
}

fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn write_pid(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

fn read_pid(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

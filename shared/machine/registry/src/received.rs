//! The uploads in progress, and the parts of blobs that they have received.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex as TurnMutex;
use towline_oci::ImageRepository;

use crate::error::RegistryError;
use crate::files::make_folder;

/// All uploads in progress. They end with the process, and their clients start again.
pub(crate) struct Uploads {
    pub(crate) folder: PathBuf,
    opened_at_ms: i64,
    started: AtomicU64,
    open: Mutex<HashMap<String, Upload>>,
}

pub(crate) struct Upload {
    pub(crate) repository: ImageRepository,
    pub(crate) active_at_ms: i64,
    pub(crate) sink: Sink,
}

/// The holder of the lock may write.
pub(crate) type Sink = Arc<TurnMutex<Received>>;

/// The received part of a blob. Its file is deleted with it, unless it was published.
pub(crate) struct Received {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    pub(crate) hasher: Sha256,
    pub(crate) ended: bool,
}

impl Drop for Received {
    fn drop(&mut self) {
        // A published file has been moved. If deleting fails, the next open deletes the file.
        let _ = fs::remove_file(&self.path);
    }
}

impl Uploads {
    /// Opens the folder and deletes uploads of an earlier process.
    pub(crate) fn open(dir: &Path, now: i64) -> Result<Self, RegistryError> {
        let folder = dir.join("uploads");
        match fs::remove_dir_all(&folder) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                let doing = "deleting unfinished uploads in";
                return Err(RegistryError::file(doing, &folder, source));
            }
            _ => make_folder(&folder)?,
        }
        Ok(Self {
            folder,
            opened_at_ms: now,
            started: AtomicU64::new(0),
            open: Mutex::default(),
        })
    }

    /// Drops uploads that are idle since `before_ms`; returns how many are left. An upload that is being
    /// written is not idle.
    pub(crate) fn drop_idle(&self, before_ms: i64) -> usize {
        let mut open = self.lock();
        open.retain(|_, upload| {
            upload.active_at_ms >= before_ms || upload.sink.try_lock().is_err()
        });
        open.len()
    }

    pub(crate) fn touch(&self, id: &str, now: i64) {
        if let Some(upload) = self.lock().get_mut(id) {
            upload.active_at_ms = now;
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<String, Upload>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The names contain the time of opening, so that none is reused after a restart.
    pub(crate) fn next_id(&self) -> String {
        let count = self.started.fetch_add(1, Ordering::Relaxed);
        format!("{:x}-{count:x}", self.opened_at_ms)
    }
}

impl Received {
    pub(crate) fn write(&mut self, parts: &[Bytes]) -> Result<(), RegistryError> {
        for part in parts {
            // At a position, so that the rest of a failed or refused chunk is overwritten.
            self.file.write_all_at(part, self.size).map_err(|source| {
                RegistryError::file("writing to the upload", &self.path, source)
            })?;
            self.hasher.update(part);
            self.size += part.len() as u64;
        }
        Ok(())
    }

    pub(crate) fn sync(&self) -> Result<(), RegistryError> {
        self.file
            .set_len(self.size)
            .and_then(|()| self.file.sync_all())
            .map_err(|source| RegistryError::file("syncing the upload", &self.path, source))
    }
}

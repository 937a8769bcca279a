//! The handle of an open registry, and the state its parts share.

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use towline_oci::Digest;

use crate::database::Database;
use crate::error::RegistryError;
use crate::files::{BlobFiles, delete_strays};
use crate::received::Uploads;

/// The time, in milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The largest accepted blob, in bytes.
    pub upload_limit: u64,
    /// Accepted host names, without port, besides `localhost` and loopback addresses. Others are
    /// refused, so that a web page cannot reach the registry with a name that it resolves to this
    /// machine.
    pub hosts: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            upload_limit: 10 << 30,
            hosts: Vec::new(),
        }
    }
}

/// An open registry. Clones share it.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) database: Database,
    pub(crate) files: BlobFiles,
    pub(crate) uploads: Uploads,
    pub(crate) seen: Seen,
    pub(crate) pushed: Notify,
    clock: Clock,
    // Held while the folder is open. The system releases it when the process ends.
    _lock: File,
}

impl Inner {
    pub(crate) fn now(&self) -> i64 {
        (self.clock)()
    }
}

/// When a client was last told that a blob exists, because it may rely on that.
#[derive(Default)]
pub(crate) struct Seen(Mutex<HashMap<Digest, i64>>);

impl Seen {
    pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<Digest, i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    /// Opens the registry in this folder, or creates it, and cleans up after a killed process. Blocks;
    /// call it before serving.
    ///
    /// # Errors
    ///
    /// [`RegistryError::InUse`] when another process has the folder open.
    pub fn open(dir: &Path, settings: Settings, clock: Clock) -> Result<Self, RegistryError> {
        fs::create_dir_all(dir)
            .map_err(|source| RegistryError::file("making the folder", dir, source))?;
        let lock = take_lock(dir)?;
        let database = Database::open(dir)?;
        let files = BlobFiles::open(dir)?;
        let uploads = Uploads::open(dir, clock())?;
        database.read("looking for stray blob files", |view| {
            delete_strays(&files, view)
        })?;
        Ok(Self(Arc::new(Inner {
            settings,
            database,
            files,
            uploads,
            seen: Seen::default(),
            pushed: Notify::new(),
            clock,
            _lock: lock,
        })))
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    /// Runs `work` on a thread that may block.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, RegistryError> + Send + 'static,
    ) -> Result<T, RegistryError> {
        let inner = Arc::clone(&self.0);
        spawn_blocking(move || work(&inner))
            .await
            .map_err(|source| RegistryError::CutOff { source })?
    }
}

fn take_lock(dir: &Path) -> Result<File, RegistryError> {
    let path = dir.join("lock");
    let doing = "locking";
    let file = File::create(&path).map_err(|source| RegistryError::file(doing, &path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RegistryError::InUse {
            dir: dir.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(RegistryError::file(doing, &path, source)),
    }
}

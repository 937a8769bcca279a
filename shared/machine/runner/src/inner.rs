//! The state that the runner and its builds share, and its folders.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Notify, RwLock, Semaphore, watch};
use towline_domain::names::BuildId;
use towline_domain::turns::Turns;
use towline_ports::PortError;

use crate::config::{Config, OpenError};
use crate::database::{self, Database};
use crate::event::Place;
use crate::folder::Folder;
use crate::process;
use crate::record::Record;

/// State shared by the runner and its builds.
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) place: Place,
    pub(crate) database: Database,
    pub(crate) changed: Notify,
    pub(crate) written: Arc<Notify>,
    running: Mutex<HashMap<BuildId, watch::Sender<bool>>>,
    pub(crate) queued: Notify,
    pub(crate) turns: Mutex<Turns>,
    pub(crate) places: Arc<Semaphore>,
    pub(crate) closing: watch::Sender<bool>,
    /// Locked for writing while a cache is saved, for reading while one is restored.
    pub(crate) caches: Arc<RwLock<()>>,
    /// Held while the folder is in use.
    _lock: File,
}

impl Inner {
    pub(crate) fn open(
        mut config: Config,
        folder: &dyn Fn(Box<dyn std::error::Error + Send + Sync>) -> OpenError,
    ) -> Result<Self, OpenError> {
        let failed = |error: io::Error| folder(Box::new(error));
        for name in ["builds", "logs", "artifacts"] {
            fs::create_dir_all(config.dir.join(name)).map_err(failed)?;
        }
        config.dir = config.dir.canonicalize().map_err(failed)?;
        config.common = config.common.canonicalize().map_err(failed)?;
        let lock = File::create(config.dir.join("lock")).map_err(failed)?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(OpenError::InUse(config.dir));
        }
        let database = Database::open(&config.dir).map_err(|error| folder(Box::new(error)))?;
        let place = Place {
            region: config.region.clone(),
            account: config.account.clone(),
        };
        Ok(Self {
            places: Arc::new(Semaphore::new(config.concurrency.max(1))),
            config,
            place,
            database,
            changed: Notify::new(),
            written: Arc::default(),
            running: Mutex::default(),
            queued: Notify::new(),
            turns: Mutex::default(),
            closing: watch::Sender::new(false),
            caches: Arc::default(),
            _lock: lock,
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.config.now)()
    }

    pub(crate) fn log_path(&self, record: &Record) -> PathBuf {
        let name = format!("{}.log", record.request.attempt);
        self.config.dir.join("logs").join(name)
    }

    pub(crate) fn folder(&self, record: &Record) -> Folder {
        let builds = match record.run_as {
            None => self.config.dir.join("builds"),
            Some(_) => self.common(),
        };
        Folder::new(&builds, record.request.attempt.as_str())
    }

    /// Where builds of other users run, because they may not enter the runner's folder.
    pub(crate) fn common(&self) -> PathBuf {
        let hash = Sha256::digest(self.config.dir.as_os_str().as_bytes());
        let word: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        self.config.common.join(format!("towline-{word}"))
    }

    pub(crate) fn artifacts(&self, record: &Record) -> PathBuf {
        let name = record.request.attempt.as_str();
        self.config.dir.join("artifacts").join(name)
    }

    /// The running builds, each with the flag that stops it.
    pub(crate) fn running(&self) -> MutexGuard<'_, HashMap<BuildId, watch::Sender<bool>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn record(&self, build: &BuildId) -> Result<Option<Record>, PortError> {
        let build = build.clone();
        let work =
            move |transaction: &rusqlite::Transaction<'_>| database::get(transaction, &build);
        self.database.call("reading a build", work).await
    }

    /// Ends what builds have left running, if builds have their own user and none of them runs.
    pub(crate) async fn end_strays(&self) {
        if let Some(user) = &self.config.build_user {
            process::end_of(user, || self.running().is_empty()).await;
        }
    }

    /// Removes ended builds except the newest. What cannot be removed is tried again when the next build
    /// ends.
    pub(crate) async fn tidy(&self) {
        let keep = i64::try_from(self.config.keep.max(1)).unwrap_or(i64::MAX);
        let doing = "looking for builds that are not kept";
        let old = self
            .database
            .call(doing, move |transaction| {
                database::beyond(transaction, keep)
            })
            .await;
        let removed = match old {
            Ok(old) => self.remove(old).await,
            Err(error) => Err(error),
        };
        if let Err(error) = removed {
            let cause = &error as &dyn std::error::Error;
            tracing::warn!(error = cause, "old builds were not removed");
        }
    }

    async fn remove(&self, old: Vec<Record>) -> Result<(), PortError> {
        if old.is_empty() {
            return Ok(());
        }
        let paths = |record: &Record| {
            let (log, artifacts) = (self.log_path(record), self.artifacts(record));
            (record.id.clone(), log, artifacts)
        };
        let old: Vec<_> = old.iter().map(paths).collect();
        let work = move |transaction: &rusqlite::Transaction<'_>| {
            for (build, log, artifacts) in old {
                // The row last, so that a remaining file is found again.
                match remove_kept(&log, &artifacts) {
                    Ok(()) => database::delete(transaction, &build)?,
                    Err(error) => {
                        tracing::warn!(%build, %error, "an old build's files were not removed");
                    }
                }
            }
            Ok(())
        };
        self.database.call("removing old builds", work).await
    }
}

fn remove_kept(log: &Path, artifacts: &Path) -> io::Result<()> {
    for removed in [fs::remove_file(log), fs::remove_dir_all(artifacts)] {
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

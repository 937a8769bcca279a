//! The queue of builds: which runs next, and how builds end that ran when the process died.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Notify, OwnedSemaphorePermit, RwLock, Semaphore, watch};
use tokio::time::sleep;
use towline_domain::names::BuildId;
use towline_domain::run::BuildStatus;
use towline_domain::turns::Turns;
use towline_ports::PortError;
use towline_wire::codebuild;

use crate::build;
use crate::config::{Config, OpenError};
use crate::database::{self, Database};
use crate::event::{Place, state_change};
use crate::folder::{self, Folder};
use crate::process::{self, Leader, Of};
use crate::record::{Context, PhaseKind, PhaseStatus, Record, State};
use crate::users;

/// Why builds ended that ran when the process died.
const RESTARTED: &str = "towline was restarted while the build ran";

/// How long to wait if the queue cannot be read.
const AGAIN: Duration = Duration::from_secs(1);

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

    /// Where builds of other users run, because they may not enter our folder.
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

    /// Ends the builds that ran when the last process died, with their processes and folders (F37).
    pub(crate) async fn recover(&self) -> Result<(), PortError> {
        let doing = "looking for builds that were running";
        while let Some(mut record) = self.database.call(doing, database::any_running).await? {
            let group = record.leader.as_ref().and_then(Leader::group);
            process::end_all(&self.folder(&record), Of::Left(group)).await;
            if let Some(group) = &record.group {
                group.end().await;
            }
            let now = self.now();
            let context = Context::new(codebuild::INTERRUPTED, RESTARTED);
            record.leave(PhaseStatus::Fault, Some(context), now);
            build::conclude(self, record, BuildStatus::Fault).await;
        }
        self.end_strays().await;
        let places = [self.config.dir.join("builds"), self.common()];
        let clear = move || -> io::Result<()> {
            for builds in places {
                if !folder::is_ours(&builds)? {
                    continue;
                }
                for entry in fs::read_dir(&builds)? {
                    let name = entry?.file_name();
                    Folder::new(&builds, &name.to_string_lossy()).remove()?;
                }
            }
            Ok(())
        };
        match tokio::task::spawn_blocking(clear).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "an old build's folder was not removed"),
            Err(error) => tracing::warn!(%error, "an old build's folder was not removed"),
        }
        self.tidy().await;
        Ok(())
    }

    /// Ends the processes that builds have left running, if builds have a user of their own and no
    /// build runs.
    pub(crate) async fn end_strays(&self) {
        if let Some(user) = &self.config.build_user {
            process::end_of(user, || self.running().is_empty()).await;
        }
    }

    /// Removes ended builds except the newest. If one cannot be removed, this is tried again when the
    /// next build ends.
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
                // The row is removed last, so that a remaining file is found again.
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

    /// Starts builds as their turn comes, until the runner closes.
    pub(crate) async fn schedule(self: Arc<Self>) {
        let mut closing = self.closing.subscribe();
        loop {
            let place = tokio::select! {
                biased;
                _ = closing.wait_for(|closing| *closing) => return,
                place = self.next_place() => place,
            };
            match self.begin().await {
                Ok(Some((record, stop))) => {
                    let id = record.id.clone();
                    let inner = self.clone();
                    let closing = self.closing.subscribe();
                    tokio::spawn(async move {
                        build::run(inner.clone(), record, stop, closing).await;
                        inner.running().remove(&id);
                        inner.end_strays().await;
                        drop(place);
                    });
                }
                Ok(None) => {
                    drop(place);
                    tokio::select! {
                        biased;
                        _ = closing.wait_for(|closing| *closing) => return,
                        () = self.queued.notified() => {}
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "the queue of builds cannot be read");
                    sleep(AGAIN).await;
                }
            }
        }
    }

    async fn next_place(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed, so this succeeds eventually.
        self.places.clone().acquire_owned().await.ok()
    }

    /// Marks the build whose turn it is as running.
    async fn begin(&self) -> Result<Option<(Record, watch::Receiver<bool>)>, PortError> {
        let Some(next) = self.next_in_line().await? else {
            return Ok(None);
        };
        let (stop, stopped) = watch::channel(false);
        self.running().insert(next.id.clone(), stop);
        let (id, place, now) = (next.id.clone(), self.place.clone(), self.now());
        let registry = self.config.registry_address.clone();
        let user = self.config.build_user.clone();
        let work = move |transaction: &rusqlite::Transaction<'_>| {
            let Some(mut record) = database::get(transaction, &id)? else {
                return Ok(None);
            };
            if record.state != State::Queued {
                return Ok(None);
            }
            record.state = State::Running;
            if let Some(registry) = &registry {
                record.request.push_to(registry);
            }
            record.started_at = Some(now);
            record.run_as = users::of_text(&record.request.buildspec, user.as_ref());
            record.leave(PhaseStatus::Succeeded, None, now);
            record.enter(PhaseKind::Provisioning, now);
            let event = state_change(&record, &place, now);
            database::update(transaction, &record, Some(&event))?;
            Ok(Some(record))
        };
        let begun = self.database.call("beginning a build", work).await;
        match begun {
            Ok(Some(record)) => {
                self.turns().begin(&next.waiting.line);
                self.changed.notify_one();
                Ok(Some((record, stopped)))
            }
            Ok(None) => {
                self.running().remove(&next.id);
                // It was stopped meanwhile; another may be waiting.
                self.queued.notify_one();
                Ok(None)
            }
            Err(error) => {
                self.running().remove(&next.id);
                Err(error)
            }
        }
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

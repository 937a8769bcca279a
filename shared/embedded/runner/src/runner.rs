//! The queue of builds, and the builds port over it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::sleep;
use towline_domain::names::{
    AttemptId, BuildId, CommitSha, ComponentName, ImageRepository, RepositoryName,
};
use towline_domain::run::{BuildReport, BuildStatus};
use towline_ports::{Builds, PortError, RepositoryRef, StartBuild, StartError};

use crate::build;
use crate::database::{self, Database};
use crate::environment;
use crate::event::{Place, StateChange, state_change};
use crate::folder::Folder;
use crate::process::{self, Leader, Of};
use crate::record::{Context, PhaseKind, PhaseStatus, Record, Request, State};

/// Tells the time.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Gives the password with which a build may push to its image repository, and to no other.
pub type RegistryPassword = Arc<dyn Fn(&BuildId, &ImageRepository) -> String + Send + Sync>;

/// Where builds get their source from.
#[async_trait]
pub trait Checkout: Send + Sync {
    /// The folder of a bare repository on this machine that holds the commit; none when the
    /// repository does not have it.
    async fn mirror(
        &self,
        repository: &RepositoryRef,
        commit: &CommitSha,
    ) -> Result<Option<PathBuf>, PortError>;
}

/// What a build gets to see of the machine; nothing else of our environment reaches it.
#[derive(Debug, Clone)]
pub struct Machine {
    /// `PATH`.
    pub search_path: OsString,
    /// Whose Docker plugins are used; builds get a home of their own.
    pub home: Option<PathBuf>,
    /// `LANG`.
    pub lang: Option<String>,
    /// `DOCKER_HOST`.
    pub docker_host: Option<String>,
}

/// How builds are run.
pub struct Config {
    /// The folder with everything that is kept, and with the folders that builds run in.
    pub dir: PathBuf,
    /// How many builds run at a time, at least one.
    pub concurrency: usize,
    /// What builds see of the machine.
    pub machine: Machine,
    /// Tells the time.
    pub now: Now,
    /// What `towline` means inside a build.
    pub towline_binary: PathBuf,
    /// Gives the password for the registry.
    pub registry_password: RegistryPassword,
    /// Gives the source.
    pub checkout: Arc<dyn Checkout>,
    /// The region that builds see and events name.
    pub region: String,
    /// The account that builds see and events name.
    pub account: String,
}

/// Why the runner could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{} is in use by another towline: end that one, or give another folder", .0.display())]
    InUse(PathBuf),
    /// Its folder cannot be used.
    #[error("opening the folder of builds {}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Most characters of a buildspec (CodeBuild's limit for an inline one).
const LONGEST_BUILDSPEC: usize = 25_600;

/// Most bytes of a log in one answer.
const LOG_PART: u64 = 256 * 1024;

/// What became of builds that ran when the process died.
const RESTARTED: &str = "towline was restarted while the build ran";

/// How long to wait when the queue cannot be read.
const AGAIN: Duration = Duration::from_secs(1);

/// Runs builds on this machine. Call [`Runner::close`] before letting it go, so that running
/// builds end in order.
pub struct Runner {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) place: Place,
    pub(crate) database: Database,
    pub(crate) changed: Notify,
    running: Mutex<HashMap<BuildId, watch::Sender<bool>>>,
    queued: Notify,
    places: Arc<Semaphore>,
    closing: watch::Sender<bool>,
    /// Held as long as the folder is in use.
    _lock: File,
}

impl Runner {
    /// Opens the folder, ends what a former process left behind there, and goes on with the
    /// queue.
    ///
    /// # Errors
    /// When another process has the folder open, or it cannot be used.
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        let path = config.dir.clone();
        let folder = |source: Box<dyn std::error::Error + Send + Sync>| OpenError::Folder {
            path: path.clone(),
            source,
        };
        let inner = Arc::new(Inner::open(config, &folder)?);
        inner
            .recover()
            .await
            .map_err(|error| folder(Box::new(error)))?;
        tokio::spawn(inner.clone().schedule());
        Ok(Self { inner })
    }

    /// At most `limit` state changes with an id above `after`, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn next_events(
        &self,
        after: i64,
        limit: usize,
    ) -> Result<Vec<StateChange>, PortError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let database = &self.inner.database;
        database
            .call("reading build events", move |transaction| {
                database::events(transaction, after, limit)
            })
            .await
    }

    /// Deletes the state changes up to this id, it included.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_events(&self, up_to: i64) -> Result<(), PortError> {
        let database = &self.inner.database;
        database
            .call("forgetting build events", move |transaction| {
                database::forget(transaction, up_to)
            })
            .await
    }

    /// Woken after each state change; for one waiter. Look at [`Runner::next_events`] once
    /// before waiting the first time: a change of before a restart wakes nobody.
    #[must_use]
    pub fn changed(&self) -> &Notify {
        &self.inner.changed
    }

    /// The variables that a build exported (`exported-variables`); none when it is unknown.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn exported_variables(
        &self,
        build: &BuildId,
    ) -> Result<Option<Vec<(String, String)>>, PortError> {
        let record = self.inner.record(build).await?;
        Ok(record.map(|record| record.exported))
    }

    /// The folder where the artifacts of a build are kept, if it kept any.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn artifacts(&self, build: &BuildId) -> Result<Option<PathBuf>, PortError> {
        let record = self.inner.record(build).await?;
        let folder = record.map(|record| self.inner.artifacts(&record));
        Ok(folder.filter(|folder| folder.is_dir()))
    }

    /// Starts no further builds, ends those that run, and waits for them. Queued builds go on
    /// when the folder is opened again.
    pub async fn close(&self) {
        self.inner.closing.send_replace(true);
        let all = u32::try_from(self.inner.config.concurrency.max(1)).unwrap_or(u32::MAX);
        // The places are never closed, so this cannot fail.
        let _all = self.inner.places.acquire_many(all).await;
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.inner.closing.send_replace(true);
    }
}

#[async_trait]
impl Builds for Runner {
    async fn start(&self, build: StartBuild) -> Result<BuildId, StartError> {
        if let Some(objection) = objection(&build) {
            return Err(StartError::Refused(objection));
        }
        let project = StartBuild::project(&build.repository.name, &build.component);
        let text = format!("{project}:{}", build.attempt);
        let id: BuildId = text
            .parse()
            .map_err(|error| StartError::Refused(format!("the build cannot be named: {error}")))?;
        let request = Request::from(build);
        let now = self.inner.now();
        let work = move |transaction: &rusqlite::Transaction<'_>| {
            if let Some(record) = database::find(transaction, &request.attempt)? {
                return Ok(record.id);
            }
            let number = database::count(transaction, &project)? + 1;
            let record = Record::queued(id, number, request, now);
            database::insert(transaction, &record)?;
            Ok(record.id)
        };
        let id = self.inner.database.call("starting a build", work).await?;
        self.inner.queued.notify_one();
        Ok(id)
    }

    async fn get(&self, build: &BuildId) -> Result<Option<BuildReport>, PortError> {
        let record = self.inner.record(build).await?;
        Ok(record.map(|record| record.report()))
    }

    async fn find(
        &self,
        repository: &RepositoryName,
        component: &ComponentName,
        attempt: &AttemptId,
    ) -> Result<Option<BuildReport>, PortError> {
        let attempt = attempt.clone();
        let work =
            move |transaction: &rusqlite::Transaction<'_>| database::find(transaction, &attempt);
        let record = self.inner.database.call("finding a build", work).await?;
        let fits = |record: &Record| {
            record.request.repository == *repository && record.request.component == *component
        };
        Ok(record.filter(fits).map(|record| record.report()))
    }

    async fn stop(&self, build: &BuildId) -> Result<(), PortError> {
        let (id, place, now) = (build.clone(), self.inner.place.clone(), self.inner.now());
        let work = move |transaction: &rusqlite::Transaction<'_>| {
            let Some(mut record) = database::get(transaction, &id)? else {
                return Ok(());
            };
            if record.state == State::Queued {
                let context = Context::new("BUILD_STOPPED", "somebody stopped the build");
                record.leave(PhaseStatus::Stopped, Some(context), now);
                record.end(BuildStatus::Stopped, None, now);
                let event = state_change(&record, &place, now);
                database::update(transaction, &record, Some(&event))?;
            }
            Ok(())
        };
        self.inner.database.call("stopping a build", work).await?;
        self.inner.changed.notify_one();
        // It is entered there before it is marked as running, so one of the two finds it.
        if let Some(stop) = self.inner.running().get(build) {
            stop.send_replace(true);
        }
        Ok(())
    }

    async fn log(&self, build: &BuildId, from: u64) -> Result<Option<Vec<u8>>, PortError> {
        let Some(record) = self.inner.record(build).await? else {
            return Ok(None);
        };
        let path = self.inner.log_path(&record);
        let read = move || -> io::Result<Vec<u8>> {
            let mut part = Vec::new();
            let mut file = match File::open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(part),
                Err(error) => return Err(error),
            };
            file.seek(SeekFrom::Start(from))?;
            file.take(LOG_PART).read_to_end(&mut part)?;
            Ok(part)
        };
        let failed = |cause: Box<dyn std::error::Error + Send + Sync>| {
            PortError::new(format!("reading the log of {build}"), cause)
        };
        match tokio::task::spawn_blocking(read).await {
            Ok(Ok(part)) => Ok(Some(part)),
            Ok(Err(cause)) => Err(failed(cause.into())),
            Err(cause) => Err(failed(cause.into())),
        }
    }
}

/// Why a build can never be started as asked.
fn objection(build: &StartBuild) -> Option<String> {
    let length = build.buildspec.chars().count();
    if length > LONGEST_BUILDSPEC {
        return Some(format!(
            "the buildspec has {length} characters, CodeBuild takes at most {LONGEST_BUILDSPEC} \
             inline"
        ));
    }
    build
        .environment
        .iter()
        .find_map(|(name, value)| environment::objection(name, value))
}

impl Inner {
    fn open(
        mut config: Config,
        folder: &dyn Fn(Box<dyn std::error::Error + Send + Sync>) -> OpenError,
    ) -> Result<Self, OpenError> {
        let failed = |error: io::Error| folder(Box::new(error));
        for name in ["builds", "logs", "artifacts"] {
            fs::create_dir_all(config.dir.join(name)).map_err(failed)?;
        }
        config.dir = config.dir.canonicalize().map_err(failed)?;
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
            running: Mutex::default(),
            queued: Notify::new(),
            closing: watch::Sender::new(false),
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
        Folder::new(
            &self.config.dir.join("builds"),
            record.request.attempt.as_str(),
        )
    }

    pub(crate) fn artifacts(&self, record: &Record) -> PathBuf {
        let name = record.request.attempt.as_str();
        self.config.dir.join("artifacts").join(name)
    }

    fn running(&self) -> MutexGuard<'_, HashMap<BuildId, watch::Sender<bool>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn record(&self, build: &BuildId) -> Result<Option<Record>, PortError> {
        let build = build.clone();
        let work =
            move |transaction: &rusqlite::Transaction<'_>| database::get(transaction, &build);
        self.database.call("reading a build", work).await
    }

    /// Ends the builds that ran when the last process died, processes and folders included (F37).
    async fn recover(&self) -> Result<(), PortError> {
        let doing = "looking for builds that were running";
        while let Some(mut record) = self.database.call(doing, database::any_running).await? {
            let group = record.leader.as_ref().and_then(Leader::group);
            process::end_all(&self.folder(&record), Of::Left(group)).await;
            let now = self.now();
            let context = Context::new("INTERNAL_ERROR", RESTARTED);
            record.leave(PhaseStatus::Fault, Some(context), now);
            build::conclude(self, record, BuildStatus::Fault).await;
        }
        let builds = self.config.dir.join("builds");
        let clear = move || -> io::Result<()> {
            for entry in fs::read_dir(&builds)? {
                let name = entry?.file_name();
                Folder::new(&builds, &name.to_string_lossy()).remove()?;
            }
            Ok(())
        };
        match tokio::task::spawn_blocking(clear).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "an old build's folder was not removed"),
            Err(error) => tracing::warn!(%error, "an old build's folder was not removed"),
        }
        Ok(())
    }

    /// Gives builds a place to run in the order they were asked for, until the runner closes.
    async fn schedule(self: Arc<Self>) {
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
        // The places are never closed, so there is always one in the end.
        self.places.clone().acquire_owned().await.ok()
    }

    /// Marks the build that has waited longest as running.
    async fn begin(&self) -> Result<Option<(Record, watch::Receiver<bool>)>, PortError> {
        let doing = "looking for a queued build";
        let Some(next) = self.database.call(doing, database::next_queued).await? else {
            return Ok(None);
        };
        let (stop, stopped) = watch::channel(false);
        self.running().insert(next.id.clone(), stop);
        let (id, place, now) = (next.id.clone(), self.place.clone(), self.now());
        let work = move |transaction: &rusqlite::Transaction<'_>| {
            let Some(mut record) = database::get(transaction, &id)? else {
                return Ok(None);
            };
            if record.state != State::Queued {
                return Ok(None);
            }
            record.state = State::Running;
            record.started_at = Some(now);
            record.leave(PhaseStatus::Succeeded, None, now);
            record.enter(PhaseKind::Provisioning, now);
            let event = state_change(&record, &place, now);
            database::update(transaction, &record, Some(&event))?;
            Ok(Some(record))
        };
        let begun = self.database.call("beginning a build", work).await;
        match begun {
            Ok(Some(record)) => {
                self.changed.notify_one();
                Ok(Some((record, stopped)))
            }
            Ok(None) => {
                self.running().remove(&next.id);
                // It was stopped meanwhile; there may be another.
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

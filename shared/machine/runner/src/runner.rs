//! The builds port on top of the queue, and the runner's other methods.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Notify;
use towline_buildspec::Buildspec;
use towline_domain::names::{AttemptId, BuildId, ComponentName, RepositoryName};
use towline_domain::obstacle::Service;
use towline_domain::run::{BuildReport, BuildStatus};
use towline_ports::{Builds, PortError, StartBuild, StartError};
use towline_wire::codebuild::Phase;

use crate::config::{Config, OpenError};
use crate::database;
use crate::environment;
use crate::event::{self, StateChange, state_change};
use crate::inner::Inner;
use crate::line;
use crate::record::{Context, PhaseStatus, Record, Request, State};
use crate::secrets;

/// The most bytes of a log in one answer.
const LOG_PART: u64 = 256 * 1024;

/// Runs builds on this machine. Call [`Runner::close`] before dropping it, so that running builds end
/// properly.
pub struct Runner {
    pub(crate) inner: Arc<Inner>,
}

impl Runner {
    /// Opens the folder, ends what an earlier process left there, and continues with the queue.
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

    /// Deletes the state changes up to and including this id.
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

    /// Notified after each state change; for one waiter. Read [`Runner::next_events`] before waiting the
    /// first time, because changes from before a restart do not notify.
    #[must_use]
    pub fn changed(&self) -> &Notify {
        &self.inner.changed
    }

    /// Notified when a log has grown; for one waiter. Read the log before waiting.
    #[must_use]
    pub fn written(&self) -> &Notify {
        &self.inner.written
    }

    /// The phases that a build has entered, as in its events; none if it is unknown.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn phases(&self, build: &BuildId) -> Result<Option<Vec<Phase>>, PortError> {
        let record = self.inner.record(build).await?;
        Ok(record.map(|record| record.phases.iter().map(event::phase).collect()))
    }

    /// The variables that a build exported (`exported-variables`); none if it is unknown.
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

    /// The folder with a build's artifacts, if it has any.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn artifacts(&self, build: &BuildId) -> Result<Option<PathBuf>, PortError> {
        let record = self.inner.record(build).await?;
        let folder = record.map(|record| self.inner.artifacts(&record));
        Ok(folder.filter(|folder| folder.is_dir()))
    }

    /// Starts no more builds, ends the running ones, and waits for them. Queued builds continue when the
    /// folder is opened again.
    pub async fn close(&self) {
        self.inner.closing.send_replace(true);
        let all = u32::try_from(self.inner.config.concurrency.max(1)).unwrap_or(u32::MAX);
        // The semaphore is never closed, so this cannot fail.
        let _all = self.inner.places.acquire_many(all).await;
    }
}

impl Runner {
    /// Denies the start of a build whose secrets are missing, so that it waits for them.
    async fn check_secrets(&self, project: &str, build: &StartBuild) -> Result<(), StartError> {
        if !self.inner.config.awaits_secrets {
            return Ok(());
        }
        let Ok((spec, _)) = Buildspec::read(&build.buildspec) else {
            return Ok(()); // the build says what is wrong with it
        };
        let Some(lacks) = secrets::missing(&self.inner.config.secrets, &spec.env) else {
            return Ok(());
        };
        let (repository, component) = (&build.repository.name, &build.component);
        if self
            .find(repository, component, &build.attempt)
            .await?
            .is_some()
        {
            return Ok(());
        }
        let doing = format!("starting a build of {project}");
        Err(PortError::denied(Service::Secrets, doing, lacks).into())
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
            .map_err(|error| StartError::Refused(format!("invalid build name: {error}")))?;
        self.check_secrets(&project, &build).await?;
        let request = Request::from(build);
        let (now, room) = (self.inner.now(), self.inner.config.room);
        let place = self.inner.place.clone();
        let work = move |transaction: &rusqlite::Transaction<'_>| {
            if let Some(record) = database::find(transaction, &request.attempt)? {
                return Ok(record.id);
            }
            let number = database::next_number(transaction, &project)?;
            let record = Record::queued(id, number, request, now);
            database::insert(transaction, &record)?;
            line::make_room(transaction, &record, room, &place, now)?;
            Ok(record.id)
        };
        let id = self.inner.database.call("starting a build", work).await?;
        self.inner.queued.notify_one();
        // Others may have given way.
        self.inner.changed.notify_one();
        Ok(id)
    }

    async fn line(&self) -> Result<Option<Vec<BuildId>>, PortError> {
        self.inner.in_order().await.map(Some)
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
                let context = Context::new("BUILD_STOPPED", "the build was stopped");
                record.leave(PhaseStatus::Stopped, Some(context), now);
                record.end(BuildStatus::Stopped, now);
                let event = state_change(&record, &place, now);
                database::update(transaction, &record, Some(&event))?;
            }
            Ok(())
        };
        self.inner.database.call("stopping a build", work).await?;
        self.inner.changed.notify_one();
        // A build is listed before it is marked as running, so one of the two checks finds it.
        if let Some(stop) = self.inner.running().get(build) {
            stop.send_replace(true);
        }
        self.inner.tidy().await;
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
            // A file system refuses to seek further than its files can be long.
            let end = file.metadata()?.len();
            file.seek(SeekFrom::Start(from.min(end)))?;
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

/// Why a build can never start as requested.
fn objection(build: &StartBuild) -> Option<String> {
    let length = build.buildspec.len();
    if length > StartBuild::LONGEST_BUILDSPEC {
        return Some(format!(
            "the buildspec has {length} bytes, the maximum is {}: move commands into a script",
            StartBuild::LONGEST_BUILDSPEC
        ));
    }
    build
        .environment
        .iter()
        .find_map(|(name, value)| environment::objection(name, value))
}

//! Opens a data folder to ask questions only. Nothing is announced, and no build is started.

use std::sync::Arc;

use async_trait::async_trait;
use towline_answers::{Answer, ChatError, Query};
use towline_domain::names::{
    AttemptId, BuildId, ComponentName, Digest, ImageRepository, RepositoryName, Tag,
};
use towline_domain::run::BuildReport;
use towline_handlers::Context;
use towline_ports::system::SystemClock;
use towline_ports::{
    Announcement, Builds, Bus, Clock as _, Images as _, PortError, StartBuild, StartError,
};
use towline_registry::{Registry, RegistryError, SetAside};
use towline_store::{OpenError, SqliteStore};

use crate::folder::Folder;

pub struct Reading {
    store: SqliteStore,
    registry: Registry,
}

/// Why a folder cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadingError {
    /// `towline serve` runs there; ask it instead.
    #[error("`towline serve` runs there")]
    InUse { pid: Option<u32> },
    /// The ledger cannot be read; only a backup helps.
    #[error(transparent)]
    Store(OpenError),
    /// The registry cannot be read; only a backup helps.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl Reading {
    /// Opens a folder; `None` if it contains nothing yet.
    pub fn open(folder: &Folder) -> Result<Option<Self>, ReadingError> {
        let path = folder.path("store");
        if !path.exists() {
            return Ok(None);
        }
        let store = SqliteStore::open(&path).map_err(|error| match error {
            OpenError::InUse { pid, .. } => ReadingError::InUse { pid },
            error @ (OpenError::Folder { .. }
            | OpenError::Full { .. }
            | OpenError::Newer { .. }
            | OpenError::NoLocalDisk { .. }
            | OpenError::Database(_)
            | OpenError::Thread(_)) => ReadingError::Store(error),
        })?;
        let clock = SystemClock;
        let registry = Registry::open(
            &folder.path("registry"),
            towline_registry::Settings::default(),
            Arc::new(move || clock.now().as_millisecond()),
        )?;
        Ok(Some(Self { store, registry }))
    }

    /// # Errors
    /// When the store cannot be read, or what is asked for does not exist.
    pub async fn ask(&self, query: Query) -> Result<Answer, ChatError> {
        let context = Context {
            store: &self.store,
            bus: &Nothing,
            clock: &SystemClock,
        };
        towline_answers::ask(context, &Nothing, query).await
    }

    /// The image that has a tag in the registry.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub async fn tagged(
        &self,
        repository: &ImageRepository,
        tag: &Tag,
    ) -> Result<Option<Digest>, PortError> {
        let found = self.registry.by_tag(repository, tag).await?;
        Ok(found.map(|image| image.digest))
    }
}

/// The pushes to the registry that could not be recorded. This works while `towline serve` runs too.
///
/// # Errors
/// When the registry cannot be read.
pub fn set_aside(folder: &Folder) -> Result<Vec<SetAside>, RegistryError> {
    towline_registry::set_aside(&folder.path("registry"))
}

/// A bus and a build service that do nothing.
struct Nothing;

#[async_trait]
impl Bus for Nothing {
    async fn announce(&self, _announcements: Vec<Announcement>) -> Result<(), PortError> {
        Err(PortError::because("announcing while only reading"))
    }
}

#[async_trait]
impl Builds for Nothing {
    async fn start(&self, _build: StartBuild) -> Result<BuildId, StartError> {
        Err(StartError::Refused(
            "builds are not started from here".into(),
        ))
    }

    async fn get(&self, _build: &BuildId) -> Result<Option<BuildReport>, PortError> {
        Ok(None)
    }

    async fn find(
        &self,
        _repository: &RepositoryName,
        _component: &ComponentName,
        _attempt: &AttemptId,
    ) -> Result<Option<BuildReport>, PortError> {
        Ok(None)
    }

    async fn stop(&self, _build: &BuildId) -> Result<(), PortError> {
        Ok(())
    }

    async fn log(&self, _build: &BuildId, _from: u64) -> Result<Option<Vec<u8>>, PortError> {
        Ok(None)
    }
}

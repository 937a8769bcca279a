//! The `Store` port on SQLite: one folder, one process, and acknowledged changes are on disk.
//!
//! One thread makes all changes, and puts all waiting ones into one commit, because waiting for the
//! disk takes most of the time (`writer`). Reads have their own connections and see the last commit
//! (`readers`).

mod fault;
mod folder;
mod readers;
mod schema;
mod writer;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use towline_ports::limits;
use towline_ports::{Due, Item, Key, Page, PortError, Query, Row, Store, TransactError, Write};

use folder::Folder;
use readers::Readers;
use writer::Writer;

pub use folder::OpenError;

/// A store in its own folder.
///
/// Dropping it waits until all requested changes are on disk.
#[derive(Debug)]
pub struct SqliteStore {
    // Dropped in this order: the last connection to close cleans up, and then the folder is released.
    readers: Arc<Readers>,
    writer: Writer,
    folder: Folder,
}

impl SqliteStore {
    /// Opens the store in a folder, which is created if it does not exist; no other process can
    /// open it until this one drops it or ends. Blocks while it waits for the disk.
    ///
    /// # Errors
    ///
    /// When the folder is in use, cannot be written to, or holds what this version cannot read.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, OpenError> {
        let folder = Folder::open(dir.as_ref())?;
        let path = folder.dir().join("store.sqlite");
        let connection = schema::open(&path)?;
        folder.sync()?;
        Ok(Self {
            readers: Arc::new(Readers::new(path.clone())),
            writer: Writer::start(connection, path)?,
            folder,
        })
    }

    /// The folder it is in.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.folder.dir()
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn get(&self, key: &Key) -> Result<Option<Item>, PortError> {
        limits::check_key(key)?;
        let key = key.clone();
        let read = Arc::clone(&self.readers);
        read.read(move |connection| readers::get(connection, &key))
            .await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, PortError> {
        limits::check_keys(keys)?;
        let keys = keys.to_vec();
        let read = Arc::clone(&self.readers);
        read.read(move |connection| readers::get_many(connection, &keys))
            .await
    }

    async fn query(&self, query: &Query) -> Result<Page, PortError> {
        limits::check_query(query)?;
        let query = query.clone();
        let read = Arc::clone(&self.readers);
        read.read(move |connection| readers::query(connection, &query))
            .await
    }

    async fn due(&self, until: Timestamp, limit: usize) -> Result<Due, PortError> {
        limits::check_items(limit)?;
        let read = Arc::clone(&self.readers);
        read.read(move |connection| readers::due(connection, until, limit))
            .await
    }

    async fn put_rows(&self, rows: Vec<Row>) -> Result<(), PortError> {
        let bodies = limits::checked_rows(&rows)?;
        self.writer.put_rows(rows, bodies).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), TransactError> {
        let bodies = limits::checked_bodies(&writes).map_err(PortError::from)?;
        self.writer.transact(writes, bodies).await
    }
}

//! The SQLite file with the registry's content.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::error::RegistryError;

/// The newest known layout; stored in the file's `user_version`.
const LAYOUT: i64 = LAYOUTS.len() as i64;

/// The steps from each layout to the next, starting with an empty file. A released step never changes.
const LAYOUTS: [&str; 1] = ["
CREATE TABLE repositories (
    name TEXT NOT NULL PRIMARY KEY,
    created_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE blobs (
    digest TEXT NOT NULL PRIMARY KEY,
    size INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Which repository may read which blob. The file exists only once.
CREATE TABLE repository_blobs (
    repository TEXT NOT NULL,
    digest TEXT NOT NULL,
    linked_at_ms INTEGER NOT NULL,
    PRIMARY KEY (repository, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX repository_blobs_by_digest ON repository_blobs (digest);

CREATE TABLE manifests (
    repository TEXT NOT NULL,
    digest TEXT NOT NULL,
    media_type TEXT NOT NULL,
    bytes BLOB NOT NULL,
    subject TEXT,
    artifact_type TEXT,
    annotations TEXT NOT NULL,
    platforms TEXT NOT NULL,
    content_size INTEGER NOT NULL,
    pushed_at_ms INTEGER NOT NULL,
    PRIMARY KEY (repository, digest)
) STRICT;
CREATE INDEX manifests_by_subject ON manifests (repository, subject) WHERE subject IS NOT NULL;

CREATE TABLE manifest_references (
    repository TEXT NOT NULL,
    manifest TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('blob', 'manifest')),
    digest TEXT NOT NULL,
    PRIMARY KEY (repository, manifest, kind, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_references_by_digest ON manifest_references (repository, kind, digest);

CREATE TABLE tags (
    repository TEXT NOT NULL,
    tag TEXT NOT NULL,
    digest TEXT NOT NULL,
    moved_at_ms INTEGER NOT NULL,
    PRIMARY KEY (repository, tag)
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_by_digest ON tags (repository, digest);

-- AUTOINCREMENT, so that the id of a forgotten event is never given again.
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    repository TEXT NOT NULL,
    digest TEXT NOT NULL,
    tag TEXT,
    media_type TEXT NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX events_by_repository ON events (repository, id);

-- Events that could not be handled, with the reason.
CREATE TABLE set_aside (
    id INTEGER PRIMARY KEY,
    repository TEXT NOT NULL,
    digest TEXT NOT NULL,
    tag TEXT,
    at_ms INTEGER NOT NULL,
    reason TEXT NOT NULL
) STRICT;
"];

/// One connection that writes, and one that reads without waiting for it.
pub(crate) struct Database {
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
}

impl Database {
    /// Opens the file, and creates the tables if it is new.
    pub(crate) fn open(dir: &Path) -> Result<Self, RegistryError> {
        let path = dir.join("registry.sqlite");
        let mut writer = connect(&path)?;
        let found: i64 = writer
            .query_row("PRAGMA user_version", (), |row| row.get(0))
            .doing("reading the registry database's layout")?;
        if found > LAYOUT {
            return Err(RegistryError::TooNew {
                dir: dir.to_owned(),
                found,
                known: LAYOUT,
            });
        }
        lay_out(&mut writer, found)?;
        let reader = connect(&path)?;
        Ok(Self {
            writer: Mutex::new(writer),
            reader: Mutex::new(reader),
        })
    }

    /// Runs `work` in a transaction that is on disk when this returns `Ok`, and has no effect
    /// otherwise. Blocks.
    pub(crate) fn write<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        self.write_then(doing, work, Ok)
    }

    /// Like `write`, then runs `after` before anything else can write.
    pub(crate) fn write_then<T, U>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, RegistryError>,
        after: impl FnOnce(T) -> Result<U, RegistryError>,
    ) -> Result<U, RegistryError> {
        let mut connection = lock(&self.writer);
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .doing(doing)?;
        let value = work(&transaction)?;
        transaction.commit().doing(doing)?;
        after(value)
    }

    /// Runs `work` on one unchanging view of the data. Blocks.
    pub(crate) fn read<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let mut connection = lock(&self.reader);
        let view = connection.transaction().doing(doing)?;
        work(&view)
    }
}

fn connect(path: &Path) -> Result<Connection, RegistryError> {
    let doing = "opening the registry database";
    let connection = Connection::open(path).doing(doing)?;
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 10000;",
        )
        .doing(doing)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Does the steps that a file of this layout lacks.
fn lay_out(connection: &mut Connection, found: i64) -> Result<(), RegistryError> {
    let doing = "laying out the registry database";
    let transaction = connection.transaction().doing(doing)?;
    for (layout, step) in (1..).zip(LAYOUTS) {
        if layout > found {
            transaction.execute_batch(step).doing(doing)?;
            transaction
                .pragma_update(None, "user_version", layout)
                .doing(doing)?;
        }
    }
    transaction.commit().doing(doing)
}

/// A panic while the lock was held rolled its transaction back, so the data is valid.
fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number of bytes, capped at SQLite's largest number.
pub(crate) struct Size(pub(crate) u64);

impl ToSql for Size {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(i64::try_from(self.0).unwrap_or(i64::MAX).into())
    }
}

impl FromSql for Size {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(|size| Self(size.unsigned_abs()))
    }
}

/// Adds to an error what was being done.
pub(crate) trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, RegistryError>;
}

impl<T> Doing<T> for rusqlite::Result<T> {
    fn doing(self, doing: &'static str) -> Result<T, RegistryError> {
        self.map_err(|source| RegistryError::database(doing, source))
    }
}

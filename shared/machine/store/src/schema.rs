//! The tables, and the connections to them.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::folder::OpenError;

/// Each step upgrades the database from the layout of its index to the next. A released step never changes.
const MIGRATIONS: [&str; 1] = ["
-- `due` is a count of nanoseconds since 1970: 16 bytes that compare as the numbers do.
-- Text compares byte by byte, as the port asks. The table keeps its hidden row ids: items of a
-- kilobyte in a tree of keys made every write five times as slow (benches/store.rs).
CREATE TABLE items (
    partition TEXT NOT NULL,
    sort TEXT NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL,
    due BLOB,
    PRIMARY KEY (partition, sort)
) STRICT;
CREATE INDEX items_by_due ON items (due, partition, sort) WHERE due IS NOT NULL;
"];

/// How long to wait for another tool that has the database open.
const BUSY: Duration = Duration::from_secs(5);

/// Opens the database for writing; creates it, or upgrades it to the newest layout.
pub(crate) fn open(path: &Path) -> Result<Connection, OpenError> {
    let failed = |cause| OpenError::database(path, cause);
    let mut connection = Connection::open(path).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    // Before anything is written, so that a newer database stays unchanged.
    let found = layout(&connection).map_err(failed)?;
    let known = MIGRATIONS.len() as i64;
    if !(0..=known).contains(&found) {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    if !set_up(&connection).map_err(failed)? {
        return Err(OpenError::NoLocalDisk {
            path: path.to_owned(),
        });
    }
    migrate(&mut connection, found).map_err(failed)?;
    Ok(connection)
}

/// Opens the database for reading only.
pub(crate) fn open_for_reading(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}

fn layout(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Makes every commit wait for the disk; `false` if the file system does not support a write-ahead
/// log (SQLite documentation, "Write-Ahead Logging").
fn set_up(connection: &Connection) -> rusqlite::Result<bool> {
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    connection.pragma_update(None, "synchronous", "full")?;
    // Needed if `fsync` leaves data in the disk's own cache, as on macOS; no effect elsewhere.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    Ok(mode == "wal")
}

fn migrate(connection: &mut Connection, found: i64) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for (layout, migration) in (1_i64..).zip(MIGRATIONS) {
        if layout > found {
            transaction.execute_batch(migration)?;
            transaction.pragma_update(None, "user_version", layout)?;
        }
    }
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a loss of power would show; nothing less than one can be tried here.
    #[test]
    fn f37_a_commit_waits_for_the_disk() {
        let dir = tempfile::tempdir().expect("a folder");
        let connection = open(&dir.path().join("store.sqlite")).expect("a new store");
        for (pragma, expected) in [
            ("journal_mode", "wal"),
            ("synchronous", "2"), // FULL
            ("fullfsync", "1"),
            ("checkpoint_fullfsync", "1"),
        ] {
            let sql = format!("SELECT CAST({pragma} AS TEXT) FROM pragma_{pragma}");
            let found: String = connection
                .query_row(&sql, [], |row| row.get(0))
                .expect("it answers");
            assert_eq!(found, expected, "{pragma}");
        }
    }
}

//! The SQLite file with the builds and their events.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};
use serde_json::Value;
use towline_domain::names::{AttemptId, BuildId, CommitSha, GitRef, RepositoryId};
use towline_domain::turns::{Line, Waiting};
use towline_ports::PortError;

use crate::event::StateChange;
use crate::record::{Record, State};

/// The steps from each layout to the next, starting with an empty file. The file's `user_version`
/// counts the steps done. A released step never changes.
const LAYOUTS: [&str; 1] = ["
CREATE TABLE builds (
    -- The order in which they were requested.
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    attempt TEXT NOT NULL UNIQUE,
    project TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'ended')),
    record TEXT NOT NULL,
    -- The order in which they ended, without a clock; NULL until then.
    ended INTEGER
) STRICT;
CREATE INDEX builds_by_state ON builds (state, sequence);
CREATE INDEX builds_by_end ON builds (ended) WHERE ended IS NOT NULL;

-- How many builds a project has had, including deleted ones.
CREATE TABLE projects (project TEXT PRIMARY KEY, builds INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- AUTOINCREMENT, so that the id of a forgotten event is never given again.
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    document TEXT NOT NULL
) STRICT;
"];

/// Why the database could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("the database has an unreadable build")]
    Record(#[from] serde_json::Error),
    #[error("written by a newer version of towline (layout {0})")]
    TooNew(i64),
}

/// One connection. Every write is on disk when it returns.
#[derive(Clone)]
pub(crate) struct Database(Arc<Mutex<Connection>>);

impl Database {
    pub(crate) fn open(dir: &Path) -> Result<Self, DatabaseError> {
        let mut connection = Connection::open(dir.join("builds.sqlite"))?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 10000;",
        )?;
        let transaction = connection.transaction()?;
        let layout: i64 = transaction.query_row("PRAGMA user_version", (), |row| row.get(0))?;
        let steps = (1..).zip(LAYOUTS);
        if steps.clone().all(|(number, _)| number < layout) {
            return Err(DatabaseError::TooNew(layout));
        }
        for (number, step) in steps.filter(|(number, _)| *number > layout) {
            transaction.execute_batch(step)?;
            transaction.pragma_update(None, "user_version", number)?;
        }
        transaction.commit()?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// Runs `work` in a transaction on a thread that may block. An error leaves no effect.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, PortError> {
        let database = self.clone();
        let worker = tokio::task::spawn_blocking(move || database.call_here(work));
        match worker.await {
            Ok(result) => result.map_err(|cause| PortError::new(doing, cause)),
            Err(cause) => Err(PortError::new(doing, cause)),
        }
    }

    /// As [`Database::call`], on this thread.
    pub(crate) fn call_here<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, DatabaseError>,
    ) -> Result<T, DatabaseError> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let value = work(&transaction)?;
        transaction.commit()?;
        Ok(value)
    }

    /// A panic while the lock was held rolled its transaction back, so the data is valid.
    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The build of an attempt.
pub(crate) fn find(
    transaction: &Transaction<'_>,
    attempt: &AttemptId,
) -> Result<Option<Record>, DatabaseError> {
    one(
        transaction,
        "SELECT record FROM builds WHERE attempt = ?1",
        attempt.as_str(),
    )
}

/// A build by its id.
pub(crate) fn get(
    transaction: &Transaction<'_>,
    build: &BuildId,
) -> Result<Option<Record>, DatabaseError> {
    one(
        transaction,
        "SELECT record FROM builds WHERE id = ?1",
        build.as_str(),
    )
}

/// A build that runs or waits.
pub(crate) struct InLine {
    pub(crate) id: BuildId,
    pub(crate) waiting: Waiting,
}

/// The builds in this state, in the order of requests.
pub(crate) fn in_line(
    transaction: &Transaction<'_>,
    state: State,
) -> Result<Vec<InLine>, DatabaseError> {
    // Only what is needed: the records contain buildspecs.
    let mut select = transaction.prepare_cached(
        "SELECT json_object('id', id,
                'repository_id', record -> '$.request.repository_id',
                'git_ref', record ->> '$.request.git_ref',
                'commit', record ->> '$.request.commit',
                'is_trusted', record ->> '$.request.is_trusted')
         FROM builds WHERE state = ?1 ORDER BY sequence",
    )?;
    let texts = select.query_map([state.word()], |row| row.get::<_, String>(0))?;
    let read = |text: String| -> Result<InLine, DatabaseError> {
        let row: Row = serde_json::from_str(&text)?;
        let line = Line {
            repository: row.repository_id,
            git_ref: row.git_ref,
        };
        Ok(InLine {
            id: row.id,
            waiting: Waiting {
                line,
                commit: row.commit,
                is_trusted: row.is_trusted != 0,
            },
        })
    };
    texts.map(|text| read(text?)).collect()
}

#[derive(serde::Deserialize)]
struct Row {
    id: BuildId,
    repository_id: RepositoryId,
    git_ref: GitRef,
    commit: CommitSha,
    is_trusted: u8,
}

/// A build that was running.
pub(crate) fn any_running(transaction: &Transaction<'_>) -> Result<Option<Record>, DatabaseError> {
    one(
        transaction,
        "SELECT record FROM builds WHERE state = ?1 ORDER BY sequence LIMIT 1",
        State::Running.word(),
    )
}

/// The number of a project's next build, used once.
pub(crate) fn next_number(
    transaction: &Transaction<'_>,
    project: &str,
) -> Result<i64, DatabaseError> {
    let mut count = transaction.prepare_cached(
        "INSERT INTO projects (project, builds) VALUES (?1, 1)
         ON CONFLICT DO UPDATE SET builds = builds + 1 RETURNING builds",
    )?;
    Ok(count.query_row([project], |row| row.get(0))?)
}

/// The ended builds, except the last `keep`.
pub(crate) fn beyond(
    transaction: &Transaction<'_>,
    keep: i64,
) -> Result<Vec<Record>, DatabaseError> {
    let mut select = transaction.prepare_cached(
        "SELECT record FROM builds WHERE ended IS NOT NULL ORDER BY ended DESC LIMIT -1 OFFSET ?1",
    )?;
    let texts = select.query_map([keep], |row| row.get::<_, String>(0))?;
    texts
        .map(|text| Ok(serde_json::from_str(&text?)?))
        .collect()
}

pub(crate) fn delete(transaction: &Transaction<'_>, build: &BuildId) -> Result<(), DatabaseError> {
    transaction
        .prepare_cached("DELETE FROM builds WHERE id = ?1")?
        .execute([build.as_str()])?;
    Ok(())
}

pub(crate) fn insert(transaction: &Transaction<'_>, record: &Record) -> Result<(), DatabaseError> {
    transaction
        .prepare_cached(
            "INSERT INTO builds (id, attempt, project, state, record) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            record.id.as_str(),
            record.request.attempt.as_str(),
            record.project(),
            record.state.word(),
            serde_json::to_string(record)?,
        ])?;
    Ok(())
}

/// Writes a build's current state and its event.
pub(crate) fn update(
    transaction: &Transaction<'_>,
    record: &Record,
    event: Option<&Value>,
) -> Result<(), DatabaseError> {
    transaction
        .prepare_cached(
            "UPDATE builds SET state = ?2, record = ?3, ended = CASE WHEN ?2 = 'ended' THEN
                coalesce(ended, (SELECT coalesce(max(ended), 0) + 1 FROM builds)) END
             WHERE id = ?1",
        )?
        .execute(params![
            record.id.as_str(),
            record.state.word(),
            serde_json::to_string(record)?,
        ])?;
    if let Some(document) = event {
        transaction
            .prepare_cached("INSERT INTO events (document) VALUES (?1)")?
            .execute([document.to_string()])?;
    }
    Ok(())
}

/// At most `limit` events after `after`, oldest first.
pub(crate) fn events(
    transaction: &Transaction<'_>,
    after: i64,
    limit: i64,
) -> Result<Vec<StateChange>, DatabaseError> {
    let mut select = transaction
        .prepare_cached("SELECT id, document FROM events WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let mut rows = select.query([after, limit])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        events.push(StateChange {
            id: row.get(0)?,
            document: serde_json::from_str(&row.get::<_, String>(1)?)?,
        });
    }
    Ok(events)
}

/// Deletes the events up to and including this one.
pub(crate) fn forget(transaction: &Transaction<'_>, up_to: i64) -> Result<(), DatabaseError> {
    transaction.execute("DELETE FROM events WHERE id <= ?1", [up_to])?;
    Ok(())
}

fn one(
    transaction: &Transaction<'_>,
    select: &str,
    key: &str,
) -> Result<Option<Record>, DatabaseError> {
    let text: Option<String> = transaction
        .prepare_cached(select)?
        .query_row([key], |row| row.get(0))
        .optional()?;
    Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
}

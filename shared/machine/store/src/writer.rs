//! The one thread that writes: all waiting changes go to disk together.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Savepoint, TransactionBehavior, params};
use tokio::sync::{mpsc, oneshot};
use towline_ports::{Key, PortError, Row, TransactError, Write};

use crate::fault::{self, Fault};
use crate::folder::OpenError;

/// The most transactions in one commit, so that the first of them does not wait too long.
const MOST_TOGETHER: usize = 256;
/// The most waiting transactions; further callers wait for a place.
const MOST_WAITING: usize = 1_024;

const DOING: &str = "write to the store";

/// The handle of the thread that writes.
#[derive(Debug)]
pub(crate) struct Writer {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<u64>>,
}

/// One transaction and its caller.
#[derive(Debug)]
struct Job {
    writes: Vec<Write>,
    /// The content of each write as text, if it has one.
    bodies: Vec<Option<String>>,
    /// Whether they are rows, whose version does not rise.
    are_rows: bool,
    answer: oneshot::Sender<Result<(), TransactError>>,
}

impl Writer {
    pub(crate) fn start(connection: Connection, path: PathBuf) -> Result<Self, OpenError> {
        let (jobs, waiting) = mpsc::channel(MOST_WAITING);
        let thread = thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || write_all(connection, &path, waiting))
            .map_err(OpenError::Thread)?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Returns when the rows are on disk.
    pub(crate) async fn put_rows(
        &self,
        rows: Vec<Row>,
        bodies: Vec<String>,
    ) -> Result<(), PortError> {
        let put = |Row { key, body }| Write::Put {
            key,
            body,
            due: None,
        };
        let writes = rows.into_iter().map(put).collect();
        let bodies = bodies.into_iter().map(Some).collect();
        match self.write(writes, bodies, true).await {
            Ok(()) => Ok(()),
            Err(TransactError::Port(error)) => Err(error),
            Err(TransactError::Conflict(key)) => Err(PortError::because(format!(
                "{DOING}: a row has no condition, and yet {} was in conflict",
                key.partition
            ))),
        }
    }

    /// Returns when the transaction is on disk, or has changed nothing.
    pub(crate) async fn transact(
        &self,
        writes: Vec<Write>,
        bodies: Vec<Option<String>>,
    ) -> Result<(), TransactError> {
        self.write(writes, bodies, false).await
    }

    async fn write(
        &self,
        writes: Vec<Write>,
        bodies: Vec<Option<String>>,
        are_rows: bool,
    ) -> Result<(), TransactError> {
        let ended = || PortError::because(format!("{DOING}: its thread has ended"));
        let (answer, answered) = oneshot::channel();
        let job = Job {
            writes,
            bodies,
            are_rows,
            answer,
        };
        let jobs = self.jobs.as_ref().ok_or_else(ended)?;
        jobs.send(job).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs.take(); // no more work: the thread ends behind what it has
        if let Some(thread) = self.thread.take() {
            // Every waiting caller has already received the panic.
            let _ = thread.join();
        }
    }
}

/// Writes until all senders are gone; returns the number of commits.
fn write_all(mut connection: Connection, path: &Path, mut waiting: mpsc::Receiver<Job>) -> u64 {
    let mut commits = 0;
    while let Some(first) = waiting.blocking_recv() {
        let mut together = vec![first];
        while together.len() < MOST_TOGETHER {
            let Ok(job) = waiting.try_recv() else {
                break;
            };
            together.push(job);
        }
        commit(&mut connection, path, together);
        commits += 1;
    }
    commits
}

/// Runs the jobs in one commit, each transaction completely or not at all, and then answers.
fn commit(connection: &mut Connection, path: &Path, jobs: Vec<Job>) {
    match outcomes(connection, path, &jobs) {
        Ok(outcomes) => {
            for (job, outcome) in jobs.into_iter().zip(outcomes) {
                // The caller may have stopped waiting.
                let _ = job.answer.send(outcome);
            }
        }
        Err(error) => {
            let fault = Arc::new(Fault::new(path, error));
            for job in jobs {
                let _ = job.answer.send(Err(failure(&fault)));
            }
        }
    }
}

fn failure(fault: &Arc<Fault>) -> TransactError {
    fault::port_error(DOING, Arc::clone(fault)).into()
}

/// The result of each transaction once all are on disk; an error means that none is, unless the
/// disk failed during the answer.
fn outcomes(
    connection: &mut Connection,
    path: &Path,
    jobs: &[Job],
) -> rusqlite::Result<Vec<Result<(), TransactError>>> {
    let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut outcomes = Vec::with_capacity(jobs.len());
    for job in jobs {
        let done = transact(transaction.savepoint()?, job);
        let outcome = match done {
            Ok(None) => Ok(()),
            Ok(Some(key)) => Err(TransactError::Conflict(key)),
            // On some errors, such as a full disk, SQLite rolls back everything, on others only
            // this transaction (SQLite documentation, "Transactions", 3.1).
            Err(error) if transaction.is_autocommit() => return Err(error),
            Err(error) => Err(failure(&Arc::new(Fault::new(path, error)))),
        };
        outcomes.push(outcome);
    }
    transaction.commit()?;
    Ok(outcomes)
}

/// Makes all changes, or returns the key in conflict; a dropped savepoint rolls back.
fn transact(savepoint: Savepoint<'_>, job: &Job) -> rusqlite::Result<Option<Key>> {
    // No key occurs twice, so all conditions can be checked before the first change.
    let mut versions = Vec::with_capacity(job.writes.len());
    for write in &job.writes {
        let version = version(&savepoint, write.key())?;
        if !holds(write, version) {
            return Ok(Some(write.key().clone()));
        }
        versions.push(version);
    }
    for ((write, body), version) in job.writes.iter().zip(&job.bodies).zip(versions) {
        match write {
            Write::Create { key, due, .. }
            | Write::Replace { key, due, .. }
            | Write::Put { key, due, .. } => {
                let next = if job.are_rows { 1 } else { version + 1 };
                set(&savepoint, key, next, body.as_deref(), *due)?;
            }
            Write::Delete { key, .. } => delete(&savepoint, key)?,
        }
    }
    savepoint.commit()?;
    Ok(None)
}

/// Whether a change is allowed while the item has this version; 0 if it does not exist.
fn holds(write: &Write, found: u64) -> bool {
    match write {
        Write::Create { .. } => found == 0,
        Write::Replace { version, .. } => found == *version && found != 0,
        Write::Put { .. } => true,
        Write::Delete { version, .. } => found == *version || found == 0,
    }
}

fn version(connection: &Connection, key: &Key) -> rusqlite::Result<u64> {
    let mut select = connection
        .prepare_cached("SELECT version FROM items WHERE partition = ?1 AND sort = ?2")?;
    let found: Option<i64> = select
        .query_row(params![key.partition, key.sort], |row| row.get(0))
        .optional()?;
    Ok(found.map_or(0, i64::cast_unsigned))
}

fn set(
    connection: &Connection,
    key: &Key,
    version: u64,
    body: Option<&str>,
    due: Option<Timestamp>,
) -> rusqlite::Result<()> {
    let mut upsert = connection.prepare_cached(
        "INSERT INTO items (partition, sort, version, body, due) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (partition, sort)
         DO UPDATE SET version = excluded.version, body = excluded.body, due = excluded.due",
    )?;
    let due = due.map(Timestamp::as_nanosecond);
    upsert.execute(params![
        key.partition,
        key.sort,
        version.cast_signed(),
        body,
        due
    ])?;
    Ok(())
}

fn delete(connection: &Connection, key: &Key) -> rusqlite::Result<()> {
    let mut delete =
        connection.prepare_cached("DELETE FROM items WHERE partition = ?1 AND sort = ?2")?;
    delete.execute(params![key.partition, key.sort])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tempfile::TempDir;

    use super::*;
    use crate::schema;

    type Answer = oneshot::Receiver<Result<(), TransactError>>;

    fn store() -> (TempDir, PathBuf, Connection) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("store.sqlite");
        let connection = schema::open(&path).expect("a new store");
        (dir, path, connection)
    }

    fn job(sorts: &[&str], bytes: usize) -> (Job, Answer) {
        let (answer, answered) = oneshot::channel();
        let create = |sort: &&str| Write::Create {
            key: Key::new("p", *sort),
            body: json!({}).into(),
            due: None,
        };
        let job = Job {
            writes: sorts.iter().map(create).collect(),
            bodies: vec![Some(json!({ "a": "x".repeat(bytes) }).to_string()); sorts.len()],
            are_rows: false,
            answer,
        };
        (job, answered)
    }

    fn count(path: &Path) -> i64 {
        let connection = schema::open_for_reading(path).expect("the store is there");
        connection
            .query_row("SELECT count(*) FROM items", [], |row| row.get(0))
            .expect("it answers")
    }

    #[test]
    fn what_waits_together_is_committed_together_and_each_has_its_own_answer() {
        let (_dir, path, connection) = store();
        let (jobs, waiting) = mpsc::channel(MOST_WAITING);
        let mut answers: Vec<Answer> = Vec::new();
        for number in 0..MOST_TOGETHER * 2 {
            // Every other one is in conflict with the one before it.
            let sort = (number / 2).to_string();
            let (job, answer) = job(&[&format!("own {number}"), &sort], 10);
            jobs.try_send(job).expect("there is room");
            answers.push(answer);
        }
        drop(jobs);
        assert_eq!(write_all(connection, &path, waiting), 2);
        for (number, mut answer) in answers.into_iter().enumerate() {
            let answer = answer.try_recv().expect("it was answered");
            match answer {
                Ok(()) => assert_eq!(number % 2, 0),
                Err(TransactError::Conflict(key)) => {
                    assert_eq!(
                        (number % 2, key.sort.to_string()),
                        (1, (number / 2).to_string())
                    );
                }
                Err(TransactError::Port(error)) => panic!("{error:?}"),
            }
        }
        assert_eq!(count(&path), 2 * MOST_TOGETHER as i64);
    }

    #[test]
    fn f37_s20_on_a_full_disk_nothing_is_half_done_and_nothing_acknowledged_is_lost() {
        let (_dir, path, mut connection) = store();
        connection
            .pragma_update(None, "max_page_count", 40)
            .expect("a smaller disk");
        let mut written = 0;
        for round in 0..100 {
            let sorts = ["a", "b", "c"].map(|part| format!("{round} {part}"));
            let (job, mut answer) = job(&sorts.each_ref().map(String::as_str), 3_000);
            commit(&mut connection, &path, vec![job]);
            match answer.try_recv().expect("it was answered") {
                Ok(()) => written += 3,
                Err(TransactError::Port(error)) => {
                    let folder = path.parent().expect("a folder").display();
                    let shortage = format!("no space left in {folder}");
                    assert_eq!(error.shortage(), Some(shortage));
                }
                Err(TransactError::Conflict(key)) => panic!("{key:?}"),
            }
            assert_eq!(count(&path), written);
        }
        assert!(
            (3..300).contains(&written),
            "the disk was full at some time"
        );
        connection
            .pragma_update(None, "max_page_count", 1_000)
            .expect("a larger disk");
        let (job, mut answer) = job(&["after"], 3_000);
        commit(&mut connection, &path, vec![job]);
        assert!(matches!(answer.try_recv(), Ok(Ok(()))));
        assert_eq!(count(&path), written + 1);
    }
}

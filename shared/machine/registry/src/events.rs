//! Push events: stored with the push until they are handled.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, Params, Transaction, params};
use tokio::sync::Notify;
use towline_oci::{Digest, ImageRepository, Tag};

use crate::database::{Database, Doing as _};
use crate::error::RegistryError;
use crate::registry::Registry;

/// A manifest was stored. Committed in the same transaction as the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushEvent {
    /// Increases; never reused.
    pub id: i64,
    pub repository: ImageRepository,
    pub digest: Digest,
    /// The tag; none if the manifest was pushed by digest.
    pub tag: Option<Tag>,
    pub media_type: String,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
}

/// An event that could not be handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    pub repository: ImageRepository,
    pub digest: Digest,
    pub tag: Option<Tag>,
    /// When the manifest was pushed, in milliseconds since 1970.
    pub at_ms: i64,
    pub reason: String,
}

/// The most events that are kept aside.
const MOST_SET_ASIDE: i64 = 1_000;

impl Registry {
    /// Notified after each push; for one waiter. Read [`Registry::first_events`] before waiting the first
    /// time, because pushes from before a restart do not notify.
    #[must_use]
    pub fn pushed(&self) -> &Notify {
        &self.inner().pushed
    }

    /// At most `limit` events with an id above `after_id`, oldest first.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn next_events(
        &self,
        after_id: i64,
        limit: usize,
    ) -> Result<Vec<PushEvent>, RegistryError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let select = "SELECT id, repository, digest, tag, media_type, at_ms FROM events
             WHERE id > ?1 ORDER BY id LIMIT ?2";
        self.blocking(move |registry| select_events(&registry.database, select, [after_id, limit]))
            .await
    }

    /// The oldest event of each repository, at most `limit`, oldest first.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn first_events(&self, limit: usize) -> Result<Vec<PushEvent>, RegistryError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        // Steps from one repository to the next in the index, and skips their other events.
        let select = "WITH RECURSIVE waiting (repository) AS (
                SELECT min(repository) FROM events
                UNION ALL
                SELECT (SELECT min(repository) FROM events WHERE repository > waiting.repository)
                FROM waiting WHERE waiting.repository IS NOT NULL
            )
            SELECT id, events.repository, digest, tag, media_type, at_ms FROM waiting
            JOIN events ON id = (SELECT min(id) FROM events WHERE repository = waiting.repository)
            ORDER BY id LIMIT ?1";
        self.blocking(move |registry| select_events(&registry.database, select, [limit]))
            .await
    }

    /// Deletes an event.
    ///
    /// # Errors
    ///
    /// When the database cannot be written.
    pub async fn forget_event(&self, id: i64) -> Result<(), RegistryError> {
        self.blocking(move |registry| {
            let doing = "forgetting a push event";
            registry.database.write(doing, |transaction| {
                transaction
                    .execute("DELETE FROM events WHERE id = ?1", [id])
                    .doing(doing)?;
                Ok(())
            })
        })
        .await
    }

    /// Sets aside an event that can never be handled, so that the next event of its repository need not
    /// wait. The newest such events are kept.
    ///
    /// # Errors
    ///
    /// When the database cannot be written.
    pub async fn set_event_aside(&self, id: i64, reason: &str) -> Result<(), RegistryError> {
        let reason = reason.to_owned();
        self.blocking(move |registry| {
            let doing = "setting a push event aside";
            registry.database.write(doing, |transaction| {
                transaction
                    .execute(
                        "INSERT INTO set_aside (id, repository, digest, tag, at_ms, reason)
                         SELECT id, repository, digest, tag, at_ms, ?2 FROM events WHERE id = ?1
                         ON CONFLICT DO NOTHING",
                        params![id, reason],
                    )
                    .doing(doing)?;
                transaction
                    .execute("DELETE FROM events WHERE id = ?1", [id])
                    .doing(doing)?;
                transaction
                    .execute(
                        "DELETE FROM set_aside WHERE id <=
                            (SELECT id FROM set_aside ORDER BY id DESC LIMIT 1 OFFSET ?1)",
                        [MOST_SET_ASIDE],
                    )
                    .doing(doing)?;
                Ok(())
            })
        })
        .await
    }
}

/// The events that were set aside in a folder, oldest first, also while another process has it open.
///
/// # Errors
///
/// When the database cannot be read.
pub fn set_aside(dir: &Path) -> Result<Vec<SetAside>, RegistryError> {
    let doing = "reading the push events that were set aside";
    let path = dir.join("registry.sqlite");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let view = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).doing(doing)?;
    let layout: i64 = view
        .query_row("PRAGMA user_version", (), |row| row.get(0))
        .doing(doing)?;
    if layout == 0 {
        return Ok(Vec::new()); // another process is creating it
    }
    let mut select = view
        .prepare("SELECT repository, digest, tag, at_ms, reason FROM set_aside ORDER BY id")
        .doing(doing)?;
    let mut rows = select.query(()).doing(doing)?;
    let mut events = Vec::new();
    while let Some(row) = rows.next().doing(doing)? {
        let text = |column| row.get::<_, String>(column).doing(doing);
        let tag: Option<String> = row.get(2).doing(doing)?;
        events.push(SetAside {
            repository: text(0)?.parse()?,
            digest: text(1)?.parse()?,
            tag: tag.map(|tag| tag.parse()).transpose()?,
            at_ms: row.get(3).doing(doing)?,
            reason: text(4)?,
        });
    }
    Ok(events)
}

fn select_events(
    database: &Database,
    select: &str,
    parameters: impl Params,
) -> Result<Vec<PushEvent>, RegistryError> {
    let doing = "reading push events";
    database.read(doing, |view| {
        let mut select = view.prepare_cached(select).doing(doing)?;
        let mut rows = select.query(parameters).doing(doing)?;
        let mut events = Vec::new();
        while let Some(row) = rows.next().doing(doing)? {
            let text = |column| row.get::<_, String>(column).doing(doing);
            let tag: Option<String> = row.get(3).doing(doing)?;
            events.push(PushEvent {
                id: row.get(0).doing(doing)?,
                repository: text(1)?.parse()?,
                digest: text(2)?.parse()?,
                tag: tag.map(|tag| tag.parse()).transpose()?,
                media_type: text(4)?,
                at_ms: row.get(5).doing(doing)?,
            });
        }
        Ok(events)
    })
}

/// Adds an event to the push's transaction.
pub(crate) fn append(
    transaction: &Transaction<'_>,
    repository: &ImageRepository,
    digest: &Digest,
    tag: Option<&Tag>,
    media_type: &str,
    now: i64,
) -> Result<(), RegistryError> {
    transaction
        .prepare_cached(
            "INSERT INTO events (repository, digest, tag, media_type, at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .and_then(|mut insert| {
            insert.execute(params![
                repository.as_str(),
                digest.as_str(),
                tag.map(Tag::as_str),
                media_type,
                now
            ])
        })
        .doing("recording a push event")?;
    Ok(())
}

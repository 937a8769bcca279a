//! Push events: stored with the push until they are handled.

use rusqlite::{Transaction, params};
use tokio::sync::Notify;
use towline_oci::{Digest, ImageRepository, Tag};

use crate::database::Doing as _;
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

impl Registry {
    /// Notified after each push; for one waiter. Read [`Registry::next_events`] before waiting the first
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
        self.blocking(move |registry| {
            let doing = "reading push events";
            registry.database.read(doing, |view| {
                let mut select = view
                    .prepare_cached(
                        "SELECT id, repository, digest, tag, media_type, at_ms FROM events
                         WHERE id > ?1 ORDER BY id LIMIT ?2",
                    )
                    .doing(doing)?;
                let mut rows = select.query([after_id, limit]).doing(doing)?;
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
        })
        .await
    }

    /// Deletes the events up to and including this id.
    ///
    /// # Errors
    ///
    /// When the database cannot be written.
    pub async fn forget_events(&self, up_to: i64) -> Result<(), RegistryError> {
        self.blocking(move |registry| {
            let doing = "forgetting push events";
            registry.database.write(doing, |transaction| {
                transaction
                    .execute("DELETE FROM events WHERE id <= ?1", [up_to])
                    .doing(doing)?;
                Ok(())
            })
        })
        .await
    }
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

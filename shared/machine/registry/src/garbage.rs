//! Collects garbage: blobs that no manifest refers to.

use std::time::Duration;

use rusqlite::Transaction;
use towline_oci::Digest;

use crate::database::{Doing as _, Size};
use crate::error::RegistryError;
use crate::registry::Registry;
use crate::uploads::IDLE_MS;

/// The result of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collected {
    Deleted {
        blobs: u64,
        /// How many bytes they had.
        bytes: u64,
    },
    /// Nothing was deleted, because uploads in progress may rely on any blob.
    HeldBack { uploads: usize },
}

impl Registry {
    /// Deletes the blobs that no manifest refers to and that were not pushed, mounted or requested
    /// since `age`. Ends uploads that were idle as long, at most an hour.
    ///
    /// Deletes nothing while an upload is in progress: a client that has found a blob does not
    /// send it again, and pushes its manifest only after the last upload.
    ///
    /// # Errors
    ///
    /// When the database or a file cannot be written. A remaining file is deleted at the next open.
    pub async fn collect_garbage(&self, age: Duration) -> Result<Collected, RegistryError> {
        let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        self.blocking(move |registry| {
            let now = registry.now();
            let idle_since = now.saturating_sub(age_ms.min(IDLE_MS));
            registry.database.write_then(
                "collecting garbage",
                |transaction| {
                    let uploads = registry.uploads.drop_idle(idle_since);
                    if uploads > 0 {
                        return Ok(Err(uploads));
                    }
                    // Locked until the transaction is done. A blob that was requested before is noted
                    // and kept. A request that comes meanwhile waits, and then finds no blob.
                    let mut seen = registry.seen.lock();
                    let before = now.saturating_sub(age_ms);
                    seen.retain(|_, at| *at >= before);
                    let deleted =
                        delete_rows(transaction, before, |digest| seen.contains_key(digest))?;
                    Ok(Ok((deleted, seen)))
                },
                |found| match found {
                    Err(uploads) => Ok(Collected::HeldBack { uploads }),
                    // Nothing else can write yet, so none of these is being pushed again.
                    Ok((deleted, _seen)) => {
                        for (digest, _) in &deleted {
                            registry.files.remove(digest)?;
                        }
                        Ok(Collected::Deleted {
                            blobs: deleted.len() as u64,
                            bytes: deleted.iter().map(|(_, size)| size).sum(),
                        })
                    }
                },
            )
        })
        .await
    }
}

/// Removes unreferenced blobs from their repositories; returns those that are left in no repository.
fn delete_rows(
    transaction: &Transaction<'_>,
    before: i64,
    keep: impl Fn(&Digest) -> bool,
) -> Result<Vec<(Digest, u64)>, RegistryError> {
    let doing = "looking for garbage";
    let mut select = transaction
        .prepare_cached(
            "SELECT link.repository, link.digest FROM repository_blobs AS link
             WHERE link.linked_at_ms < ?1 AND NOT EXISTS (
                SELECT 1 FROM manifest_references AS reference
                WHERE reference.repository = link.repository
                    AND reference.kind = 'blob' AND reference.digest = link.digest)",
        )
        .doing(doing)?;
    let links: Vec<(String, String)> = select
        .query_map([before], |row| Ok((row.get(0)?, row.get(1)?)))
        .and_then(Iterator::collect)
        .doing(doing)?;
    for (repository, digest) in links {
        if !keep(&digest.parse()?) {
            transaction
                .prepare_cached(
                    "DELETE FROM repository_blobs WHERE repository = ?1 AND digest = ?2",
                )
                .and_then(|mut delete| delete.execute([repository, digest]))
                .doing(doing)?;
        }
    }
    let mut delete = transaction
        .prepare_cached(
            "DELETE FROM blobs WHERE NOT EXISTS (
                SELECT 1 FROM repository_blobs AS link WHERE link.digest = blobs.digest)
             RETURNING digest, size",
        )
        .doing(doing)?;
    let deleted: Vec<(String, Size)> = delete
        .query_map((), |row| Ok((row.get(0)?, row.get(1)?)))
        .and_then(Iterator::collect)
        .doing(doing)?;
    deleted
        .into_iter()
        .map(|(digest, Size(size))| Ok((digest.parse()?, size)))
        .collect()
}

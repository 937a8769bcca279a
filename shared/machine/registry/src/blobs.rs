//! Blobs, and the repositories that contain them.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use towline_oci::{Digest, ImageRepository};

use crate::database::{Doing as _, Size};
use crate::error::RegistryError;
use crate::registry::Registry;

/// The result of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mounted {
    /// The repository now has the blob.
    Yes,
    /// The other repository does not have it.
    NotThere,
}

impl Registry {
    /// The blob's size in bytes, if the repository has it.
    pub(crate) async fn blob_size(
        &self,
        repository: &ImageRepository,
        digest: &Digest,
    ) -> Result<Option<u64>, RegistryError> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.blocking(move |registry| {
            // This is noted before looking. Garbage collection locks the notes until it is done, so it
            // either keeps the blob, or has visibly deleted it.
            let before = registry.seen.lock().insert(digest.clone(), registry.now());
            let size = registry.database.read("looking for a blob", |view| {
                linked_size(view, &repository, &digest)
            })?;
            if size.is_none() && before.is_none() {
                registry.seen.lock().remove(&digest);
            }
            Ok(size)
        })
        .await
    }

    /// The blob's file and size, if the repository has it.
    pub(crate) async fn open_blob(
        &self,
        repository: &ImageRepository,
        digest: &Digest,
    ) -> Result<Option<(File, u64)>, RegistryError> {
        let Some(size) = self.blob_size(repository, digest).await? else {
            return Ok(None);
        };
        let digest = digest.clone();
        self.blocking(move |registry| Ok(Some((registry.files.open_blob(&digest)?, size))))
            .await
    }

    /// Gives a repository the blob of another one.
    pub(crate) async fn mount_blob(
        &self,
        repository: &ImageRepository,
        digest: &Digest,
        from: &ImageRepository,
    ) -> Result<Mounted, RegistryError> {
        let (repository, digest, from) = (repository.clone(), digest.clone(), from.clone());
        self.blocking(move |registry| {
            registry.database.write("mounting a blob", |transaction| {
                if linked_size(transaction, &from, &digest)?.is_none() {
                    return Ok(Mounted::NotThere);
                }
                link(transaction, &repository, &digest, registry.now())?;
                Ok(Mounted::Yes)
            })
        })
        .await
    }

    /// Removes a blob from a repository. Garbage collection deletes the file.
    pub(crate) async fn delete_blob(
        &self,
        repository: &ImageRepository,
        digest: &Digest,
    ) -> Result<(), RegistryError> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.blocking(move |registry| {
            registry.database.write("deleting a blob", |transaction| {
                if let Some(by) = referring(transaction, &repository, "blob", &digest)? {
                    return Err(RegistryError::StillReferred { digest, by });
                }
                let deleted = transaction
                    .prepare_cached(
                        "DELETE FROM repository_blobs WHERE repository = ?1 AND digest = ?2",
                    )
                    .and_then(|mut delete| {
                        delete.execute(params![repository.as_str(), digest.as_str()])
                    })
                    .doing("deleting a blob")?;
                match deleted {
                    0 => Err(RegistryError::BlobUnknown { repository, digest }),
                    _ => Ok(()),
                }
            })
        })
        .await
    }

    /// Adds a synced file to the repository as a blob. Blocks.
    pub(crate) fn publish_blob(
        &self,
        repository: &ImageRepository,
        file: &Path,
        digest: &Digest,
        size: u64,
    ) -> Result<(), RegistryError> {
        let doing = "recording a blob";
        self.inner().database.write(doing, |transaction| {
            let known = transaction
                .prepare_cached("SELECT 1 FROM blobs WHERE digest = ?1")
                .and_then(|mut select| select.exists([digest.as_str()]))
                .doing(doing)?;
            if !known {
                // This happens inside the transaction, so that no collection runs in between.
                self.inner().files.publish(file, digest)?;
                transaction
                    .prepare_cached("INSERT INTO blobs (digest, size) VALUES (?1, ?2)")
                    .and_then(|mut insert| insert.execute(params![digest.as_str(), Size(size)]))
                    .doing(doing)?;
            }
            link(transaction, repository, digest, self.inner().now())
        })
    }

    /// Reads a whole blob, if the repository has it and it is not larger than `limit`. Blocks.
    pub(crate) fn small_blob(
        &self,
        repository: &ImageRepository,
        digest: &Digest,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, RegistryError> {
        let size = self.inner().database.read("looking for a blob", |view| {
            linked_size(view, repository, digest)
        })?;
        if size.is_none_or(|size| size > limit) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let mut file = self.inner().files.open_blob(digest)?;
        file.read_to_end(&mut bytes).map_err(|source| {
            RegistryError::file("reading the blob", &self.inner().files.path(digest), source)
        })?;
        Ok(Some(bytes))
    }
}

pub(crate) fn linked_size(
    view: &Connection,
    repository: &ImageRepository,
    digest: &Digest,
) -> Result<Option<u64>, RegistryError> {
    let size: Option<Size> = view
        .prepare_cached(
            "SELECT size FROM repository_blobs JOIN blobs USING (digest)
         WHERE repository = ?1 AND digest = ?2",
        )
        .and_then(|mut select| {
            select
                .query_row([repository.as_str(), digest.as_str()], |row| row.get(0))
                .optional()
        })
        .doing("looking for a blob")?;
    Ok(size.map(|Size(size)| size))
}

/// The digest of one manifest that refers to this blob or manifest.
pub(crate) fn referring(
    view: &Connection,
    repository: &ImageRepository,
    kind: &'static str,
    digest: &Digest,
) -> Result<Option<String>, RegistryError> {
    view.prepare_cached(
        "SELECT manifest FROM manifest_references
         WHERE repository = ?1 AND kind = ?2 AND digest = ?3 LIMIT 1",
    )
    .and_then(|mut select| {
        select
            .query_row([repository.as_str(), kind, digest.as_str()], |row| {
                row.get(0)
            })
            .optional()
    })
    .doing("looking for what refers to a digest")
}

fn link(
    transaction: &Transaction<'_>,
    repository: &ImageRepository,
    digest: &Digest,
    now: i64,
) -> Result<(), RegistryError> {
    ensure_repository(transaction, repository, now)?;
    transaction
        .prepare_cached(
            "INSERT INTO repository_blobs (repository, digest, linked_at_ms) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET linked_at_ms = excluded.linked_at_ms",
        )
        .and_then(|mut insert| insert.execute(params![repository.as_str(), digest.as_str(), now]))
        .doing("giving a repository a blob")?;
    Ok(())
}

pub(crate) fn ensure_repository(
    transaction: &Transaction<'_>,
    repository: &ImageRepository,
    now: i64,
) -> Result<(), RegistryError> {
    transaction
        .prepare_cached(
            "INSERT INTO repositories (name, created_at_ms) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        )
        .and_then(|mut insert| insert.execute(params![repository.as_str(), now]))
        .doing("making a repository")?;
    Ok(())
}

//! Blobs: files named by their content, and the repositories that contain them.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use towline_oci::{Digest, ImageRepository};

use crate::database::{Doing as _, Size};
use crate::error::RegistryError;
use crate::registry::Registry;

/// The folder of blob files: `<aa>/<hex>`, `aa` being the digest's first two digits.
pub(crate) struct BlobFiles {
    folder: PathBuf,
}

impl BlobFiles {
    /// Opens the folder, and creates it if it is new.
    pub(crate) fn open(dir: &Path) -> Result<Self, RegistryError> {
        let blobs = dir.join("blobs");
        let folder = blobs.join("sha256");
        make_folder(&blobs)?;
        make_folder(&folder)?;
        Ok(Self { folder })
    }

    fn shelf(&self, digest: &Digest) -> PathBuf {
        self.folder.join(&digest.hex()[..2])
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.shelf(digest).join(digest.hex())
    }

    /// Moves a synced file to the path of its digest. The move is on disk when this returns.
    fn publish(&self, file: &Path, digest: &Digest) -> Result<(), RegistryError> {
        let doing = "moving an uploaded blob to";
        let shelf = self.shelf(digest);
        let path = self.path(digest);
        make_folder(&shelf)?;
        fs::rename(file, &path).map_err(|source| RegistryError::file(doing, &path, source))?;
        sync_folder(&shelf)
    }

    pub(crate) fn remove(&self, digest: &Digest) -> Result<(), RegistryError> {
        let path = self.path(digest);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(RegistryError::file("deleting the blob", &path, source))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn open_blob(&self, digest: &Digest) -> Result<File, RegistryError> {
        let path = self.path(digest);
        File::open(&path).map_err(|source| RegistryError::file("opening the blob", &path, source))
    }

    /// The digests of all files.
    fn list(&self) -> Result<Vec<Digest>, RegistryError> {
        let mut digests = Vec::new();
        for shelf in entries(&self.folder)? {
            for path in entries(&shelf)? {
                let hex = path.file_name().unwrap_or_default().to_string_lossy();
                digests.extend(format!("sha256:{hex}").parse::<Digest>());
            }
        }
        Ok(digests)
    }
}

/// Creates a folder, which is on disk when this returns.
pub(crate) fn make_folder(path: &Path) -> Result<(), RegistryError> {
    match fs::create_dir(path) {
        Ok(()) => path.parent().map_or(Ok(()), sync_folder),
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(RegistryError::file("making the folder", path, source)),
    }
}

fn sync_folder(path: &Path) -> Result<(), RegistryError> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| RegistryError::file("syncing the folder", path, source))
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, RegistryError> {
    fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .map_err(|source| RegistryError::file("listing the folder", folder, source))
}

/// When a client was last told that a blob exists, because it may rely on that.
#[derive(Default)]
pub(crate) struct Seen(Mutex<HashMap<Digest, i64>>);

impl Seen {
    pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<Digest, i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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

/// Deletes files without a row: their push was interrupted before it was acknowledged, or their
/// deletion was. This runs only at open, before uploads start.
pub(crate) fn delete_strays(files: &BlobFiles, view: &Connection) -> Result<(), RegistryError> {
    let doing = "looking for stray blob files";
    let mut select = view
        .prepare("SELECT 1 FROM blobs WHERE digest = ?1")
        .doing(doing)?;
    for digest in files.list()? {
        if !select.exists([digest.as_str()]).doing(doing)? {
            files.remove(&digest)?;
        }
    }
    Ok(())
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

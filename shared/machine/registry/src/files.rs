//! The files of blobs, named by their content.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use towline_oci::Digest;

use crate::database::Doing as _;
use crate::error::RegistryError;

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

    pub(crate) fn path(&self, digest: &Digest) -> PathBuf {
        self.shelf(digest).join(digest.hex())
    }

    /// Moves a synced file to the path of its digest. On disk when this returns.
    pub(crate) fn publish(&self, file: &Path, digest: &Digest) -> Result<(), RegistryError> {
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

/// Creates a folder, on disk when this returns.
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

/// Deletes files without a row: their push was interrupted before it was
/// acknowledged, or their deletion was. Only at open, before uploads start.
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

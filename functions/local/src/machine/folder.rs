//! The folder a machine keeps everything in, and the secrets it makes for itself there.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::clock::random_bytes;

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("using the folder {}", path.display())]
pub struct FolderError {
    path: PathBuf,
    #[source]
    cause: io::Error,
}

/// A folder only its owner can read.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes the folder if it is not there; an absolute path comes of it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let failed = |cause| FolderError {
            path: path.to_owned(),
            cause,
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed)?;
        Ok(Self {
            path: path.canonicalize().map_err(failed)?,
        })
    }

    /// A path below it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The file with the owner's token for the API.
    #[must_use]
    pub fn token_file(&self) -> PathBuf {
        self.path("owner.token")
    }

    /// The file with the secret that signs webhooks, when none was given.
    #[must_use]
    pub fn webhook_secret_file(&self) -> PathBuf {
        self.path("webhook.secret")
    }

    /// The text of a secret's file, made up on the first time it is asked for.
    ///
    /// # Errors
    /// When the file can be neither read nor made.
    pub fn secret(&self, file: &Path) -> Result<String, FolderError> {
        match fs::read_to_string(file) {
            Ok(text) => Ok(text.trim_end().to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let text = hex::encode(random_bytes::<32>());
                write_private(file, format!("{text}\n").as_bytes())?;
                Ok(text)
            }
            Err(cause) => Err(FolderError {
                path: file.to_owned(),
                cause,
            }),
        }
    }

    /// The key with which the machine signs what builds push with.
    pub(super) fn registry_key(&self) -> Result<String, FolderError> {
        self.secret(&self.path("registry.key"))
    }
}

/// Writes a file only its owner can read, whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), FolderError> {
    let failed = |cause| FolderError {
        path: path.to_owned(),
        cause,
    };
    let draft = path.with_extension("new");
    let open = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft);
    let mut file = open.map_err(failed)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(failed)?;
    fs::rename(&draft, path).map_err(failed)?;
    let folder = path.parent().map_or(Ok(()), |folder| {
        fs::File::open(folder).and_then(|folder| folder.sync_all())
    });
    folder.map_err(failed)
}

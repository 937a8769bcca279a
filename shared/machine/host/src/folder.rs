//! The data folder of a machine, and the secrets it generates there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use towline_ports::system::random_bytes;

/// Marks a folder as ours, and excludes it from Git.
const MARK: &str = ".gitignore";
/// The content of the mark.
const MARK_TEXT: &str =
    "# Created by towline. Everything in this folder belongs to it, including secrets.\n*\n";
/// The shortest secret accepted from a file, in bytes (A3).
const SHORTEST_SECRET: usize = 32;

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The operating system reports an error.
    #[error("using {}", path.display())]
    System {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    /// The disk is full.
    #[error("no space left in {}; free some space, and try again", folder.display())]
    Full {
        folder: PathBuf,
        #[source]
        cause: io::Error,
    },
    /// It contains other files.
    #[error("{} already contains other files; name an empty or a new folder", .0.display())]
    Foreign(PathBuf),
    /// It is not a folder of Towline.
    #[error("{} is not a folder of `towline serve`; name it with --data, or a stack on AWS with --stack", .0.display())]
    Missing(PathBuf),
    /// A secret that is too short.
    #[error("{} holds a secret of fewer than {SHORTEST_SECRET} characters; delete the file to generate a new one", .0.display())]
    Weak(PathBuf),
}

impl FolderError {
    fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| {
            let path = path.to_owned();
            if !is_full(&cause) {
                return Self::System { path, cause };
            }
            let folder = path.parent().map_or_else(|| path.clone(), Path::to_owned);
            Self::Full { folder, cause }
        }
    }
}

/// Whether there is no space left.
fn is_full(cause: &io::Error) -> bool {
    matches!(
        cause.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// A data folder of Towline, which only its owner can read.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Creates the folder if it does not exist; its path becomes absolute.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let make = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path);
        make.map_err(FolderError::at(path))?;
        let path = path.canonicalize().map_err(FolderError::at(path))?;
        let mark = path.join(MARK);
        let is_ours = fs::read_to_string(&mark).is_ok_and(|text| text == MARK_TEXT);
        if !is_ours {
            let entries = fs::read_dir(&path).map_err(FolderError::at(&path))?;
            // A process that is killed before this point leaves only a draft of the mark.
            let draft = mark.with_extension("new");
            if entries.flatten().any(|entry| entry.path() != draft) {
                return Err(FolderError::Foreign(path));
            }
            write_private(&mark, MARK_TEXT.as_bytes())?;
            sync_name_of(&path)?;
        }
        let closed = fs::set_permissions(&path, fs::Permissions::from_mode(0o700));
        closed.map_err(FolderError::at(&path))?;
        Ok(Self { path })
    }

    /// Opens an existing folder.
    pub fn existing(path: &Path) -> Result<Self, FolderError> {
        if path.join(MARK).exists() {
            Self::open(path)
        } else {
            Err(FolderError::Missing(path.to_owned()))
        }
    }

    /// A path below it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The file with the owner's token for the API.
    pub fn token_file(&self) -> PathBuf {
        self.path("owner.token")
    }

    /// The file with the secret that signs webhooks, if none was given.
    pub fn webhook_secret_file(&self) -> PathBuf {
        self.path("webhook.secret")
    }

    /// The text of a secret's file, generated at first use.
    pub fn secret(&self, file: &Path) -> Result<String, FolderError> {
        match fs::read_to_string(file) {
            Ok(text) if text.trim().len() < SHORTEST_SECRET => {
                Err(FolderError::Weak(file.to_owned()))
            }
            Ok(text) => Ok(text.trim().to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let text = hex::encode(random_bytes::<32>());
                write_private(file, format!("{text}\n").as_bytes())?;
                Ok(text)
            }
            Err(cause) => Err(FolderError::at(file)(cause)),
        }
    }

    /// Locks a file of the folder against other processes until the lock is dropped.
    ///
    /// # Errors
    /// When the lock's file cannot be used.
    pub fn lock(&self, name: &str) -> Result<File, FolderError> {
        let path = self.path(name);
        let open = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        let file = open.map_err(FolderError::at(&path))?;
        file.lock().map_err(FolderError::at(&path))?;
        Ok(file)
    }
}

/// Writes a file only its owner can read, whole or not at all. One writer at a time.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), FolderError> {
    let draft = path.with_extension("new");
    let open = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft);
    let mut file = open.map_err(FolderError::at(&draft))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.map_err(FolderError::at(&draft))?;
    fs::rename(&draft, path).map_err(FolderError::at(path))?;
    sync_name_of(path)
}

/// Makes the name of a file or folder survive a power failure.
fn sync_name_of(path: &Path) -> Result<(), FolderError> {
    let Some(parent) = path.parent() else {
        return Ok(());
    };
    let synced = File::open(parent).and_then(|parent| parent.sync_all());
    synced.map_err(FolderError::at(parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_ours_or_new_and_closed_to_others() {
        let scratch = tempfile::tempdir().expect("a folder");
        let path = scratch.path().join("data");
        let folder = Folder::open(&path).expect("a new folder");
        let mode = fs::metadata(&path).expect("a folder").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let secret = folder.secret(&folder.token_file()).expect("a secret");
        assert_eq!(
            Folder::open(&path)
                .expect("ours")
                .secret(&folder.token_file())
                .expect("kept"),
            secret
        );
        fs::write(folder.token_file(), "short").expect("written");
        assert!(matches!(
            folder.secret(&folder.token_file()),
            Err(FolderError::Weak(_))
        ));

        let foreign = scratch.path().join("home");
        fs::create_dir(&foreign).expect("a folder");
        fs::write(foreign.join("letter"), "dear").expect("written");
        assert!(matches!(
            Folder::open(&foreign),
            Err(FolderError::Foreign(_))
        ));
        assert_eq!(
            fs::read_dir(&foreign).expect("a folder").count(),
            1,
            "nothing was touched"
        );
    }
}

//! What can go wrong in a registry, each with what its reader can do about it.

use towline_oci::{Digest, DocumentError, ImageRepository, NameError};

use std::io;
use std::path::{Path, PathBuf};

/// An error of the registry. Those about what a client sent are answered as such, the
/// others as the server's own.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Another process has this folder open. Stop it, or use another folder.
    #[error("the registry folder {dir} is in use by another process; stop that one first")]
    InUse {
        /// The folder.
        dir: PathBuf,
    },
    /// The folder was written by a newer version. Use that one.
    #[error(
        "the registry folder {dir} has layout {found}, newer than the {known} known here; use a newer towline"
    )]
    TooNew {
        /// The folder.
        dir: PathBuf,
        /// The layout found.
        found: i64,
        /// The newest layout known here.
        known: i64,
    },
    /// The disk is full. Nothing was accepted; free some space and push again.
    #[error(
        "no space is left for {doing}; free some space where the registry keeps its data, then push again"
    )]
    DiskFull {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file could not be read or written.
    #[error("{doing} {path}")]
    File {
        /// What was being done.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database refused.
    #[error("{doing}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The process is stopping, or a task in it panicked.
    #[error("the registry's work was cut off")]
    CutOff {
        /// What tokio said.
        #[source]
        source: tokio::task::JoinError,
    },
    /// The client stopped sending. What came so far is kept in its upload.
    #[error("the client stopped sending")]
    Receiving {
        /// What the connection said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A name in the database is not one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// No such repository.
    #[error("there is no repository {0}; it appears with the first push to it")]
    RepositoryUnknown(ImageRepository),
    /// No such blob in the repository.
    #[error("repository {repository} has no blob {digest}")]
    BlobUnknown {
        /// The repository.
        repository: ImageRepository,
        /// The blob.
        digest: Digest,
    },
    /// No such manifest in the repository.
    #[error("repository {repository} has no manifest {reference}")]
    ManifestUnknown {
        /// The repository.
        repository: ImageRepository,
        /// The tag or digest asked for.
        reference: String,
    },
    /// The manifest is not one.
    #[error("the manifest is refused")]
    ManifestInvalid(#[source] DocumentError),
    /// The manifest says of a blob that it has another size.
    #[error("the manifest says that {digest} has {announced} bytes, but it has {actual}")]
    BlobSize {
        /// The blob.
        digest: Digest,
        /// The size in the manifest.
        announced: u64,
        /// The size of the blob.
        actual: u64,
    },
    /// The manifest is larger than any client makes them.
    #[error("the manifest is larger than {limit} bytes")]
    ManifestTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The manifest refers to what the repository does not have. Push that first.
    #[error(
        "the manifest refers to {digest}, which repository {repository} does not have; push it first"
    )]
    ReferenceUnknown {
        /// The repository.
        repository: ImageRepository,
        /// The first one missing.
        digest: Digest,
    },
    /// Something still refers to what was to be deleted. Delete that first.
    #[error("{digest} is still referred to by {by}; delete that first")]
    StillReferred {
        /// What was to be deleted.
        digest: Digest,
        /// The manifest that refers to it.
        by: String,
    },
    /// The content does not have the digest it was announced with.
    #[error("the content has the digest {actual}, not {given}")]
    DigestMismatch {
        /// The digest announced.
        given: Digest,
        /// The digest of what came.
        actual: Digest,
    },
    /// No such upload in the repository: ended, cancelled, or from before a restart.
    #[error("there is no such upload; it has ended or the registry was restarted, start a new one")]
    UploadUnknown,
    /// More uploads are in progress than files may be open. Try again later.
    #[error("{limit} uploads are in progress, no more are taken; try again when some have ended")]
    TooManyUploads {
        /// How many may be.
        limit: usize,
    },
    /// The blob is larger than the settings allow. The upload is gone.
    #[error("the blob is larger than {limit} bytes, the most this registry takes")]
    UploadTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// A chunk does not start where the last one ended. Ask for the status and go on there.
    #[error("the chunk starts at {start}, but the upload has {received} bytes; go on from there")]
    ChunkOutOfOrder {
        /// Where the chunk starts.
        start: u64,
        /// How many bytes the upload has.
        received: u64,
    },
    /// A chunk's length and its Content-Range differ. The chunk was not taken.
    #[error("the chunk has {actual} bytes, but its Content-Range says {announced}")]
    ChunkLength {
        /// The length by Content-Range.
        announced: u64,
        /// The length of what came.
        actual: u64,
    },
}

impl RegistryError {
    pub(crate) fn file(doing: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull {
                doing,
                source: source.into(),
            },
            _ => Self::File {
                doing,
                path: path.to_owned(),
                source,
            },
        }
    }

    pub(crate) fn database(doing: &'static str, source: rusqlite::Error) -> Self {
        match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::DiskFull {
                doing,
                source: source.into(),
            },
            _ => Self::Database { doing, source },
        }
    }
}

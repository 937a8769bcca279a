//! The errors of a registry, each with advice for its reader.

use towline_oci::{Digest, DocumentError, ImageRepository, NameError};

use std::io;
use std::path::{Path, PathBuf};

/// An error of the registry. Errors about a client's request are answered as such, others as
/// internal errors.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Another process has this folder open.
    #[error("the registry folder {dir} is in use by another process; stop it first")]
    InUse { dir: PathBuf },
    /// A newer version has written the folder.
    #[error(
        "the registry folder {dir} has layout {found}, but this version knows only {known}; use a newer towline"
    )]
    TooNew {
        dir: PathBuf,
        found: i64,
        /// The newest layout known here.
        known: i64,
    },
    /// The disk is full. Nothing was accepted.
    #[error("no space left for {doing}; free disk space for the registry, then push again")]
    DiskFull {
        doing: &'static str,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file could not be read or written.
    #[error("{doing} {path}")]
    File {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{doing}")]
    Database {
        doing: &'static str,
        source: rusqlite::Error,
    },
    /// The process is stopping, or a task in it panicked.
    #[error("the registry was interrupted")]
    CutOff {
        #[source]
        source: tokio::task::JoinError,
    },
    /// The client stopped sending. The upload keeps what arrived.
    #[error("the client stopped sending")]
    Receiving {
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A name in the database is invalid.
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("repository {0} not found; the first push creates it")]
    RepositoryUnknown(ImageRepository),
    /// No such blob in the repository.
    #[error("repository {repository} has no blob {digest}")]
    BlobUnknown {
        repository: ImageRepository,
        digest: Digest,
    },
    /// No such manifest in the repository.
    #[error("repository {repository} has no manifest {reference}")]
    ManifestUnknown {
        repository: ImageRepository,
        /// The tag or digest asked for.
        reference: String,
    },
    #[error("the manifest is refused")]
    ManifestInvalid(#[source] DocumentError),
    /// The manifest has as many tags as it can have.
    #[error(
        "{digest} already has {limit} tags in {repository}, the maximum for one image; push under one of its tags, or delete tags"
    )]
    TooManyTags {
        repository: ImageRepository,
        digest: Digest,
        limit: i64,
    },
    /// The manifest announces another size for a blob.
    #[error("the manifest says that {digest} has {announced} bytes, but it has {actual}")]
    BlobSize {
        digest: Digest,
        /// The size in the manifest.
        announced: u64,
        /// The size of the blob.
        actual: u64,
    },
    /// The manifest is larger than clients create them.
    #[error("the manifest is larger than {limit} bytes")]
    ManifestTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The manifest refers to content that the repository does not have.
    #[error(
        "the manifest refers to {digest}, which repository {repository} does not have; push it first"
    )]
    ReferenceUnknown {
        repository: ImageRepository,
        digest: Digest,
    },
    /// Something still refers to the content to delete.
    #[error("{by} still refers to {digest}; delete it first")]
    StillReferred {
        /// The digest to delete.
        digest: Digest,
        /// The manifest that refers to it.
        by: String,
    },
    /// The content does not have the announced digest.
    #[error("the content has the digest {actual}, not {given}")]
    DigestMismatch {
        given: Digest,
        /// The digest of the received content.
        actual: Digest,
    },
    /// The upload ended, was cancelled, or is older than a restart.
    #[error("upload not found; it ended or the registry was restarted; start a new one")]
    UploadUnknown,
    /// Too many uploads are in progress for the number of open files.
    #[error("{limit} uploads are in progress, the maximum; try again later")]
    TooManyUploads { limit: usize },
    /// The blob is larger than the settings allow. The upload is deleted.
    #[error("the blob is larger than {limit} bytes, the maximum of this registry")]
    UploadTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// A chunk does not start where the last one ended.
    #[error(
        "the chunk starts at {start}, but the upload has {received} bytes; continue from there"
    )]
    ChunkOutOfOrder {
        start: u64,
        /// Bytes that the upload has.
        received: u64,
    },
    /// A chunk's length and its Content-Range differ. The chunk was not stored.
    #[error("the chunk has {actual} bytes, but its Content-Range says {announced}")]
    ChunkLength {
        announced: u64,
        /// The length of the received chunk.
        actual: u64,
    },
}

impl RegistryError {
    pub(crate) fn file(doing: &'static str, path: &Path, source: io::Error) -> Self {
        let kind = source.kind();
        if matches!(
            kind,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        ) {
            let source = source.into();
            return Self::DiskFull { doing, source };
        }
        let path = path.to_owned();
        Self::File {
            doing,
            path,
            source,
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

//! Who may do what: the question the registry asks before it does anything.

use towline_oci::{ImageRepository, Tag};

use std::fmt;

/// Decides about every request that comes in over HTTP.
///
/// Called on the async threads, so it answers from memory.
pub trait Authority: Send + Sync {
    /// Says whether whoever sent these credentials may do this.
    fn judge(&self, credentials: Option<&Credentials>, access: Access<'_>) -> Verdict;
}

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access<'a> {
    /// See whether the credentials are any good: `docker login` does.
    Ping,
    /// List all repositories.
    Catalog,
    /// Read blobs, manifests, tags and referrers, or mount a blob from there.
    Pull {
        /// The repository read from.
        repository: &'a ImageRepository,
    },
    /// Upload blobs, or put a manifest.
    Push {
        /// The repository written to.
        repository: &'a ImageRepository,
        /// The tag a manifest is put under; none for blobs and for manifests by digest.
        tag: Option<&'a Tag>,
    },
    /// Delete a tag, a manifest or a blob.
    Delete {
        /// The repository deleted from.
        repository: &'a ImageRepository,
    },
}

/// An [`Authority`]'s answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Allow,
    /// Nobody is known by these credentials, or none came: answered with 401, so that
    /// the client asks for them.
    Unknown,
    /// The one who asks is known and may not: answered with 403 and this sentence.
    Deny(String),
}

/// A user name and password from an HTTP Basic header.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name; clients of ECR say `AWS`.
    pub user: String,
    /// The password. Compare it in constant time.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

//! The trait that decides who may do what in the registry.

use async_trait::async_trait;
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secrecy::SecretString;
use towline_oci::{ImageRepository, Tag};

/// Decides about every HTTP request.
#[async_trait]
pub trait Authority: Send + Sync {
    /// Whether the owner of these credentials may do this.
    async fn judge(&self, credentials: Option<&Credentials>, access: Access<'_>) -> Verdict;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access<'a> {
    /// Check the credentials, as `docker login` does.
    Ping,
    Catalog,
    /// Read blobs, manifests, tags and referrers, or mount a blob from there.
    Pull {
        repository: &'a ImageRepository,
    },
    /// Upload blobs, or put a manifest.
    Push {
        repository: &'a ImageRepository,
        /// The tag of the manifest; none for blobs and for manifests by digest.
        tag: Option<&'a Tag>,
    },
    /// Delete a tag, a manifest or a blob.
    Delete {
        repository: &'a ImageRepository,
    },
}

/// An [`Authority`]'s answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Allow,
    /// The credentials are unknown or missing. Answered with 401, so that the client asks
    /// for them.
    Unknown,
    /// The person is known but not allowed. Answered with 403 and this sentence.
    Deny(String),
    /// This cannot be decided now. Answered with 503 and this sentence, so that the client tries again.
    Unsure(String),
}

/// A user name and password from an HTTP Basic header.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The user name; clients of ECR say `AWS`.
    pub user: String,
    /// The password. Compare it in constant time.
    pub password: SecretString,
}

impl Credentials {
    /// The credentials of HTTP Basic. Anything else counts as missing.
    #[must_use]
    pub fn basic(headers: &HeaderMap) -> Option<Self> {
        let (scheme, encoded) = headers
            .get(header::AUTHORIZATION)?
            .to_str()
            .ok()?
            .split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = BASE64_STANDARD.decode(encoded.trim()).ok()?;
        let (user, password) = str::from_utf8(&decoded).ok()?.split_once(':')?;
        Some(Self {
            user: user.to_owned(),
            password: password.into(),
        })
    }
}

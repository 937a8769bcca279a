//! The four kinds of manifests that registries exchange.

use std::fmt;
use std::str::FromStr;

/// The kind of a manifest, and the standard that defines it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManifestKind {
    /// One image, in Docker's format (image manifest version 2, schema 2).
    DockerManifest,
    /// An index, in Docker's format.
    DockerList,
    /// One image or artifact.
    OciManifest,
    /// One name for the images of several platforms.
    OciIndex,
}

/// A media type that is not a manifest's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("its media type is {0:?}; send a Docker version 2 or OCI manifest or index")]
pub struct UnknownKind(String);

impl ManifestKind {
    /// All of them. A registry may convert kinds that a client does not accept, which changes the
    /// digest, so clients accept all of these.
    pub const ALL: [Self; 4] = [
        Self::DockerManifest,
        Self::DockerList,
        Self::OciManifest,
        Self::OciIndex,
    ];

    /// The media type, as it is in a `Content-Type` header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DockerManifest => "application/vnd.docker.distribution.manifest.v2+json",
            Self::DockerList => "application/vnd.docker.distribution.manifest.list.v2+json",
            Self::OciManifest => "application/vnd.oci.image.manifest.v1+json",
            Self::OciIndex => "application/vnd.oci.image.index.v1+json",
        }
    }

    /// Whether it lists other manifests.
    #[must_use]
    pub fn is_index(self) -> bool {
        match self {
            Self::DockerList | Self::OciIndex => true,
            Self::DockerManifest | Self::OciManifest => false,
        }
    }
}

impl fmt::Display for ManifestKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ManifestKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        let known = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        known.ok_or_else(|| UnknownKind(text.chars().take(100).collect()))
    }
}

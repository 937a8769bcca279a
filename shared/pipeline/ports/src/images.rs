//! The registry: images are read by tag or digest, and a tag is put on a digest.

use async_trait::async_trait;
pub use towline_domain::image::RegistryImage;
use towline_domain::names::{Digest, ImageRepository, Tag};

use crate::PortError;

/// A manifest or an index as the registry stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredManifest {
    pub media_type: String,
    /// Its text, byte for byte.
    pub text: String,
}

/// Why a tag is not on the digest.
#[derive(Debug, thiserror::Error)]
pub enum PutTagError {
    /// The digest is not in the repository (F29).
    #[error("the image no longer exists in the registry; build it again")]
    Gone,
    /// The tag is immutable and on another image (F28; ECR `ImageTagAlreadyExistsException`).
    #[error(
        "tag {tag} is immutable and points to another image; exclude it from tag immutability, or use another tag"
    )]
    Immutable { tag: Tag },
    /// The registry did not answer; the tag may or may not be set.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// A registry of images.
#[async_trait]
pub trait Images: Send + Sync {
    async fn by_tag(
        &self,
        repository: &ImageRepository,
        tag: &Tag,
    ) -> Result<Option<RegistryImage>, PortError>;

    /// The manifest or index of that digest.
    async fn manifest(
        &self,
        repository: &ImageRepository,
        digest: &Digest,
    ) -> Result<Option<StoredManifest>, PortError>;

    /// Puts an OCI index of existing images under a tag, and returns its digest. An existing index
    /// is fine; a missing image is [`PutTagError::Gone`].
    async fn put_index(
        &self,
        repository: &ImageRepository,
        index: &str,
        tag: &Tag,
    ) -> Result<Digest, PutTagError>;

    /// Puts a tag on a digest without pulling or pushing layers. The tag may be there already.
    async fn put_tag(
        &self,
        repository: &ImageRepository,
        digest: &Digest,
        tag: &Tag,
    ) -> Result<(), PutTagError>;
}

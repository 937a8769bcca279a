//! `Images` on ECR.

#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_ecr::Client;
use aws_sdk_ecr::types::{Image, ImageFailureCode, ImageIdentifier, ImageStatus};
use towline_domain::names::{Digest, ImageRepository, Tag};
use towline_oci::{Document, ManifestKind, Platform};
use towline_ports::{Images, PortError, PutTagError, RegistryImage, StoredManifest};

use crate::environment::{Aws, Patience};
use crate::fault::{code, failed};

/// An account may call `PutImage` ten times a second, so throttling is normal.
const PATIENCE: Patience = Patience::new(Duration::from_secs(3), Duration::from_secs(8), 4);

/// All kinds of manifests: by tag, ECR converts unaccepted kinds, which changes the digest (ECR user
/// guide, "Container image manifest format support").
const ACCEPTED: [ManifestKind; 4] = ManifestKind::ALL;

#[derive(Debug, Clone)]
pub struct Ecr {
    client: Client,
}

impl Aws {
    #[must_use]
    pub fn images(&self) -> Ecr {
        Ecr {
            client: Client::new(&self.patient(&PATIENCE)),
        }
    }
}

/// An image as stored. Its digest was checked against the bytes.
struct Stored {
    digest: Digest,
    media_type: String,
    manifest: String,
}

/// ECR's answer to a request for an image.
enum Answer {
    Stored(Stored),
    /// The image, tag or repository does not exist.
    Nothing,
    /// ECR refuses with a reason.
    Withheld {
        code: String,
        reason: String,
    },
}

#[async_trait]
impl Images for Ecr {
    async fn by_tag(
        &self,
        repository: &ImageRepository,
        tag: &Tag,
    ) -> Result<Option<RegistryImage>, PortError> {
        let id = ImageIdentifier::builder().image_tag(tag.as_str()).build();
        let doing = format!("reading {repository}:{tag}");
        self.image(doing, repository, id).await
    }

    async fn manifest(
        &self,
        repository: &ImageRepository,
        digest: &Digest,
    ) -> Result<Option<StoredManifest>, PortError> {
        let doing = format!("reading the manifest {repository}@{digest}");
        let answer = self.stored(doing.clone(), repository, by_digest(digest));
        match answer.await? {
            Answer::Stored(stored) if stored.digest == *digest => Ok(Some(StoredManifest {
                media_type: stored.media_type,
                text: stored.manifest,
            })),
            Answer::Stored(stored) => {
                let other = format!("ECR returned {} instead", stored.digest);
                Err(PortError::new(doing, other))
            }
            Answer::Nothing => Ok(None),
            Answer::Withheld { code, reason } => {
                Err(PortError::new(doing, format!("{code}: {reason}")))
            }
        }
    }

    async fn put_index(
        &self,
        repository: &ImageRepository,
        index: &str,
        tag: &Tag,
    ) -> Result<Digest, PutTagError> {
        let stored = Stored {
            digest: Digest::of(index.as_bytes()),
            media_type: media_type(index),
            manifest: index.to_owned(),
        };
        let digest = stored.digest.clone();
        self.put(repository, stored, tag).await?;
        Ok(digest)
    }

    async fn put_tag(
        &self,
        repository: &ImageRepository,
        digest: &Digest,
        tag: &Tag,
    ) -> Result<(), PutTagError> {
        let doing = || format!("putting {tag} on {repository}@{digest}");
        let stored = match self.stored(doing(), repository, by_digest(digest)).await? {
            Answer::Stored(stored) => stored,
            Answer::Nothing => return Err(PutTagError::Gone),
            Answer::Withheld { code, reason } => {
                return Err(self
                    .withheld(doing(), repository, digest, &code, &reason)
                    .await);
            }
        };
        if stored.digest != *digest {
            let other = format!("ECR returned {} instead", stored.digest);
            return Err(PortError::new(doing(), other).into());
        }
        self.put(repository, stored, tag).await
    }
}

impl Ecr {
    /// Stores a manifest under a tag. ECR accepts the same one again, and says so.
    async fn put(
        &self,
        repository: &ImageRepository,
        stored: Stored,
        tag: &Tag,
    ) -> Result<(), PutTagError> {
        let digest = &stored.digest;
        let doing = || format!("putting {tag} on {repository}@{digest}");
        let answer = self
            .client
            .put_image()
            .repository_name(repository.as_str())
            .image_manifest(&stored.manifest)
            .image_manifest_media_type(&stored.media_type)
            .image_tag(tag.as_str())
            .image_digest(digest.as_str())
            .send()
            .await;
        let Err(error) = answer else {
            return Ok(());
        };
        match code(&error) {
            Some("ImageAlreadyExistsException") => Ok(()),
            Some("ImageTagAlreadyExistsException") => {
                let on = self.by_tag(repository, tag).await?;
                match on.is_some_and(|on| on.digest == *digest) {
                    true => Ok(()),
                    false => Err(PutTagError::Immutable { tag: tag.clone() }),
                }
            }
            Some(
                "LayersNotFoundException"
                | "ReferencedImagesNotFoundException"
                | "RepositoryNotFoundException",
            ) => Err(PutTagError::Gone),
            _ => Err(failed(doing(), &error).into()),
        }
    }

    async fn image(
        &self,
        doing: String,
        repository: &ImageRepository,
        id: ImageIdentifier,
    ) -> Result<Option<RegistryImage>, PortError> {
        match self.stored(doing.clone(), repository, id).await? {
            Answer::Stored(stored) => {
                // Any build may push here, and even an unreadable manifest has a digest.
                let document = Document::read(stored.manifest.as_bytes()).ok();
                Ok(Some(RegistryImage {
                    digest: stored.digest,
                    media_type: stored.media_type,
                    size: document.as_ref().and_then(Document::layers_size),
                    platforms: document.as_ref().map(platforms).unwrap_or_default(),
                }))
            }
            Answer::Nothing => Ok(None),
            Answer::Withheld { code, reason } => {
                Err(PortError::new(doing, format!("{code}: {reason}")))
            }
        }
    }

    /// One request returns an image's digest and manifest.
    async fn stored(
        &self,
        doing: String,
        repository: &ImageRepository,
        id: ImageIdentifier,
    ) -> Result<Answer, PortError> {
        let answer = self
            .client
            .batch_get_image()
            .repository_name(repository.as_str())
            .image_ids(id)
            .set_accepted_media_types(Some(ACCEPTED.map(|kind| kind.as_str().to_owned()).to_vec()))
            .send()
            .await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if code(&error) == Some("RepositoryNotFoundException") => {
                return Ok(Answer::Nothing);
            }
            Err(error) => return Err(failed(doing, &error)),
        };
        if let Some(image) = answer.images().first() {
            return verified(image)
                .map(Answer::Stored)
                .map_err(|cause| PortError::new(doing, cause));
        }
        let Some(failure) = answer.failures().first() else {
            return Ok(Answer::Nothing);
        };
        match failure.failure_code() {
            Some(ImageFailureCode::ImageNotFound) => Ok(Answer::Nothing),
            other => Ok(Answer::Withheld {
                code: other.map_or("no code", ImageFailureCode::as_str).to_owned(),
                reason: failure.failure_reason().unwrap_or("no reason").to_owned(),
            }),
        }
    }

    /// Why a withheld image cannot be tagged: an archived image cannot be used until a person restores it.
    async fn withheld(
        &self,
        doing: String,
        repository: &ImageRepository,
        digest: &Digest,
        code: &str,
        reason: &str,
    ) -> PutTagError {
        let answer = self
            .client
            .describe_images()
            .repository_name(repository.as_str())
            .image_ids(by_digest(digest))
            .send()
            .await;
        let described = answer.ok();
        let image = described
            .as_ref()
            .and_then(|all| all.image_details().first());
        if image.and_then(|image| image.image_status()) == Some(&ImageStatus::Archived) {
            tracing::warn!(
                %repository,
                %digest,
                "the image is archived: restore it with `aws ecr update-image-storage-class --target-storage-class STANDARD`, or build it again"
            );
            return PutTagError::Gone;
        }
        PortError::new(doing, format!("{code}: {reason}")).into()
    }
}

fn by_digest(digest: &Digest) -> ImageIdentifier {
    let id = ImageIdentifier::builder();
    id.image_digest(digest.as_str()).build()
}

/// Why an answer of ECR is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Unbelievable {
    #[error("the answer has no manifest")]
    NoManifest,
    #[error("the answer has no digest")]
    NoDigest,
    #[error("ECR says {said}, but its manifest is {digest}")]
    OtherDigest { said: String, digest: Digest },
}

/// Accepts an image only if its digest matches its bytes.
fn verified(image: &Image) -> Result<Stored, Unbelievable> {
    let manifest = image.image_manifest().ok_or(Unbelievable::NoManifest)?;
    let said = image.image_id().and_then(ImageIdentifier::image_digest);
    let said = said.ok_or(Unbelievable::NoDigest)?;
    let digest = Digest::of(manifest.as_bytes());
    if digest.as_str() != said {
        return Err(Unbelievable::OtherDigest {
            said: said.to_owned(),
            digest,
        });
    }
    Ok(Stored {
        media_type: image
            .image_manifest_media_type()
            .map_or_else(|| media_type(manifest), str::to_owned),
        digest,
        manifest: manifest.to_owned(),
    })
}

/// The platforms of an index. For a manifest, they are in its configuration, which would have to be
/// downloaded.
fn platforms(document: &Document) -> Vec<String> {
    let entries = match document {
        Document::Index(index) => index.manifests().as_slice(),
        Document::Image(_) => &[],
    };
    let platforms = entries.iter().filter_map(|entry| entry.platform().as_ref());
    let platforms = platforms.map(Platform::from).filter(Platform::is_known);
    platforms.map(|platform| platform.to_string()).collect()
}

/// The media type in a manifest; OCI manifests may omit it.
fn media_type(manifest: &str) -> String {
    let read = Document::read(manifest.as_bytes()).ok();
    let said = read.and_then(|document| Some(document.media_type()?.to_string()));
    said.unwrap_or_else(|| ManifestKind::OciManifest.as_str().to_owned())
}

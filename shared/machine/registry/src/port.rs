//! The `Images` port on the registry, for handlers.

use async_trait::async_trait;
use towline_oci::{Digest, ImageRepository, ManifestKind, Reference, Tag};
use towline_ports::{Images, PortError, PutTagError, RegistryImage, StoredManifest};

use crate::error::RegistryError;
use crate::images::Manifest;
use crate::registry::Registry;

impl Registry {
    async fn image(
        &self,
        repository: &ImageRepository,
        reference: Reference,
    ) -> Result<Option<RegistryImage>, PortError> {
        let read = self.read(repository, &reference).await;
        let manifest =
            read.map_err(|error| PortError::new(format!("reading {repository}"), error))?;
        Ok(manifest.as_ref().map(registry_image))
    }
}

fn registry_image(manifest: &Manifest) -> RegistryImage {
    RegistryImage {
        digest: manifest.digest.clone(),
        media_type: manifest.media_type.clone(),
        size: Some(manifest.size_bytes),
        platforms: manifest.platforms.iter().map(ToString::to_string).collect(),
    }
}

#[async_trait]
impl Images for Registry {
    async fn by_tag(
        &self,
        repository: &ImageRepository,
        tag: &Tag,
    ) -> Result<Option<RegistryImage>, PortError> {
        self.image(repository, Reference::Tag(tag.clone())).await
    }

    async fn manifest(
        &self,
        repository: &ImageRepository,
        digest: &Digest,
    ) -> Result<Option<StoredManifest>, PortError> {
        let doing = || format!("reading {repository}@{digest}");
        let reference = Reference::Digest(digest.clone());
        let read = self.read(repository, &reference).await;
        let Some(manifest) = read.map_err(|error| PortError::new(doing(), error))? else {
            return Ok(None);
        };
        let text = String::from_utf8(manifest.bytes.into());
        Ok(Some(StoredManifest {
            media_type: manifest.media_type,
            text: text.map_err(|error| PortError::new(doing(), error))?,
        }))
    }

    async fn put_index(
        &self,
        repository: &ImageRepository,
        index: &str,
        tag: &Tag,
    ) -> Result<Digest, PutTagError> {
        let reference = Reference::Tag(tag.clone());
        let media_type = Some(ManifestKind::OciIndex.as_str());
        let bytes = index.as_bytes().to_vec().into();
        let put = self.put_manifest(repository, &reference, media_type, bytes);
        match put.await {
            Ok(put) => Ok(put.digest),
            Err(RegistryError::ReferenceUnknown { .. }) => Err(PutTagError::Gone),
            Err(error) => {
                let doing = format!("putting an index under {repository}:{tag}");
                Err(PortError::new(doing, error).into())
            }
        }
    }

    async fn put_tag(
        &self,
        repository: &ImageRepository,
        digest: &Digest,
        tag: &Tag,
    ) -> Result<(), PutTagError> {
        match Self::put_tag(self, repository, digest, tag).await {
            Ok(_) => Ok(()),
            Err(RegistryError::ManifestUnknown { .. }) => Err(PutTagError::Gone),
            Err(error) => {
                let doing = format!("putting tag {tag} on {digest} in {repository}");
                Err(PortError::new(doing, error).into())
            }
        }
    }
}

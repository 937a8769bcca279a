//! The registry as the port handlers see.

use async_trait::async_trait;
use towline_domain::names::{Digest, ImageRepository, Tag};
use towline_ports::{Images, PortError, PutTagError, RegistryImage, StoredManifest};

use crate::error::RegistryError;
use crate::images::Manifest;
use crate::manifest::MediaType;
use crate::name::{self, Reference, RepositoryName};
use crate::registry::Registry;

/// A name of the domain as the registry's own; both check the same rules, so a refusal is a defect.
fn own<T: std::str::FromStr<Err = name::NameError>>(text: &str) -> Result<T, PortError> {
    text.parse()
        .map_err(|error| PortError::new(format!("reading the name {text:?}"), error))
}

impl Registry {
    async fn image(
        &self,
        repository: &ImageRepository,
        reference: Reference,
    ) -> Result<Option<RegistryImage>, PortError> {
        let name: RepositoryName = own(repository.as_str())?;
        let read = self.read(&name, &reference).await;
        let manifest =
            read.map_err(|error| PortError::new(format!("reading {repository}"), error))?;
        manifest
            .map(|manifest| registry_image(&manifest))
            .transpose()
    }
}

fn registry_image(manifest: &Manifest) -> Result<RegistryImage, PortError> {
    let digest = manifest.digest.as_str();
    Ok(RegistryImage {
        digest: digest
            .parse()
            .map_err(|error| PortError::new(format!("reading the digest {digest}"), error))?,
        media_type: manifest.media_type.clone(),
        size: Some(manifest.size_bytes),
        platforms: manifest.platforms.iter().map(ToString::to_string).collect(),
    })
}

#[async_trait]
impl Images for Registry {
    async fn by_tag(
        &self,
        repository: &ImageRepository,
        tag: &Tag,
    ) -> Result<Option<RegistryImage>, PortError> {
        self.image(repository, Reference::Tag(own(tag.as_str())?))
            .await
    }

    async fn by_digest(
        &self,
        repository: &ImageRepository,
        digest: &Digest,
    ) -> Result<Option<RegistryImage>, PortError> {
        self.image(repository, Reference::Digest(own(digest.as_str())?))
            .await
    }

    async fn manifest(
        &self,
        repository: &ImageRepository,
        digest: &Digest,
    ) -> Result<Option<StoredManifest>, PortError> {
        let doing = || format!("reading {repository}@{digest}");
        let reference = Reference::Digest(own(digest.as_str())?);
        let read = self.read(&own(repository.as_str())?, &reference).await;
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
        let doing = || format!("putting an index under {repository}:{tag}");
        let reference = Reference::Tag(own(tag.as_str())?);
        let media_type = Some(MediaType::OciIndex.as_str());
        let bytes = index.as_bytes().to_vec().into();
        let name = own(repository.as_str())?;
        match self
            .put_manifest(&name, &reference, media_type, bytes)
            .await
        {
            Ok(put) => {
                let digest = put.digest.as_str().parse();
                Ok(digest.map_err(|error| PortError::new(doing(), error))?)
            }
            Err(RegistryError::ReferenceUnknown { .. }) => Err(PutTagError::Gone),
            Err(error) => Err(PortError::new(doing(), error).into()),
        }
    }

    async fn put_tag(
        &self,
        repository: &ImageRepository,
        digest: &Digest,
        tag: &Tag,
    ) -> Result<(), PutTagError> {
        let name = own(repository.as_str())?;
        match Self::put_tag(self, &name, &own(digest.as_str())?, &own(tag.as_str())?).await {
            Ok(_) => Ok(()),
            Err(RegistryError::ManifestUnknown { .. }) => Err(PutTagError::Gone),
            Err(error) => Err(PortError::new(
                format!("putting tag {tag} on {digest} in {repository}"),
                error,
            )
            .into()),
        }
    }
}

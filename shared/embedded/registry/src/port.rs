//! The registry as the port handlers see.

use async_trait::async_trait;
use towline_domain::names::{Digest, ImageRepository, Tag};
use towline_ports::{Images, PortError, PutTagError, RegistryImage};

use crate::error::RegistryError;
use crate::images::Manifest;
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

//! A registry in memory that holds manifests as ECR does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};
use towline_domain::names::{Digest, ImageRepository, Tag};

use super::lock;
use crate::{Images, PortError, PutTagError, RegistryImage};

/// Image repositories, made by the first push into each.
#[derive(Debug, Default)]
pub struct MemoryImages {
    repositories: Mutex<BTreeMap<ImageRepository, Repository>>,
}

#[derive(Debug, Default)]
struct Repository {
    images: BTreeMap<Digest, RegistryImage>,
    tags: BTreeMap<Tag, Digest>,
    immutable: BTreeSet<Tag>,
}

impl Repository {
    /// Puts a tag on a digest; `false` when it may not be moved there.
    fn tag(&mut self, tag: &Tag, digest: &Digest) -> bool {
        let moves = self.tags.get(tag).is_some_and(|on| on != digest);
        if moves && self.immutable.contains(tag) {
            return false;
        }
        self.tags.insert(tag.clone(), digest.clone());
        true
    }
}

impl MemoryImages {
    /// A registry without images.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Pushes a manifest of these bytes, as a build does.
    ///
    /// # Errors
    ///
    /// When the tag is immutable and on another image.
    pub fn push(
        &self,
        repository: &ImageRepository,
        tag: &Tag,
        manifest: &[u8],
    ) -> Result<Digest, PutTagError> {
        let digest: Digest = format!("sha256:{}", hex::encode(Sha256::digest(manifest)))
            .parse()
            .expect("sha256: and 64 hexadecimal digits");
        let mut repositories = lock(&self.repositories);
        let repository = repositories.entry(repository.clone()).or_default();
        if !repository.tag(tag, &digest) {
            return Err(PutTagError::Immutable { tag: tag.clone() });
        }
        let image = RegistryImage {
            digest: digest.clone(),
            media_type: "application/vnd.oci.image.manifest.v1+json".into(),
            size: Some(manifest.len() as u64),
            platforms: vec!["linux/amd64".into()],
        };
        repository.images.insert(digest.clone(), image);
        Ok(digest)
    }

    /// Forbids that a tag is moved from the image it is on, or first comes on.
    pub fn make_immutable(&self, repository: &ImageRepository, tag: &Tag) {
        let mut repositories = lock(&self.repositories);
        let repository = repositories.entry(repository.clone()).or_default();
        repository.immutable.insert(tag.clone());
    }

    /// Deletes an image with its tags, as a lifecycle rule does; whether it was there.
    pub fn delete(&self, repository: &ImageRepository, digest: &Digest) -> bool {
        let mut repositories = lock(&self.repositories);
        let Some(repository) = repositories.get_mut(repository) else {
            return false;
        };
        repository.tags.retain(|_, on| on != digest);
        repository.images.remove(digest).is_some()
    }

    /// The tags of a repository and what each is on.
    #[must_use]
    pub fn tags(&self, repository: &ImageRepository) -> BTreeMap<Tag, Digest> {
        let repositories = lock(&self.repositories);
        let found = repositories.get(repository);
        found.map(|found| found.tags.clone()).unwrap_or_default()
    }

    fn find(
        &self,
        repository: &ImageRepository,
        digest: impl FnOnce(&Repository) -> Option<Digest>,
    ) -> Option<RegistryImage> {
        let repositories = lock(&self.repositories);
        let repository = repositories.get(repository)?;
        repository.images.get(&digest(repository)?).cloned()
    }
}

#[async_trait]
impl Images for MemoryImages {
    async fn by_tag(
        &self,
        repository: &ImageRepository,
        tag: &Tag,
    ) -> Result<Option<RegistryImage>, PortError> {
        Ok(self.find(repository, |repository| repository.tags.get(tag).cloned()))
    }

    async fn by_digest(
        &self,
        repository: &ImageRepository,
        digest: &Digest,
    ) -> Result<Option<RegistryImage>, PortError> {
        Ok(self.find(repository, |_| Some(digest.clone())))
    }

    async fn put_tag(
        &self,
        repository: &ImageRepository,
        digest: &Digest,
        tag: &Tag,
    ) -> Result<(), PutTagError> {
        let mut repositories = lock(&self.repositories);
        let repository = repositories
            .get_mut(repository)
            .filter(|repository| repository.images.contains_key(digest))
            .ok_or(PutTagError::Gone)?;
        if !repository.tag(tag, digest) {
            return Err(PutTagError::Immutable { tag: tag.clone() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> (ImageRepository, Tag, Tag) {
        let repository = "acme/shop".parse().expect("a repository");
        let tag = |text: &str| text.parse().expect("a tag");
        (repository, tag("one"), tag("two"))
    }

    #[tokio::test]
    async fn a_tag_moves_between_images_unless_it_is_immutable() {
        let images = MemoryImages::new();
        let (shop, one, two) = names();
        let first = images.push(&shop, &one, b"first").expect("it is free");
        let second = images.push(&shop, &two, b"second").expect("it is free");
        images
            .put_tag(&shop, &second, &one)
            .await
            .expect("it moves");
        let found = images.by_tag(&shop, &one).await.expect("it answers");
        assert_eq!(found.map(|image| image.digest), Some(second.clone()));

        images.make_immutable(&shop, &one);
        images
            .put_tag(&shop, &second, &one)
            .await
            .expect("it is there already");
        let moved = images.put_tag(&shop, &first, &one).await;
        assert!(matches!(moved, Err(PutTagError::Immutable { tag }) if tag == one));
        let pushed = images.push(&shop, &one, b"third");
        assert!(matches!(pushed, Err(PutTagError::Immutable { .. })));
        assert_eq!(images.tags(&shop)[&one], second);
    }

    #[tokio::test]
    async fn f29_a_deleted_image_is_gone_with_its_tags() {
        let images = MemoryImages::new();
        let (shop, one, two) = names();
        let first = images.push(&shop, &one, b"first").expect("it is free");
        let found = images.by_digest(&shop, &first).await.expect("it answers");
        assert_eq!(found.map(|image| image.digest), Some(first.clone()));
        assert!(images.delete(&shop, &first));
        assert!(!images.delete(&shop, &first));
        assert_eq!(
            images.by_digest(&shop, &first).await.expect("it answers"),
            None
        );
        assert_eq!(images.by_tag(&shop, &one).await.expect("it answers"), None);
        let tagged = images.put_tag(&shop, &first, &two).await;
        assert!(matches!(tagged, Err(PutTagError::Gone)));
        assert!(images.tags(&shop).is_empty());
    }
}

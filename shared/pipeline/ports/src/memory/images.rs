//! A registry in memory that stores manifests like ECR.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use async_trait::async_trait;
use towline_domain::names::{Digest, ImageRepository, Tag};
use towline_oci::{Document, DocumentError, ManifestKind, Platform, digest_of};

use super::lock;
use crate::{Images, PortError, PutTagError, RegistryImage, StoredManifest};

/// Image repositories, created by the first push to each.
#[derive(Debug, Default)]
pub struct MemoryImages {
    repositories: Mutex<BTreeMap<ImageRepository, Repository>>,
}

#[derive(Debug, Default)]
struct Repository {
    images: BTreeMap<Digest, (RegistryImage, Vec<u8>)>,
    tags: BTreeMap<Tag, Digest>,
    immutable: BTreeSet<Tag>,
}

impl Repository {
    /// Puts a tag on a digest; `false` if it may not be moved there.
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

    /// Pushes a manifest with these bytes, like a build.
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
        let digest = Digest::of(manifest);
        let image = RegistryImage {
            digest: digest.clone(),
            media_type: ManifestKind::OciManifest.to_string(),
            size: Some(manifest.len() as u64),
            platforms: vec!["linux/amd64".into()],
        };
        let mut repositories = lock(&self.repositories);
        let repository = repositories.entry(repository.clone()).or_default();
        if !repository.tag(tag, &digest) {
            return Err(PutTagError::Immutable { tag: tag.clone() });
        }
        let images = &mut repository.images;
        images.insert(digest.clone(), (image, manifest.to_vec()));
        Ok(digest)
    }

    /// Makes a tag immutable, now or once it exists.
    pub fn make_immutable(&self, repository: &ImageRepository, tag: &Tag) {
        let mut repositories = lock(&self.repositories);
        let repository = repositories.entry(repository.clone()).or_default();
        repository.immutable.insert(tag.clone());
    }

    /// Deletes an image with its tags, like a lifecycle rule; returns whether it existed.
    pub fn delete(&self, repository: &ImageRepository, digest: &Digest) -> bool {
        let mut repositories = lock(&self.repositories);
        let Some(repository) = repositories.get_mut(repository) else {
            return false;
        };
        repository.tags.retain(|_, on| on != digest);
        repository.images.remove(digest).is_some()
    }

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
        let (image, _) = repository.images.get(&digest(repository)?)?;
        Some(image.clone())
    }
}

/// The digests of an index's images, and their platforms.
fn children(index: &str) -> Result<(Vec<Digest>, Vec<String>), DocumentError> {
    let Document::Index(index) = Document::read(index.as_bytes())? else {
        return Err(DocumentError::Mixed);
    };
    let digests = index.manifests().iter().map(digest_of);
    let platforms = index.manifests().iter().filter_map(|entry| {
        let platform = entry.platform().as_ref().map(Platform::from)?;
        platform.is_known().then(|| platform.to_string())
    });
    Ok((digests.collect::<Result<_, _>>()?, platforms.collect()))
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

    async fn manifest(
        &self,
        repository: &ImageRepository,
        digest: &Digest,
    ) -> Result<Option<StoredManifest>, PortError> {
        let repositories = lock(&self.repositories);
        let found = repositories.get(repository);
        let found = found.and_then(|found| found.images.get(digest));
        Ok(found.map(|(image, bytes)| StoredManifest {
            media_type: image.media_type.clone(),
            text: String::from_utf8_lossy(bytes).into_owned(),
        }))
    }

    async fn put_index(
        &self,
        repository: &ImageRepository,
        index: &str,
        tag: &Tag,
    ) -> Result<Digest, PutTagError> {
        let doing = format!("putting an index into {repository}");
        let (digests, platforms) = children(index).map_err(|cause| PortError::new(doing, cause))?;
        let digest = Digest::of(index.as_bytes());
        let mut repositories = lock(&self.repositories);
        let repository = repositories.get_mut(repository).ok_or(PutTagError::Gone)?;
        if !digests
            .iter()
            .all(|child| repository.images.contains_key(child))
        {
            return Err(PutTagError::Gone);
        }
        if !repository.tag(tag, &digest) {
            return Err(PutTagError::Immutable { tag: tag.clone() });
        }
        let image = RegistryImage {
            digest: digest.clone(),
            media_type: ManifestKind::OciIndex.to_string(),
            size: None,
            platforms,
        };
        let images = &mut repository.images;
        images.insert(digest.clone(), (image, index.as_bytes().to_vec()));
        Ok(digest)
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
    use crate::contract::{self, ImagesWorld};

    #[async_trait]
    impl ImagesWorld for MemoryImages {
        fn images(&self) -> &dyn Images {
            self
        }

        async fn push(&self, repository: &ImageRepository, tag: &Tag, layer: &str) -> String {
            let pushed = Self::push(self, repository, tag, layer.as_bytes());
            pushed.expect("the tag may be moved");
            layer.to_owned()
        }
    }

    #[tokio::test]
    async fn it_keeps_the_contract() {
        contract::images(&MemoryImages::new()).await;
    }

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
    async fn an_index_is_put_when_all_its_images_are_there() {
        let images = MemoryImages::new();
        let (shop, one, two) = names();
        let first = images.push(&shop, &one, b"first").expect("it is free");
        let index = |digest: &Digest| {
            format!(
                r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{}","digest":"{digest}","size":1,"platform":{{"os":"linux","architecture":"arm64"}}}}]}}"#,
                ManifestKind::OciManifest
            )
        };
        let text = index(&first);
        for _ in 0..2 {
            let put = images.put_index(&shop, &text, &two).await;
            let digest = put.expect("all is there");
            let found = images.by_tag(&shop, &two).await.expect("it answers");
            let found = found.expect("it was put");
            assert_eq!(
                (found.digest, found.platforms),
                (digest.clone(), vec!["linux/arm64".into()])
            );
            let stored = images.manifest(&shop, &digest).await.expect("it answers");
            assert_eq!(stored.map(|stored| stored.text), Some(text.clone()));
        }
        let other = index(&Digest::of(b"nothing"));
        let put = images.put_index(&shop, &other, &two).await;
        assert!(matches!(put, Err(PutTagError::Gone)));
        images.make_immutable(&shop, &one);
        let put = images.put_index(&shop, &text, &one).await;
        assert!(matches!(put, Err(PutTagError::Immutable { tag }) if tag == one));
    }

    #[tokio::test]
    async fn f29_a_deleted_image_is_gone_with_its_tags() {
        let images = MemoryImages::new();
        let (shop, one, two) = names();
        let first = images.push(&shop, &one, b"first").expect("it is free");
        let found = images.manifest(&shop, &first).await.expect("it answers");
        assert!(found.is_some());
        assert!(images.delete(&shop, &first));
        assert!(!images.delete(&shop, &first));
        assert_eq!(
            images.manifest(&shop, &first).await.expect("it answers"),
            None
        );
        assert_eq!(images.by_tag(&shop, &one).await.expect("it answers"), None);
        let tagged = images.put_tag(&shop, &first, &two).await;
        assert!(matches!(tagged, Err(PutTagError::Gone)));
        assert!(images.tags(&shop).is_empty());
    }
}

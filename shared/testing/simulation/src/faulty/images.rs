//! The registry.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use towline_domain::names::{Digest, ImageRepository, Tag};
use towline_domain::obstacle::Service;
use towline_ports::memory::MemoryImages;
use towline_ports::{Images, PortError, PutTagError, RegistryImage, StoredManifest};

use crate::chance::Chance;
use crate::watch::Watch;

pub struct FaultyImages {
    pub(crate) inner: MemoryImages,
    pub(crate) chance: Arc<Chance>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) news: Mutex<Vec<(ImageRepository, Tag, Digest)>>,
    /// Whether it denies setting any tag.
    pub(crate) denies: AtomicBool,
    /// How often it has.
    pub(crate) denied: AtomicU32,
}

impl FaultyImages {
    /// The registry behind it, without faults.
    #[must_use]
    pub fn inner(&self) -> &MemoryImages {
        &self.inner
    }

    /// How often it denied setting a tag.
    #[must_use]
    pub fn denied(&self) -> u32 {
        self.denied.load(Ordering::Relaxed)
    }

    fn check_denied(&self) -> Result<(), PortError> {
        if self.denies.load(Ordering::Relaxed) {
            self.denied.fetch_add(1, Ordering::Relaxed);
            let said = "AccessDeniedException: not authorized to perform: ecr:PutImage";
            return Err(PortError::denied(Service::Aws, "putting a tag on", said));
        }
        Ok(())
    }

    pub(crate) fn take_news(&self) -> Vec<(ImageRepository, Tag, Digest)> {
        std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Images for FaultyImages {
    async fn by_tag(
        &self,
        repository: &ImageRepository,
        tag: &Tag,
    ) -> Result<Option<RegistryImage>, PortError> {
        self.chance.before("DescribeImages").await?;
        let found = self.inner.by_tag(repository, tag).await;
        self.chance.after("DescribeImages").await?;
        found
    }

    async fn manifest(
        &self,
        repository: &ImageRepository,
        digest: &Digest,
    ) -> Result<Option<StoredManifest>, PortError> {
        self.chance.before("BatchGetImage").await?;
        self.inner.manifest(repository, digest).await
    }

    async fn put_index(
        &self,
        repository: &ImageRepository,
        index: &str,
        tag: &Tag,
    ) -> Result<Digest, PutTagError> {
        self.chance.before("PutImage").await?;
        self.check_denied()?;
        let digest = self.inner.put_index(repository, index, tag).await?;
        self.watch.index_is_put(repository, index, tag, &digest);
        self.news
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((repository.clone(), tag.clone(), digest.clone()));
        self.chance.after("PutImage").await?;
        Ok(digest)
    }

    async fn put_tag(
        &self,
        repository: &ImageRepository,
        digest: &Digest,
        tag: &Tag,
    ) -> Result<(), PutTagError> {
        self.chance.before("PutImage").await?;
        self.watch.tag_is_put(tag, digest);
        self.check_denied()?;
        self.inner.put_tag(repository, digest, tag).await?;
        self.watch.tag_was_put(tag, digest);
        self.news
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((repository.clone(), tag.clone(), digest.clone()));
        self.chance.after("PutImage").await?;
        Ok(())
    }
}

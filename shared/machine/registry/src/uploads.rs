//! Uploads: blobs streamed to a file and hashed as they arrive.

use std::error::Error;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex as TurnMutex, OwnedMutexGuard};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use towline_oci::{Digest, ImageRepository};

use crate::error::RegistryError;
use crate::received::{Received, Sink, Upload};
use crate::registry::Registry;

/// Bytes to collect before writing.
const BATCH: usize = 1 << 20;

/// How long an upload may be idle before it may be dropped.
pub(crate) const IDLE_MS: i64 = 60 * 60 * 1000;

/// How long a client may pause within a chunk.
const SILENCE: Duration = Duration::from_secs(60);

/// The most uploads in progress; each has an open file.
const AT_ONCE: usize = 256;

/// The range of a chunk in its blob, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkRange {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl ChunkRange {
    pub(crate) fn length(self) -> u64 {
        self.last - self.first + 1
    }
}

impl Registry {
    /// Starts an upload and returns its id.
    pub(crate) async fn start_upload(
        &self,
        repository: &ImageRepository,
    ) -> Result<String, RegistryError> {
        let repository = repository.clone();
        self.blocking(move |registry| {
            let now = registry.now();
            if registry.uploads.drop_idle(now.saturating_sub(IDLE_MS)) >= AT_ONCE {
                return Err(RegistryError::TooManyUploads { limit: AT_ONCE });
            }
            let id = registry.uploads.next_id();
            let path = registry.uploads.folder.join(&id);
            let file = File::create(&path)
                .map_err(|source| RegistryError::file("starting an upload in", &path, source))?;
            let received = Received {
                file,
                path,
                size: 0,
                hasher: Sha256::new(),
                ended: false,
            };
            let upload = Upload {
                repository,
                active_at_ms: now,
                sink: Arc::new(TurnMutex::new(received)),
            };
            registry.uploads.lock().insert(id.clone(), upload);
            Ok(id)
        })
        .await
    }

    /// The number of received bytes.
    pub(crate) async fn upload_size(
        &self,
        repository: &ImageRepository,
        id: &str,
    ) -> Result<u64, RegistryError> {
        Ok(self.turn(repository, id).await?.size)
    }

    /// Appends the body; returns the new size. With a range, takes the whole chunk or nothing, except if
    /// the client stops sending: it can ask for the status and continue.
    pub(crate) async fn append_upload<E>(
        &self,
        repository: &ImageRepository,
        id: &str,
        range: Option<ChunkRange>,
        mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<u64, RegistryError>
    where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let limit = self.inner().settings.upload_limit;
        let mut received = self.turn(repository, id).await?;
        let (start, hasher) = (received.size, received.hasher.clone());
        if let Some(range) = range.filter(|range| range.first != start) {
            return Err(RegistryError::ChunkOutOfOrder {
                start: range.first,
                received: start,
            });
        }
        let end = range.map(|range| start.saturating_add(range.length()));
        let mut batch = Batch::default();
        loop {
            let over = match next(&mut body).await {
                Ok(Some(bytes)) => {
                    batch.push(bytes);
                    false
                }
                Ok(None) => true,
                Err(source) => {
                    batch.write(received).await?;
                    self.inner().uploads.touch(id, self.inner().now());
                    return Err(RegistryError::Receiving { source });
                }
            };
            let size = received.size.saturating_add(batch.length as u64);
            if size > limit {
                received.ended = true;
                self.inner().uploads.lock().remove(id);
                return Err(RegistryError::UploadTooLarge { limit });
            }
            if let Some(end) = end.filter(|&end| size > end || (over && size != end)) {
                (received.size, received.hasher) = (start, hasher);
                return Err(RegistryError::ChunkLength {
                    announced: end - start,
                    actual: size - start,
                });
            }
            if over || batch.length >= BATCH {
                received = std::mem::take(&mut batch).write(received).await?;
                self.inner().uploads.touch(id, self.inner().now());
            }
            if over {
                return Ok(size);
            }
        }
    }

    /// Adds the upload to the repository as a blob, if it has this digest. Ends the upload.
    pub(crate) async fn finish_upload(
        &self,
        repository: &ImageRepository,
        id: &str,
        digest: &Digest,
    ) -> Result<(), RegistryError> {
        let mut received = self.turn(repository, id).await?;
        let registry = self.clone();
        let (repository, id, digest) = (repository.clone(), id.to_owned(), digest.clone());
        self.blocking(move |inner| {
            let actual = Digest::finish(received.hasher.clone());
            if actual != digest {
                received.ended = true;
                inner.uploads.lock().remove(&id);
                let given = digest;
                return Err(RegistryError::DigestMismatch { given, actual });
            }
            let published = received.sync().and_then(|()| {
                registry.publish_blob(&repository, &received.path, &digest, received.size)
            });
            // Ended even if that failed, because the file may have been moved.
            received.ended = true;
            inner.uploads.lock().remove(&id);
            published
        })
        .await
    }

    /// Ends an upload and deletes its data.
    pub(crate) fn cancel_upload(
        &self,
        repository: &ImageRepository,
        id: &str,
    ) -> Result<(), RegistryError> {
        let mut open = self.inner().uploads.lock();
        match open.get(id) {
            Some(upload) if upload.repository == *repository => {
                open.remove(id);
                Ok(())
            }
            _ => Err(RegistryError::UploadUnknown),
        }
    }

    /// Waits until the caller may write to an upload.
    async fn turn(
        &self,
        repository: &ImageRepository,
        id: &str,
    ) -> Result<OwnedMutexGuard<Received>, RegistryError> {
        let received = self.sink(repository, id)?.lock_owned().await;
        if received.ended {
            return Err(RegistryError::UploadUnknown);
        }
        Ok(received)
    }

    fn sink(&self, repository: &ImageRepository, id: &str) -> Result<Sink, RegistryError> {
        let mut open = self.inner().uploads.lock();
        match open.get_mut(id) {
            Some(upload) if upload.repository == *repository => {
                upload.active_at_ms = self.inner().now();
                Ok(Arc::clone(&upload.sink))
            }
            _ => Err(RegistryError::UploadUnknown),
        }
    }
}

/// The body's next bytes; an error after a long pause, because the client may have disconnected
/// silently, and the next client waits to continue the upload.
async fn next<E>(
    body: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
) -> Result<Option<Bytes>, Box<dyn Error + Send + Sync>>
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    match timeout(SILENCE, body.next()).await {
        Ok(next) => next.transpose().map_err(Into::into),
        Err(elapsed) => Err(elapsed.into()),
    }
}

/// Received bytes that are not written yet.
#[derive(Default)]
struct Batch {
    parts: Vec<Bytes>,
    length: usize,
}

impl Batch {
    fn push(&mut self, bytes: Bytes) {
        self.length += bytes.len();
        self.parts.push(bytes);
    }

    /// Writes outside the async threads. The lock moves along, so that it is released with the write even
    /// if the request was cancelled.
    async fn write(
        self,
        mut received: OwnedMutexGuard<Received>,
    ) -> Result<OwnedMutexGuard<Received>, RegistryError> {
        spawn_blocking(move || {
            received.write(&self.parts)?;
            Ok(received)
        })
        .await
        .map_err(|source| RegistryError::CutOff { source })?
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use std::sync::atomic::{AtomicI64, Ordering};

    use futures::stream;
    use tempfile::TempDir;

    use super::*;
    use crate::registry::Settings;

    #[tokio::test(start_paused = true)]
    async fn a_client_gone_silent_loses_its_turn_but_not_what_it_sent() {
        let dir = TempDir::new().unwrap();
        let registry = Registry::open(dir.path(), Settings::default(), Arc::new(|| 0)).unwrap();
        let repository = "team/app".parse().unwrap();
        let id = registry.start_upload(&repository).await.unwrap();
        let sent = stream::iter([Ok::<_, std::io::Error>(Bytes::from("half"))]);
        let body = sent.chain(stream::pending());
        let error = registry.append_upload(&repository, &id, None, body).await;
        let error = error.unwrap_err();
        assert!(matches!(error, RegistryError::Receiving { .. }), "{error}");
        assert_eq!(registry.upload_size(&repository, &id).await.unwrap(), 4);
    }

    #[tokio::test]
    async fn an_upload_that_is_written_to_is_not_idle_however_long_that_takes() {
        let dir = TempDir::new().unwrap();
        let now = Arc::new(AtomicI64::new(0));
        let ticking = Arc::clone(&now);
        let clock = Arc::new(move || ticking.load(Ordering::SeqCst));
        let registry = Registry::open(dir.path(), Settings::default(), clock).unwrap();
        let repository = "team/app".parse().unwrap();
        let id = registry.start_upload(&repository).await.unwrap();
        let uploads = &registry.inner().uploads;
        let late = stream::once(async {
            now.store(2 * IDLE_MS, Ordering::SeqCst);
            assert_eq!(uploads.drop_idle(IDLE_MS), 1, "while it is written to");
            Ok::<_, std::io::Error>(Bytes::from("late"))
        });
        let body = Box::pin(late);
        let size = registry.append_upload(&repository, &id, None, body).await;
        assert_eq!(size.unwrap(), 4);
        assert_eq!(uploads.drop_idle(2 * IDLE_MS), 1, "it was active just now");
        assert_eq!(uploads.drop_idle(2 * IDLE_MS + 1), 0);
    }
}

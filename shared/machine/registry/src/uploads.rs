//! Uploads: blobs on their way in, streamed to a file and hashed as they come.

use std::collections::HashMap;
use std::error::Error;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex as TurnMutex, OwnedMutexGuard};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use towline_oci::{Digest, ImageRepository};

use crate::blobs::make_folder;
use crate::error::RegistryError;
use crate::registry::Registry;

/// How much is gathered before it is written in one go.
const BATCH: usize = 1 << 20;

/// After how long without a byte an upload may be dropped.
pub(crate) const IDLE_MS: i64 = 60 * 60 * 1000;

/// For how long a client may send nothing in the middle of a chunk.
const SILENCE: Duration = Duration::from_secs(60);

/// How many uploads may be in progress; each has a file open.
const AT_ONCE: usize = 256;

/// All uploads in progress. They end with the process: their clients start anew.
pub(crate) struct Uploads {
    folder: PathBuf,
    opened_at_ms: i64,
    started: AtomicU64,
    open: Mutex<HashMap<String, Upload>>,
}

struct Upload {
    repository: ImageRepository,
    active_at_ms: i64,
    sink: Sink,
}

/// Whoever holds the lock has the turn to write.
pub(crate) type Sink = Arc<TurnMutex<Received>>;

/// What came of one blob so far. The file goes with it, unless it was published.
pub(crate) struct Received {
    file: File,
    path: PathBuf,
    size: u64,
    hasher: Sha256,
    ended: bool,
}

impl Drop for Received {
    fn drop(&mut self) {
        // Gone already when it was published; else what stays is deleted at the next open.
        let _ = fs::remove_file(&self.path);
    }
}

/// The part of a blob that a chunk says it is; both ends included.
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

impl Uploads {
    /// Opens the folder and deletes what an earlier process left there.
    pub(crate) fn open(dir: &Path, now: i64) -> Result<Self, RegistryError> {
        let folder = dir.join("uploads");
        match fs::remove_dir_all(&folder) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                let doing = "deleting unfinished uploads in";
                return Err(RegistryError::file(doing, &folder, source));
            }
            _ => make_folder(&folder)?,
        }
        Ok(Self {
            folder,
            opened_at_ms: now,
            started: AtomicU64::new(0),
            open: Mutex::default(),
        })
    }

    /// Drops uploads that nothing came for since `before_ms`; says how many are left. One that
    /// somebody has the turn to write to is not idle, however long ago that began.
    pub(crate) fn drop_idle(&self, before_ms: i64) -> usize {
        let mut open = self.lock();
        open.retain(|_, upload| {
            upload.active_at_ms >= before_ms || upload.sink.try_lock().is_err()
        });
        open.len()
    }

    fn touch(&self, id: &str, now: i64) {
        if let Some(upload) = self.lock().get_mut(id) {
            upload.active_at_ms = now;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Upload>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The names hold the time of opening, so that none of before a restart is met again.
    fn next_id(&self) -> String {
        let count = self.started.fetch_add(1, Ordering::Relaxed);
        format!("{:x}-{count:x}", self.opened_at_ms)
    }
}

impl Registry {
    /// Starts an upload and gives its id.
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

    /// How many bytes came so far.
    pub(crate) async fn upload_size(
        &self,
        repository: &ImageRepository,
        id: &str,
    ) -> Result<u64, RegistryError> {
        Ok(self.turn(repository, id).await?.size)
    }

    /// Appends what the body brings; gives the size then. With a range, takes all of
    /// the chunk or nothing, except when the client stops sending: it can ask for the
    /// status and go on.
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

    /// Makes what came the repository's blob, if it has this digest. Ends the upload.
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
            // Ended even when that failed: the file may have been moved by then.
            received.ended = true;
            inner.uploads.lock().remove(&id);
            published
        })
        .await
    }

    /// Ends an upload and deletes what came.
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

    /// Waits for the turn to write to an upload.
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

/// The body's next bytes, an error when none come for too long: whoever sends them may
/// be gone without a word, and the next one to continue the upload waits for the turn.
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

/// What came and is not written yet.
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

    /// Writes off the async threads. The turn goes along, so that it ends with the write
    /// even when nobody waits for it any more.
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

impl Received {
    fn write(&mut self, parts: &[Bytes]) -> Result<(), RegistryError> {
        for part in parts {
            // At a position, so that what a failed or refused chunk left is overwritten.
            self.file.write_all_at(part, self.size).map_err(|source| {
                RegistryError::file("writing to the upload", &self.path, source)
            })?;
            self.hasher.update(part);
            self.size += part.len() as u64;
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), RegistryError> {
        self.file
            .set_len(self.size)
            .and_then(|()| self.file.sync_all())
            .map_err(|source| RegistryError::file("syncing the upload", &self.path, source))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use std::sync::atomic::AtomicI64;

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

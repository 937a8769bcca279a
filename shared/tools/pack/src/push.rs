//! Pushes an image to a registry.

use std::collections::BTreeSet;
use std::fs::File;
use std::future::Future;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::stream::{self, Stream, TryStreamExt};
use oci_client::client::Client;
use oci_client::errors::OciDistributionError;
use oci_client::{Reference, RegistryOperation};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use towline_oci::spec::{Descriptor, MediaType};
use towline_oci::{Digest, digest_of};

use crate::base::{self, Base};
use crate::client::{self, PATIENCE};
use crate::error::{PackError, Refusal};
use crate::image::Image;
use crate::reference::Target;

const PIECE: usize = 256 * 1024;

/// The progress of one blob during a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The registry has it already.
    Present {
        digest: Digest,
        /// Its size in bytes.
        size: u64,
    },
    /// The registry has copied it from another of its repositories.
    Mounted {
        digest: Digest,
        /// Its size in bytes.
        size: u64,
    },
    /// It is being sent; reported for every piece, the last time with `sent` equal to `size`.
    Sent {
        digest: Digest,
        /// The number of bytes sent so far.
        sent: u64,
        /// Its size in bytes.
        size: u64,
    },
}

/// Receives the progress of a push; called from the push itself, so it should be quick.
pub type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;

/// Pushes an image under every tag of `target`, and reads back what the registry then has.
///
/// Blobs that the registry has are not sent. A base's layers are mounted where the base is in
/// the same registry and that works, else copied from the base's registry as a stream. The
/// manifest goes last, byte for byte as it was hashed, once per tag.
///
/// # Errors
///
/// Refuses a target without tags and plain HTTP beyond this machine. If it fails halfway,
/// the registry may have some blobs and tags; pushing again continues from there.
pub async fn push(
    image: &Image,
    target: &Target,
    progress: OnProgress,
) -> Result<Digest, PackError> {
    let Some(first) = target.tags.first() else {
        let reason = "has no tag; name at least one";
        let name = format!("{}/{}", target.registry.host, target.repository);
        return Err(Refusal::value("the target", &name, reason).into());
    };
    let client = client::connect(&target.registry)?;
    let place = target.at(first);
    client::sign_in(&client, &target.registry, &place, RegistryOperation::Push).await?;
    let pushing = Pushing {
        image,
        target,
        client,
        place,
        progress,
    };
    if let Some(base) = &image.base {
        pushing.base_layers(base).await?;
    }
    pushing.layer().await?;
    pushing.config().await?;
    for tag in &target.tags {
        pushing.manifest(&target.at(tag)).await?;
    }
    Ok(image.digest.clone())
}

struct Pushing<'a> {
    image: &'a Image,
    target: &'a Target,
    client: Client,
    /// The repository for blobs: the client asks for a reference, of which only the repository matters.
    place: Reference,
    progress: OnProgress,
}

impl Pushing<'_> {
    async fn base_layers(&self, base: &Base) -> Result<(), PackError> {
        // The client for the base, created when a layer has to be copied.
        let mut source = None;
        let mut done = BTreeSet::new();
        for layer in &base.layers {
            let Ok(digest) = digest_of(layer) else {
                continue;
            };
            if !done.insert(digest.clone()) || self.is_present(&digest, layer.size()).await? {
                continue;
            }
            if self.mount(base, &digest, layer.size()).await? {
                continue;
            }
            let source = match &mut source {
                Some(client) => client,
                None => source.insert(connect_to(base).await?),
            };
            self.copy(source, base, layer, &digest).await?;
        }
        Ok(())
    }

    async fn layer(&self) -> Result<(), PackError> {
        let layer = &self.image.layer;
        if self.is_present(&layer.digest, layer.size).await? {
            return Ok(());
        }
        let content = file_pieces(Arc::clone(&layer.file), layer.size);
        self.send(
            &layer.digest,
            layer.size,
            content.map_err(OciDistributionError::from),
        )
        .await
    }

    async fn config(&self) -> Result<(), PackError> {
        let (config, digest) = (self.image.config.clone(), &self.image.config_digest);
        let size = config.len() as u64;
        if self.is_present(digest, size).await? {
            return Ok(());
        }
        self.send(digest, size, stream::iter([Ok(config)])).await
    }

    async fn manifest(&self, place: &Reference) -> Result<(), PackError> {
        let name = place.whole();
        let content_type = MediaType::ImageManifest.to_string();
        let content_type = content_type
            .parse()
            .expect("a media type is a header value");
        let request =
            self.client
                .push_manifest_raw(place, self.image.manifest.clone(), content_type);
        client::patiently("push", &name, request).await?;
        let authentication = self.target.registry.authentication();
        let request = self.client.fetch_manifest_digest(place, &authentication);
        let found = client::patiently("read back", &name, request).await?;
        if found != self.image.digest.as_str() {
            return Err(PackError::DigestDiffers {
                reference: name,
                pushed: self.image.digest.to_string(),
                found,
            });
        }
        Ok(())
    }

    async fn is_present(&self, digest: &Digest, size: u64) -> Result<bool, PackError> {
        let request = self.client.blob_exists(&self.place, digest.as_str());
        let is_present =
            client::patiently("look for a blob of", self.place.whole(), request).await?;
        if is_present {
            let digest = digest.clone();
            (self.progress)(Progress::Present { digest, size });
        }
        Ok(is_present)
    }

    /// Whether the registry mounted the blob from the base's repository. It may decline, and then
    /// answers as if an upload had been requested (OCI distribution specification, "Mounting a blob
    /// from another repository").
    async fn mount(&self, base: &Base, digest: &Digest, size: u64) -> Result<bool, PackError> {
        if base.reference.registry.host != self.target.registry.host {
            return Ok(false);
        }
        let from = base.reference.at(&base.reference.digest);
        let request = self.client.mount_blob(&self.place, &from, digest.as_str());
        if timeout(PATIENCE, request)
            .await
            .is_ok_and(|answer| answer.is_ok())
        {
            let digest = digest.clone();
            (self.progress)(Progress::Mounted { digest, size });
            return Ok(true);
        }
        Ok(false)
    }

    async fn copy(
        &self,
        source: &Client,
        base: &Base,
        layer: &Descriptor,
        digest: &Digest,
    ) -> Result<(), PackError> {
        let from = base.reference.at(&base.reference.digest);
        let wanted = base::wire_descriptor(layer);
        let request = source.pull_blob_stream(&from, &wanted);
        let action = "read a layer of the base";
        let content = client::patiently(action, base.reference.to_string(), request)
            .await?
            .stream;
        self.send(
            digest,
            layer.size(),
            content.map_err(OciDistributionError::from),
        )
        .await
    }

    /// Sends one blob in one request, and gives up if no byte is sent for a while.
    async fn send(
        &self,
        digest: &Digest,
        size: u64,
        content: impl Stream<Item = Result<Bytes, OciDistributionError>> + Send + 'static,
    ) -> Result<(), PackError> {
        let sent = Arc::new(AtomicU64::new(0));
        let (its_sent, its_digest) = (Arc::clone(&sent), digest.clone());
        let progress = Arc::clone(&self.progress);
        let content = content.inspect_ok(move |piece| {
            let piece = piece.len() as u64;
            let sent = its_sent.fetch_add(piece, Ordering::Relaxed) + piece;
            let digest = its_digest.clone();
            progress(Progress::Sent { digest, sent, size });
        });
        let upload =
            self.client
                .push_blob_stream(&self.place, content, digest.as_str(), Some(size));
        while_moving(&sent, self.place.whole(), upload).await
    }
}

async fn connect_to(base: &Base) -> Result<Client, PackError> {
    let registry = &base.reference.registry;
    let client = client::connect(registry)?;
    let place = base.reference.at(&base.reference.digest);
    client::sign_in(&client, registry, &place, RegistryOperation::Pull).await?;
    Ok(client)
}

async fn while_moving<T>(
    sent: &AtomicU64,
    reference: String,
    upload: impl Future<Output = Result<T, OciDistributionError>>,
) -> Result<(), PackError> {
    let action = "send a blob to";
    let mut upload = std::pin::pin!(upload);
    let mut before = None;
    loop {
        match timeout(PATIENCE, &mut upload).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => return Err(PackError::registry(action, reference)(error)),
            Err(_) => {}
        }
        let now = Some(sent.load(Ordering::Relaxed));
        if now == before {
            let seconds = PATIENCE.as_secs();
            return Err(PackError::Stalled {
                action,
                reference,
                seconds,
            });
        }
        before = now;
    }
}

/// The content of a file from its beginning, regardless of other readers.
fn file_pieces(file: Arc<File>, size: u64) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::try_unfold(0, move |offset| {
        let file = Arc::clone(&file);
        async move {
            if offset == size {
                return Ok(None);
            }
            let length = usize::try_from(size - offset).map_or(PIECE, |left| left.min(PIECE));
            let piece = spawn_blocking(move || {
                let mut piece = vec![0; length];
                file.read_exact_at(&mut piece, offset)?;
                io::Result::Ok(Bytes::from(piece))
            });
            let piece = piece.await.map_err(io::Error::other)??;
            let next = offset + piece.len() as u64;
            Ok(Some((piece, next)))
        }
    })
}

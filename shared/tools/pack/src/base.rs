//! The base image: its manifest and configuration are read when an image is assembled, its layers
//! only when they are needed.

use futures::TryStreamExt;
use oci_client::RegistryOperation;
use oci_client::client::Client;
use oci_client::manifest::OciDescriptor;
use serde::Deserialize;
use tokio::io::AsyncWrite;
use towline_oci::spec::{Descriptor, ImageConfiguration, ImageIndex, MediaType};
use towline_oci::{Digest, Document, ManifestKind, Platform, descriptor, digest_of};

use crate::client;
use crate::config::BaseConfig;
use crate::error::{PackError, Refusal};
use crate::reference::BaseReference;

/// More than any configuration has; a registry must not fill our memory.
const LARGEST_CONFIG: u64 = 8 * 1024 * 1024;

/// A base image, as far as it has been read.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    pub(crate) reference: BaseReference,
    pub(crate) layers: Vec<Descriptor>,
    pub(crate) config: BaseConfig,
}

/// Reads the image that `reference` names, for `platform`.
pub(crate) async fn read(
    reference: &BaseReference,
    platform: &Platform,
) -> Result<Base, PackError> {
    let client = client::connect(&reference.registry)?;
    let place = reference.at(&reference.digest);
    client::sign_in(
        &client,
        &reference.registry,
        &place,
        RegistryOperation::Pull,
    )
    .await?;
    let manifest = match document(&client, reference, &reference.digest).await? {
        Document::Image(image) => image,
        Document::Index(index) => {
            let digest = choose(&index, reference, platform)?;
            match document(&client, reference, &digest).await? {
                Document::Image(image) => image,
                Document::Index(_) => {
                    let reason = format!("lists another index for {platform}; name that by digest");
                    return Err(Refusal::value("the base", &reference.to_string(), reason).into());
                }
            }
        }
    };
    let config = config(&client, reference, manifest.config()).await?;
    let found = platform_of(&config.typed);
    if !platform.accepts(&found) {
        return Err(wrong_platform(reference, platform, &[found]));
    }
    if config.typed.rootfs().diff_ids().len() != manifest.layers().len() {
        let reason = "is broken: its configuration and manifest disagree on the number of layers";
        return Err(Refusal::value("the base", &reference.to_string(), reason).into());
    }
    let layers = manifest
        .layers()
        .iter()
        .map(|layer| plain_layer(reference, layer));
    Ok(Base {
        reference: reference.clone(),
        layers: layers.collect::<Result<_, _>>()?,
        config,
    })
}

/// Copies one of the base's layers to `out`, checking its digest on the way.
pub(crate) async fn copy_layer(
    client: &Client,
    reference: &BaseReference,
    layer: &Descriptor,
    out: impl AsyncWrite,
) -> Result<(), PackError> {
    client
        .pull_blob(
            &reference.at(&reference.digest),
            &wire_descriptor(layer),
            out,
        )
        .await
        .map_err(PackError::registry("read a layer of the base", reference))
}

/// The client's form of a descriptor.
pub(crate) fn wire_descriptor(descriptor: &Descriptor) -> OciDescriptor {
    OciDescriptor {
        media_type: descriptor.media_type().to_string(),
        digest: descriptor.digest().to_string(),
        size: i64::try_from(descriptor.size()).unwrap_or(i64::MAX),
        ..OciDescriptor::default()
    }
}

async fn document(
    client: &Client,
    reference: &BaseReference,
    digest: &Digest,
) -> Result<Document, PackError> {
    let authentication = reference.registry.authentication();
    let accepted = ManifestKind::ALL.map(ManifestKind::as_str);
    let place = reference.at(digest);
    let request = client.pull_manifest_raw(&place, &authentication, &accepted);
    let (bytes, _) = client::patiently("read the base", reference.to_string(), request).await?;
    if Digest::of(&bytes) != *digest {
        let reason = "has another digest than its name says; the registry cannot be trusted";
        return Err(Refusal::value("the base", &place.whole(), reason).into());
    }
    Document::read(&bytes).map_err(|source| PackError::Document {
        document: format!("the manifest of {reference}"),
        source,
    })
}

async fn config(
    client: &Client,
    reference: &BaseReference,
    descriptor: &Descriptor,
) -> Result<BaseConfig, PackError> {
    if descriptor.size() > LARGEST_CONFIG {
        let reason = format!("has a configuration of more than {LARGEST_CONFIG} bytes");
        return Err(Refusal::value("the base", &reference.to_string(), reason).into());
    }
    let place = reference.at(&reference.digest);
    let wanted = wire_descriptor(descriptor);
    let request = async {
        let stream = client.pull_blob_stream(&place, &wanted).await?.stream;
        let collected = stream.try_fold(Vec::new(), |mut bytes, piece| async move {
            bytes.extend_from_slice(&piece);
            match bytes.len() as u64 > LARGEST_CONFIG {
                true => Err(std::io::Error::other(
                    "it is longer than its descriptor says",
                )),
                false => Ok(bytes),
            }
        });
        Ok(collected.await?)
    };
    let action = "read the configuration of the base";
    let bytes = client::patiently(action, reference.to_string(), request).await?;
    let typed: ImageConfiguration = parse(&bytes, reference)?;
    let raw = parse(&bytes, reference)?;
    Ok(BaseConfig { typed, raw })
}

fn choose(
    index: &ImageIndex,
    reference: &BaseReference,
    platform: &Platform,
) -> Result<Digest, PackError> {
    let offer = |entry| Some((Platform::from(Descriptor::platform(entry).as_ref()?), entry));
    let entries = index.manifests().iter().filter_map(offer);
    // Attestations are listed under a platform that does not exist.
    let offers: Vec<(Platform, &Descriptor)> =
        entries.filter(|(offered, _)| offered.is_known()).collect();
    match platform.choose(&offers) {
        Some(entry) => Ok(digest_of(entry)?),
        None => {
            let offered: Vec<Platform> = offers.into_iter().map(|(offered, _)| offered).collect();
            Err(wrong_platform(reference, platform, &offered))
        }
    }
}

fn platform_of(config: &ImageConfiguration) -> Platform {
    Platform {
        os: config.os().to_string(),
        architecture: config.architecture().to_string(),
        variant: config.variant().clone(),
    }
}

fn wrong_platform(reference: &BaseReference, wanted: &Platform, offered: &[Platform]) -> PackError {
    let offered: Vec<String> = offered.iter().map(ToString::to_string).collect();
    let offered = match offered.is_empty() {
        true => "no platform".to_owned(),
        false => offered.join(", "),
    };
    let reason = format!("is for {offered}, not for {wanted}; name a base for {wanted}");
    Refusal::value("the base", &reference.to_string(), reason).into()
}

/// The layer with its OCI media type. Docker's types name the same bytes.
fn plain_layer(reference: &BaseReference, layer: &Descriptor) -> Result<Descriptor, PackError> {
    let media_type = match layer.media_type().to_string().as_str() {
        "application/vnd.docker.image.rootfs.diff.tar.gzip" => MediaType::ImageLayerGzip,
        "application/vnd.docker.image.rootfs.diff.tar" => MediaType::ImageLayer,
        "application/vnd.docker.image.rootfs.diff.tar.zstd" => MediaType::ImageLayerZstd,
        _ => layer.media_type().clone(),
    };
    let (MediaType::ImageLayer | MediaType::ImageLayerGzip | MediaType::ImageLayerZstd) =
        media_type
    else {
        let reason = format!("has a layer that cannot be copied, of type {media_type}");
        return Err(Refusal::value("the base", &reference.to_string(), reason).into());
    };
    Ok(descriptor(media_type, &digest_of(layer)?, layer.size()))
}

fn parse<'a, T: Deserialize<'a>>(
    bytes: &'a [u8],
    reference: &BaseReference,
) -> Result<T, PackError> {
    serde_json::from_slice(bytes).map_err(|source| PackError::Document {
        document: format!("the configuration of {reference}"),
        source: source.into(),
    })
}

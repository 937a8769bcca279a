//! The base image: its manifest and configuration are read when an image is assembled, its
//! layers only when somebody needs them.

use futures::TryStreamExt;
use oci_client::RegistryOperation;
use oci_client::client::Client;
use oci_client::manifest::OciDescriptor;
use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::AsyncWrite;

use crate::client;
use crate::config::BaseConfig;
use crate::error::{PackError, Refusal};
use crate::name::Digest;
use crate::platform::Platform;
use crate::reference::BaseReference;

/// More than any configuration has; a registry must not fill our memory.
const LARGEST_CONFIG: u64 = 8 * 1024 * 1024;
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A base image, as far as it has been read.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    pub(crate) reference: BaseReference,
    pub(crate) layers: Vec<Descriptor>,
    pub(crate) config: BaseConfig,
}

/// The part of a manifest that says what it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    media_type: Option<String>,
    manifests: Option<Value>,
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
    let mut bytes = manifest(&client, reference, &reference.digest).await?;
    let kind: Kind = parse(&bytes, "manifest", reference)?;
    let is_index = kind.manifests.is_some()
        || matches!(kind.media_type.as_deref(), Some(DOCKER_INDEX | OCI_INDEX));
    if is_index {
        let index: ImageIndex = parse(&bytes, "index", reference)?;
        let digest = choose(&index, reference, platform)?;
        bytes = manifest(&client, reference, &digest).await?;
    }
    let manifest: ImageManifest = parse(&bytes, "manifest", reference)?;
    let config = config(&client, reference, manifest.config()).await?;
    let found = Platform::of_config(&config.typed);
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

/// The form in which the client takes a descriptor.
pub(crate) fn wire_descriptor(descriptor: &Descriptor) -> OciDescriptor {
    OciDescriptor {
        media_type: descriptor.media_type().to_string(),
        digest: descriptor.digest().to_string(),
        size: i64::try_from(descriptor.size()).unwrap_or(i64::MAX),
        ..OciDescriptor::default()
    }
}

async fn manifest(
    client: &Client,
    reference: &BaseReference,
    digest: &Digest,
) -> Result<Vec<u8>, PackError> {
    let authentication = reference.registry.authentication();
    let accepted = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX];
    let place = reference.at(digest);
    let request = client.pull_manifest_raw(&place, &authentication, &accepted);
    let (bytes, _) = client::patiently("read the base", reference.to_string(), request).await?;
    if Digest::of(&bytes) != *digest {
        let reason = "has another digest than its name says; the registry cannot be trusted";
        return Err(Refusal::value("the base", &place.whole(), reason).into());
    }
    Ok(bytes.to_vec())
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
    let typed: ImageConfiguration = parse(&bytes, "configuration", reference)?;
    let raw = parse(&bytes, "configuration", reference)?;
    Ok(BaseConfig { typed, raw })
}

fn choose(
    index: &ImageIndex,
    reference: &BaseReference,
    platform: &Platform,
) -> Result<Digest, PackError> {
    let offered: Vec<(Platform, &Descriptor)> = index
        .manifests()
        .iter()
        .filter_map(|entry| Some((Platform::of_descriptor(entry.platform().as_ref()?), entry)))
        // Attestations are listed under a platform that does not exist.
        .filter(|(offered, _)| offered.os() != "unknown")
        .collect();
    let exact = offered.iter().find(|(offered, _)| offered == platform);
    let near = || {
        offered
            .iter()
            .find(|(offered, _)| platform.accepts(offered))
    };
    match exact.or_else(near) {
        Some((_, entry)) => Ok(entry.digest().to_string().parse()?),
        None => {
            let offered: Vec<Platform> = offered.into_iter().map(|(offered, _)| offered).collect();
            Err(wrong_platform(reference, platform, &offered))
        }
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

/// The layer under its OCI media type. Docker's types name the same bytes.
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
    let digest: Digest = layer.digest().to_string().parse()?;
    Ok(crate::image::descriptor(media_type, &digest, layer.size()))
}

fn parse<'a, T: Deserialize<'a>>(
    bytes: &'a [u8],
    what: &str,
    reference: &BaseReference,
) -> Result<T, PackError> {
    serde_json::from_slice(bytes).map_err(|source| PackError::Document {
        document: format!("the {what} of {reference}"),
        source,
    })
}

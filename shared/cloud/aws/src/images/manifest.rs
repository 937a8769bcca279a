//! What a manifest or index says about an image.

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use towline_domain::names::Digest;

/// What manifests and indexes have in common; each has one of the lists.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    layers: Option<Vec<Layer>>,
    #[serde(default)]
    manifests: Vec<Child>,
}

#[derive(Deserialize)]
struct Layer {
    #[serde(default)]
    size: u64,
}

#[derive(Deserialize)]
struct Child {
    #[serde(default)]
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: Option<String>,
}

/// The digest of a manifest's bytes.
pub(super) fn digest(manifest: &str) -> Digest {
    let hash = hex::encode(Sha256::digest(manifest));
    format!("sha256:{hash}")
        .parse()
        .expect("sha256: and 64 hexadecimal digits")
}

/// Bytes of all layers, and the platforms of an index: a manifest leaves its own to its
/// configuration, which would have to be downloaded.
pub(super) fn read(manifest: &str) -> Result<(Option<u64>, Vec<String>), serde_json::Error> {
    let manifest: Manifest = serde_json::from_str(manifest)?;
    let size = manifest.layers.map(|layers| {
        let sizes = layers.iter().map(|layer| layer.size);
        sizes.fold(0, u64::saturating_add)
    });
    let platforms = manifest.manifests.into_iter().filter_map(|child| {
        let platform = child.platform?;
        let known = |word: &str| !word.is_empty() && word != "unknown";
        // Attestations are of an unknown platform.
        if !known(&platform.os) || !known(&platform.architecture) {
            return None;
        }
        let mut text = format!("{}/{}", platform.os, platform.architecture);
        if let Some(variant) = platform.variant.filter(|variant| known(variant)) {
            text = format!("{text}/{variant}");
        }
        Some(text)
    });
    Ok((size, platforms.collect()))
}

/// The media type a manifest gives itself; OCI's may leave it out.
pub(super) fn media_type(manifest: &str) -> String {
    let read = serde_json::from_str::<Manifest>(manifest);
    let said = read.ok().and_then(|manifest| manifest.media_type);
    said.unwrap_or_else(|| "application/vnd.oci.image.manifest.v1+json".to_owned())
}

//! The parts of a manifest that the registry uses.

use std::collections::BTreeMap;

use towline_oci::spec::{Descriptor, ImageIndex, ImageManifest, MediaType};
use towline_oci::{
    Digest, Document, DocumentError, ManifestKind, Platform, digest_of, is_elsewhere,
};

use crate::error::RegistryError;

/// The largest accepted manifest in bytes; the OCI distribution specification requires at least this.
pub(crate) const LIMIT: usize = 4 << 20;

/// A manifest's content.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) kind: ManifestKind,
    /// The config blob of an image; none for an index and for an artifact of another kind.
    pub(crate) image_config: Option<Digest>,
    /// The blobs that must exist, with their sizes.
    pub(crate) blobs: Vec<(Digest, u64)>,
    /// The manifests that must exist.
    pub(crate) children: Vec<Child>,
    /// The sum of the layers, in bytes.
    pub(crate) layers_size: u64,
    pub(crate) subject: Option<Digest>,
    pub(crate) artifact_type: Option<String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

/// An entry of an index.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) digest: Digest,
    pub(crate) platform: ChildPlatform,
}

/// The platform of a child, from the index.
#[derive(Debug)]
pub(crate) enum ChildPlatform {
    Known(Platform),
    /// It is for no platform, such as an attestation.
    NoPlatform,
    /// Only the child itself says.
    NotSaid,
}

impl TryFrom<&Descriptor> for Child {
    type Error = DocumentError;

    fn try_from(entry: &Descriptor) -> Result<Self, DocumentError> {
        let platform = match entry.platform().as_ref().map(Platform::from) {
            Some(platform) if platform.is_known() => ChildPlatform::Known(platform),
            Some(_) => ChildPlatform::NoPlatform,
            None => ChildPlatform::NotSaid,
        };
        Ok(Self {
            digest: digest_of(entry)?,
            platform,
        })
    }
}

/// The platform of an image from its config blob, if it is there.
pub(crate) fn platform_of_config(config: &[u8]) -> Option<Platform> {
    let platform: Platform = serde_json::from_slice(config).ok()?;
    platform.is_known().then_some(platform)
}

/// Reads a manifest. `content_type` is the request's header, if it had one.
pub(crate) fn parse(content_type: Option<&str>, bytes: &[u8]) -> Result<Parsed, RegistryError> {
    if bytes.len() > LIMIT {
        return Err(RegistryError::ManifestTooLarge { limit: LIMIT });
    }
    let read = Document::receive(content_type, bytes).and_then(|(kind, document)| match document {
        Document::Index(index) => of_index(kind, &index),
        Document::Image(image) => of_image(kind, &image),
    });
    read.map_err(RegistryError::ManifestInvalid)
}

fn of_index(kind: ManifestKind, index: &ImageIndex) -> Result<Parsed, DocumentError> {
    let children = index.manifests().iter().map(Child::try_from);
    Ok(Parsed {
        kind,
        image_config: None,
        blobs: Vec::new(),
        children: children.collect::<Result<_, _>>()?,
        layers_size: 0,
        subject: index.subject().as_ref().map(digest_of).transpose()?,
        artifact_type: index.artifact_type().as_ref().map(ToString::to_string),
        annotations: index.annotations().clone().into_iter().flatten().collect(),
    })
}

fn of_image(kind: ManifestKind, image: &ImageManifest) -> Result<Parsed, DocumentError> {
    let config = image.config();
    let layers = image.layers().iter();
    let layers_size = layers.clone().map(Descriptor::size);
    let blobs = std::iter::once(config).chain(layers.filter(|layer| !is_elsewhere(layer)));
    let blobs = blobs.map(|blob| Ok((digest_of(blob)?, blob.size())));
    // An image manifest without a type of its own has its config's type (OCI distribution
    // specification, "Listing Referrers").
    let artifact_type = image.artifact_type().as_ref();
    let artifact_type = artifact_type.unwrap_or_else(|| config.media_type());
    Ok(Parsed {
        kind,
        image_config: is_image_config(config)
            .then(|| digest_of(config))
            .transpose()?,
        blobs: blobs.collect::<Result<_, DocumentError>>()?,
        children: Vec::new(),
        layers_size: layers_size.fold(0, u64::saturating_add),
        subject: image.subject().as_ref().map(digest_of).transpose()?,
        artifact_type: Some(artifact_type.to_string()),
        annotations: image.annotations().clone().into_iter().flatten().collect(),
    })
}

fn is_image_config(config: &Descriptor) -> bool {
    *config.media_type() == MediaType::ImageConfig
        || config.media_type().as_ref() == "application/vnd.docker.container.image.v1+json"
}

#[cfg(test)]
mod tests {
    use towline_domain::causes::with_causes;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[track_caller]
    fn check(kind: ManifestKind, json: &str, expected: &str) {
        let json = json.replace("DIGEST", DIGEST);
        let found = match parse(Some(kind.as_str()), json.as_bytes()) {
            Ok(parsed) => format!(
                "{} blobs, {} children, {} bytes, {:?}",
                parsed.blobs.len(),
                parsed.children.len(),
                parsed.layers_size,
                parsed.artifact_type,
            ),
            Err(error) => with_causes(&error),
        };
        assert!(found.contains(expected), "{found:?} lacks {expected:?}");
    }

    #[test]
    fn a_manifest_says_what_has_to_be_there() {
        check(
            ManifestKind::OciManifest,
            r#"{"schemaVersion":2,
            "config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"DIGEST","size":0},
            "layers":[{"mediaType":"l","digest":"DIGEST","size":7},
                      {"mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar","digest":"DIGEST","size":5}]}"#,
            r#"2 blobs, 0 children, 12 bytes, Some("application/vnd.oci.image.config.v1+json")"#,
        );
        check(
            ManifestKind::OciIndex,
            r#"{"schemaVersion":2,"artifactType":"a/b","manifests":[{"mediaType":"m","digest":"DIGEST","size":1}]}"#,
            r#"0 blobs, 1 children, 0 bytes, Some("a/b")"#,
        );
    }

    #[test]
    fn a_manifest_that_is_not_one_is_refused_with_the_reason() {
        let longer = format!("sha512:{}", "a".repeat(128));
        for (json, reason) in [
            (
                "{",
                "the manifest is refused: it is not a manifest in JSON: EOF while parsing",
            ),
            (r#"{"schemaVersion":1}"#, "only version 2 is known"),
            (
                &format!(
                    r#"{{"schemaVersion":2,"layers":[],"config":{{"mediaType":"c","digest":"{longer}","size":1}}}}"#
                ),
                "is not an image digest",
            ),
        ] {
            check(ManifestKind::OciManifest, json, reason);
        }
    }

    #[test]
    fn a_manifest_of_more_than_four_mebibytes_is_refused() {
        check(
            ManifestKind::OciManifest,
            &" ".repeat(LIMIT + 1),
            "larger than 4194304 bytes",
        );
    }
}

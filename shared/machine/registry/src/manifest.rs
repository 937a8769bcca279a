//! What a manifest says, read from bytes that a stranger sent.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::RegistryError;
use crate::name::Digest;

/// The largest manifest taken, in bytes; the OCI distribution specification asks for
/// at least this.
pub(crate) const LIMIT: usize = 4 << 20;

/// The kinds of manifest there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    /// One image, as Docker writes it.
    DockerManifest,
    /// Several images under one name, as Docker writes it.
    DockerList,
    /// One image or artifact of the OCI.
    OciManifest,
    /// Several images under one name, of the OCI.
    OciIndex,
}

impl MediaType {
    const ALL: [Self; 4] = [
        Self::DockerManifest,
        Self::DockerList,
        Self::OciManifest,
        Self::OciIndex,
    ];

    /// The media type as it stands in a `Content-Type` header.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DockerManifest => "application/vnd.docker.distribution.manifest.v2+json",
            Self::DockerList => "application/vnd.docker.distribution.manifest.list.v2+json",
            Self::OciManifest => "application/vnd.oci.image.manifest.v1+json",
            Self::OciIndex => "application/vnd.oci.image.index.v1+json",
        }
    }

    /// Whether it lists other manifests.
    #[must_use]
    pub fn is_index(self) -> bool {
        matches!(self, Self::DockerList | Self::OciIndex)
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for MediaType {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        let known = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        known.ok_or_else(|| {
            let shown: String = text.chars().take(100).collect();
            RegistryError::ManifestInvalid(format!(
                "its media type is {shown:?}; send a Docker version 2 or OCI manifest or index"
            ))
        })
    }
}

/// What an image runs on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// The operating system, such as `linux`.
    pub os: String,
    /// The processor, such as `arm64`.
    pub architecture: String,
    /// Which one of its kind, such as `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Attestations travel in an index as manifests for no platform; buildkit calls that
    /// `unknown/unknown`.
    fn is_known(&self) -> bool {
        let known = |text: &str| !text.is_empty() && text != "unknown";
        known(&self.os) && known(&self.architecture)
    }

    /// The platform of an image by its config blob, if that says so.
    pub(crate) fn of_config(config: &[u8]) -> Option<Self> {
        let platform: Self = serde_json::from_slice(config).ok()?;
        platform.is_known().then_some(platform)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

/// A manifest's content, as far as the registry goes by it.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) media_type: MediaType,
    /// The config blob of an image; none for an index and for an artifact of another kind.
    pub(crate) image_config: Option<Digest>,
    /// The blobs that must be there, with their sizes.
    pub(crate) blobs: Vec<(Digest, u64)>,
    /// The manifests that must be there.
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

/// What an index says about a child's platform.
#[derive(Debug)]
pub(crate) enum ChildPlatform {
    Known(Platform),
    /// It is for no platform, such as an attestation.
    NoPlatform,
    /// The child itself has to be asked.
    NotSaid,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u64,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
    platform: Option<Platform>,
}

impl Descriptor {
    fn digest(&self) -> Result<Digest, RegistryError> {
        self.digest
            .parse()
            .map_err(|error| invalid(format!("{error}")))
    }

    /// Layers that stay where they are, such as Windows base layers, need not be pushed
    /// (OCI image specification, non-distributable layers).
    fn stays_elsewhere(&self) -> bool {
        self.media_type.contains(".nondistributable.") || self.media_type.contains(".foreign.")
    }

    fn is_image_config(&self) -> bool {
        matches!(
            self.media_type.as_str(),
            "application/vnd.oci.image.config.v1+json"
                | "application/vnd.docker.container.image.v1+json"
        )
    }

    fn child(self) -> Result<Child, RegistryError> {
        Ok(Child {
            digest: self.digest()?,
            platform: match self.platform {
                Some(platform) if platform.is_known() => ChildPlatform::Known(platform),
                Some(_) => ChildPlatform::NoPlatform,
                None => ChildPlatform::NotSaid,
            },
        })
    }
}

fn invalid(reason: impl Into<String>) -> RegistryError {
    RegistryError::ManifestInvalid(reason.into())
}

/// Reads a manifest. `content_type` is the header it came with, if one did.
pub(crate) fn parse(content_type: Option<&str>, bytes: &[u8]) -> Result<Parsed, RegistryError> {
    if bytes.len() > LIMIT {
        return Err(RegistryError::ManifestTooLarge { limit: LIMIT });
    }
    let document: Document = serde_json::from_slice(bytes)
        .map_err(|error| invalid(format!("it is no manifest in JSON: {error}")))?;
    if document.schema_version != 2 {
        return Err(invalid(format!(
            "its schemaVersion is {}, only 2 is known",
            document.schema_version
        )));
    }
    let media_type = media_type(content_type, &document)?;
    if media_type.is_index() {
        index(media_type, document)
    } else {
        image(media_type, document)
    }
}

/// The header and the document must agree: else two clients could see two different
/// things in the same bytes (CVE-2021-41190).
fn media_type(content_type: Option<&str>, document: &Document) -> Result<MediaType, RegistryError> {
    let bare = |text: &str| {
        text.split(';')
            .next()
            .unwrap_or("")
            .trim()
            .to_ascii_lowercase()
    };
    let header = content_type.map(bare);
    match (header, &document.media_type) {
        (Some(header), Some(own)) if header != *own => Err(invalid(format!(
            "its mediaType {own:?} and its Content-Type {header:?} differ"
        ))),
        (Some(header), _) => header.parse(),
        (None, Some(own)) => own.parse(),
        (None, None) => Err(invalid(
            "nothing says its media type; send a Content-Type header",
        )),
    }
}

fn index(media_type: MediaType, document: Document) -> Result<Parsed, RegistryError> {
    if document.config.is_some() || document.layers.is_some() {
        return Err(invalid("an index has no config and no layers"));
    }
    let manifests = document
        .manifests
        .ok_or_else(|| invalid("it is an index without manifests"))?;
    Ok(Parsed {
        media_type,
        image_config: None,
        blobs: Vec::new(),
        children: manifests
            .into_iter()
            .map(Descriptor::child)
            .collect::<Result<_, _>>()?,
        layers_size: 0,
        subject: document.subject.map(|it| it.digest()).transpose()?,
        artifact_type: document.artifact_type,
        annotations: document.annotations.unwrap_or_default(),
    })
}

fn image(media_type: MediaType, document: Document) -> Result<Parsed, RegistryError> {
    if document.manifests.is_some() {
        return Err(invalid("only an index has manifests"));
    }
    let config = document.config.ok_or_else(|| invalid("it has no config"))?;
    let layers = document.layers.ok_or_else(|| invalid("it has no layers"))?;
    let layers_size = layers
        .iter()
        .fold(0_u64, |sum, layer| sum.saturating_add(layer.size));
    let blobs = std::iter::once(&config)
        .chain(layers.iter().filter(|layer| !layer.stays_elsewhere()))
        .map(|blob| Ok((blob.digest()?, blob.size)))
        .collect::<Result<_, RegistryError>>()?;
    Ok(Parsed {
        media_type,
        image_config: config
            .is_image_config()
            .then(|| config.digest())
            .transpose()?,
        blobs,
        children: Vec::new(),
        layers_size,
        subject: document.subject.map(|it| it.digest()).transpose()?,
        // An image manifest without a type of its own goes by its config's (OCI
        // distribution specification, listing referrers).
        artifact_type: document.artifact_type.or(Some(config.media_type)),
        annotations: document.annotations.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[track_caller]
    fn check(content_type: Option<&str>, json: &str, expected: &str) {
        let json = json.replace("DIGEST", DIGEST);
        let found = match parse(content_type, json.as_bytes()) {
            Ok(parsed) => format!(
                "{:?}, {} blobs, {} children, {} bytes",
                parsed.media_type,
                parsed.blobs.len(),
                parsed.children.len(),
                parsed.layers_size
            ),
            Err(error) => error.to_string(),
        };
        assert!(found.contains(expected), "{found:?} lacks {expected:?}");
    }

    const OCI: Option<&str> = Some("application/vnd.oci.image.manifest.v1+json");
    const INDEX: Option<&str> = Some("application/vnd.oci.image.index.v1+json");

    #[test]
    fn a_manifest_is_read_or_refused_with_the_reason() {
        let image = r#"{"schemaVersion":2,
            "config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"DIGEST","size":0},
            "layers":[{"mediaType":"l","digest":"DIGEST","size":7},
                      {"mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar","digest":"DIGEST","size":5}]}"#;
        check(OCI, image, "OciManifest, 2 blobs, 0 children, 12 bytes");
        check(
            Some("application/vnd.docker.distribution.manifest.v2+json; charset=utf-8"),
            image,
            "DockerManifest",
        );
        check(INDEX, image, "an index has no config");
        check(
            Some("text/plain"),
            image,
            "its media type is \"text/plain\"",
        );
        check(None, image, "send a Content-Type header");
        check(
            INDEX,
            r#"{"schemaVersion":2,"manifests":[{"mediaType":"m","digest":"DIGEST","size":1}]}"#,
            "OciIndex, 0 blobs, 1 children, 0 bytes",
        );
        for (json, reason) in [
            ("", "no manifest in JSON"),
            ("[]", "no manifest in JSON"),
            ("{}", "schemaVersion"),
            (
                r#"{"schemaVersion":2,"schemaVersion":2}"#,
                "duplicate field",
            ),
            (r#"{"schemaVersion":1}"#, "only 2 is known"),
            (r#"{"schemaVersion":2}"#, "it has no config"),
            (
                r#"{"schemaVersion":2,"manifests":[]}"#,
                "only an index has manifests",
            ),
            (
                r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json"}"#,
                "differ",
            ),
            (
                r#"{"schemaVersion":2,"layers":[],"config":{"mediaType":"c","digest":"../x","size":1}}"#,
                "\"../x\" is not a digest",
            ),
            (
                r#"{"schemaVersion":2,"layers":[],"config":{"mediaType":"c","digest":"DIGEST","size":-1}}"#,
                "invalid value",
            ),
        ] {
            check(OCI, json, reason);
        }
    }

    #[test]
    fn a_manifest_of_more_than_four_mebibytes_is_refused() {
        check(OCI, &" ".repeat(LIMIT + 1), "larger than 4194304 bytes");
    }
}

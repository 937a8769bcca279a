//! Reads manifests and indexes from untrusted bytes.

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest, MediaType};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Digest, ManifestKind, NameError, UnknownKind};

/// A manifest or an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// One image or artifact.
    Image(Box<ImageManifest>),
    /// The images of several platforms.
    Index(Box<ImageIndex>),
}

/// Why bytes are neither a manifest nor an index.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// They are not JSON, or lack a property, or one has the wrong type.
    #[error("it is not a manifest in JSON")]
    Json(#[from] serde_json::Error),
    /// They are of another version of the format.
    #[error("its schemaVersion is {0}; only version 2 is known")]
    SchemaVersion(u64),
    /// They are of another kind.
    #[error(transparent)]
    Kind(#[from] UnknownKind),
    /// Their own media type differs from the header: two clients could interpret the same bytes
    /// differently (CVE-2021-41190).
    #[error("its mediaType {own:?} and its Content-Type {header:?} differ")]
    KindsDiffer {
        /// Their own media type.
        own: String,
        header: String,
    },
    /// They have no media type.
    #[error("nothing says its media type; send a Content-Type header")]
    NoKind,
    /// They have the properties of both.
    #[error("an index has no config and no layers, and only an index has manifests")]
    Mixed,
    /// A digest in them is not SHA-256.
    #[error(transparent)]
    Name(#[from] NameError),
}

/// The part that decides how to read the rest.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline {
    schema_version: u64,
    media_type: Option<String>,
    config: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    manifests: Option<IgnoredAny>,
}

impl Document {
    /// Reads a manifest or index, identified by its media type, else by its properties.
    ///
    /// # Errors
    /// When it is neither.
    pub fn read(bytes: &[u8]) -> Result<Self, DocumentError> {
        let outline = Outline::read(bytes)?;
        let kind = outline.media_type.as_deref();
        let kind = kind.and_then(|kind| kind.parse::<ManifestKind>().ok());
        let lists = outline.manifests.is_some();
        if kind.map_or(lists, ManifestKind::is_index) {
            outline.index(bytes)
        } else {
            outline.image(bytes)
        }
    }

    /// Reads a manifest or index from a client, with its header.
    ///
    /// # Errors
    /// When it is neither, or not what the header says.
    pub fn receive(
        content_type: Option<&str>,
        bytes: &[u8],
    ) -> Result<(ManifestKind, Self), DocumentError> {
        let outline = Outline::read(bytes)?;
        let kind = outline.kind(content_type)?;
        let document = if kind.is_index() {
            outline.index(bytes)
        } else {
            outline.image(bytes)
        };
        Ok((kind, document?))
    }

    /// Its own media type, which OCI documents may omit.
    #[must_use]
    pub fn media_type(&self) -> Option<&MediaType> {
        match self {
            Self::Image(manifest) => manifest.media_type().as_ref(),
            Self::Index(index) => index.media_type().as_ref(),
        }
    }

    /// The compressed bytes of all layers. An index has none of its own.
    #[must_use]
    pub fn layers_size(&self) -> Option<u64> {
        let Self::Image(manifest) = self else {
            return None;
        };
        let sizes = manifest.layers().iter().map(Descriptor::size);
        Some(sizes.fold(0, u64::saturating_add))
    }
}

impl Outline {
    fn read(bytes: &[u8]) -> Result<Self, DocumentError> {
        let outline: Self = serde_json::from_slice(bytes)?;
        match outline.schema_version {
            2 => Ok(outline),
            other => Err(DocumentError::SchemaVersion(other)),
        }
    }

    fn kind(&self, content_type: Option<&str>) -> Result<ManifestKind, DocumentError> {
        let bare = |text: &str| {
            let bare = text.split(';').next().unwrap_or_default();
            bare.trim().to_ascii_lowercase()
        };
        match (content_type.map(bare), &self.media_type) {
            (Some(header), Some(own)) if header != *own => Err(DocumentError::KindsDiffer {
                own: own.chars().take(100).collect(),
                header: header.chars().take(100).collect(),
            }),
            (Some(header), _) => Ok(header.parse()?),
            (None, Some(own)) => Ok(own.parse()?),
            (None, None) => Err(DocumentError::NoKind),
        }
    }

    fn index(&self, bytes: &[u8]) -> Result<Document, DocumentError> {
        if self.config.is_some() || self.layers.is_some() {
            return Err(DocumentError::Mixed);
        }
        Ok(Document::Index(parse(bytes)?))
    }

    fn image(&self, bytes: &[u8]) -> Result<Document, DocumentError> {
        if self.manifests.is_some() {
            return Err(DocumentError::Mixed);
        }
        Ok(Document::Image(parse(bytes)?))
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DocumentError> {
    Ok(serde_json::from_slice(bytes)?)
}

/// A descriptor with only the required properties.
#[must_use]
pub fn descriptor(media_type: MediaType, digest: &Digest, size: u64) -> Descriptor {
    let digest = digest.as_str().parse::<oci_spec::image::Digest>();
    let digest = digest.expect("ours is the stricter form of a digest");
    Descriptor::new(media_type, size, digest)
}

/// The digest of a descriptor.
///
/// # Errors
/// When it is not SHA-256.
pub fn digest_of(descriptor: &Descriptor) -> Result<Digest, NameError> {
    descriptor.digest().as_ref().parse()
}

/// Whether a layer stays where it is and need not be pushed, like those of Windows (OCI image
/// specification, "Non-Distributable Layers").
#[must_use]
pub fn is_elsewhere(layer: &Descriptor) -> bool {
    let media_type = layer.media_type().as_ref();
    media_type.contains(".nondistributable.") || media_type.contains(".foreign.")
}

/// A document as compact JSON with sorted keys, so that equal documents have equal digests.
///
/// Sorting is done here and not by the map type, because any crate in the build can switch
/// `serde_json` to maps that keep the order of insertion.
pub fn canonical(document: &impl Serialize) -> Vec<u8> {
    let value = serde_json::to_value(document).expect("image documents have only string keys");
    sorted(value).to_string().into_bytes()
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> = map.into_iter().collect();
            entries.sort_by(|(left, _), (right, _)| left.cmp(right));
            let entries = entries.into_iter().map(|(key, value)| (key, sorted(value)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => other,
    }
}

#[cfg(test)]
mod tests;

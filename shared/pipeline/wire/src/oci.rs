//! The index that brings the images of several platforms under one digest (OCI image specification).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use towline_domain::names::Digest;

/// The media type of an index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Says of a manifest which image it is about, as buildkit's attestations do.
const ABOUT: &str = "vnd.docker.reference.digest";

/// The image of one platform, as the registry holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformImage {
    /// `os/architecture`, and a variant where there is one.
    pub platform: String,
    /// Its digest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Its manifest, or its index when it came with attestations: the text, byte for byte.
    pub manifest: String,
}

/// Why there is no index.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// A manifest is none.
    #[error("reading the manifest {digest} for {platform}")]
    Unreadable {
        /// The platform it is for.
        platform: String,
        /// Its digest.
        digest: Digest,
        /// What is wrong with it.
        #[source]
        cause: serde_json::Error,
    },
    /// What was built for a platform has no image for it.
    #[error("the build for {platform} pushed an index, {digest}, without an image for {platform}")]
    OtherPlatform {
        /// The platform.
        platform: String,
        /// The index.
        digest: Digest,
    },
}

/// An index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The digest of its bytes.
    pub digest: Digest,
    /// Its text.
    pub text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u64,
    media_type: &'static str,
    manifests: Vec<Descriptor>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Platform {
    architecture: String,
    os: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    variant: Option<String>,
}

impl Platform {
    fn of(text: &str) -> Self {
        let mut parts = text.splitn(3, '/').map(str::to_owned);
        Self {
            os: parts.next().unwrap_or_default(),
            architecture: parts.next().unwrap_or_default(),
            variant: parts.next(),
        }
    }

    /// Whether it is the one that is meant; a variant that is not asked for may be anything.
    fn is(&self, wanted: &Self) -> bool {
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && (wanted.variant.is_none() || self.variant == wanted.variant)
    }
}

#[derive(Deserialize)]
struct Children {
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

/// The index of images, in the order given: the same bytes for the same images, whoever asks.
///
/// An image that came as an index of its own, because buildkit put attestations beside it, is taken
/// out of that with them: what pulls by platform does not look into an index inside an index.
///
/// # Errors
/// When an image cannot be read, or is not for its platform.
pub fn index(images: &[PlatformImage]) -> Result<Index, IndexError> {
    let mut manifests = Vec::new();
    for image in images {
        manifests.extend(descriptors(image)?);
    }
    let document = Document {
        schema_version: 2,
        media_type: INDEX,
        manifests,
    };
    let text = serde_json::to_string(&document).expect("texts and numbers become JSON");
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(&text)));
    let digest = digest.parse().expect("sha256: and 64 hexadecimal digits");
    Ok(Index { digest, text })
}

fn descriptors(image: &PlatformImage) -> Result<Vec<Descriptor>, IndexError> {
    let wanted = Platform::of(&image.platform);
    if !is_index(&image.media_type) {
        return Ok(vec![Descriptor {
            media_type: image.media_type.clone(),
            digest: image.digest.clone(),
            size: image.manifest.len() as u64,
            platform: Some(wanted),
            annotations: BTreeMap::new(),
        }]);
    }
    let read = serde_json::from_str(&image.manifest);
    let Children { manifests } = read.map_err(|cause| IndexError::Unreadable {
        platform: image.platform.clone(),
        digest: image.digest.clone(),
        cause,
    })?;
    let is_meant = |child: &&Descriptor| {
        let platform = child.platform.as_ref();
        platform.is_some_and(|platform| platform.is(&wanted))
    };
    let Some(found) = manifests.iter().find(is_meant).cloned() else {
        return Err(IndexError::OtherPlatform {
            platform: image.platform.clone(),
            digest: image.digest.clone(),
        });
    };
    let about = |child: &Descriptor| {
        child.annotations.get(ABOUT).map(String::as_str) == Some(found.digest.as_str())
    };
    let beside: Vec<Descriptor> = manifests.into_iter().filter(about).collect();
    Ok(std::iter::once(found).chain(beside).collect())
}

fn is_index(media_type: &str) -> bool {
    media_type == INDEX || media_type == "application/vnd.docker.distribution.manifest.list.v2+json"
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

    fn image(platform: &str, number: u8, media_type: &str, manifest: &str) -> PlatformImage {
        PlatformImage {
            platform: platform.into(),
            digest: digest(number).parse().expect("a digest"),
            media_type: media_type.into(),
            manifest: manifest.into(),
        }
    }

    fn digest(number: u8) -> String {
        format!("sha256:{number:064x}")
    }

    fn check(images: &[PlatformImage], expected: &Expect) {
        let text = match index(images) {
            Ok(index) => index.text.replace(&"0".repeat(60), "…"),
            Err(error) => error.to_string().replace(&"0".repeat(60), "…"),
        };
        expected.assert_eq(&text);
    }

    #[test]
    fn an_index_names_each_image_with_its_size_and_platform() {
        check(
            &[
                image("linux/amd64", 1, IMAGE, "12345"),
                image("linux/arm/v7", 2, IMAGE, "1234567"),
            ],
            &expect![[
                r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:…0001","size":5,"platform":{"architecture":"amd64","os":"linux"}},{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:…0002","size":7,"platform":{"architecture":"arm","os":"linux","variant":"v7"}}]}"#
            ]],
        );
    }

    #[test]
    fn an_image_with_attestations_is_taken_out_of_its_index_with_them() {
        let own = format!(
            r#"{{"manifests":[
                {{"mediaType":"{IMAGE}","digest":"{}","size":9,"platform":{{"os":"linux","architecture":"s390x"}}}},
                {{"mediaType":"{IMAGE}","digest":"{}","size":7,"platform":{{"os":"linux","architecture":"arm64","variant":"v8"}}}},
                {{"mediaType":"{IMAGE}","digest":"{}","size":8,"platform":{{"os":"unknown","architecture":"unknown"}},
                  "annotations":{{"vnd.docker.reference.type":"attestation-manifest","vnd.docker.reference.digest":"{}"}}}}
            ]}}"#,
            digest(4),
            digest(5),
            digest(6),
            digest(5)
        );
        check(
            &[image("linux/arm64", 3, INDEX, &own)],
            &expect![[
                r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:…0005","size":7,"platform":{"architecture":"arm64","os":"linux","variant":"v8"}},{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:…0006","size":8,"platform":{"architecture":"unknown","os":"unknown"},"annotations":{"vnd.docker.reference.digest":"sha256:…0005","vnd.docker.reference.type":"attestation-manifest"}}]}"#
            ]],
        );
        check(
            &[image("linux/amd64", 3, INDEX, &own)],
            &expect![
                "the build for linux/amd64 pushed an index, sha256:…0003, without an image for linux/amd64"
            ],
        );
        check(
            &[image("linux/amd64", 3, INDEX, "no JSON")],
            &expect!["reading the manifest sha256:…0003 for linux/amd64"],
        );
    }
}

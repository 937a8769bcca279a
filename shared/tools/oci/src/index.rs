//! The index that joins the images of several platforms under one digest (OCI image specification).

use std::collections::BTreeMap;

use oci_spec::image::{Descriptor, SCHEMA_VERSION};
use serde::Serialize;

use crate::{Digest, Document, DocumentError, ManifestKind, NameError, Platform, digest_of};

/// The annotation that names the image of a manifest, as in buildkit's attestations.
const ABOUT: &str = "vnd.docker.reference.digest";

/// The image of one platform in the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformImage {
    /// `os/architecture`, with a variant if there is one.
    pub platform: String,
    pub digest: Digest,
    pub media_type: String,
    /// The text of its manifest, or of its index if it has attestations.
    pub manifest: String,
}

/// Why there is no index.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The name of a platform is invalid.
    #[error(transparent)]
    Platform(#[from] NameError),
    /// The registry's content is not an image.
    #[error("reading the manifest {digest} for {platform}")]
    Unreadable {
        platform: String,
        digest: Digest,
        /// What is wrong with it.
        #[source]
        cause: DocumentError,
    },
    /// The index that was built for a platform has no image for it.
    #[error("the build for {platform} pushed an index, {digest}, without an image for {platform}")]
    OtherPlatform { platform: String, digest: Digest },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The digest of its bytes.
    pub digest: Digest,
    pub text: String,
}

/// The written form of an index. The order of its properties decides its digest; the types of
/// `oci-spec` would print annotations in any order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    schema_version: u32,
    media_type: &'static str,
    manifests: Vec<Entry>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<EntryPlatform>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

/// Like [`Platform`], the architecture first.
#[derive(Serialize)]
struct EntryPlatform {
    architecture: String,
    os: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<String>,
}

impl From<Platform> for EntryPlatform {
    fn from(platform: Platform) -> Self {
        let Platform {
            os,
            architecture,
            variant,
        } = platform;
        Self {
            architecture,
            os,
            variant,
        }
    }
}

impl TryFrom<&Descriptor> for Entry {
    type Error = NameError;

    fn try_from(descriptor: &Descriptor) -> Result<Self, NameError> {
        let platform = descriptor.platform().as_ref().map(Platform::from);
        let annotations = descriptor.annotations().clone().unwrap_or_default();
        Ok(Self {
            media_type: descriptor.media_type().to_string(),
            digest: digest_of(descriptor)?,
            size: descriptor.size(),
            platform: platform.map(EntryPlatform::from),
            annotations: annotations.into_iter().collect(),
        })
    }
}

/// The index of images, in the order given: always the same bytes for the same images.
///
/// An image with an index of its own, because buildkit added attestations, is taken out of it
/// together with them: clients that pull by platform do not look into nested indexes.
///
/// # Errors
/// When an image cannot be read, or is not for its platform.
pub fn index(images: &[PlatformImage]) -> Result<Index, IndexError> {
    let mut manifests = Vec::new();
    for image in images {
        manifests.extend(entries(image)?);
    }
    let written = Written {
        schema_version: SCHEMA_VERSION,
        media_type: ManifestKind::OciIndex.as_str(),
        manifests,
    };
    let text = serde_json::to_string(&written).expect("texts and numbers become JSON");
    let digest = Digest::of(text.as_bytes());
    Ok(Index { digest, text })
}

fn entries(image: &PlatformImage) -> Result<Vec<Entry>, IndexError> {
    let wanted: Platform = image.platform.parse()?;
    let kind = image.media_type.parse::<ManifestKind>();
    if !kind.is_ok_and(ManifestKind::is_index) {
        return Ok(vec![Entry {
            media_type: image.media_type.clone(),
            digest: image.digest.clone(),
            size: image.manifest.len() as u64,
            platform: Some(wanted.into()),
            annotations: BTreeMap::new(),
        }]);
    }
    let unreadable = |cause| IndexError::Unreadable {
        platform: image.platform.clone(),
        digest: image.digest.clone(),
        cause,
    };
    let document = Document::read(image.manifest.as_bytes()).map_err(unreadable)?;
    let Document::Index(own) = document else {
        return Err(unreadable(DocumentError::Mixed));
    };
    let offer = |child| Some((Platform::from(Descriptor::platform(child).as_ref()?), child));
    let offers: Vec<(Platform, &Descriptor)> = own.manifests().iter().filter_map(offer).collect();
    let Some(found) = wanted.choose(&offers) else {
        return Err(IndexError::OtherPlatform {
            platform: image.platform.clone(),
            digest: image.digest.clone(),
        });
    };
    let about = |child: &&Descriptor| {
        let annotations = child.annotations().as_ref();
        let about = annotations.and_then(|annotations| annotations.get(ABOUT));
        about.map(String::as_str) == Some(found.digest().as_ref())
    };
    let beside = own.manifests().iter().filter(about);
    std::iter::once(*found)
        .chain(beside)
        .map(|child| Entry::try_from(child).map_err(|cause| unreadable(cause.into())))
        .collect()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    const IMAGE: &str = ManifestKind::OciManifest.as_str();
    const INDEX: &str = ManifestKind::OciIndex.as_str();

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
            r#"{{"schemaVersion":2,"manifests":[
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

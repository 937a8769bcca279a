//! A finished image, and its assembly.

use std::collections::HashMap;
use std::path::Path;

use bytes::Bytes;
use tokio::task::spawn_blocking;
use towline_oci::spec::{ImageManifestBuilder, MediaType, SCHEMA_VERSION};
use towline_oci::{Digest, Platform, canonical, descriptor, digest_of};

use crate::base::{self, Base};
use crate::config;
use crate::error::PackError;
use crate::layer::{self, Layer};
use crate::plan::ImagePlan;

/// The annotation with a manifest's base image (OCI image specification, "Pre-Defined Annotation Keys").
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

/// An image that is ready to be pushed. Its layer is in an unnamed temporary file, which is removed with it.
#[derive(Debug, Clone)]
pub struct Image {
    pub(crate) manifest: Bytes,
    pub(crate) digest: Digest,
    pub(crate) config: Bytes,
    pub(crate) config_digest: Digest,
    pub(crate) layer: Layer,
    pub(crate) base: Option<Base>,
    pub(crate) platform: Platform,
}

/// Assembles the image that `plan` describes. Equal input gives an equal digest.
///
/// The compressed layer goes to an unnamed file in the folder `scratch`; the machine's folder
/// for temporary files will do. A base's manifest and configuration are read from its
/// registry, its layers are not.
///
/// # Errors
///
/// Refuses a plan that breaks a rule, a folder that is missing or has nothing to pack, links
/// that leave it, devices, pipes and sockets, names of whiteouts, and a base for another platform.
pub async fn assemble(plan: &ImagePlan, scratch: &Path) -> Result<Image, PackError> {
    plan.check()?;
    let base = match &plan.base {
        Some(reference) => Some(base::read(reference, &plan.platform).await?),
        None => None,
    };
    let (its_plan, its_scratch) = (plan.clone(), scratch.to_owned());
    let layer = spawn_blocking(move || layer::write(&its_plan, &its_scratch))
        .await
        .map_err(PackError::Interrupted)??;
    Ok(finish(plan, base, layer))
}

impl Image {
    /// The digest of the manifest, which identifies the image.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The manifest, byte for byte as it is pushed.
    #[must_use]
    pub fn manifest(&self) -> &[u8] {
        &self.manifest
    }

    /// The configuration, byte for byte as it is pushed.
    #[must_use]
    pub fn config(&self) -> &[u8] {
        &self.config
    }

    /// The digest of the configuration, which Docker calls the image's id.
    #[must_use]
    pub fn config_digest(&self) -> &Digest {
        &self.config_digest
    }

    /// Digest and compressed size in bytes of every layer, the base's first.
    #[must_use]
    pub fn layers(&self) -> Vec<(Digest, u64)> {
        let below = self.base.iter().flat_map(|base| &base.layers);
        let below = below.filter_map(|layer| Some((digest_of(layer).ok()?, layer.size())));
        below
            .chain([(self.layer.digest.clone(), self.layer.size)])
            .collect()
    }

    /// The compressed size of all layers, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.layers().iter().map(|(_, size)| size).sum()
    }
}

fn finish(plan: &ImagePlan, base: Option<Base>, layer: Layer) -> Image {
    let config = config::write(plan, base.as_ref().map(|base| &base.config), &layer.diff_id);
    let config_digest = Digest::of(&config);
    let manifest = manifest(&config, &config_digest, base.as_ref(), &layer);
    Image {
        digest: Digest::of(&manifest),
        manifest: manifest.into(),
        config: config.into(),
        config_digest,
        layer,
        base,
        platform: plan.platform.clone(),
    }
}

fn manifest(config: &[u8], config_digest: &Digest, base: Option<&Base>, layer: &Layer) -> Vec<u8> {
    let mut layers = base.map(|base| base.layers.clone()).unwrap_or_default();
    layers.push(descriptor(
        MediaType::ImageLayerGzip,
        &layer.digest,
        layer.size,
    ));
    let config = descriptor(MediaType::ImageConfig, config_digest, config.len() as u64);
    let mut manifest = ImageManifestBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageManifest)
        .config(config)
        .layers(layers)
        .build()
        .expect("everything a manifest must have is set above");
    manifest.set_annotations(
        base.map(|base| {
            HashMap::from([(BASE_DIGEST.to_owned(), base.reference.digest.to_string())])
        }),
    );
    canonical(&manifest)
}

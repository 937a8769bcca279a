//! Writes an image to a folder, in the layout that other tools read.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use oci_client::RegistryOperation;
use tokio::fs;
use tokio::io::AsyncWriteExt;
use tokio::task::spawn_blocking;
use towline_oci::spec::{ImageIndex, MediaType, OciLayoutBuilder, SCHEMA_VERSION};
use towline_oci::{Digest, canonical, descriptor, digest_of};

use crate::base::{self, Base};
use crate::client;
use crate::error::{PackError, Refusal};
use crate::image::Image;
use crate::layer::Layer;

/// Writes an image to a folder as an OCI image layout, which `skopeo` and others read.
///
/// The folder is made if it is missing. A base's layers are read from its registry. The
/// index, without which the folder is no layout, is written last.
///
/// # Errors
///
/// Refuses a folder that already holds something.
pub async fn write_layout(image: &Image, folder: &Path) -> Result<(), PackError> {
    let blobs = folder.join("blobs").join("sha256");
    refuse_used(folder).await?;
    fs::create_dir_all(&blobs)
        .await
        .map_err(PackError::file("make", &blobs))?;
    if let Some(base) = &image.base {
        base_layers(base, &blobs).await?;
    }
    layer(&image.layer, blobs.join(image.layer.digest.hex())).await?;
    write(&blobs.join(image.config_digest.hex()), &image.config).await?;
    write(&blobs.join(image.digest.hex()), &image.manifest).await?;
    write(&folder.join("oci-layout"), &marker()).await?;
    write(&folder.join("index.json"), &index(image)).await
}

async fn refuse_used(folder: &Path) -> Result<(), PackError> {
    let mut entries = match fs::read_dir(folder).await {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        other => other.map_err(PackError::file("list", folder))?,
    };
    match entries
        .next_entry()
        .await
        .map_err(PackError::file("list", folder))?
    {
        Some(_) => Err(Refusal::path(folder, "is not empty; name a new folder").into()),
        None => Ok(()),
    }
}

async fn base_layers(base: &Base, blobs: &Path) -> Result<(), PackError> {
    let registry = &base.reference.registry;
    let client = client::connect(registry)?;
    let place = base.reference.at(&base.reference.digest);
    client::sign_in(&client, registry, &place, RegistryOperation::Pull).await?;
    let mut done = BTreeSet::new();
    for layer in &base.layers {
        let Ok(digest) = digest_of(layer) else {
            continue;
        };
        if !done.insert(digest.clone()) {
            continue;
        }
        let path = blobs.join(digest.hex());
        let cannot_write = || PackError::file("write", &path);
        let mut file = fs::File::create_new(&path).await.map_err(cannot_write())?;
        base::copy_layer(&client, &base.reference, layer, &mut file).await?;
        file.flush().await.map_err(cannot_write())?;
    }
    Ok(())
}

async fn layer(layer: &Layer, path: PathBuf) -> Result<(), PackError> {
    let source = layer.file.clone();
    let copied =
        spawn_blocking(move || copy(&source, &path).map_err(PackError::file("write", &path)));
    copied.await.map_err(PackError::Interrupted)?
}

/// Copies by position, because the file's own position is shared.
fn copy(source: &File, path: &Path) -> io::Result<()> {
    let target = File::create_new(path)?;
    let mut piece = vec![0; 256 * 1024];
    let mut offset = 0;
    loop {
        let read = source.read_at(&mut piece, offset)?;
        if read == 0 {
            return Ok(());
        }
        target.write_all_at(&piece[..read], offset)?;
        offset += read as u64;
    }
}

async fn write(path: &Path, bytes: &[u8]) -> Result<(), PackError> {
    fs::write(path, bytes)
        .await
        .map_err(PackError::file("write", path))
}

fn marker() -> Vec<u8> {
    let layout = OciLayoutBuilder::default()
        .image_layout_version("1.0.0")
        .build();
    canonical(&layout.expect("the version is all there is to set"))
}

fn index(image: &Image) -> Vec<u8> {
    let digest: &Digest = &image.digest;
    let mut entry = descriptor(
        MediaType::ImageManifest,
        digest,
        image.manifest.len() as u64,
    );
    entry.set_platform(Some((&image.platform).into()));
    let mut index = ImageIndex::default();
    index.set_schema_version(SCHEMA_VERSION);
    index.set_media_type(Some(MediaType::ImageIndex));
    index.set_manifests(vec![entry]);
    canonical(&index)
}

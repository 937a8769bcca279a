//! The contract of a registry.

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde_json::json;
use towline_domain::names::{Digest, ImageRepository, Tag};
use towline_oci::ManifestKind;

use crate::{Images, PutTagError, RegistryImage};

const INDEX: &str = ManifestKind::OciIndex.as_str();

/// The only repository that exists.
pub const IMAGE_REPOSITORY: &str = "acme/shop";

/// A registry, and pushes of builds to it.
#[async_trait]
pub trait ImagesWorld: Send + Sync {
    /// The registry; it is empty at first.
    fn images(&self) -> &dyn Images;

    /// Pushes an image with one layer, and returns its manifest.
    async fn push(&self, repository: &ImageRepository, tag: &Tag, layer: &str) -> String;
}

/// Panics unless a registry keeps the contract of [`Images`].
pub async fn images(world: &dyn ImagesWorld) {
    let shop: ImageRepository = IMAGE_REPOSITORY.parse().expect("a repository");
    nothing_is_there_before_it_is_pushed(world, &shop).await;
    let one = pushed(world, &shop, "one").await;
    let two = pushed(world, &shop, "two").await;
    assert_ne!(one, two, "two images");
    a_tag_moves_to_what_is_there(world, &shop, &one, &two).await;
    an_index_is_put_when_all_its_images_are_there(world, &shop, &one, &two).await;
}

fn tag(text: &str) -> Tag {
    text.parse().expect("a tag")
}

async fn under(world: &dyn ImagesWorld, repository: &ImageRepository, tag: &Tag) -> Option<Digest> {
    let found = world.images().by_tag(repository, tag).await;
    found.expect("it answers").map(|image| image.digest)
}

async fn nothing_is_there_before_it_is_pushed(world: &dyn ImagesWorld, shop: &ImageRepository) {
    let (images, absent) = (world.images(), Digest::of(b"absent"));
    assert_eq!(under(world, shop, &tag("one")).await, None);
    let manifest = images.manifest(shop, &absent).await;
    assert_eq!(manifest.expect("it answers"), None);
    let tagged = images.put_tag(shop, &absent, &tag("one")).await;
    assert!(matches!(tagged, Err(PutTagError::Gone)), "{tagged:?}");
}

/// An image is found by its tag, and its manifest by its digest, byte for byte.
async fn pushed(world: &dyn ImagesWorld, shop: &ImageRepository, name: &str) -> Digest {
    let manifest = world.push(shop, &tag(name), name).await;
    let digest = Digest::of(manifest.as_bytes());
    assert_eq!(under(world, shop, &tag(name)).await.as_ref(), Some(&digest));
    let stored = world.images().manifest(shop, &digest).await;
    let stored = stored.expect("it answers").expect("it was pushed");
    assert_eq!(stored.text, manifest);
    digest
}

async fn a_tag_moves_to_what_is_there(
    world: &dyn ImagesWorld,
    shop: &ImageRepository,
    one: &Digest,
    two: &Digest,
) {
    let (images, prod) = (world.images(), tag("prod"));
    for digest in [one, one, two] {
        let put = images.put_tag(shop, digest, &prod).await;
        put.expect("the image is there");
        assert_eq!(under(world, shop, &prod).await.as_ref(), Some(digest));
    }
    let gone = images.put_tag(shop, &Digest::of(b"absent"), &prod).await;
    assert!(matches!(gone, Err(PutTagError::Gone)), "{gone:?}");
    assert_eq!(under(world, shop, &prod).await.as_ref(), Some(two));
    assert_eq!(under(world, shop, &tag("one")).await.as_ref(), Some(one));
    let other: ImageRepository = "acme/other".parse().expect("a repository");
    let elsewhere = images.put_tag(&other, one, &prod).await;
    assert!(
        matches!(elsewhere, Err(PutTagError::Gone)),
        "an image is in its repository alone: {elsewhere:?}"
    );
}

async fn an_index_is_put_when_all_its_images_are_there(
    world: &dyn ImagesWorld,
    shop: &ImageRepository,
    one: &Digest,
    two: &Digest,
) {
    let (images, all) = (world.images(), tag("all"));
    let size = async |digest: &Digest| {
        let stored = images.manifest(shop, digest).await.expect("it answers");
        stored.map_or(1, |stored| stored.text.len())
    };
    let index = async |other: &Digest| {
        let (first, second) = (size(one).await, size(other).await);
        let child = |digest: &Digest, size: usize, architecture: &str| {
            json!({
                "mediaType": ManifestKind::OciManifest.as_str(),
                "digest": digest,
                "size": size,
                "platform": {"os": "linux", "architecture": architecture},
            })
        };
        let manifests = [child(one, first, "amd64"), child(other, second, "arm64")];
        json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).to_string()
    };
    let text = index(two).await;
    let digest = Digest::of(text.as_bytes());
    for _ in 0..2 {
        let put = images.put_index(shop, &text, &all).await;
        assert_eq!(put.expect("all is there"), digest);
    }
    let found = images.by_tag(shop, &all).await.expect("it answers");
    let RegistryImage {
        digest: found,
        media_type,
        platforms,
        ..
    } = found.expect("it was put");
    let platforms: BTreeSet<&str> = platforms.iter().map(String::as_str).collect();
    assert_eq!((&found, media_type.as_str()), (&digest, INDEX));
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"].into());

    let broken = index(&Digest::of(b"absent")).await;
    let put = images.put_index(shop, &broken, &all).await;
    assert!(matches!(put, Err(PutTagError::Gone)), "{put:?}");
    assert_eq!(under(world, shop, &all).await, Some(digest));
}

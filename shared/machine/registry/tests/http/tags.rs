//! Tags, lists, and the events of what is pushed.

use std::ops::Range;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time::timeout;
use towline_oci::{Digest, ImageRepository, Reference, Tag};
use towline_registry::{PutTag, RegistryError};

use crate::support::{OCI_MANIFEST, Served, assert_has, header, refusal, serve};

fn names(tags: &[&str]) -> (ImageRepository, Vec<Tag>) {
    let tags = tags.iter().map(|tag| tag.parse().unwrap()).collect();
    ("team/app".parse().unwrap(), tags)
}

/// The events there are, as `<tag> <first hex digits of the digest>`.
async fn events(served: &Served) -> Vec<String> {
    let events = served.registry.next_events(0, 100).await.unwrap();
    events
        .iter()
        .map(|event| {
            let tag = event.tag.as_ref().map_or("-", Tag::as_str);
            format!("{tag} {}", &event.digest.hex()[..8])
        })
        .collect()
}

async fn forget(served: &Served, ids: Range<i64>) {
    for id in ids {
        served.registry.forget_event(id).await.unwrap();
    }
}

fn short(manifest: &[u8]) -> String {
    Digest::of(manifest).hex()[..8].to_owned()
}

#[tokio::test]
async fn every_push_leaves_an_event_and_wakes_whoever_waits() {
    let served = serve().await;
    let first = served.push_image("team/app", "v1", "first").await;
    timeout(Duration::from_secs(10), served.registry.pushed().notified())
        .await
        .unwrap();
    let second = served.push_image("team/app", "v1", "second").await;
    served.push_image("team/app", "DIGEST", "first").await;
    served.push_image("team/app", "v1", "second").await;
    let (first, second) = (short(&first), short(&second));
    assert_eq!(
        events(&served).await,
        [
            format!("v1 {first}"),
            format!("v1 {second}"),
            format!("- {first}"),
            format!("v1 {second}"),
        ]
    );
    let page = served.registry.next_events(1, 2).await.unwrap();
    let ids: Vec<i64> = page.iter().map(|event| event.id).collect();
    assert_eq!(ids, [2, 3]);
    forget(&served, 1..4).await;
    assert_eq!(events(&served).await, [format!("v1 {second}")]);
    forget(&served, 4..5).await;
    served.push_image("team/app", "v1", "first").await;
    let after = served.registry.next_events(4, 9).await.unwrap();
    assert_eq!(after[0].id, 5, "an id was given twice");
}

#[tokio::test]
async fn a_tag_is_put_on_stored_bytes_and_says_where_it_was() {
    let served = serve().await;
    let first = Digest::of(&served.push_image("team/app", "v1", "first").await);
    let second = Digest::of(&served.push_image("team/app", "v2", "second").await);
    forget(&served, 1..9).await;
    let (repository, tags) = names(&["prod", "v1", "v2"]);
    let [prod, ..] = &tags[..] else {
        unreachable!()
    };
    let registry = &served.registry;
    for (digest, expected) in [
        (&first, PutTag::Moved { from: None }),
        (&first, PutTag::AlreadySo),
        (
            &second,
            PutTag::Moved {
                from: Some(first.clone()),
            },
        ),
    ] {
        let put = registry.put_tag(&repository, digest, prod).await.unwrap();
        assert_eq!(put, expected);
    }
    assert_eq!(
        events(&served).await,
        [
            format!("prod {}", &first.hex()[..8]),
            format!("prod {}", &second.hex()[..8]),
        ]
    );
    // Two tags of one digest, both ways round.
    let reference = Reference::Digest(second.clone());
    let read = registry.read(&repository, &reference);
    assert_eq!(
        read.await.unwrap().unwrap().tags,
        [tags[0].clone(), tags[2].clone()]
    );
    let pointed: Vec<(Tag, Digest)> = registry
        .tags(&repository)
        .await
        .unwrap()
        .into_iter()
        .map(|it| (it.tag, it.digest))
        .collect();
    let digests = [second.clone(), first, second];
    assert_eq!(
        pointed,
        tags.iter().cloned().zip(digests).collect::<Vec<_>>()
    );

    let unknown = Digest::of(b"unknown");
    let error = registry
        .put_tag(&repository, &unknown, prod)
        .await
        .unwrap_err();
    assert!(
        matches!(error, RegistryError::ManifestUnknown { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_deleted_tag_leaves_the_image() {
    let served = serve().await;
    let image = served.push_image("team/app", "v1", "layer").await;
    let (repository, tags) = names(&["v1"]);
    let deleted = served.delete("/v2/team/app/manifests/v1").await;
    assert_eq!(deleted.status(), StatusCode::ACCEPTED);
    assert_eq!(
        served.get("/v2/team/app/manifests/v1").await.status(),
        StatusCode::NOT_FOUND
    );
    let by_digest = format!("/v2/team/app/manifests/{}", Digest::of(&image));
    assert_eq!(served.get(&by_digest).await.bytes().await.unwrap(), image);
    assert!(
        !served
            .registry
            .delete_tag(&repository, &tags[0])
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn lists_come_in_order_and_in_pages() {
    let served = serve().await;
    for tag in ["b", "a", "C", "_"] {
        served.push_image("team/app", tag, "layer").await;
    }
    served.push_image("other", "x", "layer").await;
    for (path, list, expected, link) in [
        (
            "/v2/team/app/tags/list",
            "tags",
            json!(["C", "_", "a", "b"]),
            "",
        ),
        (
            "/v2/team/app/tags/list?n=3",
            "tags",
            json!(["C", "_", "a"]),
            "</v2/team/app/tags/list?n=3&last=a>; rel=\"next\"",
        ),
        (
            "/v2/team/app/tags/list?n=3&last=a",
            "tags",
            json!(["b"]),
            "",
        ),
        ("/v2/team/app/tags/list?n=0", "tags", json!([]), ""),
        (
            "/v2/team/app/tags/list?n=4",
            "tags",
            json!(["C", "_", "a", "b"]),
            "",
        ),
        (
            "/v2/_catalog",
            "repositories",
            json!(["other", "team/app"]),
            "",
        ),
        (
            "/v2/_catalog?n=1",
            "repositories",
            json!(["other"]),
            "</v2/_catalog?n=1&last=other>; rel=\"next\"",
        ),
    ] {
        let response = served.get(path).await;
        assert_eq!(header(&response, "link"), link, "{path}");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body[list], expected, "{path}");
    }
    let unknown = served.get("/v2/team/none/tags/list").await;
    assert_has(&refusal(unknown).await, "404 NAME_UNKNOWN");
    let bad = served.get("/v2/_catalog?n=many").await;
    assert_has(&refusal(bad).await, "400 PAGINATION_NUMBER_INVALID");
}

#[tokio::test]
async fn s1_each_repository_has_its_own_line_of_events() {
    let served = serve().await;
    for (repository, tag) in [
        ("team/a", "v1"),
        ("team/a", "v2"),
        ("team/b", "v1"),
        ("team/a", "v3"),
        ("team/c", "v1"),
    ] {
        served.push_image(repository, tag, repository).await;
    }
    let first = async |limit| {
        let events = served.registry.first_events(limit).await.unwrap();
        let events = events
            .iter()
            .map(|event| (event.id, event.repository.to_string()));
        let events = events.map(|(id, repository)| format!("{id} {repository}"));
        events.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(first(9).await, "1 team/a, 3 team/b, 5 team/c");
    assert_eq!(first(2).await, "1 team/a, 3 team/b");
    served
        .registry
        .set_event_aside(1, "it is odd")
        .await
        .unwrap();
    served.registry.forget_event(3).await.unwrap();
    assert_eq!(first(9).await, "2 team/a, 5 team/c");
    let aside = towline_registry::set_aside(served.dir.path()).unwrap();
    let aside = aside.iter().map(|event| {
        let tag = event.tag.as_ref().map_or("-", Tag::as_str);
        format!("{}:{tag} {}", event.repository, event.reason)
    });
    assert_eq!(aside.collect::<Vec<_>>(), ["team/a:v1 it is odd"]);
}

#[tokio::test]
async fn s1_an_image_has_at_most_1000_tags() {
    let served = serve().await;
    let manifest = served.push_image("team/app", "t0", "layer").await;
    let (repository, _) = names(&[]);
    let digest = Digest::of(&manifest);
    for number in 1..1_000 {
        let tag = format!("t{number}").parse().unwrap();
        served
            .registry
            .put_tag(&repository, &digest, &tag)
            .await
            .unwrap();
    }
    let put = async |reference: &str| {
        let path = format!("/v2/team/app/manifests/{reference}");
        served
            .put_manifest(&path, OCI_MANIFEST, manifest.clone())
            .await
    };
    assert_has(&refusal(put("one-more").await).await, "403 DENIED: sha256:");
    assert_has(
        &refusal(put("one-more").await).await,
        "already has 1000 tags in team/app, the maximum for one image",
    );
    assert_eq!(put("t999").await.status(), StatusCode::CREATED);
    assert_eq!(put(digest.as_str()).await.status(), StatusCode::CREATED);
}

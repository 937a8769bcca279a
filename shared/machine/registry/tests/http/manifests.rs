//! Manifests: what is accepted, what is refused, what is returned.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use towline_oci::{Digest, Reference};

use crate::support::{
    DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, assert_has, header, manifest, refusal,
    serve,
};

#[tokio::test]
async fn every_kind_of_manifest_comes_back_byte_for_byte_by_tag_and_by_digest() {
    let served = serve().await;
    let image = served.image("team/app", "layer", "arm64").await;
    let child = Digest::of(&image);
    let index = json!({ "schemaVersion": 2, "manifests": [{
        "mediaType": OCI_MANIFEST, "digest": child.as_str(), "size": image.len() }] });
    let index = format!("  {index}\n").into_bytes();
    for (media_type, bytes) in [
        (OCI_MANIFEST, &image),
        (DOCKER_MANIFEST, &image),
        (OCI_INDEX, &index),
        (DOCKER_LIST, &index),
    ] {
        let path = "/v2/team/app/manifests/v1";
        let digest = Digest::of(bytes);
        let by_digest = format!("/v2/team/app/manifests/{digest}");
        let put = served.put_manifest(path, media_type, bytes.clone()).await;
        assert_eq!(put.status(), StatusCode::CREATED, "{media_type}");
        assert_eq!(header(&put, "docker-content-digest"), digest.as_str());
        assert_eq!(header(&put, "location"), by_digest);
        for path in [path, &by_digest] {
            let head = served.head(path).await;
            assert_eq!(header(&head, "content-length"), bytes.len().to_string());
            let got = served.get(path).await;
            for response in [&head, &got] {
                assert_eq!(header(response, "content-type"), media_type);
                assert_eq!(header(response, "docker-content-digest"), digest.as_str());
            }
            assert_eq!(got.bytes().await.unwrap(), bytes);
        }
    }
}

#[tokio::test]
async fn an_index_knows_its_size_and_platforms() {
    let served = serve().await;
    let mut entries = Vec::new();
    for (layer, architecture) in [("four", "amd64"), ("sixsix", "arm64")] {
        let image = served.image("team/app", layer, architecture).await;
        let digest = Digest::of(&image);
        let path = format!("/v2/team/app/manifests/{digest}");
        served
            .put_manifest(&path, OCI_MANIFEST, image.clone())
            .await;
        entries.push(json!({
            "mediaType": OCI_MANIFEST, "digest": digest.as_str(), "size": image.len() }));
    }
    let mut attestation = entries[0].clone();
    attestation["platform"] = json!({ "os": "unknown", "architecture": "unknown" });
    entries[1]["platform"] = json!({ "os": "linux", "architecture": "arm64", "variant": "v8" });
    entries.push(attestation);
    let index = json!({ "schemaVersion": 2, "manifests": entries }).to_string();
    let put = served
        .put_manifest("/v2/team/app/manifests/multi", OCI_INDEX, index.clone())
        .await;
    assert_eq!(put.status(), StatusCode::CREATED);

    let repository = "team/app".parse().unwrap();
    let reference = Reference::Tag("multi".parse().unwrap());
    let read = served.registry.read(&repository, &reference).await;
    let read = read.unwrap().unwrap();
    let platforms: Vec<String> = read.platforms.iter().map(ToString::to_string).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64/v8"]);
    assert_eq!(read.size_bytes, 4 + 6 + 4);
    assert_eq!(read.bytes, index);
    assert_eq!(read.media_type, OCI_INDEX);
    assert_eq!(read.pushed_at_ms, 1_000_000);
}

#[tokio::test]
async fn an_image_knows_its_platform_from_its_config() {
    let served = serve().await;
    let image = served.push_image("team/app", "v1", "layer").await;
    let repository = "team/app".parse().unwrap();
    let reference = Reference::Digest(Digest::of(&image));
    let read = served.registry.read(&repository, &reference).await;
    let read = read.unwrap().unwrap();
    assert_eq!(read.platforms[0].to_string(), "linux/amd64");
    assert_eq!(read.size_bytes, 5);
}

#[tokio::test]
async fn a_manifest_is_refused_until_all_it_refers_to_is_there() {
    let served = serve().await;
    let there = served.push_blob("team/app", "{}").await;
    let elsewhere = served.push_blob("team/other", "elsewhere").await;
    let nowhere = Digest::of(b"nowhere");
    let index = |digest: &Digest| {
        json!({ "schemaVersion": 2, "manifests": [{
            "mediaType": OCI_MANIFEST, "digest": digest.as_str(), "size": 1 }] })
        .to_string()
        .into_bytes()
    };
    let unknown = |digest: &Digest| {
        format!(
            "400 MANIFEST_BLOB_UNKNOWN: the manifest refers to {digest}, which repository team/app"
        )
    };
    let other = Digest::of(b"other");
    for (path, media_type, bytes, expected) in [
        (
            "v1",
            OCI_MANIFEST,
            manifest((&nowhere, 7), &[]),
            unknown(&nowhere),
        ),
        (
            "v1",
            OCI_MANIFEST,
            manifest((&there, 2), &[(&elsewhere, 9)]),
            unknown(&elsewhere),
        ),
        ("v1", OCI_INDEX, index(&nowhere), unknown(&nowhere)),
        // A blob is not a manifest, even with the right digest.
        ("v1", OCI_INDEX, index(&there), unknown(&there)),
        (
            "v1",
            OCI_MANIFEST,
            manifest((&there, 3), &[]),
            "400 MANIFEST_INVALID: the manifest says that".to_owned(),
        ),
        (
            other.as_str(),
            OCI_MANIFEST,
            manifest((&there, 2), &[]),
            "400 DIGEST_INVALID".to_owned(),
        ),
        (
            "v1",
            "text/html",
            manifest((&there, 2), &[]),
            "400 MANIFEST_INVALID".to_owned(),
        ),
        (
            "v1",
            OCI_MANIFEST,
            b"[]".to_vec(),
            "400 MANIFEST_INVALID".to_owned(),
        ),
        (
            "v1",
            OCI_MANIFEST,
            vec![b' '; (4 << 20) + 1],
            "413 MANIFEST_INVALID".to_owned(),
        ),
    ] {
        let path = format!("/v2/team/app/manifests/{path}");
        let response = served.put_manifest(&path, media_type, bytes).await;
        assert_has(&refusal(response).await, &expected);
    }
    let v1 = served.get("/v2/team/app/manifests/v1").await;
    assert_has(
        &refusal(v1).await,
        "404 MANIFEST_UNKNOWN: repository team/app has no manifest v1",
    );
    assert_eq!(served.registry.next_events(0, 10).await.unwrap(), []);
}

#[tokio::test]
async fn a_manifest_of_exactly_four_mebibytes_is_taken() {
    let served = serve().await;
    let config = served.push_blob("team/app", "{}").await;
    let mut bytes = manifest((&config, 2), &[]);
    bytes.resize(4 << 20, b' ');
    let path = "/v2/team/app/manifests/v1";
    let put = served.put_manifest(path, OCI_MANIFEST, bytes.clone()).await;
    assert_eq!(put.status(), StatusCode::CREATED);
    assert_eq!(served.get(path).await.bytes().await.unwrap(), bytes);
}

#[tokio::test]
async fn a_manifest_an_index_lists_is_not_deleted() {
    let served = serve().await;
    let image = served.push_image("team/app", "child", "layer").await;
    let child = Digest::of(&image);
    let index = json!({ "schemaVersion": 2, "manifests": [{
        "mediaType": OCI_MANIFEST, "digest": child.as_str(), "size": image.len() }] });
    let index = index.to_string();
    served
        .put_manifest("/v2/team/app/manifests/multi", OCI_INDEX, index.clone())
        .await;
    let path = |digest: &Digest| format!("/v2/team/app/manifests/{digest}");
    let refused = served.delete(&path(&child)).await;
    assert_has(&refusal(refused).await, "409 DENIED");
    for digest in [&Digest::of(index.as_bytes()), &child] {
        let deleted = served.delete(&path(digest)).await;
        assert_eq!(deleted.status(), StatusCode::ACCEPTED);
        let again = served.delete(&path(digest)).await;
        assert_has(&refusal(again).await, "404 MANIFEST_UNKNOWN");
    }
    let tags: Value = served
        .get("/v2/team/app/tags/list")
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(tags["tags"], json!([]));
}

#[tokio::test]
async fn what_is_about_an_image_is_listed_with_it() {
    let served = serve().await;
    let subject = Digest::of(b"a manifest that need not be there");
    let config = served.push_blob("team/app", "{}").await;
    let mut digests = Vec::new();
    for kind in ["application/x-sbom", "application/x-signature"] {
        let mut document: Value = serde_json::from_slice(&manifest((&config, 2), &[])).unwrap();
        document["config"]["mediaType"] = json!("application/vnd.oci.empty.v1+json");
        document["artifactType"] = json!(kind);
        document["annotations"] = json!({ "made.by": "test" });
        document["subject"] =
            json!({ "mediaType": OCI_MANIFEST, "digest": subject.as_str(), "size": 9 });
        let bytes = document.to_string();
        let digest = Digest::of(bytes.as_bytes());
        let path = format!("/v2/team/app/manifests/{digest}");
        let put = served
            .put_manifest(&path, OCI_MANIFEST, bytes.clone())
            .await;
        assert_eq!(header(&put, "oci-subject"), subject.as_str());
        digests.push((digest, kind, bytes.len()));
    }
    let path = format!("/v2/team/app/referrers/{subject}");
    let all = served.get(&path).await;
    assert_eq!(header(&all, "content-type"), OCI_INDEX);
    let all: Value = all.json().await.unwrap();
    assert_eq!(all["manifests"].as_array().unwrap().len(), 2);

    let (digest, kind, size) = &digests[0];
    let filtered = served
        .ask(Method::GET, &format!("{path}?artifactType={kind}"))
        .send()
        .await
        .unwrap();
    assert_eq!(header(&filtered, "oci-filters-applied"), "artifactType");
    let filtered: Value = filtered.json().await.unwrap();
    assert_eq!(
        filtered["manifests"],
        json!([{ "mediaType": OCI_MANIFEST, "digest": digest.as_str(), "size": size,
                 "artifactType": kind, "annotations": { "made.by": "test" } }])
    );
    let none: Value = served
        .get(&format!("/v2/team/none/referrers/{subject}"))
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(none["manifests"], json!([]));
}

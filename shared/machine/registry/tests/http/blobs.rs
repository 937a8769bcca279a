//! Blobs: pushed in every way, read back in every way.

use std::fs;
use std::path::Path;

use futures::future::join_all;
use reqwest::{Method, Response, StatusCode};
use towline_oci::Digest;
use towline_registry::Settings;

use crate::support::{Served, assert_has, header, refusal, serve, serve_with};

async fn patch(served: &Served, upload: &str, range: &str, bytes: &str) -> Response {
    let request = served.ask(Method::PATCH, upload).body(bytes.to_owned());
    let request = match range {
        "" => request,
        _ => request.header("content-range", range),
    };
    request.send().await.unwrap()
}

async fn finish(served: &Served, upload: &str, digest: &Digest, rest: &str) -> Response {
    served
        .ask(Method::PUT, &format!("{upload}?digest={digest}"))
        .body(rest.to_owned())
        .send()
        .await
        .unwrap()
}

async fn read(served: &Served, repository: &str, digest: &Digest) -> String {
    let path = format!("/v2/{repository}/blobs/{digest}");
    served.get(&path).await.text().await.unwrap()
}

#[tokio::test]
async fn a_blob_comes_in_chunks_and_out_whole() {
    let served = serve().await;
    let upload = served.start_upload("team/app").await;
    for (range, bytes, now_has) in [
        ("0-4", "hello", "0-4"),
        ("5-5", " ", "0-5"),
        ("", "wor", "0-8"),
    ] {
        let response = patch(&served, &upload, range, bytes).await;
        assert_eq!(response.status(), StatusCode::ACCEPTED, "{range}");
        assert_eq!(header(&response, "range"), now_has);
        let status = served.get(&upload).await;
        assert_eq!(status.status(), StatusCode::NO_CONTENT);
        assert_eq!(header(&status, "range"), now_has);
        assert_eq!(header(&status, "location"), upload);
    }
    let digest = Digest::of(b"hello world");
    let response = finish(&served, &upload, &digest, "ld").await;
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(header(&response, "docker-content-digest"), digest.as_str());
    let location = header(&response, "location").to_owned();
    assert_eq!(
        served.get(&location).await.text().await.unwrap(),
        "hello world"
    );
    let head = served.head(&location).await;
    assert_eq!(header(&head, "content-length"), "11");
    assert_eq!(header(&head, "docker-content-digest"), digest.as_str());
    assert_has(
        &refusal(served.get(&upload).await).await,
        "404 BLOB_UPLOAD_UNKNOWN",
    );
}

#[tokio::test]
async fn a_chunk_out_of_order_is_refused_and_the_upload_goes_on() {
    let served = serve().await;
    let upload = served.start_upload("team/app").await;
    patch(&served, &upload, "0-1", "ab").await;
    for (range, bytes, expected) in [
        (
            "0-1",
            "ab",
            "416 BLOB_UPLOAD_INVALID: the chunk starts at 0, but the upload has 2 bytes",
        ),
        (
            "5-6",
            "ab",
            "416 BLOB_UPLOAD_INVALID: the chunk starts at 5",
        ),
        (
            "2-9",
            "cd",
            "400 SIZE_INVALID: the chunk has 2 bytes, but its Content-Range says 8",
        ),
        (
            "2-1",
            "cd",
            "416 BLOB_UPLOAD_INVALID: the Content-Range is not",
        ),
        (
            "two",
            "cd",
            "416 BLOB_UPLOAD_INVALID: the Content-Range is not",
        ),
    ] {
        let response = patch(&served, &upload, range, bytes).await;
        if expected.contains("starts at") {
            assert_eq!(header(&response, "range"), "0-1");
            assert_eq!(header(&response, "location"), upload);
        }
        assert_has(&refusal(response).await, expected);
    }
    patch(&served, &upload, "2-3", "cd").await;
    let digest = Digest::of(b"abcd");
    let response = finish(&served, &upload, &digest, "").await;
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(read(&served, "team/app", &digest).await, "abcd");
}

#[tokio::test]
async fn a_chunk_sent_without_length_is_taken_whole_or_not_at_all() {
    let served = serve().await;
    let upload = served.start_upload("team/app").await;
    let streamed = |length: usize| {
        let parts = vec![b'x'; length];
        let parts = parts
            .chunks(1 << 16)
            .map(|part| Ok::<_, String>(part.to_vec()));
        reqwest::Body::wrap_stream(futures::stream::iter(parts.collect::<Vec<_>>()))
    };
    // Long enough to be written before its end is seen, or short enough not to be.
    for (announced, length) in [(4, 3), (4, 5), (3 << 20, 2 << 20), (3 << 20, 4 << 20)] {
        let response = served
            .ask(Method::PATCH, &upload)
            .header("content-range", format!("0-{}", announced - 1))
            .body(streamed(length))
            .send()
            .await
            .unwrap();
        let expected = format!("but its Content-Range says {announced}");
        assert_has(&refusal(response).await, &expected);
        let status = served.get(&upload).await;
        assert_eq!(header(&status, "range"), "0-0", "{announced} {length}");
    }
    let response = served
        .ask(Method::PATCH, &upload)
        .body("other")
        .send()
        .await
        .unwrap();
    assert_eq!(header(&response, "range"), "0-4");
    let response = finish(&served, &upload, &Digest::of(b"other"), "").await;
    assert_eq!(response.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn content_with_another_digest_is_refused_and_forgotten() {
    let served = serve().await;
    let wrong = Digest::of(b"wrong");
    let upload = served.start_upload("team/app").await;
    let refused = finish(&served, &upload, &wrong, "right").await;
    let expected = format!(
        "400 DIGEST_INVALID: the content has the digest {}, not {wrong}",
        Digest::of(b"right")
    );
    assert_has(&refusal(refused).await, &expected);
    assert_eq!(served.get(&upload).await.status(), StatusCode::NOT_FOUND);
    let whole = served
        .ask(
            Method::POST,
            &format!("/v2/team/app/blobs/uploads/?digest={wrong}"),
        )
        .body("right")
        .send()
        .await
        .unwrap();
    assert_has(&refusal(whole).await, "400 DIGEST_INVALID");
    for digest in ["", "sha512:00", "sha256:zz"] {
        let upload = served.start_upload("team/app").await;
        let path = format!("{upload}?digest={digest}");
        let refused = served.ask(Method::PUT, &path).send().await.unwrap();
        assert_has(&refusal(refused).await, "is not an image digest");
        served.delete(&upload).await;
    }
    assert_eq!(files(&served.dir.path().join("uploads")), 0);
    assert_eq!(files(&served.dir.path().join("blobs")), 0);
}

fn files(folder: &Path) -> usize {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| if path.is_dir() { files(&path) } else { 1 })
        .sum()
}

#[tokio::test]
async fn a_cancelled_upload_is_gone() {
    let served = serve().await;
    let upload = served.start_upload("team/app").await;
    patch(&served, &upload, "", "abc").await;
    let other = upload.replace("team/app", "team/other");
    assert_eq!(served.delete(&other).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(served.get(&other).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(
        served.delete(&upload).await.status(),
        StatusCode::NO_CONTENT
    );
    assert_has(
        &refusal(patch(&served, &upload, "", "d").await).await,
        "404 BLOB_UPLOAD_UNKNOWN",
    );
    assert_eq!(files(&served.dir.path().join("uploads")), 0);
}

#[tokio::test]
async fn a_blob_over_the_limit_is_refused() {
    let served = serve_with(Settings {
        upload_limit: 4,
        ..Settings::default()
    })
    .await;
    served.push_blob("team/app", "1234").await;
    let upload = served.start_upload("team/app").await;
    patch(&served, &upload, "", "1234").await;
    let refused = patch(&served, &upload, "", "5").await;
    assert_has(
        &refusal(refused).await,
        "413 SIZE_INVALID: the blob is larger than 4 bytes",
    );
    assert_eq!(served.get(&upload).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(files(&served.dir.path().join("uploads")), 0);
}

#[tokio::test]
async fn a_part_of_a_blob_can_be_read() {
    let served = serve().await;
    let digest = served.push_blob("team/app", "0123456789").await;
    let path = format!("/v2/team/app/blobs/{digest}");
    for (range, status, content_range, body) in [
        ("bytes=2-4", 206, "bytes 2-4/10", "234"),
        ("bytes=8-", 206, "bytes 8-9/10", "89"),
        ("bytes=-1", 206, "bytes 9-9/10", "9"),
        ("bytes=0-1,3-4", 200, "", "0123456789"),
    ] {
        let request = served.ask(Method::GET, &path).header("range", range);
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{range}");
        assert_eq!(header(&response, "content-range"), content_range);
        assert_eq!(response.text().await.unwrap(), body);
    }
    let request = served.ask(Method::GET, &path).header("range", "bytes=10-");
    let response = request.send().await.unwrap();
    assert_eq!(header(&response, "content-range"), "bytes */10");
    assert_has(&refusal(response).await, "416 SIZE_INVALID");
}

#[tokio::test]
async fn a_blob_is_seen_only_from_repositories_that_have_it() {
    let served = serve().await;
    let digest = served.push_blob("team/app", "shared").await;
    let there = format!("/v2/team/other/blobs/{digest}");
    assert_has(&refusal(served.get(&there).await).await, "404 BLOB_UNKNOWN");
    let mount = |from: &str| {
        let path = format!("/v2/team/other/blobs/uploads/?mount={digest}&from={from}");
        served.ask(Method::POST, &path)
    };
    let secret = format!("/v2/secret/app/blobs/uploads/?digest={digest}");
    let secret = served
        .anonymous(Method::POST, &secret)
        .basic_auth("AWS", Some("root"))
        .body("shared");
    assert_eq!(secret.send().await.unwrap().status(), StatusCode::CREATED);
    // From where it is not, or may not be read, or can never be, the client is to upload it.
    for from in [
        "team/empty",
        "secret/app",
        "",
        "Team/App",
        "../app",
        "a%00b",
    ] {
        let response = mount(from).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::ACCEPTED, "{from}");
        served.delete(header(&response, "location")).await;
    }
    assert_eq!(served.get(&there).await.status(), StatusCode::NOT_FOUND);
    let response = mount("team/app").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(header(&response, "location"), there);
    assert_eq!(served.get(&there).await.text().await.unwrap(), "shared");
}

#[tokio::test]
async fn many_may_push_the_same_blob_at_once() {
    let served = serve().await;
    let bytes = "x".repeat(3 << 20);
    let pushes = (0..16).map(|_| served.push_blob("team/app", bytes.clone()));
    let digests = join_all(pushes).await;
    for digest in &digests {
        assert_eq!(read(&served, "team/app", digest).await, bytes);
    }
    assert_eq!(files(&served.dir.path().join("blobs")), 1);
    assert_eq!(files(&served.dir.path().join("uploads")), 0);
}

#[tokio::test]
async fn a_blob_in_use_is_not_deleted() {
    let served = serve().await;
    let image = served.push_image("team/app", "v1", "layer").await;
    let blob = format!("/v2/team/app/blobs/{}", Digest::of(b"layer"));
    assert_has(&refusal(served.delete(&blob).await).await, "409 DENIED");
    let manifest = format!("/v2/team/app/manifests/{}", Digest::of(&image));
    assert_eq!(
        served.delete(&manifest).await.status(),
        StatusCode::ACCEPTED
    );
    assert_eq!(served.delete(&blob).await.status(), StatusCode::ACCEPTED);
    assert_eq!(served.get(&blob).await.status(), StatusCode::NOT_FOUND);
    assert_has(
        &refusal(served.delete(&blob).await).await,
        "404 BLOB_UNKNOWN",
    );
}

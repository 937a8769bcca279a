//! Any bytes come out as they went in.

use proptest::collection::vec;
use proptest::prelude::*;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::runtime::Runtime;
use towline_oci::Digest;

use crate::support::{OCI_MANIFEST, Served, serve};

async fn blob_comes_back(served: &Served, chunks: &[Vec<u8>]) {
    let upload = served.start_upload("team/app").await;
    for chunk in chunks {
        let patch = served.ask(Method::PATCH, &upload).body(chunk.clone());
        assert_eq!(patch.send().await.unwrap().status(), StatusCode::ACCEPTED);
    }
    let bytes = chunks.concat();
    let digest = Digest::of(&bytes);
    let put = served.ask(Method::PUT, &format!("{upload}?digest={digest}"));
    assert_eq!(put.send().await.unwrap().status(), StatusCode::CREATED);
    let path = format!("/v2/team/app/blobs/{digest}");
    assert_eq!(served.get(&path).await.bytes().await.unwrap(), bytes);
}

async fn manifest_comes_back(served: &Served, text: &str, space: &str) {
    let config = served.push_blob("team/app", "{}").await;
    let document = json!({
        "annotations": { text: text },
        "layers": [],
        "config": { "mediaType": "c", "digest": config.as_str(), "size": 2 },
        "schemaVersion": 2,
    });
    let bytes = format!("{space}{document:#}{space}").into_bytes();
    let path = format!("/v2/team/app/manifests/{}", Digest::of(&bytes));
    let put = served
        .put_manifest(&path, OCI_MANIFEST, bytes.clone())
        .await;
    assert_eq!(put.status(), StatusCode::CREATED);
    assert_eq!(served.get(&path).await.bytes().await.unwrap(), bytes);
}

#[test]
fn what_is_put_is_got_byte_for_byte() {
    let runtime = Runtime::new().unwrap();
    let served = runtime.block_on(serve());
    let chunks = vec(vec(any::<u8>(), 0..3000), 0..5);
    proptest!(ProptestConfig::with_cases(48), |(chunks in chunks, text in ".{0,40}", space in "[ \n\t\r]{0,9}")| {
        runtime.block_on(blob_comes_back(&served, &chunks));
        runtime.block_on(manifest_comes_back(&served, &text, &space));
    });
}

//! Garbage: what is deleted and what never is.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use towline_oci::Digest;
use towline_registry::Collected;

use crate::support::{Served, serve};

const MINUTE: i64 = 60_000;

async fn collect(served: &Served) -> Collected {
    let age = Duration::from_secs(10 * 60);
    served.registry.collect_garbage(age).await.unwrap()
}

async fn status(served: &Served, repository: &str, blob: &Digest) -> StatusCode {
    let path = format!("/v2/{repository}/blobs/{blob}");
    served.head(&path).await.status()
}

#[tokio::test]
async fn only_old_blobs_without_a_manifest_are_collected() {
    let served = serve().await;
    served.push_image("team/app", "v1", "used").await;
    let old = served.push_blob("team/app", "an old one").await;
    let elsewhere = served.push_blob("team/other", "used").await;
    served.pass_ms(11 * MINUTE);
    let young = served.push_blob("team/app", "a young one").await;
    let collected = Collected::Deleted {
        blobs: 1,
        bytes: 10,
    };
    assert_eq!(collect(&served).await, collected);
    assert_eq!(
        status(&served, "team/app", &old).await,
        StatusCode::NOT_FOUND
    );
    assert_eq!(status(&served, "team/app", &young).await, StatusCode::OK);
    assert_eq!(
        status(&served, "team/app", &elsewhere).await,
        StatusCode::OK
    );
    // The other repository no longer refers to a blob that is used here only.
    let other = status(&served, "team/other", &elsewhere).await;
    assert_eq!(other, StatusCode::NOT_FOUND);
    // What was collected can be pushed again.
    served.push_blob("team/app", "an old one").await;
    assert_eq!(status(&served, "team/app", &old).await, StatusCode::OK);
}

#[tokio::test]
async fn a_blob_somebody_asked_for_or_mounted_is_young_again() {
    let served = serve().await;
    let asked_for = served.push_blob("team/app", "asked for").await;
    let mounted = served.push_blob("team/app", "mounted").await;
    served.pass_ms(11 * MINUTE);
    status(&served, "team/app", &asked_for).await;
    let path = format!("/v2/team/other/blobs/uploads/?mount={mounted}&from=team/app");
    served.ask(Method::POST, &path).send().await.unwrap();
    assert_eq!(
        collect(&served).await,
        Collected::Deleted { blobs: 0, bytes: 0 }
    );
    assert_eq!(
        status(&served, "team/app", &asked_for).await,
        StatusCode::OK
    );
    assert_eq!(
        status(&served, "team/other", &mounted).await,
        StatusCode::OK
    );
}

#[tokio::test]
async fn nothing_is_collected_while_an_upload_is_in_progress() {
    let served = serve().await;
    let blob = served.push_blob("team/app", "mountable").await;
    served.pass_ms(11 * MINUTE);
    let upload = served.start_upload("team/other").await;
    assert_eq!(collect(&served).await, Collected::HeldBack { uploads: 1 });
    let path = format!("/v2/team/other/blobs/uploads/?mount={blob}&from=team/app");
    let mounted = served.ask(Method::POST, &path).send().await.unwrap();
    assert_eq!(mounted.status(), StatusCode::CREATED);
    // An abandoned upload does not hold anything back forever.
    served.pass_ms(11 * MINUTE);
    assert_eq!(
        collect(&served).await,
        Collected::Deleted { blobs: 1, bytes: 9 }
    );
    assert_eq!(served.get(&upload).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn abandoned_uploads_are_dropped_after_an_hour_and_make_room() {
    let served = serve().await;
    let path = "/v2/team/app/blobs/uploads/";
    let start = async || {
        let request = served.ask(Method::POST, path).send();
        request.await.unwrap().status()
    };
    let abandoned = served.start_upload("team/app").await;
    let blob = served.push_blob("team/app", "old").await;
    for _ in 1..256 {
        assert_eq!(start().await, StatusCode::ACCEPTED);
    }
    assert_eq!(start().await, StatusCode::TOO_MANY_REQUESTS);
    let day = Duration::from_secs(24 * 60 * 60);
    let collect = async || served.registry.collect_garbage(day).await.unwrap();
    served.pass_ms(59 * MINUTE);
    let active = served.get(&abandoned).await;
    assert_eq!(active.status(), StatusCode::NO_CONTENT);
    assert_eq!(collect().await, Collected::HeldBack { uploads: 256 });
    served.pass_ms(2 * MINUTE);
    assert_eq!(collect().await, Collected::HeldBack { uploads: 1 });
    assert_eq!(start().await, StatusCode::ACCEPTED);
    served.pass_ms(61 * MINUTE);
    let nothing_else = Collected::Deleted { blobs: 0, bytes: 0 };
    assert_eq!(collect().await, nothing_else);
    assert_eq!(served.get(&abandoned).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(status(&served, "team/app", &blob).await, StatusCode::OK);
    let uploads = served.dir.path().join("uploads");
    assert_eq!(std::fs::read_dir(uploads).unwrap().count(), 0);
}

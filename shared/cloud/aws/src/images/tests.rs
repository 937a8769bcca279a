//! How an image is read and tagged, and what each of ECR's answers means.

use serde_json::{Value, json};
use towline_domain::names::{Digest, ImageRepository, Tag};
use towline_oci::ManifestKind;
use towline_ports::{Images as _, PutTagError, RegistryImage};

use crate::testing::{Answer, Service, broken, ok, refused, said};

const MANIFEST: &str = ManifestKind::OciManifest.as_str();
const INDEX: &str = ManifestKind::OciIndex.as_str();

fn shop() -> ImageRepository {
    "acme/shop".parse().expect("a repository")
}

fn tag() -> Tag {
    "prod".parse().expect("a tag")
}

fn digest(manifest: &str) -> Digest {
    Digest::of(manifest.as_bytes())
}

fn descriptor(media_type: &str, size: u64) -> Value {
    json!({ "mediaType": media_type, "digest": digest("a blob"), "size": size })
}

/// A manifest as a builder prints it; every byte counts.
fn manifest() -> String {
    let blob = |size: u64| descriptor("application/octet-stream", size);
    let document = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": blob(7),
        "layers": [blob(40), blob(2)],
    });
    format!("{document:#} ")
}

fn index() -> String {
    let child = |os: &str, architecture: &str, variant: Value| {
        let mut child = descriptor(MANIFEST, 9);
        child["platform"] = json!({ "os": os, "architecture": architecture, "variant": variant });
        child
    };
    let manifests = json!([
        child("linux", "amd64", Value::Null),
        child("linux", "arm", json!("v7")),
        child("unknown", "unknown", Value::Null),
        descriptor(MANIFEST, 9),
    ]);
    json!({ "schemaVersion": 2, "manifests": manifests }).to_string()
}

fn image(manifest: &str, media_type: &str, digest: &Digest) -> Answer {
    ok(json!({ "images": [{
        "imageId": { "imageDigest": digest, "imageTag": "prod" },
        "imageManifest": manifest,
        "imageManifestMediaType": media_type,
    }], "failures": [] }))
}

fn good() -> Answer {
    image(&manifest(), MANIFEST, &digest(&manifest()))
}

fn failure(code: &str) -> Answer {
    ok(json!({ "images": [], "failures": [{ "failureCode": code, "failureReason": "so it is" }] }))
}

fn status(status: &str) -> Answer {
    ok(json!({ "imageDetails": [{ "imageStatus": status }] }))
}

#[tokio::test]
async fn an_image_is_read_with_one_request_and_by_its_own_bytes() {
    let read = |manifest: &str, media_type: &str, size, platforms: &[&str]| RegistryImage {
        digest: digest(manifest),
        media_type: media_type.into(),
        size,
        platforms: platforms.iter().map(|text| (*text).to_owned()).collect(),
    };
    for (text, media_type, expected) in [
        (
            manifest(),
            MANIFEST,
            read(&manifest(), MANIFEST, Some(42), &[]),
        ),
        (
            index(),
            INDEX,
            read(&index(), INDEX, None, &["linux/amd64", "linux/arm/v7"]),
        ),
    ] {
        let answer = || image(&text, media_type, &digest(&text));
        let (service, aws) = Service::start([answer(), answer()]).await;
        let images = aws.images();
        let by_tag = images.by_tag(&shop(), &tag()).await.expect("it answers");
        assert_eq!(by_tag.as_ref(), Some(&expected));
        let stored = images.manifest(&shop(), &digest(&text)).await;
        let stored = stored.expect("it answers").expect("it is there");
        assert_eq!(
            (stored.media_type.as_str(), &stored.text),
            (media_type, &text)
        );
        let asked = service.asked();
        let ids: Vec<&Value> = asked.iter().map(|(_, asked)| &asked["imageIds"]).collect();
        let expected = [
            json!([{ "imageTag": "prod" }]),
            json!([{ "imageDigest": digest(&text) }]),
        ];
        assert_eq!(ids, expected.iter().collect::<Vec<_>>());
        for (operation, asked) in &asked {
            assert_eq!(operation, "BatchGetImage");
            assert_eq!(
                asked["acceptedMediaTypes"].as_array().map(Vec::len),
                Some(4)
            );
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_none_and_what_is_withheld_is_an_error() {
    let other = digest("something else");
    let lie = format!(
        "reading acme/shop:prod: ECR says {other}, but its manifest is {}",
        digest(&manifest())
    );
    for (answer, expected) in [
        (failure("ImageNotFound"), None),
        (ok(json!({})), None),
        (refused("RepositoryNotFoundException"), None),
        (
            failure("ImageInaccessible"),
            Some("reading acme/shop:prod: ImageInaccessible: so it is"),
        ),
        (
            failure("KmsError"),
            Some("reading acme/shop:prod: KmsError: so it is"),
        ),
        (
            failure("NewError"),
            Some("reading acme/shop:prod: NewError: so it is"),
        ),
        (
            refused("AccessDeniedException"),
            Some("reading acme/shop:prod: AccessDeniedException: because of AccessDeniedException"),
        ),
        (image(&manifest(), MANIFEST, &other), Some(lie.as_str())),
    ] {
        let (_service, aws) = Service::start([answer.clone()]).await;
        let read = aws.images().by_tag(&shop(), &tag()).await;
        let found = read.map_err(|error| said(&error));
        assert_eq!(
            found,
            expected.map_or(Ok(None), |text| Err(text.to_owned())),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn a_tag_is_put_with_the_very_bytes_of_the_digest() {
    let (service, aws) = Service::start([good(), broken(), ok(json!({}))]).await;
    let wanted = digest(&manifest());
    aws.images()
        .put_tag(&shop(), &wanted, &tag())
        .await
        .expect("it is put");
    let asked = service.asked();
    assert_eq!(asked[0].1["imageIds"], json!([{ "imageDigest": wanted }]));
    let expected = json!({
        "repositoryName": "acme/shop",
        "imageManifest": manifest(),
        "imageManifestMediaType": MANIFEST,
        "imageTag": "prod",
        "imageDigest": wanted,
    });
    assert_eq!(
        asked[1..],
        [
            ("PutImage".to_owned(), expected.clone()),
            ("PutImage".to_owned(), expected)
        ]
    );
}

#[tokio::test]
async fn each_error_of_a_tag_means_one_thing() {
    let taken = || refused("ImageTagAlreadyExistsException");
    let immutable = "tag prod is immutable and points to another image; exclude it from tag immutability, or use another tag";
    let gone = "the image no longer exists in the registry; build it again";
    let putting = format!("putting prod on acme/shop@{}", digest(&manifest()));
    let other = || image("{}", MANIFEST, &digest("{}"));
    for (answers, expected) in [
        (
            vec![good(), refused("ImageAlreadyExistsException")],
            String::new(),
        ),
        // F28
        (vec![good(), taken(), good()], String::new()),
        (vec![good(), taken(), other()], immutable.to_owned()),
        (
            vec![good(), taken(), failure("ImageNotFound")],
            immutable.to_owned(),
        ),
        // F29
        (vec![failure("ImageNotFound")], gone.to_owned()),
        (
            vec![refused("RepositoryNotFoundException")],
            gone.to_owned(),
        ),
        (
            vec![good(), refused("LayersNotFoundException")],
            gone.to_owned(),
        ),
        (
            vec![good(), refused("ReferencedImagesNotFoundException")],
            gone.to_owned(),
        ),
        (
            vec![failure("ImageInaccessible"), status("ARCHIVED")],
            gone.to_owned(),
        ),
        (
            vec![failure("ImageInaccessible"), status("ACTIVE")],
            format!("{putting}: ImageInaccessible: so it is"),
        ),
        (
            vec![failure("KmsError"), refused("AccessDeniedException")],
            format!("{putting}: KmsError: so it is"),
        ),
        (
            vec![other()],
            format!("{putting}: ECR returned {} instead", digest("{}")),
        ),
        (
            vec![good(), refused("ImageDigestDoesNotMatchException")],
            format!(
                "{putting}: ImageDigestDoesNotMatchException: because of ImageDigestDoesNotMatchException"
            ),
        ),
        (
            [vec![good()], vec![refused("LimitExceededException"); 4]].concat(),
            format!("{putting}: LimitExceededException: because of LimitExceededException"),
        ),
    ] {
        let (_service, aws) = Service::start(answers.clone()).await;
        let put = aws
            .images()
            .put_tag(&shop(), &digest(&manifest()), &tag())
            .await;
        let found = match put {
            Ok(()) => String::new(),
            Err(error @ (PutTagError::Gone | PutTagError::Immutable { .. })) => error.to_string(),
            Err(PutTagError::Port(error)) => said(&error),
        };
        assert_eq!(found, expected, "{answers:?}");
    }
}

#[tokio::test]
async fn an_index_is_put_under_a_tag_and_its_images_are_read_byte_for_byte() {
    let (service, aws) = Service::start([
        good(),
        failure("ImageNotFound"),
        ok(json!({})),
        refused("ImageAlreadyExistsException"),
        refused("ReferencedImagesNotFoundException"),
    ])
    .await;
    let images = aws.images();
    let wanted = digest(&manifest());
    let read = images.manifest(&shop(), &wanted).await;
    let stored = read.expect("it answers").expect("it is there");
    assert_eq!(
        (stored.media_type.as_str(), stored.text),
        (MANIFEST, manifest())
    );
    let read = images.manifest(&shop(), &wanted).await;
    assert_eq!(read.expect("it answers"), None);

    let text = format!("{{\"schemaVersion\":2,\"mediaType\":\"{INDEX}\",\"manifests\":[]}}");
    for _ in 0..2 {
        let put = images.put_index(&shop(), &text, &tag()).await;
        assert_eq!(put.expect("it is put, or there already"), digest(&text));
    }
    let put = images.put_index(&shop(), &text, &tag()).await;
    assert!(matches!(put, Err(PutTagError::Gone)));
    let expected = json!({
        "repositoryName": "acme/shop",
        "imageManifest": text,
        "imageManifestMediaType": INDEX,
        "imageTag": "prod",
        "imageDigest": digest(&text),
    });
    for (operation, asked) in &service.asked()[2..] {
        assert_eq!((operation.as_str(), asked), ("PutImage", &expected));
    }
}

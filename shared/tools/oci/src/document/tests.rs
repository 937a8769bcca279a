//! What is read, what is refused and why, and that equal documents are printed equally.

use std::error::Error;

use super::*;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const OCI: Option<&str> = Some(ManifestKind::OciManifest.as_str());
const INDEX: Option<&str> = Some(ManifestKind::OciIndex.as_str());

const IMAGE: &str = r#"{"schemaVersion":2,
    "config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"DIGEST","size":0},
    "layers":[{"mediaType":"l","digest":"DIGEST","size":7},
              {"mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar","digest":"DIGEST","size":5}]}"#;
const LIST: &str =
    r#"{"schemaVersion":2,"manifests":[{"mediaType":"m","digest":"DIGEST","size":1}]}"#;

fn said(error: &DocumentError) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

fn shown(document: &Document) -> String {
    match document {
        Document::Image(image) => format!(
            "image, {} layers, {:?} bytes",
            image.layers().len(),
            document.layers_size()
        ),
        Document::Index(index) => format!("index of {}", index.manifests().len()),
    }
}

#[track_caller]
fn check(content_type: Option<&str>, json: &str, expected: &str) {
    let json = json.replace("DIGEST", DIGEST);
    let found = match Document::receive(content_type, json.as_bytes()) {
        Ok((kind, document)) => format!("{kind:?}: {}", shown(&document)),
        Err(error) => said(&error),
    };
    assert!(found.contains(expected), "{found:?} lacks {expected:?}");
}

#[test]
fn a_manifest_is_read_or_refused_with_the_reason() {
    check(OCI, IMAGE, "OciManifest: image, 2 layers, Some(12) bytes");
    check(
        Some("application/vnd.docker.distribution.manifest.v2+json; charset=utf-8"),
        IMAGE,
        "DockerManifest: image",
    );
    check(INDEX, IMAGE, "an index has no config");
    check(
        Some("text/plain"),
        IMAGE,
        "its media type is \"text/plain\"",
    );
    check(None, IMAGE, "send a Content-Type header");
    check(INDEX, LIST, "OciIndex: index of 1");
    for (json, reason) in [
        ("", "not a manifest in JSON"),
        ("[]", "not a manifest in JSON"),
        ("{}", "schemaVersion"),
        (
            r#"{"schemaVersion":2,"schemaVersion":2}"#,
            "duplicate field",
        ),
        (r#"{"schemaVersion":1}"#, "only version 2 is known"),
        (r#"{"schemaVersion":2}"#, "missing field `config`"),
        (
            r#"{"schemaVersion":2,"manifests":[]}"#,
            "only an index has manifests",
        ),
        (
            r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json"}"#,
            "differ",
        ),
        (
            r#"{"schemaVersion":2,"layers":[],"config":{"mediaType":"c","digest":"../x","size":1}}"#,
            "not a manifest in JSON",
        ),
        (
            r#"{"schemaVersion":2,"layers":[],"config":{"mediaType":"c","digest":"DIGEST","size":-1}}"#,
            "invalid value",
        ),
    ] {
        check(OCI, json, reason);
    }
}

#[test]
fn without_a_header_a_document_is_what_it_says_or_lists() {
    let typed = |kind: ManifestKind, rest: &str| {
        let opening = format!(r#"{{"mediaType":"{kind}","#);
        rest.replacen('{', &opening, 1)
    };
    for (json, expected) in [
        (IMAGE.to_owned(), "image, 2 layers, Some(12) bytes"),
        (LIST.to_owned(), "index of 1"),
        (typed(ManifestKind::DockerList, LIST), "index of 1"),
        (
            typed(ManifestKind::DockerManifest, IMAGE),
            "image, 2 layers, Some(12) bytes",
        ),
        (typed(ManifestKind::OciIndex, IMAGE), "an index has no"),
        (typed(ManifestKind::OciManifest, LIST), "an index has no"),
    ] {
        let found = match Document::read(json.replace("DIGEST", DIGEST).as_bytes()) {
            Ok(document) => shown(&document),
            Err(error) => said(&error),
        };
        assert!(found.contains(expected), "{json}: {found}");
    }
}

#[test]
fn a_descriptor_has_a_digest_of_ours_or_is_refused() {
    let digest: Digest = DIGEST.parse().expect("a digest");
    let mut layer = descriptor(MediaType::ImageLayerNonDistributable, &digest, 1);
    assert_eq!(digest_of(&layer), Ok(digest));
    assert!(is_elsewhere(&layer));
    layer.set_media_type(MediaType::ImageLayerGzip);
    assert!(!is_elsewhere(&layer));
    let longer = format!("sha512:{}", "a".repeat(128));
    layer.set_digest(longer.parse().expect("a digest of the OCI"));
    assert!(digest_of(&layer).is_err());
}

#[test]
fn keys_are_sorted_at_every_depth_and_strings_keep_their_bytes() {
    let document: Value =
        serde_json::from_str(r#"{"b":[{"z":1,"a":"\u0000é\n"}],"B":null,"a":{}}"#)
            .expect("it is JSON");
    let found = String::from_utf8(canonical(&document)).expect("JSON is UTF-8");
    assert_eq!(found, r#"{"B":null,"a":{},"b":[{"a":"\u0000é\n","z":1}]}"#);
}

//! Pushing to a registry.

use std::env::current_exe;
use std::process::Command;
use std::sync::{Arc, Mutex};

use towline_pack::{Basic, OnProgress, PackError, Progress, Transport, push};

use crate::folder::{Folder, image};
use crate::registry::{FakeRegistry, Habit};

pub(crate) fn quiet() -> OnProgress {
    Arc::new(|_| {})
}

#[tokio::test]
async fn an_image_arrives_under_every_tag_byte_for_byte() {
    for habit in [Habit::Usual, Habit::NoLocation] {
        let registry = FakeRegistry::start(habit).await;
        let image = image(&Folder::new(&["a: 1"]).plan()).await;
        let target = registry.target("shop/api", &["main", "v1"]);
        let digest = push(&image, &target, quiet()).await.unwrap();
        assert_eq!(&digest, image.digest());
        for reference in ["main", "v1", digest.as_str()] {
            assert_eq!(
                registry.manifest("shop/api", reference).unwrap(),
                image.manifest()
            );
        }
        let mut sent = vec![
            image.config_digest().to_string(),
            image.layers()[0].0.to_string(),
        ];
        sent.sort();
        assert_eq!(registry.blobs("shop/api"), sent);
    }
}

#[tokio::test]
async fn blobs_that_exist_are_not_sent_again() {
    let registry = FakeRegistry::start(Habit::Usual).await;
    let image = image(&Folder::new(&["a: 1"]).plan()).await;
    let target = registry.target("api", &["main"]);
    push(&image, &target, quiet()).await.unwrap();
    registry.requests();
    push(&image, &target, quiet()).await.unwrap();
    let expected = [
        "HEAD /v2/api/blobs",
        "HEAD /v2/api/blobs",
        "PUT /v2/api/manifests/main",
        "HEAD /v2/api/manifests/main",
    ];
    let mut found = registry.requests();
    found.retain(|line| line != "GET /v2/");
    assert_eq!(found, expected);
}

#[tokio::test]
async fn progress_counts_to_the_size_of_each_blob() {
    let registry = FakeRegistry::start(Habit::Usual).await;
    let folder = Folder::new(&[]);
    // Does not compress, so that it goes in several pieces.
    let noise: Vec<u8> = (0u32..900_000)
        .map(|n| (n.wrapping_mul(2_654_435_761).rotate_left(n % 32) >> 11) as u8)
        .collect();
    folder.file("noise", &noise, 0o644);
    let image = image(&folder.plan()).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    let progress: OnProgress = Arc::new(move |step| told.lock().unwrap().push(step));
    push(&image, &registry.target("api", &["main"]), progress)
        .await
        .unwrap();
    let seen = seen.lock().unwrap();
    let (layer, layer_size) = &image.layers()[0];
    let of_layer: Vec<u64> = seen
        .iter()
        .filter_map(|step| match step {
            Progress::Sent { digest, sent, size } if digest == layer => {
                assert_eq!(size, layer_size);
                Some(*sent)
            }
            Progress::Sent { .. } | Progress::Present { .. } | Progress::Mounted { .. } => None,
        })
        .collect();
    assert!(of_layer.len() > 1 && of_layer.is_sorted(), "{of_layer:?}");
    assert_eq!(of_layer.last(), Some(layer_size));
}

#[tokio::test]
async fn a_registry_that_asks_who_is_told_and_one_who_is_not_known_is_refused() {
    let registry = FakeRegistry::start(Habit::AsksWho).await;
    let image = image(&Folder::new(&["a: 1"]).plan()).await;
    let mut target = registry.target("api", &["main"]);
    for password in [None, Some("wrong")] {
        target.registry.credentials = password.map(|password| Basic {
            username: "user".into(),
            password: password.into(),
        });
        let error = push(&image, &target, quiet()).await.unwrap_err();
        assert!(matches!(error, PackError::NotAllowed { .. }), "{error:?}");
        assert!(
            !format!("{error:?}").contains("wrong"),
            "the password shows"
        );
    }
    target.registry.credentials = Some(Basic {
        username: "user".into(),
        password: "secret".into(),
    });
    push(&image, &target, quiet()).await.unwrap();
}

#[tokio::test]
async fn another_digest_in_the_registry_than_ours_is_an_error() {
    let registry = FakeRegistry::start(Habit::RewritesManifests).await;
    let image = image(&Folder::new(&["a: 1"]).plan()).await;
    let error = push(&image, &registry.target("api", &["main"]), quiet())
        .await
        .unwrap_err();
    let PackError::DigestDiffers { pushed, found, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(pushed, image.digest().as_str());
    assert_ne!(found, pushed);
}

#[tokio::test]
async fn no_tag_and_plain_http_to_elsewhere_are_refused() {
    let registry = FakeRegistry::start(Habit::Usual).await;
    let image = image(&Folder::new(&["a: 1"]).plan()).await;
    let error = push(&image, &registry.target("api", &[]), quiet())
        .await
        .unwrap_err();
    assert!(
        error.to_string().ends_with("has no tag; name at least one"),
        "{error}"
    );
    let mut target = registry.target("api", &["main"]);
    target.registry.host = "registry.invalid:5000".parse().unwrap();
    target.registry.transport = Transport::PlainOnLoopback;
    let error = push(&image, &target, quiet()).await.unwrap_err();
    assert!(
        error.is_refusal() && error.to_string().contains("is not on this machine"),
        "{error}"
    );
    assert!(registry.requests().is_empty());
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_named() {
    let image = image(&Folder::new(&["a: 1"]).plan()).await;
    let registry = FakeRegistry::start(Habit::Usual).await;
    let mut target = registry.target("api", &["main"]);
    // Nothing listens on port 1 of the loopback, and TLS is never begun.
    target.registry.host = "127.0.0.1:1".parse().unwrap();
    let error = push(&image, &target, quiet()).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot sign in for 127.0.0.1:1/api:main");
}

/// Runs the first test again, in a process of its own with another environment.
fn push_again_with(environment: &[(&str, &str)]) -> String {
    let again = "pushing::an_image_arrives_under_every_tag_byte_for_byte";
    let output = Command::new(current_exe().unwrap())
        .args(["--exact", again])
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_environments_proxy_is_not_used_for_a_registry_on_this_machine() {
    let nobody = "http://127.0.0.1:1";
    let said = push_again_with(&[("http_proxy", nobody), ("all_proxy", nobody)]);
    assert!(said.contains("1 passed"), "{said}");
}

#[test]
fn a_machine_without_root_certificates_is_told_so() {
    let nothing = "/nonexistent";
    let said = push_again_with(&[("SSL_CERT_FILE", nothing), ("SSL_CERT_DIR", nothing)]);
    assert!(said.contains("an `Err` value: Tls("), "{said}");
}

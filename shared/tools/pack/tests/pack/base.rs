//! Images with a base.

use std::sync::Arc;

use expect_test::expect;
use serde_json::{Value, json};
use towline_oci::Digest;
use towline_pack::{BaseReference, ImagePlan, push, write_layout};

use crate::folder::{Folder, image, refusal};
use crate::pushing::quiet;
use crate::registry::{FakeRegistry, Habit};

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LAYER: &[u8] = b"not really a layer, but nobody looks into it";

/// Puts a base into the registry: one layer, and settings of every kind.
fn put_base(registry: &FakeRegistry, architecture: &str) -> Digest {
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "author": "somebody",
        "config": {
            "Env": ["PATH=/bin", "KEEP=1"],
            "Entrypoint": ["/bin/sh"],
            "Cmd": ["-c", "true"],
            "WorkingDir": "/srv",
            "User": "nobody",
            "Labels": {"kept": "1", "replaced": "old"},
            "ExposedPorts": {"80/tcp": {}},
            "StopSignal": "SIGQUIT",
            "Healthcheck": {"Test": ["NONE"]},
            "OnBuild": ["RUN false"],
        },
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(b"uncompressed").as_str()]},
        "history": [{"created_by": "base"}, {"created_by": "no layer", "empty_layer": true}],
    })
    .to_string();
    let layer = registry.put_blob("base", LAYER);
    let config_digest = registry.put_blob("base", config.as_bytes());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "digest": config_digest.as_str(),
            "size": config.len(),
        },
        "layers": [{
            "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
            "digest": layer.as_str(),
            "size": LAYER.len(),
        }],
    });
    registry.put_manifest("base", manifest.to_string().as_bytes())
}

fn put_index(registry: &FakeRegistry, entries: &[(&str, &Digest)]) -> Digest {
    let manifests: Vec<Value> = entries
        .iter()
        .map(|(architecture, digest)| {
            let os = if *architecture == "unknown" {
                "unknown"
            } else {
                "linux"
            };
            json!({
                "mediaType": OCI_MANIFEST,
                "digest": digest.as_str(),
                "size": 1,
                "platform": {"architecture": architecture, "os": os},
            })
        })
        .collect();
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests});
    registry.put_manifest("base", index.to_string().as_bytes())
}

fn upon(folder: &Folder, base: BaseReference) -> ImagePlan {
    let mut plan = folder.plan();
    plan.base = Some(base);
    plan
}

async fn started() -> (Arc<FakeRegistry>, Folder) {
    (
        FakeRegistry::start(Habit::Usual).await,
        Folder::new(&["a: 1"]),
    )
}

#[tokio::test]
async fn the_bases_settings_are_kept_where_the_plan_says_nothing() {
    let (registry, folder) = started().await;
    let plan = upon(
        &folder,
        registry.base("base", &put_base(&registry, "amd64")),
    );
    let image = image(&plan).await;
    let config: Value = serde_json::from_slice(image.config()).unwrap();
    expect![[r#"
        {
          "Cmd": [
            "-c",
            "true"
          ],
          "Entrypoint": [
            "/bin/sh"
          ],
          "Env": [
            "PATH=/bin",
            "KEEP=1"
          ],
          "ExposedPorts": {
            "80/tcp": {}
          },
          "Healthcheck": {
            "Test": [
              "NONE"
            ]
          },
          "Labels": {
            "kept": "1",
            "replaced": "old"
          },
          "StopSignal": "SIGQUIT",
          "User": "nobody",
          "WorkingDir": "/srv"
        }"#]]
    .assert_eq(&format!("{:#}", config["config"]));
    expect![[r#"
        [
          {
            "created_by": "base"
          },
          {
            "created_by": "no layer",
            "empty_layer": true
          },
          {
            "created": "1970-01-01T00:00:00Z",
            "created_by": "towline pack"
          }
        ]"#]]
    .assert_eq(&format!("{:#}", config["history"]));
    assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 2);
    let manifest: Value = serde_json::from_slice(image.manifest()).unwrap();
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(layers[0]["digest"], Digest::of(LAYER).as_str());
    assert_eq!(
        layers[0]["mediaType"],
        "application/vnd.oci.image.layer.v1.tar+gzip"
    );
    assert_eq!(layers.len(), 2);
}

#[tokio::test]
async fn the_plans_settings_win_and_a_new_program_drops_the_bases_arguments() {
    let (registry, folder) = started().await;
    let mut plan = upon(
        &folder,
        registry.base("base", &put_base(&registry, "amd64")),
    );
    plan.entrypoint = vec!["/a".into()];
    plan.environment = vec![
        ("NEW".into(), "2".into()),
        ("PATH".into(), "/usr/bin".into()),
    ];
    plan.labels = [("replaced".into(), "new".into())].into();
    plan.user = Some("1000".into());
    plan.exposed_ports = vec!["80".parse().unwrap(), "443".parse().unwrap()];
    let image = image(&plan).await;
    let config: Value = serde_json::from_slice(image.config()).unwrap();
    expect![[r#"
        {
          "Entrypoint": [
            "/a"
          ],
          "Env": [
            "PATH=/usr/bin",
            "KEEP=1",
            "NEW=2"
          ],
          "ExposedPorts": {
            "443/tcp": {},
            "80/tcp": {}
          },
          "Healthcheck": {
            "Test": [
              "NONE"
            ]
          },
          "Labels": {
            "kept": "1",
            "replaced": "new"
          },
          "StopSignal": "SIGQUIT",
          "User": "1000",
          "WorkingDir": "/srv"
        }"#]]
    .assert_eq(&format!("{:#}", config["config"]));
}

#[tokio::test]
async fn an_index_is_resolved_to_the_platform() {
    let (registry, folder) = started().await;
    let (arm, intel) = (put_base(&registry, "arm64"), put_base(&registry, "amd64"));
    let entries = [("unknown", &arm), ("arm64", &arm), ("amd64", &intel)];
    let index = put_index(&registry, &entries);
    let image = image(&upon(&folder, registry.base("base", &index))).await;
    let config: Value = serde_json::from_slice(image.config()).unwrap();
    assert_eq!(config["architecture"], "amd64");
    let manifest: Value = serde_json::from_slice(image.manifest()).unwrap();
    let annotation = &manifest["annotations"]["org.opencontainers.image.base.digest"];
    assert_eq!(annotation, index.as_str());
}

#[tokio::test]
async fn a_base_for_another_platform_is_refused_with_what_it_is_for() {
    let (registry, folder) = started().await;
    let arm = put_base(&registry, "arm64");
    let index = put_index(
        &registry,
        &[("arm64", &arm), ("s390x", &arm), ("unknown", &arm)],
    );
    let ending = |text: String| text.split_once("\" ").unwrap().1.to_owned();
    let said = refusal(&upon(&folder, registry.base("base", &arm))).await;
    expect!["is for linux/arm64, not for linux/amd64; name a base for linux/amd64"]
        .assert_eq(&ending(said));
    let said = refusal(&upon(&folder, registry.base("base", &index))).await;
    expect!["is for linux/arm64, linux/s390x, not for linux/amd64; name a base for linux/amd64"]
        .assert_eq(&ending(said));
}

#[tokio::test]
async fn a_base_that_is_not_there_or_no_image_is_an_error() {
    let (registry, folder) = started().await;
    let absent = upon(&folder, registry.base("base", &Digest::of(b"absent")));
    let no_image = registry.put_manifest("base", b"{\"schemaVersion\":2}");
    let no_image = upon(&folder, registry.base("base", &no_image));
    for (plan, words) in [
        (absent, "cannot read the base"),
        (no_image, "cannot understand the"),
    ] {
        let error = towline_pack::assemble(&plan, folder.path())
            .await
            .unwrap_err();
        assert!(error.to_string().starts_with(words), "{error}");
    }
}

#[tokio::test]
async fn layers_of_a_base_in_the_same_registry_are_mounted() {
    let (registry, folder) = started().await;
    let image = image(&upon(
        &folder,
        registry.base("base", &put_base(&registry, "amd64")),
    ))
    .await;
    registry.requests();
    push(&image, &registry.target("shop/api", &["main"]), quiet())
        .await
        .unwrap();
    let requests = registry.requests();
    assert!(
        !requests.contains(&"GET /v2/base/blobs".to_owned()),
        "{requests:?}"
    );
    assert!(
        registry
            .blobs("shop/api")
            .contains(&Digest::of(LAYER).to_string())
    );
}

#[tokio::test]
async fn layers_are_copied_where_mounting_is_not_possible() {
    let folder = Folder::new(&["a: 1"]);
    let near = FakeRegistry::start(Habit::NoMounts).await;
    let far = FakeRegistry::start(Habit::Usual).await;
    for target in [&near, &far] {
        let base = near.base("base", &put_base(&near, "amd64"));
        let image = image(&upon(&folder, base)).await;
        push(&image, &target.target("shop/api", &["main"]), quiet())
            .await
            .unwrap();
        assert!(
            target
                .blobs("shop/api")
                .contains(&Digest::of(LAYER).to_string())
        );
    }
}

#[tokio::test]
async fn a_layout_holds_the_bases_layers_too() {
    let (registry, folder) = started().await;
    let image = image(&upon(
        &folder,
        registry.base("base", &put_base(&registry, "amd64")),
    ))
    .await;
    let out = tempfile::tempdir().unwrap();
    write_layout(&image, out.path()).await.unwrap();
    let path = out
        .path()
        .join("blobs/sha256")
        .join(Digest::of(LAYER).hex());
    assert_eq!(std::fs::read(path).unwrap(), LAYER);
}

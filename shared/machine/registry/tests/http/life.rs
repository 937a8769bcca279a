//! Restarts, kills, and a folder opened twice.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Method, StatusCode};
use tempfile::TempDir;
use tokio::net::TcpListener;
use towline_oci::{Digest, Reference};
use towline_registry::{
    Access, Authority, Credentials, Registry, RegistryError, Settings, Verdict,
};

use crate::support::{OCI_MANIFEST, client, manifest, serve};

#[tokio::test]
async fn a_restart_keeps_all_but_unfinished_uploads() {
    let served = serve().await;
    let image = served.push_image("team/app", "v1", "layer").await;
    let upload = served.start_upload("team/app").await;
    let patch = served.ask(Method::PATCH, &upload).body("half");
    assert_eq!(patch.send().await.unwrap().status(), StatusCode::ACCEPTED);
    let stray = Digest::of(b"stray");
    let shelf = served
        .dir
        .path()
        .join("blobs/sha256")
        .join(&stray.hex()[..2]);
    std::fs::create_dir_all(&shelf).unwrap();
    std::fs::write(shelf.join(stray.hex()), "stray").unwrap();
    let before = served.registry.next_events(0, 9).await.unwrap();

    let served = served.restart().await;
    let manifest = served.get("/v2/team/app/manifests/v1").await;
    assert_eq!(manifest.bytes().await.unwrap(), image);
    let layer = format!("/v2/team/app/blobs/{}", Digest::of(b"layer"));
    assert_eq!(served.get(&layer).await.text().await.unwrap(), "layer");
    assert_eq!(served.registry.next_events(0, 9).await.unwrap(), before);
    assert_eq!(before.len(), 1);
    assert_eq!(served.get(&upload).await.status(), StatusCode::NOT_FOUND);
    let uploads = std::fs::read_dir(served.dir.path().join("uploads")).unwrap();
    assert_eq!(uploads.count(), 0);
    assert!(!shelf.join(stray.hex()).exists());
}

#[tokio::test]
async fn a_folder_in_use_is_not_opened_again() {
    let served = serve().await;
    let again = Registry::open(served.dir.path(), Settings::default(), Arc::new(|| 0));
    assert!(matches!(again.err(), Some(RegistryError::InUse { .. })));
}

struct AllowAll;

#[async_trait]
impl Authority for AllowAll {
    async fn judge(&self, _: Option<&Credentials>, _: Access<'_>) -> Verdict {
        Verdict::Allow
    }
}

/// Names the folder to serve; says that this is the process to kill.
const FOLDER: &str = "TOWLINE_TEST_REGISTRY_TO_KILL";

/// The work of the process that is killed.
async fn serve_until_killed(folder: &Path) {
    let registry = Registry::open(folder, Settings::default(), Arc::new(|| 0)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("\nlistening {}", listener.local_addr().unwrap());
    axum::serve(listener, registry.router(Arc::new(AllowAll)))
        .await
        .unwrap();
}

/// The test that starts itself again as the process to kill.
const KILL: &str = "life::a_kill_at_any_moment_loses_nothing_acknowledged";

/// Starts that process and says where it listens.
fn start(folder: &Path) -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", KILL, "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = lines
        .map(Result::unwrap)
        .find_map(|line| Some(line.strip_prefix("listening ")?.to_owned()))
        .unwrap();
    (child, address)
}

/// Pushes images until the registry is killed; returns the acknowledged tags.
async fn push_until_gone(address: String, round: usize) -> Vec<(String, Vec<u8>)> {
    let client = client();
    let mut acknowledged = Vec::new();
    for count in 0.. {
        let layer = format!("layer {round} {count}");
        let digest = Digest::of(layer.as_bytes());
        let url = format!("http://{address}/v2/team/app");
        let blob = client
            .post(format!("{url}/blobs/uploads/?digest={digest}"))
            .body(layer.clone());
        let Ok(response) = blob.send().await else {
            break;
        };
        assert_eq!(response.status(), StatusCode::CREATED);
        let bytes = manifest((&digest, layer.len()), &[]);
        let tag = format!("t{round}-{count}");
        let put = client
            .put(format!("{url}/manifests/{tag}"))
            .header("content-type", OCI_MANIFEST)
            .body(bytes.clone());
        let Ok(response) = put.send().await else {
            break;
        };
        assert_eq!(response.status(), StatusCode::CREATED);
        acknowledged.push((tag, bytes));
    }
    acknowledged
}

#[tokio::test]
async fn a_kill_at_any_moment_loses_nothing_acknowledged() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return serve_until_killed(Path::new(&folder)).await;
    }
    let dir = TempDir::new().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..12_usize {
        let (mut child, address) = start(dir.path());
        let pushing = tokio::spawn(push_until_gone(address, round));
        // Any moment for the kill will do.
        tokio::time::sleep(Duration::from_millis(20 + 23 * round as u64)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.extend(pushing.await.unwrap());
    }
    assert!(!acknowledged.is_empty(), "nothing was pushed at all");
    let registry = Registry::open(dir.path(), Settings::default(), Arc::new(|| 0)).unwrap();
    let events = registry.next_events(0, usize::MAX).await.unwrap();
    let repository = "team/app".parse().unwrap();
    for (tag, bytes) in acknowledged {
        let reference = Reference::Tag(tag.parse().unwrap());
        let read = registry.read(&repository, &reference).await.unwrap();
        assert_eq!(read.unwrap().bytes, bytes, "{tag}");
        let of_tag = events
            .iter()
            .filter(|event| event.tag.as_ref().is_some_and(|it| it.as_str() == tag));
        assert_eq!(of_tag.count(), 1, "{tag}");
    }
}

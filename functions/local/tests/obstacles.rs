//! The real binary while work waits for something that only a person can fix.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use common::{Repository, Server, client, deliver};
use serde_json::Value;

/// How long builds may take on a machine that runs other tests too.
const PATIENCE: Duration = Duration::from_secs(120);

const DEFINITION: &str = r#"
version: 1
pipeline: shop
components:
  web:
    repository: acme/shop-web
    build: {preset: pack, run: [mkdir -p dist, 'test "$TOKEN" = t0ken', cp index.html dist/], root: dist, secrets: {TOKEN: "shop/npm:token"}}
stages:
  - {name: staging, from: build}
"#;

/// A build whose secret is missing does not fail: it says what is missing, and starts as soon as it is
/// added.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_waits_for_a_secret_and_starts_once_it_is_there() {
    let scratch = tempfile::tempdir().unwrap();
    let repository = Repository::create(scratch.path().join("shop"));
    repository.write(".towline.yml", DEFINITION);
    repository.write("index.html", "0");
    let commit = repository.commit("first");
    let data = scratch.path().join("data");
    let server = Server::start(&data, &repository.path);
    let push = repository.push(&"0".repeat(40), &commit);
    assert_eq!(deliver(&client(), &server.url, push, None).await, Ok(202));

    let path = format!("commit?commit={commit}");
    let waits = |answer: &Value| {
        let build = &answer["runs"][0]["builds"][0];
        let why = build["why"].as_str()?;
        why.contains("build secrets cannot be used")
            .then(|| why.to_owned())
    };
    let why = server.until(&client(), &path, PATIENCE, waits).await;
    assert!(
        why.contains("TOKEN (secrets-manager shop/npm:token)"),
        "{why}"
    );
    assert!(why.ends_with("it continues once this is fixed"), "{why}");
    let queue = server.ask(&client(), "queue").await.unwrap();
    let why = queue["waiting"][0]["why"].as_str().unwrap();
    assert!(why.contains("build secrets cannot be used"), "{queue}");

    let file = data.join("secrets.json");
    let new = data.join("new");
    fs::write(
        &new,
        r#"{"secrets-manager": {"shop/npm": {"token": "t0ken"}}}"#,
    )
    .unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(&new, &file).unwrap();
    let live = |answer: &Value| {
        let image = &answer["live"][0]["image"];
        (image["commit"] == commit.as_str()).then_some(())
    };
    server
        .until(&client(), "now?stage=staging", PATIENCE, live)
        .await;
    let answer = server.ask(&client(), &path).await.unwrap();
    let build = &answer["runs"][0]["builds"][0];
    assert_eq!(build["attempt"], 1, "nothing failed meanwhile: {answer}");
}

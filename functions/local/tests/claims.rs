//! The real binary: who can claim an image repository, who sees the claim, and who can release it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::{Repository, Server, client, deliver};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

const DEFINITION: &str = "\
version: 1
pipeline: shop
source: {branches: ['**']}
components:
  web:
    repository: acme/IMAGES
    build: {preset: pack, run: [mkdir -p dist, cp index.html dist/], root: dist}
";

/// Adds a person; returns their token.
fn person(data: &Path, login: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_towline"))
        .args(["people", "add", login, "--json", "--data"])
        .arg(data)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let answer: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
    answer["token"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s13_only_a_default_branch_claims_and_only_the_owner_releases() {
    let scratch = tempfile::tempdir().unwrap();
    let data = scratch.path().join("data");
    let repository = Repository::create(scratch.path().join("shop"));
    let write = |images: &str| {
        repository.write(".towline.yml", &DEFINITION.replace("IMAGES", images));
        repository.write("index.html", images);
        repository.commit(images)
    };
    let first = write("shop");
    let server = Server::start(&data, &repository.path);
    let push = repository.push(&"0".repeat(40), &first);
    assert_eq!(deliver(&client(), &server.url, push, None).await, Ok(202));
    let built = |answer: &Value| {
        let status = answer["runs"][0]["status"].as_str()?;
        (status != "building").then(|| answer.clone())
    };
    let path = format!("commit?commit={first}");
    let answer = server.until(&client(), &path, PATIENCE, built).await;
    assert_eq!(answer["runs"][0]["status"], "succeeded", "{answer:#}");

    // A branch names an image repository that belongs to nobody: it is not built, and claims nothing.
    repository.git(&["checkout", "-q", "-b", "evil"]);
    let evil = write("payments");
    let zeros = "0".repeat(40);
    let push = repository.push(&zeros, &evil);
    let push = push.replace("refs/heads/main", "refs/heads/evil");
    assert_eq!(deliver(&client(), &server.url, push, None).await, Ok(202));
    let path = format!("commit?commit={evil}");
    let answer = server.until(&client(), &path, PATIENCE, built).await;
    let why = &answer["runs"][0]["skipped"][0]["reason"];
    let said = "image repository acme/payments belongs to no component yet; only the definition of the default branch (main) can claim it, so push it there first";
    assert!(
        why.as_str().unwrap_or_default().contains(said),
        "{answer:#}"
    );

    let claims = server.ask(&client(), "claims").await.unwrap();
    let own = json!([{
        "images": "acme/shop", "component": "web", "repository": "local/shop",
    }]);
    assert_eq!(claims["claims"], own);

    let token = person(&data, "lee");
    let request = client()
        .post(format!("{}/v1/release", server.url))
        .bearer_auth(token)
        .json(&json!({"images": "acme/shop"}));
    let response = request.send().await.unwrap();
    assert_eq!(response.status().as_u16(), 403);
    let refusal: Value = response.json().await.unwrap();
    let said = "only the owner may release a claim; use the owner's token";
    assert_eq!(refusal["error"], said);

    let command = json!({"images": "acme/shop"});
    let answer = server.tell(&client(), "release", command.clone()).await;
    assert!(answer.is_ok(), "{answer:?}");
    let claims = server.ask(&client(), "claims").await.unwrap();
    assert_eq!(claims["claims"], json!([]));
    let again = server
        .tell(&client(), "release", command)
        .await
        .unwrap_err();
    assert!(
        again.contains("no component has claimed acme/shop"),
        "{again}"
    );
}

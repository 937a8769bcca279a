//! The real binary without webhooks: a push is found by looking at its branch.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::time::{Duration, Instant};

use common::{Repository, Server, client, deliver};
use serde_json::Value;

/// How long builds may take on a machine that runs other tests too.
const PATIENCE: Duration = Duration::from_secs(120);
/// A push without a webhook is found in ten seconds; a busy machine may need longer.
const FOUND: Duration = Duration::from_secs(30);

const DEFINITION: &str = "\
version: 1
pipeline: shop
components:
  web:
    repository: acme/shop-web
    build: {preset: pack, run: [mkdir -p dist, cp index.html dist/], root: dist}
stages:
  - {name: staging, from: build}
";

/// The runs of a commit, if it has any.
fn runs(answer: &Value) -> Option<usize> {
    let runs = answer["runs"].as_array()?.len();
    (runs > 0).then_some(runs)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f8_s7_a_commit_without_a_webhook_is_found_and_its_late_webhook_is_a_duplicate() {
    let scratch = tempfile::tempdir().unwrap();
    let repository = Repository::create(scratch.path().join("shop"));
    repository.write(".towline.yml", DEFINITION);
    repository.write("index.html", "0");
    let first = repository.commit("first");
    let server = Server::start(&scratch.path().join("data"), &repository.path);
    let push = repository.push(&"0".repeat(40), &first);
    let answer = deliver(&client(), &server.url, push, None).await;
    assert_eq!(answer, Ok(202));
    let live = |commit: &str| {
        let commit = commit.to_owned();
        move |answer: &Value| {
            let image = &answer["live"][0]["image"];
            (image["commit"] == commit.as_str()).then_some(())
        }
    };
    let at = "now?stage=staging";
    server.until(&client(), at, PATIENCE, live(&first)).await;

    // No webhook is sent.
    repository.write("index.html", "1");
    let second = repository.commit("second");
    let began = Instant::now();
    let path = format!("commit?commit={second}");
    let found = server.until(&client(), &path, FOUND, runs).await;
    assert_eq!(found, 1, "after {:?}", began.elapsed());
    server.until(&client(), at, PATIENCE, live(&second)).await;

    let push = repository.push(&first, &second);
    let answer = deliver(&client(), &server.url, push, None).await;
    assert_eq!(answer, Ok(200), "the late webhook is a duplicate");

    // A branch that starts no run, and a tag, cause nothing.
    repository.git(&["branch", "topic"]);
    repository.git(&["tag", "v1"]);
    repository.write("index.html", "2");
    let third = repository.commit("third");
    let path = format!("commit?commit={third}");
    server.until(&client(), &path, FOUND, runs).await;
    let all = server.ask(&client(), "runs").await.unwrap();
    let listed = all["runs"].as_array().map(Vec::len);
    assert_eq!(listed, Some(3), "{all}");
}

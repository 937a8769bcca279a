//! The real binary with restarts: none costs a build a try, and a queued build follows the port.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::time::{Duration, Instant};

use common::{Repository, Server, client, deliver};
use serde_json::Value;

/// How long builds may take on a machine that runs other tests too.
const PATIENCE: Duration = Duration::from_secs(120);

/// Three components for two places; each build waits until somebody opens the gate.
fn gated(gate: &str) -> String {
    let component = |name: &str| {
        format!(
            "  {name}:
    repository: acme/shop-{name}
    build: {{preset: pack, run: [mkdir -p dist, cp index.html dist/, 'echo started >> {gate}.started', 'until test -e {gate}; do sleep 0.05; done'], root: dist}}
"
        )
    };
    format!(
        "version: 1\npipeline: shop\ncomponents:\n{}{}{}stages:\n  - {{name: staging, from: build}}\n",
        component("api"),
        component("doc"),
        component("web")
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s17_s18_restarts_cost_no_tries_and_a_queued_build_follows_the_port() {
    let scratch = tempfile::tempdir().unwrap();
    let gate = scratch.path().join("gate");
    let started = scratch.path().join("gate.started");
    let repository = Repository::create(scratch.path().join("shop"));
    repository.write(".towline.yml", &gated(&gate.display().to_string()));
    repository.write("index.html", "0");
    let commit = repository.commit("first");
    let data = scratch.path().join("data");
    let mut server = Server::start(&data, &repository.path);
    let push = repository.push(&"0".repeat(40), &commit);
    let answer = deliver(&client(), &server.url, push, None).await;
    assert_eq!(answer, Ok(202));
    // More restarts than a build has tries. Each comes while two builds run and one is queued, and
    // each server listens on another port.
    for restart in 0..4 {
        let began = Instant::now();
        let lines = || std::fs::read_to_string(&started).unwrap_or_default();
        while lines().lines().count() < 2 * (restart + 1) {
            assert!(began.elapsed() < PATIENCE, "no build starts: {}", lines());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server.kill();
        server = Server::start(&data, &repository.path);
    }
    std::fs::write(&gate, "").unwrap();
    let path = format!("commit?commit={commit}");
    let ended = |answer: &Value| {
        let status = answer["runs"][0]["status"].as_str()?;
        (status != "building").then(|| answer.clone())
    };
    let answer = server.until(&client(), &path, PATIENCE, ended).await;
    let run = &answer["runs"][0];
    assert_eq!(run["status"], "succeeded", "{answer:#}");
}

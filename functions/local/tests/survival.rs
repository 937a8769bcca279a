//! The real binary under `kill -9`: nothing acknowledged is lost, nothing is accepted twice (F37).

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::{Dice, Repository, Server, deliver};
use serde_json::Value;

/// How often the server is killed.
const KILLS: u32 = 50;
/// The seed of the test.
const SEED: u64 = 7;

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f37_fifty_kills_lose_nothing_acknowledged_and_accept_nothing_twice() {
    let scratch = tempfile::tempdir().expect("a folder");
    let repository = Repository::create(scratch.path().join("shop"));
    repository.write(".towline.yml", DEFINITION);
    repository.write("index.html", "0");
    let mut commits = vec![repository.commit("commit 0")];
    for number in 1..=120 {
        repository.write("index.html", &number.to_string());
        commits.push(repository.commit(&format!("commit {number}")));
    }
    let data = scratch.path().join("data");
    let client = common::client();
    let mut dice = Dice(SEED);
    let mut acknowledged: BTreeMap<usize, u16> = BTreeMap::new();
    let mut next = 0;
    for kill in 0..KILLS {
        if kill % 5 == 4 {
            // Some are killed while they start and clean up after the last one.
            Server::stillborn(
                &data,
                &repository.path,
                Duration::from_millis(dice.roll(150)),
            );
            continue;
        }
        let server = Server::start(&data, &repository.path);
        if let Some((known, _)) = acknowledged.last_key_value() {
            let body = repository.push(&before(&commits, *known), &commits[*known]);
            let answer = deliver(&client, &server.url, body, None).await;
            assert_eq!(
                answer,
                Ok(200),
                "push {known} was acknowledged in an earlier life"
            );
        }
        let life = Duration::from_millis(1 + dice.roll(500));
        let pushes = async {
            loop {
                // Pushes without an acknowledgement are sent again, like GitHub's redelivery.
                let body = repository.push(&before(&commits, next), &commits[next]);
                match deliver(&client, &server.url, body, None).await {
                    Ok(status @ (200 | 202)) => {
                        acknowledged.entry(next).or_insert(status);
                        next = (next + 1).min(commits.len() - 2);
                        let pause = dice.roll(30);
                        tokio::time::sleep(Duration::from_millis(pause)).await;
                    }
                    Ok(other) => panic!("a good push was answered {other}"),
                    Err(_) => return,
                }
            }
        };
        let _ = tokio::time::timeout(life, pushes).await;
        server.kill();
    }
    assert!(
        acknowledged.len() > 20,
        "only {} pushes were acknowledged before the kills",
        acknowledged.len()
    );

    let server = Server::start(&data, &repository.path);
    let last = commits.len() - 1;
    let body = repository.push(&before(&commits, last), &commits[last]);
    assert_eq!(
        deliver(&client, &server.url, body.clone(), None).await,
        Ok(202)
    );
    assert_eq!(
        deliver(&client, &server.url, body, None).await,
        Ok(200),
        "the same push again is a duplicate"
    );

    // The newest commit goes all the way, regardless of the kills.
    let patience = Duration::from_secs(120);
    let digest = server
        .until(&client, "now?stage=staging", patience, |answer| {
            let image = &answer["live"][0]["image"];
            (image["commit"] == commits[last].as_str()).then(|| image["digest"].clone())
        })
        .await;

    // Every acknowledged push became exactly one run, and every run ended.
    for number in acknowledged.keys() {
        let commit = &commits[*number];
        let runs = server
            .until(
                &client,
                &format!("commit?commit={commit}"),
                patience,
                ended_runs,
            )
            .await;
        assert_eq!(
            runs, 1,
            "commit {number} has one run, however often it was sent"
        );
    }

    // The registry agrees with the ledger.
    let manifest = client
        .get(format!("{}/v2/acme/shop-web/manifests/staging", server.url))
        .basic_auth("AWS", Some(&server.token));
    let manifest = manifest
        .header("accept", "application/vnd.oci.image.manifest.v1+json")
        .send()
        .await
        .expect("an answer");
    assert_eq!(
        manifest.headers()["docker-content-digest"],
        digest.as_str().expect("a digest")
    );
}

fn before(commits: &[String], number: usize) -> String {
    if number == 0 {
        "0".repeat(40)
    } else {
        commits[number - 1].clone()
    }
}

/// How many runs a commit has, once all of them have ended.
fn ended_runs(answer: &Value) -> Option<usize> {
    let runs = answer["runs"].as_array()?;
    let ended = runs.iter().all(|run| run["status"] != "building");
    (!runs.is_empty() && ended).then_some(runs.len())
}

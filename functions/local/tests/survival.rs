//! The real binary under `kill -9`: nothing acknowledged is lost, nothing is accepted twice (F37).

mod common;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common::{Dice, Repository, Server, deliver};
use serde_json::Value;

/// How often the server is killed, if `TOWLINE_KILLS` does not say.
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
async fn f37_kills_lose_nothing_acknowledged_and_accept_nothing_twice() {
    let kills = kills();
    let scratch = tempfile::tempdir().expect("a folder");
    let repository = Repository::create(scratch.path().join("shop"));
    repository.write(".towline.yml", DEFINITION);
    repository.write("index.html", "0");
    let mut commits = vec![repository.commit("commit 0")];
    for number in 1..=kills * 12 / 5 {
        repository.write("index.html", &number.to_string());
        commits.push(repository.commit(&format!("commit {number}")));
    }
    let data = scratch.path().join("data");
    let client = common::client();
    let mut dice = Dice(SEED);
    let mut acknowledged: BTreeMap<usize, u16> = BTreeMap::new();
    let mut next = 0;
    let mut starts = Vec::new();
    for kill in 0..kills {
        if kill % 5 == 4 {
            // Some are killed while they start and clean up after the last one.
            Server::stillborn(
                &data,
                &repository.path,
                Duration::from_millis(dice.roll(150)),
            );
            continue;
        }
        let began = Instant::now();
        let server = Server::start(&data, &repository.path);
        let health = client.get(format!("{}/healthz", server.url)).send().await;
        assert!(health.is_ok_and(|answer| answer.status().is_success()));
        starts.push(began.elapsed());
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

    starts.sort();
    let most = starts[starts.len() * 99 / 100];
    println!(
        "{kills} kills, {} pushes acknowledged; ready again: p50 {:?}, p99 {most:?}",
        acknowledged.len(),
        starts[starts.len() / 2],
    );
    // Two seconds is the aim; a machine that runs other tests may need longer.
    assert!(most < Duration::from_secs(10), "ready again after {most:?}");

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

    // Every acknowledged push became exactly one run, every run ended, and none failed because of the kills.
    let mut failed = Vec::new();
    for number in acknowledged.keys() {
        let commit = &commits[*number];
        let path = format!("commit?commit={commit}");
        let runs = server.until(&client, &path, patience, ended_runs).await;
        let once = "has one run, however often it was sent";
        assert_eq!(runs.len(), 1, "commit {number} {once}");
        failed.extend(runs.into_iter().filter(|status| status == "failed"));
    }
    println!("{} runs failed", failed.len());

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

/// How often the server is killed. `.ci/run kills_long` says a thousand.
#[expect(clippy::disallowed_methods, reason = "the long form sets it")]
fn kills() -> u32 {
    let set = std::env::var("TOWLINE_KILLS");
    set.map_or(KILLS, |kills| kills.parse().expect("a number"))
}

fn before(commits: &[String], number: usize) -> String {
    if number == 0 {
        "0".repeat(40)
    } else {
        commits[number - 1].clone()
    }
}

/// The states of a commit's runs, once all of them have ended.
fn ended_runs(answer: &Value) -> Option<Vec<String>> {
    let runs = answer["runs"].as_array()?;
    let states = runs.iter().map(|run| run["status"].as_str());
    let states: Option<Vec<&str>> = states.collect();
    let states = states?;
    let ended = states.iter().all(|status| *status != "building");
    let states = states.into_iter().map(str::to_owned);
    (!runs.is_empty() && ended).then(|| states.collect())
}

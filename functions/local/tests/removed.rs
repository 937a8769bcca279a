//! The real binary and a commit that a forced push removes while its image waits for approval.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::time::Duration;

use common::{Repository, Server, client, deliver};
use serde_json::{Value, json};

/// How long builds may take on a machine that runs other tests too.
const PATIENCE: Duration = Duration::from_secs(120);

const DEFINITION: &str = "\
version: 1
pipeline: shop
components:
  web:
    repository: acme/shop-web
    build: {preset: pack, run: [mkdir -p dist, cp index.html dist/], root: dist}
stages:
  - {name: staging, from: build}
  - {name: prod, from: staging, gates: [approval: {min: 1}]}
rights: {override: [owners]}
";

/// The promotion of a commit that waits in prod, by the answer of `now?stage=prod`.
fn waiting(commit: &str) -> impl Fn(&Value) -> Option<u64> {
    move |answer: &Value| {
        let mut waiting = answer["live"][0]["waiting"].as_array()?.iter();
        let its = waiting.find(|promotion| promotion["commit"] == commit)?;
        its["promotion"].as_u64()
    }
}

fn live(commit: &str) -> impl Fn(&Value) -> Option<()> {
    move |answer: &Value| (answer["live"][0]["image"]["commit"] == commit).then_some(())
}

/// Why a commit's image is not in prod, by the answer of `where`, if a promotion of it has ended.
fn ended(answer: &Value) -> Option<String> {
    let why = answer["places"][0]["stages"][1]["why"].as_str()?;
    why.contains("was refused").then(|| why.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f26_s12_a_commit_that_was_forced_away_goes_live_by_an_override_only() {
    let scratch = tempfile::tempdir().unwrap();
    let repository = Repository::create(scratch.path().join("shop"));
    repository.write(".towline.yml", DEFINITION);
    repository.write("index.html", "0");
    let first = repository.commit("first");
    let server = Server::start(&scratch.path().join("data"), &repository.path);
    let (http, prod) = (client(), "now?stage=prod");
    let approve = async |promotion: u64| {
        let answer = server.tell(&http, "approve", json!({"promotion": promotion}));
        answer.await.unwrap()
    };
    let mut before = "0".repeat(40);
    for (commit, text) in [(first.clone(), "0"), (String::new(), "1")] {
        repository.write("index.html", text);
        let commit = match commit.is_empty() {
            true => repository.commit("second"),
            false => commit,
        };
        let push = repository.push(&before, &commit);
        assert_eq!(deliver(&http, &server.url, push, None).await, Ok(202));
        let promotion = server.until(&http, prod, PATIENCE, waiting(&commit)).await;
        if commit == first {
            approve(promotion).await;
            server.until(&http, prod, PATIENCE, live(&first)).await;
        }
        before = commit;
    }
    let second = before;
    let promotion = server.until(&http, prod, PATIENCE, waiting(&second)).await;

    repository.git(&["reset", "--quiet", "--hard", &first]);
    approve(promotion).await;
    let place = format!("where?reference={second}");
    let why = server.until(&http, &place, PATIENCE, ended).await;
    let short = &second[..7];
    assert_eq!(
        why,
        format!(
            "promotion #{promotion} was refused: {short} is no longer on main; promote it again once it is back, or with --override"
        )
    );
    server.until(&http, prod, PATIENCE, live(&first)).await;

    // The command line waits for the end and says the same.
    let again = server.towline(&["promote", "web", &second, "prod", "--json"]);
    let again: Value = serde_json::from_str(&again).unwrap();
    approve(again["promotion"].as_u64().unwrap()).await;
    let number = format!("promotion #{} was refused", again["promotion"]);
    let newer = |answer: &Value| ended(answer).filter(|why| why.starts_with(&number));
    server.until(&http, &place, PATIENCE, newer).await;

    let fields = json!({
        "component": "web", "image": second, "stage": "prod",
        "override": true, "reason": "incident 4711",
    });
    server.tell(&http, "promote", fields).await.unwrap();
    server.until(&http, prod, PATIENCE, live(&second)).await;
    let audit = server.ask(&http, "audit?stage=prod").await.unwrap();
    let rows = audit["rows"].as_array().unwrap().iter();
    let refused = rows
        .clone()
        .filter(|row| row["result"] == "refused")
        .count();
    assert_eq!(refused, 2, "{audit}");
    let overridden = rows.filter(|row| row["action"] == "override").count();
    assert_eq!(overridden, 1, "{audit}");
}

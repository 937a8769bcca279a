//! Many pushes to one repository, and one to another.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::common::{Repository, Server, client, deliver};
use serde_json::Value;

const LONG: Duration = Duration::from_secs(60);

/// A build that writes its ref to `order` and runs until it can remove the folder `gate`.
fn definition(scratch: &Path, name: &str) -> String {
    let scratch = scratch.display();
    format!(
        "\
version: 1
pipeline: {name}
source: {{branches: [\"**\"]}}
components:
  web:
    repository: acme/{name}
    build:
      preset: pack
      root: dist
      run:
        - echo \"{name} $GIT_REF\" >> {scratch}/order
        - 'until rmdir {scratch}/gate 2>/dev/null; do sleep 0.01; done'
        - mkdir -p dist
        - cp index.html dist/
stages:
  - {{name: staging, from: build}}
"
    )
}

fn repository(scratch: &Path, name: &str) -> Repository {
    let repository = Repository::create(scratch.join(name));
    repository.write(".towline.yml", &definition(scratch, name));
    repository.write("index.html", "0");
    repository.commit("first");
    repository
}

/// Pushes a new commit of a branch, and waits until its build runs or waits.
async fn push(server: &Server, repository: &Repository, branch: &str) -> String {
    repository.git(&["checkout", "--quiet", "-B", branch]);
    repository.write("index.html", branch);
    let commit = repository.commit(branch);
    let body = repository.push_to(branch, &"0".repeat(40), &commit);
    let client = client();
    let answer = deliver(&client, &server.url, body, None).await;
    assert_eq!(answer, Ok(202), "{branch}");
    let listed = |answer: &Value| {
        let lists = [&answer["running"], &answer["waiting"]];
        let all = lists.into_iter().flat_map(|list| list.as_array());
        let mut all = all.flatten();
        let is_queued = |line: &Value| line["before"].is_u64() || line["why"] == RUNS;
        all.any(|line| line["commit"] == commit.as_str() && is_queued(line))
            .then_some(())
    };
    server.until(&client, "queue", LONG, listed).await;
    commit
}

const RUNS: &str = "nothing; it runs";

/// Lets the running build end, and waits until the next one has begun.
async fn next(scratch: &Path, begun: usize) -> String {
    fs::create_dir(scratch.join("gate")).expect("the last one was taken");
    let began = tokio::time::Instant::now();
    loop {
        let order = fs::read_to_string(scratch.join("order")).unwrap_or_default();
        if let Some(line) = order.lines().nth(begun) {
            return line.to_owned();
        }
        assert!(began.elapsed() < LONG, "no other build begins: {order}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a34_s10_a_flood_of_branches_delays_another_repository_by_one_build() {
    let scratch = tempfile::tempdir().expect("a folder");
    let scratch = scratch.path();
    let (shop, tools) = (repository(scratch, "shop"), repository(scratch, "tools"));
    let options = ["--builds", "1", "--waiting", "5"];
    let server = Server::with(&scratch.join("data"), &[&shop.path, &tools.path], &options);
    let mut commits = vec![push(&server, &shop, "main").await];
    for number in 2..=9 {
        commits.push(push(&server, &shop, &format!("b{number}")).await);
    }
    let other = push(&server, &tools, "main").await;

    let shown = server.towline(&["queue"]);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 1 + 1 + 5 + 1, "{shown}");
    let in_line = |index: usize, words: &[&str]| {
        let line = lines[index];
        assert!(
            words.iter().all(|word| line.contains(word)),
            "{index}: {shown}"
        );
    };
    in_line(0, &["BUILD", "REPOSITORY", "REF", "WAITS FOR"]);
    in_line(1, &["local/shop", "main", RUNS]);
    in_line(
        2,
        &[
            "local/tools",
            "main",
            &other[..7],
            "a free slot; it is next",
        ],
    );
    in_line(
        3,
        &["local/shop", "b5", "a free slot; 1 build is ahead of it"],
    );
    in_line(
        7,
        &["local/shop", "b9", "a free slot; 5 builds are ahead of it"],
    );
    let only = server.towline(&["queue", "--repository", "local/tools"]);
    assert_eq!(only.lines().count(), 2, "{only}");

    // The oldest that waited gave way, and say so.
    for commit in &commits[1..4] {
        let ended = |answer: &Value| {
            let build = &answer["runs"][0]["builds"][0];
            (build["state"] == "superseded").then(|| build["why"].to_string())
        };
        let path = format!("commit?commit={commit}");
        let why = server.until(&client(), &path, LONG, ended).await;
        assert!(
            why.contains("at most 5 builds of one repository may wait"),
            "{why}"
        );
    }

    assert_eq!(next(scratch, 1).await, "tools refs/heads/main");
    assert_eq!(next(scratch, 2).await, "shop refs/heads/b5");
    for begun in 3..7 {
        next(scratch, begun).await;
    }
    fs::create_dir(scratch.join("gate")).expect("the last one was taken");
    let empty = |answer: &Value| {
        let lists = [&answer["running"], &answer["waiting"]];
        lists
            .iter()
            .all(|list| **list == serde_json::json!([]))
            .then_some(())
    };
    server.until(&client(), "queue", LONG, empty).await;
}

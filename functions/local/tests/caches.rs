//! What builds can read, through the real binary: caches of other builds, separated by trust, and nothing
//! of the server.

mod common;
#[path = "caches/user.rs"]
mod user;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use common::{Repository, Server, client, deliver};
use serde_json::Value;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(120);

/// A definition whose builds print the word in the cache, and store another one. It admits the branch.
fn definition(branch: &str, word: &str) -> String {
    format!(
        "\
version: 1
pipeline: shop
source: {{branches: [main, {branch}]}}
components:
  web:
    repository: acme/shop-web
    build:
      preset: pack
      cache: [dep]
      root: dist
      run: ['mkdir -p dep dist; echo \"kept: $(cat dep/lib)\"; echo {word} >dep/lib; cp dep/lib dist/']
stages:
  - {{name: staging, from: build}}
"
    )
}

struct Shop {
    scratch: TempDir,
    repository: Repository,
    server: Server,
    client: reqwest::Client,
}

impl Shop {
    fn open() -> Self {
        let scratch = tempfile::tempdir().expect("a folder");
        let repository = Repository::create(scratch.path().join("shop"));
        repository.write(".towline.yml", &definition("main", "clean"));
        repository.commit("Open the shop");
        let server = Server::start(&scratch.path().join("data"), &repository.path);
        Self {
            scratch,
            repository,
            server,
            client: client(),
        }
    }

    /// Pushes a commit on a branch whose build keeps this word; returns what the build found.
    async fn push(&self, branch: &str, word: &str) -> String {
        let known = self.repository.git(&["branch", "--list", branch]);
        let (before, switch) = match known.is_empty() {
            true => ("0".repeat(40), vec!["checkout", "--quiet", "-b", branch]),
            false => {
                let head = self.repository.git(&["rev-parse", branch]);
                (head, vec!["checkout", "--quiet", branch])
            }
        };
        self.repository.git(&switch);
        self.repository
            .write(".towline.yml", &definition(branch, word));
        // Each push has a change to build.
        self.repository.write("page", &before);
        let commit = self.repository.commit(&format!("{branch} keeps {word}"));
        let body = self.repository.push(&before, &commit);
        let body = body.replace("refs/heads/main", &format!("refs/heads/{branch}"));
        let taken = deliver(&self.client, &self.server.url, body, None).await;
        assert_eq!(taken, Ok(202));
        let path = format!("commit?commit={commit}");
        let build = self
            .server
            .until(&self.client, &path, PATIENCE, succeeded)
            .await;
        self.found(build)
    }

    fn found(&self, build: u64) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_towline"))
            .args(["logs", &build.to_string()])
            .env("TOWLINE_URL", &self.server.url)
            .env("TOWLINE_TOKEN_FILE", self.token())
            .output()
            .expect("towline runs");
        let log = String::from_utf8(output.stdout).expect("a log is UTF-8");
        let found = log.lines().find_map(|line| line.strip_prefix("kept: "));
        found.unwrap_or_else(|| panic!("{log}")).to_owned()
    }

    fn token(&self) -> PathBuf {
        self.scratch.path().join("data/owner.token")
    }
}

/// The number of a commit's only build, once it has succeeded.
fn succeeded(answer: &Value) -> Option<u64> {
    let build = &answer["runs"][0]["builds"][0];
    assert_ne!(build["state"], "failed", "{answer}");
    (build["state"] == "succeeded").then(|| build["build"].as_u64())?
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_a30_what_a_branch_keeps_reaches_neither_main_nor_another_branch() {
    let shop = Shop::open();
    for (branch, keeps, found) in [
        ("main", "clean", ""),
        ("evil", "POISON", "clean"),
        ("main", "clean", "clean"),
        ("evil", "POISON", "POISON"),
        ("other", "else", "clean"),
    ] {
        assert_eq!(shop.push(branch, keeps).await, found, "{branch}");
    }
}

//! What builds may do in the registry, through the real binary: each build shows its password to the test
//! and waits.

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Repository, Server, client, deliver};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use towline_oci::Digest;

const PATIENCE: Duration = Duration::from_secs(120);
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A definition whose builds write their passwords to a folder and wait there.
fn definition(folder: &str, components: &[&str]) -> String {
    let mut text =
        "version: 1\npipeline: shop\nsource: {branches: ['**']}\ncomponents:\n".to_owned();
    for images in components {
        let name = images.split('/').next_back().expect("a name");
        text += &format!(
            "  {name}:
    repository: {images}
    build:
      tags: ['{{sha7}}-{{build}}', newest]
      inline: |
        version: 0.2
        phases:
          build:
            commands:
              - 'at={folder}/{name}-$BUILD_NUMBER; echo \"$IMAGE_TAG $(aws ecr get-login-password)\" > $at.new; mv $at.new $at.shown'
              - 'until test -e {folder}/{name}-$BUILD_NUMBER.go; do sleep 0.1; done'
"
        );
    }
    text + "stages:\n  - {name: staging, from: build}\n"
}

struct Shop {
    scratch: TempDir,
    repositories: Vec<Repository>,
    server: Server,
    client: reqwest::Client,
}

/// Someone with a password for the registry.
struct Guest<'a> {
    shop: &'a Shop,
    password: String,
    /// The tag that only its build pushes.
    tag: String,
}

impl Shop {
    /// A server for repositories of these names, with components that have these image repositories.
    fn open(repositories: &[(&str, &[&str])]) -> Self {
        let scratch = tempfile::tempdir().expect("a folder");
        let folder = scratch.path().to_str().expect("a path");
        let create = |(name, components): &(&str, &[&str])| {
            let repository = Repository::create(scratch.path().join(name));
            repository.write(".towline.yml", &definition(folder, components));
            repository
        };
        let repositories: Vec<Repository> = repositories.iter().map(create).collect();
        let paths: Vec<_> = repositories.iter().map(|it| it.path.as_path()).collect();
        let server = Server::with(&scratch.path().join("data"), &paths, &["--builds", "2"]);
        Self {
            scratch,
            repositories,
            server,
            client: client(),
        }
    }

    async fn push(&self, repository: usize, before: &str) -> String {
        let repository = &self.repositories[repository];
        let commit = repository.commit("a change");
        let body = repository.push(before, &commit);
        let taken = deliver(&self.client, &self.server.url, body, None).await;
        assert_eq!(taken, Ok(202));
        commit
    }

    fn sign(&self, build: &str, what: &str) -> PathBuf {
        self.scratch.path().join(format!("{build}.{what}"))
    }

    /// A build such as `web-1`, once it runs.
    async fn build(&self, build: &str) -> Guest<'_> {
        for _ in 0..PATIENCE.as_millis() / 50 {
            if let Ok(shown) = fs::read_to_string(self.sign(build, "shown")) {
                let (tag, password) = shown.trim().split_once(' ').expect("two words");
                return Guest {
                    shop: self,
                    password: password.into(),
                    tag: tag.into(),
                };
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{build} does not run");
    }

    fn owner(&self) -> Guest<'_> {
        Guest {
            shop: self,
            password: self.server.token.clone(),
            tag: String::new(),
        }
    }

    /// Lets a build go on, and waits until the commit has the state.
    async fn end(&self, build: &str, commit: &str, state: &str) {
        fs::write(self.sign(build, "go"), "").expect("a file");
        let ended =
            |answer: &Value| (answer["runs"][0]["builds"][0]["state"] == state).then_some(());
        let path = format!("commit?commit={commit}");
        self.server
            .until(&self.client, &path, PATIENCE, ended)
            .await;
    }
}

impl Guest<'_> {
    /// The status and the first error of an answer.
    async fn ask(&self, method: Method, path: &str, body: &[u8]) -> (u16, String) {
        let request = self
            .shop
            .client
            .request(method, format!("{}/v2/{path}", self.shop.server.url))
            .basic_auth("AWS", Some(&self.password))
            .header("content-type", MANIFEST)
            .body(body.to_vec());
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        let text = response.text().await.expect("a body");
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        let error = &answer["errors"][0];
        let said = match error["code"].as_str() {
            Some(code) => format!("{code}: {}", error["message"].as_str().unwrap_or_default()),
            None => String::new(),
        };
        (status, said)
    }

    async fn get(&self, path: &str) -> (u16, String) {
        self.ask(Method::GET, path, b"").await
    }

    /// Pushes an image without a config of its own under a tag, or under its digest.
    async fn put(&self, images: &str, tag: Option<&str>, content: &str) -> (u16, String) {
        self.put_with(images, tag, "{}", content).await
    }

    async fn put_with(
        &self,
        images: &str,
        tag: Option<&str>,
        config: &str,
        content: &str,
    ) -> (u16, String) {
        let blob = |bytes: &str| (Digest::of(bytes.as_bytes()), bytes.len());
        for bytes in [config, content] {
            let path = format!("{images}/blobs/uploads/?digest={}", blob(bytes).0);
            let (status, said) = self.ask(Method::POST, &path, bytes.as_bytes()).await;
            if status != 201 {
                return (status, said);
            }
        }
        let ((config, config_size), (layer, size)) = (blob(config), blob(content));
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": config_size},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": size}],
        })
        .to_string();
        let digest = Digest::of(manifest.as_bytes());
        let path = format!("{images}/manifests/{}", tag.unwrap_or(digest.as_str()));
        self.ask(Method::PUT, &path, manifest.as_bytes()).await
    }

    async fn is_refused(&self, images: &str, tag: Option<&str>, reason: &str) {
        let (status, said) = self.put(images, tag, "foreign").await;
        assert_eq!(status, 403, "{images}:{tag:?}: {said}");
        assert!(said.starts_with("DENIED: "), "{said}");
        assert!(said.contains(reason), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s6_a26_a_build_pushes_the_tags_of_its_own_attempt_until_it_has_ended() {
    let shop = Shop::open(&[("shop", &["acme/web"])]);
    let commit = shop.push(0, &"0".repeat(40)).await;
    let build = shop.build("web-1").await;
    let other = build.tag.replace("-1", "-2");
    for tag in ["staging", "prod", "latest", other.as_str()] {
        let reason = format!("the tags {}, newest to acme/web, not {tag}", build.tag);
        build.is_refused("acme/web", Some(tag), &reason).await;
    }
    let reason = "may push to acme/web, not to acme/api";
    build.is_refused("acme/api", None, reason).await;
    let layers = "towline-cache/trusted/acme/web";
    build
        .is_refused(layers, None, "may push to acme/web, not to")
        .await;
    assert_eq!(build.get("_catalog").await.0, 403);

    for tag in [None, Some(build.tag.as_str()), Some("newest")] {
        let answer = build.put("acme/web", tag, "our image").await;
        assert_eq!(answer, (201, String::new()), "{tag:?}");
    }
    shop.end("web-1", &commit, "succeeded").await;

    let ended = "has ended, and its password with it";
    build.is_refused("acme/web", Some(&build.tag), ended).await;
    build.is_refused("acme/web", None, ended).await;
    assert_eq!(build.get("acme/web/tags/list").await.0, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s6_no_other_build_makes_the_evidence_of_an_attempt() {
    let shop = Shop::open(&[("shop", &["acme/web"])]);
    let first = shop.push(0, &"0".repeat(40)).await;
    let bound = shop.build("web-1").await;
    shop.repositories[0].git(&["checkout", "--quiet", "-b", "evil"]);
    shop.repositories[0].write("page", "something else");
    let second = shop.repositories[0].commit("something else");
    let body = shop.repositories[0].push(&"0".repeat(40), &second);
    let body = body.replace("refs/heads/main", "refs/heads/evil");
    let taken = deliver(&shop.client, &shop.server.url, body, None).await;
    assert_eq!(taken, Ok(202));
    let other = shop.build("web-2").await;
    let reason = format!("not {}", bound.tag);
    other
        .is_refused("acme/web", Some(&bound.tag), &reason)
        .await;
    // Neither as evidence nor to have the attempt held.
    let taken = bound.put("acme/web", Some(&bound.tag), "our image").await;
    assert_eq!(taken.0, 201, "{taken:?}");
    shop.end("web-1", &first, "succeeded").await;
    fs::write(shop.sign("web-2", "go"), "").expect("a file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s22_a_build_pulls_only_what_belongs_to_its_github_repository() {
    let shop = Shop::open(&[
        ("rival", &["rival/till"]),
        ("shop", &["acme/web", "acme/api"]),
    ]);
    let commit = shop.push(0, &"0".repeat(40)).await;
    let rival = shop.build("till-1").await;
    let taken = rival.put("rival/till", Some(&rival.tag), "a secret").await;
    assert_eq!(taken.0, 201, "{taken:?}");
    shop.end("till-1", &commit, "succeeded").await;
    let owner = shop.owner();
    for images in ["base/debian", "acme/api"] {
        assert_eq!(owner.put(images, Some("1"), "a base").await.0, 201);
    }

    shop.push(1, &"0".repeat(40)).await;
    let build = shop.build("web-1").await;
    assert_eq!(build.get("base/debian/manifests/1").await.0, 200);
    assert_eq!(build.get("acme/api/manifests/1").await.0, 200);
    let secret = Digest::of(b"a secret");
    for path in [
        format!("rival/till/manifests/{}", rival.tag),
        format!("rival/till/blobs/{secret}"),
        "rival/till/tags/list".into(),
        format!("rival/till/referrers/{secret}"),
        "towline-cache/trusted/acme/api/tags/list".into(),
    ] {
        let (status, said) = build.get(&path).await;
        assert_eq!(status, 403, "{path}: {said}");
    }
    let mount =
        |from: &str, digest: &Digest| format!("acme/web/blobs/uploads/?mount={digest}&from={from}");
    let (base, secret) = (
        mount("base/debian", &Digest::of(b"a base")),
        mount("rival/till", &secret),
    );
    assert_eq!(build.ask(Method::POST, &base, b"").await.0, 201, "mounted");
    assert_eq!(
        build.ask(Method::POST, &secret, b"").await.0,
        202,
        "to be uploaded"
    );
    for build in ["web-1", "api-2"] {
        fs::write(shop.sign(build, "go"), "").expect("a file");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_a_push_that_can_never_be_recorded_is_set_aside_and_keeps_nobody_waiting() {
    let shop = Shop::open(&[("evil", &["evil/till"]), ("shop", &["acme/web"])]);
    shop.push(0, &"0".repeat(40)).await;
    let evil = shop.build("till-1").await;
    // No item of the store has space for such a platform.
    let architecture = "x".repeat(400_000);
    let config = json!({"os": "linux", "architecture": architecture}).to_string();
    for content in ["one", "two"] {
        let taken = evil.put_with("evil/till", Some(&evil.tag), &config, content);
        assert_eq!(taken.await.0, 201, "the registry takes it");
    }
    let commit = shop.push(1, &"0".repeat(40)).await;
    let build = shop.build("web-1").await;
    let began = Instant::now();
    let taken = build.put("acme/web", Some(&build.tag), "our image").await;
    assert_eq!(taken.0, 201, "{taken:?}");
    shop.end("web-1", &commit, "succeeded").await;
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );

    let aside = format!("the push of evil/till:{} (sha256:", evil.tag);
    let mut said = String::new();
    for _ in 0..200 {
        let output = Command::new(env!("CARGO_BIN_EXE_towline"))
            .args(["doctor", "--data"])
            .arg(shop.scratch.path().join("data"))
            .output()
            .expect("towline runs");
        said = String::from_utf8_lossy(&output.stdout).into_owned();
        if said.matches(&aside).count() == 2 {
            fs::write(shop.sign("till-1", "go"), "").expect("a file");
            assert!(said.contains("over the 307200 an item may have"), "{said}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s6_f35_a_stage_tag_that_somebody_else_moves_is_put_back() {
    let shop = Shop::open(&[("shop", &["acme/web"])]);
    let commit = shop.push(0, &"0".repeat(40)).await;
    let build = shop.build("web-1").await;
    assert_eq!(
        build.put("acme/web", Some(&build.tag), "our image").await.0,
        201
    );
    shop.end("web-1", &commit, "succeeded").await;
    let live = |version: u64| {
        move |answer: &Value| {
            let moves = answer["moves"].as_array()?;
            (moves.len() as u64 == version).then(|| moves[0].clone())
        }
    };
    let path = "history?component=web&stage=staging";
    let server = &shop.server;
    let first = server.until(&shop.client, path, PATIENCE, live(1)).await;
    let taken = shop
        .owner()
        .put("acme/web", Some("staging"), "foreign")
        .await;
    assert_eq!(taken.0, 201, "{taken:?}");
    let second = server.until(&shop.client, path, PATIENCE, live(2)).await;
    assert_eq!(second["digest"], first["digest"]);
    let why = second["why"].as_str().unwrap_or_default();
    assert!(why.contains("tag staging was moved to sha256:"), "{second}");
    let head = |tag: &str| {
        let url = format!("{}/v2/acme/web/manifests/{tag}", shop.server.url);
        shop.client
            .head(url)
            .basic_auth("AWS", Some(&shop.server.token))
            .send()
    };
    let found = head("staging").await.expect("an answer");
    let digest = found.headers()["docker-content-digest"]
        .to_str()
        .expect("a digest");
    assert_eq!(Some(digest), first["digest"].as_str());
}

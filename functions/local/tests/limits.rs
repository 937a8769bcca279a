//! The real binary under clients that send too much, or nothing.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;
#[path = "limits/flood.rs"]
mod flood;

use std::time::{Duration, Instant};

use common::{Repository, Server, client, deliver};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

const MIB: usize = 1024 * 1024;
/// The largest accepted body.
const MOST: usize = 6 * MIB;
/// How long an honest client waits for an answer. A second is the aim, but a machine that runs other
/// tests may need longer. Nothing that keeps a place or memory gives it back within this time.
const PROMPT: Duration = Duration::from_secs(5);

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

/// A running server, and a push that it has not received yet.
struct Scene {
    server: Server,
    push: String,
    _scratch: TempDir,
}

impl Scene {
    fn open() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let repository = Repository::create(scratch.path().join("shop"));
        repository.write(".towline.yml", DEFINITION);
        repository.write("index.html", "0");
        let commit = repository.commit("first");
        Self {
            server: Server::start(&scratch.path().join("data"), &repository.path),
            push: repository.push(&"0".repeat(40), &commit),
            _scratch: scratch,
        }
    }

    async fn connect(&self) -> TcpStream {
        let address = self.server.url.trim_start_matches("http://");
        TcpStream::connect(address).await.unwrap()
    }

    /// A connection that has sent this.
    async fn sent(&self, text: &str) -> TcpStream {
        let mut stream = self.connect().await;
        // The server may have closed it already.
        let _ = stream.write_all(text.as_bytes()).await;
        stream
    }

    /// The memory of the server in MiB (`VmRSS` of `/proc`).
    fn memory(&self) -> usize {
        let path = format!("/proc/{}/status", self.server.pid());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<usize>().unwrap() / 1024
    }

    /// Fails unless every kind of request is answered promptly.
    async fn answers(&self, while_what: &str) {
        let began = Instant::now();
        // Each with its own connection, like people.
        let health = client()
            .get(format!("{}/healthz", self.server.url))
            .send()
            .await
            .map(|response| response.status().as_u16());
        assert_eq!(health.ok(), Some(200), "/healthz {while_what}");
        assert!(began.elapsed() < PROMPT, "/healthz {while_what}");

        let began = Instant::now();
        let approve = json!({"promotion": 999});
        let answer = self.server.tell(&client(), "approve", approve).await;
        let refusal = answer.unwrap_err();
        assert!(
            refusal.contains("promotion #999 not found"),
            "approve {while_what}: {refusal}"
        );
        assert!(began.elapsed() < PROMPT, "approve {while_what}");

        let began = Instant::now();
        let answer = deliver(&client(), &self.server.url, self.push.clone(), None).await;
        assert!(
            matches!(answer, Ok(200 | 202)),
            "a push {while_what}: {answer:?}"
        );
        assert!(began.elapsed() < PROMPT, "a push {while_what}");
    }
}

/// The head of a webhook.
fn head(signature: &str, length: usize) -> String {
    format!(
        "POST /webhooks/github HTTP/1.1\r\nhost: localhost\r\nx-github-event: push\r\n\
         x-github-delivery: 1\r\n{signature}content-length: {length}\r\n\r\n"
    )
}

/// A signature that is well-formed and wrong.
fn forged() -> String {
    format!("x-hub-signature-256: sha256={}\r\n", "0".repeat(64))
}

/// The head of the answer, once it is there.
async fn answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = timeout(PROMPT, stream.read_buf(&mut answer)).await;
        assert_ne!(read.expect("an answer").unwrap(), 0, "it ended");
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a32_s8_a_webhook_is_refused_from_its_head() {
    let scene = Scene::open();
    let forged = forged();
    let sha1 = format!("x-hub-signature: sha1={}\r\n", "0".repeat(40));
    let twice = format!("{forged}{forged}");
    let short = "x-hub-signature-256: sha256=00\r\n";
    let cases = [
        ("", MOST, "401"),
        (sha1.as_str(), MOST, "401"),
        (short, MOST, "401"),
        (twice.as_str(), MOST, "401"),
        (forged.as_str(), MOST + 1, "413"),
    ];
    for (signature, length, status) in cases {
        let mut stream = scene.sent(&head(signature, length)).await;
        let answer = answer(&mut stream).await;
        let expected = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&expected), "{signature:?}: {answer}");
    }
}

#[tokio::test]
async fn a32_s8_a_client_that_sends_its_body_first_reads_why_it_is_refused() {
    let scene = Scene::open();
    let mut stream = scene.sent(&head("", MOST)).await;
    stream.write_all(&vec![b'x'; MOST]).await.unwrap();
    let answer = answer(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

#[tokio::test]
async fn a32_s8_bodies_in_flight_have_64_mib_together() {
    let scene = Scene::open();
    scene.answers("before").await;
    let before = scene.memory();
    let almost = vec![b'x'; MOST - 1];
    let mut streams = Vec::new();
    for _ in 0..40 {
        let mut stream = scene.sent(&head(&forged(), MOST)).await;
        stream.write_all(&almost).await.unwrap();
        streams.push(stream);
        // Eleven do not fit, so the first is dropped.
        if streams.len() == 11 {
            let answer = answer(&mut streams[0]).await;
            assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
            assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
        }
    }
    let used = scene.memory().saturating_sub(before);
    // With the buffers of connections, and what the allocator keeps.
    assert!(used < 112, "40 bodies use {used} MiB");
    scene.answers("while bodies are half sent").await;

    let newest = streams.last_mut().unwrap();
    newest.write_all(b"x").await.unwrap();
    let answer = answer(newest).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "it fits: {answer}");
}

#[tokio::test]
async fn s9_connections_without_a_request_keep_nobody_waiting() {
    let scene = Scene::open();
    let cases = [
        ("connections are silent", String::new()),
        ("heads are half sent", "GET /healthz HTTP/1.1\r\nho".into()),
        ("bodies are half sent", head(&forged(), 1000) + "x"),
    ];
    for (what, text) in cases {
        let mut streams = Vec::new();
        for _ in 0..600 {
            streams.push(scene.sent(&text).await);
        }
        scene.answers(&format!("while {what}")).await;
    }
}

#[tokio::test]
async fn s9_new_connections_do_not_end_a_request_with_a_token() {
    let scene = Scene::open();
    let body = r#"{"promotion": 999}"#;
    let head = format!(
        "POST /v1/approve HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
         content-length: {}\r\n\r\n",
        scene.server.token,
        body.len()
    );
    let mut slow = scene.sent(&head).await;
    // Once another request is answered, the server has read this head.
    scene.answers("while a body is slow").await;
    let mut streams = Vec::new();
    for _ in 0..600 {
        streams.push(scene.sent("").await);
    }
    slow.write_all(body.as_bytes()).await.unwrap();
    let answer = answer(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 409 "), "{answer}");
}

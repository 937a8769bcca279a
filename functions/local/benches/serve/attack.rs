//! What strangers do while pushes are measured: silent connections, bad signatures, slow bodies.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Measured;
use crate::common::{Server, client, deliver};

/// Silent connections, opened again when they are closed.
const SILENT: usize = 500;
/// Bodies that arrive slowly.
const SLOW: usize = 40;
/// Bad signatures a second.
const BAD: u32 = 100;
/// The pause between two pieces of a slow body, and before a closed connection is opened again.
const PAUSE: Duration = Duration::from_millis(100);

/// A running attack.
pub struct Attack {
    tasks: JoinSet<()>,
    people: tokio::task::JoinHandle<Measured>,
    ends: Arc<tokio::sync::Notify>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    silent: AtomicUsize,
    slow: AtomicUsize,
    refused: AtomicUsize,
}

/// The result of an attack.
pub struct Attacked {
    /// How long people waited meanwhile.
    pub people: Measured,
    pub silent: usize,
    pub slow: usize,
    pub refused: usize,
}

impl Attack {
    /// Starts the attack; returns once the silent connections are open.
    pub async fn begin(server: &Server) -> Self {
        let address: SocketAddr = server
            .url
            .trim_start_matches("http://")
            .parse()
            .expect("an address");
        let counts = Arc::<Counts>::default();
        let mut tasks = JoinSet::new();
        for _ in 0..SILENT {
            tasks.spawn(silent(address, Arc::clone(&counts)));
        }
        for _ in 0..SLOW {
            tasks.spawn(slow(address, Arc::clone(&counts)));
        }
        tasks.spawn(bad(server.url.clone(), Arc::clone(&counts)));
        while counts.silent.load(Ordering::Relaxed) < SILENT {
            sleep(PAUSE).await;
        }
        let ends = Arc::<tokio::sync::Notify>::default();
        let people = people(server.url.clone(), server.token.clone(), Arc::clone(&ends));
        Self {
            tasks,
            people: tokio::spawn(people),
            ends,
            counts,
        }
    }

    pub async fn end(self) -> Attacked {
        self.ends.notify_one();
        let people = self.people.await.expect("people were answered");
        drop(self.tasks);
        Attacked {
            people,
            silent: self.counts.silent.load(Ordering::Relaxed),
            slow: self.counts.slow.load(Ordering::Relaxed),
            refused: self.counts.refused.load(Ordering::Relaxed),
        }
    }
}

/// A connection of another address than that of the pushes.
async fn connect(to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, 3], 0)))?;
    socket.connect(to).await
}

async fn silent(to: SocketAddr, counts: Arc<Counts>) {
    loop {
        if let Ok(mut stream) = connect(to).await {
            counts.silent.fetch_add(1, Ordering::Relaxed);
            // Ends when the server closes it.
            let _ = stream.read_u8().await;
        }
        sleep(PAUSE).await;
    }
}

async fn slow(to: SocketAddr, counts: Arc<Counts>) {
    let head = format!(
        "POST /webhooks/github HTTP/1.1\r\nhost: localhost\r\nx-github-event: push\r\n\
         x-github-delivery: 1\r\nx-hub-signature-256: sha256={}\r\ncontent-length: 6000000\r\n\r\n",
        "0".repeat(64)
    );
    loop {
        if let Ok(mut stream) = connect(to).await {
            counts.slow.fetch_add(1, Ordering::Relaxed);
            let mut sent = stream.write_all(head.as_bytes()).await;
            while sent.is_ok() {
                sleep(PAUSE).await;
                sent = stream.write_all(&[b'x'; 1024]).await;
            }
        }
        sleep(PAUSE).await;
    }
}

async fn bad(url: String, counts: Arc<Counts>) {
    let client = client();
    let mut every = tokio::time::interval(Duration::from_secs(1) / BAD);
    loop {
        every.tick().await;
        let (client, url, counts) = (client.clone(), url.clone(), Arc::clone(&counts));
        tokio::spawn(async move {
            let forged = format!("sha256={}", "0".repeat(64));
            let answer = deliver(&client, &url, "{}".into(), Some(forged)).await;
            counts
                .refused
                .fetch_add(usize::from(answer == Ok(401)), Ordering::Relaxed);
        });
    }
}

/// People who ask for the state and approve, each with a new connection.
async fn people(url: String, token: String, ends: Arc<tokio::sync::Notify>) -> Measured {
    let mut measured = Measured::default();
    loop {
        let health = client().get(format!("{url}/healthz"));
        let began = Instant::now();
        let health = health.send().await;
        measured.take(began, health.is_ok_and(|it| it.status().is_success()));
        let approve = client()
            .post(format!("{url}/v1/approve"))
            .bearer_auth(&token);
        let approve = approve.json(&json!({"promotion": 999}));
        let began = Instant::now();
        let answer = approve.send().await;
        measured.take(began, answer.is_ok());
        tokio::select! {
            () = ends.notified() => return measured,
            () = sleep(PAUSE) => {}
        }
    }
}

//! Load on a real `towline serve`: durable pushes a second, their latency at a fixed rate, also under
//! attack, and bad signatures refused a second. Prints a table; `BENCHMARKS.md` has the numbers.

#[path = "serve/attack.rs"]
mod attack;
#[path = "../tests/common/mod.rs"]
mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{Repository, SECRET, Server, deliver};
use towline_wire::signature::{Secret, sign};

/// Connections that send at the same time.
const CONNECTIONS: usize = 32;
/// How long each measurement lasts.
const LASTS: Duration = Duration::from_secs(10);
/// Pushes a second of the open-loop measurement.
const RATE: u64 = 500;
/// How long the measurement under attack lasts.
const ATTACK_LASTS: Duration = Duration::from_secs(60);

fn main() {
    // `cargo test --benches` and `cargo bench -- --test` only check that it starts.
    let short = std::env::args().any(|argument| argument == "--test");
    let moment = Duration::from_millis(300);
    let (lasts, attack_lasts) = match short {
        true => (moment, moment),
        false => (LASTS, ATTACK_LASTS),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(measure(lasts, attack_lasts));
}

async fn measure(lasts: Duration, attack_lasts: Duration) {
    let scratch = tempfile::tempdir().expect("a folder");
    let repository = Repository::create(scratch.path().join("shop"));
    // These pushes start no build: only accepting and planning them is measured.
    repository.write(".towline.yml", "version: 1\npipeline: shop\nsource: {branches: [none]}\ncomponents: {web: {repository: acme/web}}\nstages: [{name: staging, from: build}]\n");
    repository.commit("first");
    let server = Server::start(&scratch.path().join("data"), &repository.path);
    let client = common::client();
    let pushes = Arc::new(Pushes {
        repository,
        next: AtomicUsize::new(0),
    });

    let refused = closed_loop(&client, &server.url, lasts, &pushes, true).await;
    println!(
        "bad signatures refused     {:>8.0} /s   p50 {:>7.2} ms   p99 {:>7.2} ms",
        refused.rate(lasts),
        refused.percentile(50),
        refused.percentile(99)
    );
    let paced = open_loop(&client, &server.url, lasts, &pushes).await;
    println!(
        "durable pushes at {RATE}/s   {:>8.0} /s   p50 {:>7.2} ms   p99 {:>7.2} ms",
        paced.rate(lasts),
        paced.percentile(50),
        paced.percentile(99)
    );
    under_attack(&server, &client, attack_lasts, &pushes).await;
    let most = closed_loop(&client, &server.url, lasts, &pushes, false).await;
    println!(
        "durable pushes at most     {:>8.0} /s   p50 {:>7.2} ms   p99 {:>7.2} ms",
        most.rate(lasts),
        most.percentile(50),
        most.percentile(99)
    );
    println!(
        "memory of the server       {:>8} MiB resident at most",
        peak_memory(server.pid())
    );
    assert_eq!(
        refused.failed + paced.failed + most.failed,
        0,
        "every request must be answered as it should"
    );
}

/// Pushes at the same rate while others attack; then the time until all of them are planned.
async fn under_attack(
    server: &Server,
    client: &reqwest::Client,
    lasts: Duration,
    pushes: &Arc<Pushes>,
) {
    let attack = attack::Attack::begin(server).await;
    let first = pushes.next.load(Ordering::Relaxed) + 1;
    let paced = open_loop(client, &server.url, lasts, pushes).await;
    let last = pushes.next.load(Ordering::Relaxed);
    let ended = Instant::now();
    let attacked = attack.end().await;
    println!(
        "  the same under attack    {:>8.0} /s   p50 {:>7.2} ms   p99 {:>7.2} ms",
        paced.rate(lasts),
        paced.percentile(50),
        paced.percentile(99)
    );
    println!(
        "  /healthz and approve     {:>8}      p50 {:>7.2} ms   max {:>7.2} ms",
        attacked.people.times.len(),
        attacked.people.percentile(50),
        attacked.people.percentile(100)
    );
    let left = planned(server, client, (first..=last).step_by(50).chain([last])).await;
    println!(
        "  planned after            {:>8.1} s    {left} of a sample left; bad signatures {}, connections: silent {}, slow {}",
        ended.elapsed().as_secs_f64(),
        attacked.refused,
        attacked.silent,
        attacked.slow
    );
    println!(
        "  memory of the server     {:>8} MiB resident at most",
        peak_memory(server.pid())
    );
    assert_eq!(
        paced.failed + attacked.people.failed,
        0,
        "every request must be answered"
    );
}

/// Waits until these pushes have runs; returns how many still have none after five minutes.
async fn planned(
    server: &Server,
    client: &reqwest::Client,
    numbers: impl Iterator<Item = usize>,
) -> usize {
    let until = Instant::now() + Duration::from_secs(300);
    let mut left: Vec<usize> = numbers.collect();
    while !left.is_empty() && Instant::now() < until {
        let mut still = Vec::new();
        for number in left {
            let answer = server
                .ask(client, &format!("commit?commit={number:040x}"))
                .await;
            let runs = answer
                .as_ref()
                .ok()
                .and_then(|answer| answer["runs"].as_array());
            if runs.is_none_or(Vec::is_empty) {
                still.push(number);
            }
        }
        left = still;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    left.len()
}

/// Pushes that all differ.
struct Pushes {
    repository: Repository,
    next: AtomicUsize,
}

impl Pushes {
    fn next(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        self.repository
            .push(&"0".repeat(40), &format!("{number:040x}"))
    }
}

/// How long answers took.
#[derive(Default)]
struct Measured {
    times: Vec<Duration>,
    failed: usize,
}

impl Measured {
    fn take(&mut self, began: Instant, good: bool) {
        self.times.push(began.elapsed());
        self.failed += usize::from(!good);
    }

    fn rate(&self, lasts: Duration) -> f64 {
        self.times.len() as f64 / lasts.as_secs_f64()
    }

    fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.times.clone();
        sorted.sort();
        let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
        sorted.get(index).map_or(0.0, Duration::as_secs_f64) * 1000.0
    }

    fn join(mut self, other: Self) -> Self {
        self.times.extend(other.times);
        self.failed += other.failed;
        self
    }
}

/// Every connection sends its next as soon as its last is answered.
async fn closed_loop(
    client: &reqwest::Client,
    url: &str,
    lasts: Duration,
    pushes: &Arc<Pushes>,
    bad: bool,
) -> Measured {
    let until = Instant::now() + lasts;
    let tasks: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (client, url, pushes) = (client.clone(), url.to_owned(), Arc::clone(pushes));
            tokio::spawn(async move {
                let mut measured = Measured::default();
                let one = pushes.next();
                while Instant::now() < until {
                    let (body, signature, expected) = if bad {
                        (one.clone(), format!("sha256={}", "0".repeat(64)), 401)
                    } else {
                        let body = pushes.next();
                        let signature =
                            sign(&Secret::new(SECRET).expect("a secret"), body.as_bytes());
                        (body, signature, 202)
                    };
                    let began = Instant::now();
                    let answer = deliver(&client, &url, body, Some(signature)).await;
                    measured.take(began, answer == Ok(expected));
                }
                measured
            })
        })
        .collect();
    joined(tasks).await
}

/// Sends at a fixed rate whether or not the last was answered; waiting counts from when it was due.
async fn open_loop(
    client: &reqwest::Client,
    url: &str,
    lasts: Duration,
    pushes: &Arc<Pushes>,
) -> Measured {
    let began = Instant::now();
    let every = Duration::from_secs(1) / u32::try_from(RATE).expect("a rate");
    let mut tasks = Vec::new();
    for number in 0.. {
        let due = began + every * number;
        if due > began + lasts {
            break;
        }
        tokio::time::sleep_until(due.into()).await;
        let (client, url, body) = (client.clone(), url.to_owned(), pushes.next());
        tasks.push(tokio::spawn(async move {
            let mut measured = Measured::default();
            let answer = deliver(&client, &url, body, None).await;
            measured.take(due, answer == Ok(202));
            measured
        }));
    }
    joined(tasks).await
}

async fn joined(tasks: Vec<tokio::task::JoinHandle<Measured>>) -> Measured {
    let mut all = Measured::default();
    for task in tasks {
        all = all.join(task.await.expect("a connection"));
    }
    all
}

/// The most memory a process ever had resident, in MiB (`VmHWM` of `/proc`).
fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap_or_default();
    line.split_whitespace()
        .next()
        .and_then(|kib| kib.parse::<u64>().ok())
        .unwrap_or(0)
        / 1024
}

//! Runs the functions: takes events from the queue, sweeps, and runs the loops that take in events from
//! outside.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use towline_bus::Queued;
use towline_bus::rules::Function;
use towline_domain::obstacle::Service;
use towline_handlers::sweep;
use towline_ports::Clock as _;

use crate::feed::{feed_builds, feed_pushes};
use crate::invoke::invoke;
use crate::machine::Machine;

/// The most functions that run at the same time.
const WORKERS: usize = 4;
/// The functions that read the source. Each has its own workers, so that a slow origin delays no other
/// function, and a long fetch for a plan delays no rollback.
const SLOW: [Function; 2] = [Function::PlanRuns, Function::PromoteImages];
/// The most of each of these that run at the same time.
const SLOW_WORKERS: usize = 4;
/// The most waiting events of each; further ones stay owed in the store and are announced again.
const SLOW_QUEUE: usize = 1_000;
/// How often stage tags are compared with the registry.
const COMPARE: Duration = Duration::from_secs(10);
/// How often the heads of repositories are compared, and how long a webhook may be on its way. So a
/// push without a webhook is found within ten seconds.
const HEADS: Duration = Duration::from_secs(4);
/// How often unused blobs are deleted.
const TIDY: Duration = Duration::from_secs(3_600);
/// The age at which an unused blob is deleted.
const OLD: Duration = Duration::from_secs(24 * 3_600);

/// The tasks of a machine, except answering requests.
pub(super) struct Work {
    tasks: JoinSet<()>,
    machine: Arc<Machine>,
}

impl Work {
    /// Waits until `stop` is set and everything has ended.
    pub(super) async fn finish(mut self, mut stop: watch::Receiver<bool>) {
        // A dropped sender means the same as a stop.
        let _ = stop.wait_for(|stop| *stop).await;
        self.machine.runner.close().await;
        while self.tasks.join_next().await.is_some() {}
    }
}

pub(super) fn start(
    machine: &Arc<Machine>,
    queue: mpsc::Receiver<Queued>,
    period: Duration,
    stop: &watch::Receiver<bool>,
) -> Work {
    let mut tasks = JoinSet::new();
    let in_flight = InFlight::default();
    let lane = |queue: mpsc::Receiver<Queued>, apart| Lane {
        machine: Arc::clone(machine),
        queue: Arc::new(queue.into()),
        in_flight: in_flight.clone(),
        apart,
    };
    let mut apart = Vec::new();
    for function in SLOW {
        let (queue, queued) = mpsc::channel(SLOW_QUEUE);
        apart.push((function, queue));
        let slow = lane(queued, Vec::new());
        for _ in 0..SLOW_WORKERS {
            tasks.spawn(until(stop.clone(), slow.clone().work()));
        }
    }
    let fast = lane(queue, apart);
    for _ in 0..WORKERS {
        tasks.spawn(until(stop.clone(), fast.clone().work()));
    }
    let loops = [
        Loop::Pushes,
        Loop::Builds,
        Loop::Sweep(period),
        Loop::Tags,
        Loop::Heads,
        Loop::Tidy,
    ];
    for name in loops {
        tasks.spawn(until(stop.clone(), keep(Arc::clone(machine), name)));
    }
    Work {
        tasks,
        machine: Arc::clone(machine),
    }
}

async fn until(mut stop: watch::Receiver<bool>, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

/// The events that are being handled, so that an event that is announced again in the meantime is not
/// taken twice.
#[derive(Clone, Default)]
struct InFlight(Arc<Mutex<HashSet<(Function, String)>>>);

impl InFlight {
    fn enter(&self, key: &(Function, String)) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key.clone())
    }

    fn leave(&self, key: &(Function, String)) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }
}

/// Workers that take from one queue.
#[derive(Clone)]
struct Lane {
    machine: Arc<Machine>,
    queue: Arc<tokio::sync::Mutex<mpsc::Receiver<Queued>>>,
    in_flight: InFlight,
    /// Functions that have their own lane.
    apart: Vec<(Function, mpsc::Sender<Queued>)>,
}

impl Lane {
    async fn work(self) {
        loop {
            let next = self.queue.lock().await.recv().await;
            let Some(Queued { function, event }) = next else {
                return;
            };
            let mut apart = self.apart.iter();
            if let Some((_, own)) = apart.find(|(slow, _)| *slow == function) {
                // A full queue loses nothing: the intent is owed in the store.
                let _ = own.try_send(Queued { function, event });
                continue;
            }
            let id = event["id"].as_str().unwrap_or_default().to_owned();
            let key = (function, id);
            if !self.in_flight.enter(&key) {
                continue;
            }
            // An event that still fails is owed in the store, and the sweep announces it again.
            let _ = invoke(&self.machine, function, &event).await;
            self.in_flight.leave(&key);
        }
    }
}

/// The loops that run as long as the machine does.
#[derive(Debug, Clone, Copy)]
enum Loop {
    Pushes,
    Builds,
    Sweep(Duration),
    Tags,
    Heads,
    Tidy,
}

/// Runs a loop, and restarts it after a panic.
async fn keep(machine: Arc<Machine>, name: Loop) {
    loop {
        let own = Arc::clone(&machine);
        let task = match name {
            Loop::Pushes => tokio::spawn(feed_pushes(own)),
            Loop::Builds => tokio::spawn(feed_builds(own)),
            Loop::Sweep(period) => tokio::spawn(keep_sweeping(own, period)),
            Loop::Tags => tokio::spawn(keep_comparing_tags(own)),
            Loop::Heads => tokio::spawn(keep_comparing_heads(own)),
            Loop::Tidy => tokio::spawn(keep_tidy(own)),
        };
        let ended = EndWithMe(task).await;
        tracing::error!(?name, ?ended, "a loop ended; it is restarted");
        machine.clock.sleep(Duration::from_secs(1)).await;
    }
}

/// A task that ends when this is dropped.
struct EndWithMe(tokio::task::JoinHandle<()>);

impl Drop for EndWithMe {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Future for EndWithMe {
    type Output = Result<(), tokio::task::JoinError>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        std::pin::Pin::new(&mut self.0).poll(context)
    }
}

/// Differs for each version of a file; none if it cannot be read.
fn stamp(file: &Path) -> Option<(u64, u64, i64, i64)> {
    let known = std::fs::metadata(file).ok()?;
    Some((known.ino(), known.len(), known.mtime(), known.mtime_nsec()))
}

async fn keep_sweeping(machine: Arc<Machine>, period: Duration) {
    if let Err(error) = sweep::announce_all(machine.context()).await {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "cannot announce open intents"
        );
    }
    let mut secrets = stamp(&machine.build_secrets);
    loop {
        machine.clock.sleep(period).await;
        let now = stamp(&machine.build_secrets);
        if std::mem::replace(&mut secrets, now) != now {
            let released = machine.context().release(Service::Secrets).await;
            if let Err(error) = released {
                // They are still retried when they are due.
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "cannot announce the builds that wait for a secret");
            }
        }
        match sweep::handle(machine.context(), &machine.runner).await {
            Ok(swept) if swept != sweep::Swept::default() => tracing::debug!(?swept, "swept"),
            Ok(_) => {}
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "cannot sweep");
            }
        }
    }
}

/// Asks for a comparison of stage tags with the registry.
async fn keep_comparing_tags(machine: Arc<Machine>) {
    loop {
        machine.clock.sleep(COMPARE).await;
        if let Err(error) = sweep::compare_tags(machine.context()).await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "cannot compare stage tags");
        }
    }
}

/// Finds pushes without a webhook. This loop is separate from the sweep, so that a slow origin delays
/// nothing else.
async fn keep_comparing_heads(machine: Arc<Machine>) {
    let source = machine.source.as_ref();
    let mut known = Vec::new();
    for number in 0.. {
        machine.clock.sleep(HEADS).await;
        let round = sweep::Round {
            number,
            patience: HEADS,
        };
        match sweep::compare_heads(machine.context(), source, source, &round).await {
            Ok(compared) => {
                let failed = compared.failed.iter();
                let failed: Vec<_> = failed.map(|failed| failed.repository.clone()).collect();
                // The same failure is not repeated every few seconds.
                if failed != known {
                    compared.failed.iter().for_each(sweep::Failed::log);
                    known = failed;
                }
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "cannot compare heads"
                );
            }
        }
    }
}

/// Deletes blobs that no image needs.
async fn keep_tidy(machine: Arc<Machine>) {
    loop {
        machine.clock.sleep(TIDY).await;
        match machine.registry.collect_garbage(OLD).await {
            Ok(collected) => tracing::debug!(?collected, "cleaned up the registry"),
            Err(error) => tracing::error!(%error, "cannot clean up the registry"),
        }
    }
}

//! Runs the functions: takes events off the queue, feeds in what registry and runner report, sweeps.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;
use towline_bus::Queued;
use towline_domain::names::CommitSha;
use towline_handlers::{
    HandlerError, advance_stages, plan_runs, promote_images, record_images, start_builds, sweep,
};
use towline_ports::{Clock as _, PortError, RepositoryRef};
use towline_runner::{Checkout, Config};
use towline_source::{GitSource, Surroundings};
use towline_wire::ecr::{self, Action, ImageAction};
use towline_wire::eventbridge::{self, LOCAL_REGION, NO_ACCOUNT};

use super::Machine;
use super::folder::Folder;
use super::keys::RegistryKeys;
use crate::clock::SystemClock;
use crate::surroundings;

/// Functions that run at the same time.
const WORKERS: usize = 4;
/// Tries before an event is left to the sweep, as Lambda tries an asynchronous call three times.
const MOST_TRIES: u32 = 3;
/// Foreign events taken at a time.
const PORTION: usize = 100;
/// The word under which this process holds a stage's lease: the store lets only one process in.
const HOLDER: &str = "this machine";

/// What a machine does besides answering.
pub(super) struct Work {
    tasks: JoinSet<()>,
    machine: Arc<Machine>,
}

impl Work {
    /// Waits until everything has come to its end.
    pub(super) async fn finish(mut self) {
        self.machine.runner.close().await;
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Starts all of it.
pub(super) fn start(
    machine: &Arc<Machine>,
    queue: mpsc::Receiver<Queued>,
    period: Duration,
    stop: &watch::Receiver<bool>,
) -> Work {
    let mut tasks = JoinSet::new();
    let queue = Arc::new(Mutex::new(queue));
    for _ in 0..WORKERS {
        tasks.spawn(until(
            stop.clone(),
            work(Arc::clone(machine), Arc::clone(&queue)),
        ));
    }
    tasks.spawn(until(stop.clone(), feed_pushes(Arc::clone(machine))));
    tasks.spawn(until(stop.clone(), feed_builds(Arc::clone(machine))));
    tasks.spawn(until(
        stop.clone(),
        keep_sweeping(Arc::clone(machine), period),
    ));
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

async fn work(machine: Arc<Machine>, queue: Arc<Mutex<mpsc::Receiver<Queued>>>) {
    loop {
        let next = queue.lock().await.recv().await;
        let Some(Queued { function, event }) = next else {
            return;
        };
        // What still fails is owed in the store, and the sweep announces it again.
        let _ = invoke(&machine, &function, &event).await;
    }
}

/// Calls a function with an event, again when it fails; says whether it went well in the end.
async fn invoke(machine: &Machine, function: &str, event: &Value) -> bool {
    for attempt in 0..MOST_TRIES {
        match call(machine, function, event).await {
            Ok(()) => return true,
            Err(error) => {
                tracing::warn!(function, error = &error as &dyn std::error::Error, "failed");
                machine
                    .clock
                    .sleep(Duration::from_millis(100 << (2 * attempt)))
                    .await;
            }
        }
    }
    false
}

async fn call(machine: &Machine, function: &str, event: &Value) -> Result<(), HandlerError> {
    let envelope = match eventbridge::read(event.clone()) {
        Ok(envelope) => envelope,
        Err(error) => {
            tracing::error!(
                function,
                error = &error as &dyn std::error::Error,
                "dropped"
            );
            return Ok(());
        }
    };
    let ledger = machine.ledger();
    match function {
        "plan-runs" => plan_runs::handle(ledger, machine.source.as_ref(), &envelope).await,
        "start-builds" => {
            start_builds::handle(ledger, &machine.runner, &machine.settings, &envelope).await
        }
        "record-images" => record_images::handle(ledger, &machine.registry, &envelope).await,
        "advance-stages" => advance_stages::handle(ledger, &machine.runner, &envelope).await,
        "promote-images" => {
            promote_images::handle(ledger, &machine.registry, HOLDER, &envelope).await
        }
        other => {
            tracing::error!(function = other, "no such function");
            Ok(())
        }
    }
}

/// Feeds what was pushed to the registry in, as ECR tells it. An event is forgotten only when
/// every function it is for is done with it.
async fn feed_pushes(machine: Arc<Machine>) {
    loop {
        let events = match machine.registry.next_events(0, PORTION).await {
            Ok(events) => events,
            Err(error) => {
                tracing::error!(%error, "the registry's events cannot be read");
                machine.clock.sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        if events.is_empty() {
            machine.registry.pushed().notified().await;
        }
        for event in events {
            feed(&machine, &image_action(&event)).await;
            if let Err(error) = machine.registry.forget_events(event.id).await {
                tracing::error!(%error, "a push event cannot be forgotten");
            }
        }
    }
}

fn image_action(event: &towline_registry::PushEvent) -> Value {
    let name = |text: &str| text.parse();
    let (Ok(repository), Ok(digest)) = (
        name(event.repository.as_str()),
        event.digest.as_str().parse(),
    ) else {
        return Value::Null; // the registry checks names by the same rules
    };
    let at = towline_domain::Timestamp::from_millisecond(event.at_ms).unwrap_or_default();
    ecr::event(&ImageAction {
        id: format!("push-{}", event.id),
        at,
        account: NO_ACCOUNT.into(),
        region: LOCAL_REGION.into(),
        repository,
        action: Action::Push,
        succeeded: true,
        digest: Some(digest),
        tag: event.tag.as_ref().and_then(|tag| tag.as_str().parse().ok()),
        media_type: Some(event.media_type.clone()),
    })
}

/// Feeds what the runner reports in, as CodeBuild tells it.
async fn feed_builds(machine: Arc<Machine>) {
    loop {
        let changes = match machine.runner.next_events(0, PORTION).await {
            Ok(changes) => changes,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the runner's events cannot be read"
                );
                machine.clock.sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        if changes.is_empty() {
            machine.runner.changed().notified().await;
        }
        for change in changes {
            feed(&machine, &change.document).await;
            if let Err(error) = machine.runner.forget_events(change.id).await {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a build event cannot be forgotten"
                );
            }
        }
    }
}

/// Gives a foreign event to every function it is for. What fails to the end is found again by the
/// sweep: it asks after bound builds, and success reads the registry.
async fn feed(machine: &Machine, event: &Value) {
    for function in machine.bus.functions(event) {
        if !invoke(machine, &function, event).await {
            tracing::error!(
                function,
                event = event["id"].as_str().unwrap_or_default(),
                "given up; the sweep will look"
            );
        }
    }
}

async fn keep_sweeping(machine: Arc<Machine>, period: Duration) {
    if let Err(error) = sweep::announce_all(machine.ledger()).await {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "what is owed could not be announced"
        );
    }
    loop {
        machine.clock.sleep(period).await;
        match sweep::handle(machine.ledger(), &machine.runner).await {
            Ok(swept) if swept != sweep::Swept::default() => tracing::info!(?swept, "swept"),
            Ok(_) => {}
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "could not sweep");
            }
        }
    }
}

/// How builds run here.
pub(super) fn runner_config(
    folder: &Folder,
    concurrency: usize,
    binary: PathBuf,
    around: &Surroundings,
    keys: RegistryKeys,
    source: Arc<GitSource>,
) -> Config {
    let clock = SystemClock;
    Config {
        dir: folder.path("runner"),
        concurrency,
        machine: surroundings::of_builds(around),
        now: Arc::new(move || clock.now()),
        towline_binary: binary,
        registry_password: Arc::new(move |build, repository| {
            keys.password(build, repository, clock.now())
        }),
        checkout: Arc::new(Mirrors(source)),
        region: LOCAL_REGION.into(),
        account: NO_ACCOUNT.into(),
    }
}

/// The source's mirrors, from which builds are checked out.
struct Mirrors(Arc<GitSource>);

#[async_trait]
impl Checkout for Mirrors {
    async fn mirror(
        &self,
        repository: &RepositoryRef,
        commit: &CommitSha,
    ) -> Result<Option<PathBuf>, PortError> {
        self.0.mirror_with(repository, commit).await
    }
}

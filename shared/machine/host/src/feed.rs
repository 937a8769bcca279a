//! Passes on what happened in the registry and the runner, as events of ECR and CodeBuild.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::task::{self, JoinSet};
use towline_domain::names::ImageRepository;
use towline_ports::Clock as _;
use towline_registry::PushEvent;
use towline_wire::ecr::{self, Action, ImageAction};
use towline_wire::eventbridge::{LOCAL_REGION, NO_ACCOUNT};

use crate::invoke::{Failed, invoke};
use crate::machine::Machine;

/// Tries before an event is set aside: about ten minutes.
const MOST_FEEDS: u32 = 24;
/// Permanent failures before an event is set aside.
const MOST_PERMANENT: u32 = 2;
/// The longest time between two attempts at the same event.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Repositories whose pushes are passed on at the same time.
const MOST_FED: usize = 8;
/// Build events taken at a time.
const PORTION: usize = 100;

/// Passes on pushes to the registry as events of ECR. Pushes of one repository keep their order.
/// Repositories are handled at the same time, so that none waits for another.
pub(super) async fn feed_pushes(machine: Arc<Machine>) {
    let mut fed = JoinSet::new();
    let mut busy: HashMap<task::Id, ImageRepository> = HashMap::new();
    loop {
        let waiting = match machine.registry.first_events(busy.len() + MOST_FED).await {
            Ok(waiting) => waiting,
            Err(error) => {
                tracing::error!(%error, "cannot read the registry's events");
                machine.clock.sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        for event in waiting {
            if fed.len() < MOST_FED && busy.values().all(|known| *known != event.repository) {
                let repository = event.repository.clone();
                let task = fed.spawn(feed_push(Arc::clone(&machine), event));
                busy.insert(task.id(), repository);
            }
        }
        tokio::select! {
            Some(ended) = fed.join_next_with_id() => {
                let id = match ended {
                    Ok((id, ())) => id,
                    Err(error) => error.id(),
                };
                busy.remove(&id);
            }
            () = machine.registry.pushed().notified() => {}
        }
    }
}

async fn feed_push(machine: Arc<Machine>, event: PushEvent) {
    let failed = feed(&machine, &image_action(&event)).await;
    loop {
        let registry = &machine.registry;
        let done = match &failed {
            None => registry.forget_event(event.id).await,
            Some(failed) => registry.set_event_aside(event.id, &failed.reason).await,
        };
        let Err(error) = done else { return };
        tracing::error!(%error, "cannot delete a push event");
        machine.clock.sleep(Duration::from_secs(1)).await;
    }
}

fn image_action(event: &PushEvent) -> Value {
    let at = towline_domain::Timestamp::from_millisecond(event.at_ms).unwrap_or_default();
    ecr::event(&ImageAction {
        id: format!("push-{}", event.id),
        at,
        account: NO_ACCOUNT.into(),
        region: LOCAL_REGION.into(),
        repository: event.repository.clone(),
        action: Action::Push,
        succeeded: true,
        digest: Some(event.digest.clone()),
        tag: event.tag.clone(),
        media_type: Some(event.media_type.clone()),
    })
}

/// Passes on the runner's reports as events of CodeBuild.
pub(super) async fn feed_builds(machine: Arc<Machine>) {
    loop {
        let changes = match machine.runner.next_events(0, PORTION).await {
            Ok(changes) => changes,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "cannot read the runner's events"
                );
                machine.clock.sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        if changes.is_empty() {
            machine.runner.changed().notified().await;
        }
        for change in changes {
            // The sweep finds the reports that could not be passed on.
            let _ = feed(&machine, &change.document).await;
            while let Err(error) = machine.runner.forget_events(change.id).await {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "cannot delete a build event"
                );
                machine.clock.sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Passes a foreign event to every function it is for, until each is done. An event that fails for ten
/// minutes, or twice in a way that no retry can fix, is given up, so that it does not block the others
/// forever (F17).
async fn feed(machine: &Arc<Machine>, event: &Value) -> Option<Failed> {
    let mut given_up = None;
    for function in machine.bus.functions(event) {
        let (mut rounds, mut permanent) = (0, 0);
        while let Err(failed) = invoke(machine, function, event).await {
            rounds += 1;
            permanent += u32::from(failed.is_permanent);
            if rounds == MOST_FEEDS || permanent == MOST_PERMANENT {
                let reason = &failed.reason;
                tracing::error!(function = function.name(), %event, reason, "gave up on an event; see `towline doctor`");
                given_up = Some(failed);
                break;
            }
            let pause = Duration::from_secs(1 << (rounds - 1).min(5));
            machine.clock.sleep(pause.min(LONGEST_PAUSE)).await;
        }
    }
    given_up
}

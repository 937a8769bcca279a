//! The queue between announcements and the functions that act on them.

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::mpsc;
use towline_ports::{Announcement, Bus, PortError};
use towline_wire::eventbridge;

use crate::Router;
use crate::rules::Function;

/// The most waiting events. Further ones stay owed and are announced again later.
const MOST_QUEUED: usize = 4_000;

/// An event for one function.
#[derive(Debug)]
pub struct Queued {
    pub function: Function,
    /// The event, in EventBridge's envelope.
    pub event: Value,
}

/// Matches announcements with the rules and queues them for each function.
pub struct LocalBus {
    router: Router,
    queue: mpsc::Sender<Queued>,
}

impl LocalBus {
    /// A bus, and the queue's other end.
    #[must_use]
    pub fn new(router: Router) -> (Self, mpsc::Receiver<Queued>) {
        let (queue, receiver) = mpsc::channel(MOST_QUEUED);
        (Self { router, queue }, receiver)
    }

    /// The functions that handle an event of the registry or runner, which keeps the event until they
    /// are done.
    #[must_use]
    pub fn functions(&self, event: &Value) -> Vec<Function> {
        let names = self.router.functions(event);
        // A test of the architecture finds a rule whose name is not a function.
        names
            .iter()
            .filter_map(|name| Function::named(name))
            .collect()
    }
}

#[async_trait]
impl Bus for LocalBus {
    async fn announce(&self, announcements: Vec<Announcement>) -> Result<(), PortError> {
        let mut left_out = 0;
        for announcement in announcements {
            let event = eventbridge::own(
                &announcement.id,
                &announcement.detail_type,
                &announcement.detail,
                announcement.at,
            );
            for function in self.functions(&event) {
                if self
                    .queue
                    .try_send(Queued {
                        function,
                        event: event.clone(),
                    })
                    .is_err()
                {
                    left_out += 1;
                }
            }
        }
        match left_out {
            0 => Ok(()),
            some => Err(PortError::because(format!(
                "queueing {some} events: {MOST_QUEUED} are waiting already"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use towline_ports::contract::{self, BusWorld};

    struct World {
        bus: LocalBus,
        queue: tokio::sync::Mutex<mpsc::Receiver<Queued>>,
    }

    #[async_trait]
    impl BusWorld for World {
        fn bus(&self) -> &dyn Bus {
            &self.bus
        }

        async fn arrived(&self) -> Vec<Value> {
            let mut queue = self.queue.lock().await;
            let next = || queue.try_recv().ok();
            let queued = std::iter::from_fn(next);
            queued
                .map(|queued| queued.event["detail"].clone())
                .collect()
        }
    }

    #[tokio::test]
    async fn it_keeps_the_contract() {
        let detail_type = contract::DETAIL_TYPE;
        let rule =
            json!({"towline": {"source": ["towline"], "detail-type": [detail_type]}}).to_string();
        let router = Router::new([("start-builds", rule.as_str())]).expect("a rule");
        let (bus, queue) = LocalBus::new(router);
        let queue = tokio::sync::Mutex::new(queue);
        contract::bus(&World { bus, queue }).await;
    }

    #[tokio::test]
    async fn what_is_announced_is_queued_for_the_functions_its_rules_name() {
        let rule = r#"{"towline": {"source": ["towline"], "detail-type": ["Build Due"]}}"#;
        let (bus, mut queue) =
            LocalBus::new(Router::new([("start-builds", rule)]).expect("a rule"));
        let announcement = |id: &str, detail_type: &str| Announcement {
            id: id.into(),
            detail_type: detail_type.into(),
            detail: json!({"intent_id": id}),
            at: Timestamp::UNIX_EPOCH,
        };
        bus.announce(vec![
            announcement("1", "Build Due"),
            announcement("2", "Other"),
        ])
        .await
        .expect("queued");
        let queued = queue.try_recv().expect("an event");
        assert_eq!(
            (queued.function, queued.event["id"].as_str()),
            (Function::StartBuilds, Some("1"))
        );
        assert!(queue.try_recv().is_err());
    }
}

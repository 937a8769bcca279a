//! Failed deliveries are asked for after that is noted, and no more often than twice.

use std::pin::pin;
use std::sync::Mutex;
use std::task::{self, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use towline_domain::Timestamp;
use towline_domain::redelivery::Attempt;
use towline_ports::PortError;
use towline_ports::memory::{MemoryBus, MemoryClock, MemoryRepository, MemorySource, MemoryStore};
use towline_state::records::Repository;

use super::*;

/// A GitHub whose deliveries fail until `heals`.
struct Failing {
    asked: Mutex<Vec<String>>,
    heals: bool,
}

#[async_trait]
impl Deliveries for Failing {
    async fn attempts(
        &self,
        repositories: &[RepositoryRef],
        since: Timestamp,
    ) -> Result<Vec<Attempt>, PortError> {
        assert_eq!(repositories.len(), 1);
        let first = Attempt {
            guid: "a".into(),
            at: since + (REPEATABLE - Duration::from_secs(3600)),
            succeeded: false,
        };
        let asked = self.asked.lock().expect("nobody panicked").len();
        let again = Attempt {
            succeeded: self.heals && asked > 0,
            ..first.clone()
        };
        Ok(vec![first, again])
    }

    async fn repeat(&self, guid: &str) -> Result<(), PortError> {
        self.asked
            .lock()
            .expect("nobody panicked")
            .push(guid.into());
        Err(PortError::because("it is asked for, and does not answer"))
    }
}

/// Nothing ever waits if the whole world is in memory.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut task::Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("something waits"),
    }
}

async fn rounds(heals: bool) -> Vec<(usize, usize, usize)> {
    let clock = MemoryClock::new(Timestamp::UNIX_EPOCH, 1);
    clock.advance(Duration::from_secs(30 * 24 * 3600));
    let (store, bus, source) = (MemoryStore::new(), MemoryBus::new(), MemorySource::new());
    let context = Context {
        store: &store,
        bus: &bus,
        clock: &clock,
    };
    let name: towline_domain::names::RepositoryName = "acme/shop".parse().expect("a name");
    let id = towline_domain::names::RepositoryId(7);
    source.add(id, MemoryRepository::new(name.clone()));
    let mut change = Change::default();
    let known = Repository {
        id,
        name,
        default_branch: "main".into(),
    };
    change.create(keys::repository(id), &known);
    let committed = context.commit(change, &mut Rounds::default()).await;
    assert!(committed.expect("the store answers"));
    let github = Failing {
        asked: Mutex::default(),
        heals,
    };
    let mut said = Vec::new();
    for round in 0..4 {
        let done = redeliver(context, &github, &source, round).await;
        let done = done.expect("it answers");
        said.push((done.asked, done.healed, done.lost));
        clock.advance(Duration::from_secs(900));
    }
    said
}

#[test]
fn f8_what_failed_is_asked_for_twice_and_then_lost() {
    assert_eq!(
        now(rounds(false)),
        [(1, 0, 0), (1, 0, 0), (0, 0, 1), (0, 0, 0)]
    );
}

#[test]
fn f8_what_arrived_is_asked_for_once() {
    assert_eq!(
        now(rounds(true)),
        [(1, 0, 0), (0, 1, 0), (0, 0, 0), (0, 0, 0)]
    );
}

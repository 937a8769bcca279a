//! Lines beside commits that several invocations show at the same time.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use towline_domain::intent::Intent;
use towline_ports::{CommitStatus, RepositoryRef, StatusState, Statuses as _};
use towline_simulation::shop::{REPOSITORY, repository_name};
use towline_simulation::{Job, World};
use towline_wire::eventbridge;

const LINE: &str = "towline/build/backend";
const SOON: Duration = Duration::from_secs(10);

/// Announces the owed line that starts with this text.
fn announce(world: &mut World, text: &str) {
    let is_meant = |intent: &&Intent| matches!(intent, Intent::BuildStatusDue { shows, .. } if shows.starts_with(text));
    let owed = world.watch.look(|known| {
        let mut owed = known.owed.values().flatten();
        let found = owed.find(|(_, intent)| is_meant(intent));
        found.map(|(id, intent)| (id.clone(), intent.clone()))
    });
    let (id, intent) = owed.expect("the line is owed");
    let (kind, at) = (intent.detail_type(), world.now());
    let detail = eventbridge::detail(&id, &intent, at);
    let event = eventbridge::own(&id, kind, &detail, at);
    world.invoke(Job::Event("report-status".into(), event.into(), 0));
    world.pass(Duration::from_secs(1));
}

/// The answer of a port that has one at once.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(answer) = pin!(future).poll(&mut context) else {
        panic!("it waits for something");
    };
    answer
}

#[test]
fn a_line_that_was_read_before_and_is_shown_late_does_not_stay() {
    let mut world = World::quiet();
    world.ports.statuses.fail(Some(LINE));
    let commit = world.push("main", "first", &[]);
    world.pass(SOON);
    world.push("main", "second", &["backend/main.rs"]);
    world.pass(SOON);
    world.ports.statuses.fail(None);

    // One invocation reads that the build was started, and pauses. Another shows that it was
    // superseded, and a third ends what the first was to do.
    announce(&mut world, "build#1 was superseded");
    announce(&mut world, "build#1 was started");
    let repository = RepositoryRef {
        id: REPOSITORY,
        name: repository_name(),
    };
    let late = CommitStatus {
        context: LINE.into(),
        state: StatusState::Pending,
        description: "build#1 was started".into(),
        target_url: None,
    };
    let shown = world
        .ports
        .statuses
        .inner()
        .set(&repository, &commit, &late);
    now(shown).expect("a legal status");
    // The first dies now, before it can look again.

    world.settle();
    assert_eq!(world.faults_at_rest(), Vec::<String>::new());
}

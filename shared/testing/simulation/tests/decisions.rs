//! Each decision of a person leaves one row in a ledger, despite faults and simultaneous decisions.

use std::future::Future;
use std::pin::pin;
use std::task::{Context as Task, Poll, Waker};
use std::time::Duration;

use towline_answers::audit::row::{AuditRow, LedgerState};
use towline_answers::{Answer, Command, Query, ask, command, query};
use towline_ports::memory::MemoryBuilds;
use towline_simulation::{Mechanism, World};
use towline_state::Context;

fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        let task = &mut Task::from_waker(Waker::noop());
        if let Poll::Ready(value) = future.as_mut().poll(task) {
            return value;
        }
    }
}

/// What the ledgers say, without faults on the way.
fn answer(world: &World, query: Query) -> Answer {
    let context = Context {
        store: world.ports.store.inner(),
        bus: &world.ports.bus,
        clock: world.ports.clock.as_ref(),
    };
    let builds = MemoryBuilds::new(std::sync::Arc::clone(&world.ports.clock), 1);
    now(ask(context, &builds, query)).expect("an answer")
}

/// The decisions of people, without what followed.
fn decisions(world: &World) -> Vec<AuditRow> {
    let Answer::Audit {
        mut rows,
        breaks,
        next: None,
    } = answer(world, Query::Audit(query::Audit::default()))
    else {
        panic!("not one page of rows");
    };
    assert_eq!(breaks, []);
    rows.retain(|row| row.door.is_some());
    rows
}

fn broken(world: &World) -> Vec<LedgerState> {
    let Answer::Verify { mut ledgers, .. } = answer(world, Query::Verify(query::Verify::default()))
    else {
        panic!("not the state of ledgers");
    };
    ledgers.retain(|known| known.breaks_at.is_some());
    ledgers
}

fn approve(promotion: u64) -> Command {
    Command::Approve(command::Approve {
        promotion,
        comment: None,
        repository: None,
    })
}

fn hold() -> Command {
    Command::Hold(command::Hold {
        component: "backend".parse().expect("a component"),
        stage: "prod".parse().expect("a stage"),
        reason: "incident".into(),
        repository: None,
    })
}

fn of_build(build: u64) -> command::OfBuild {
    command::OfBuild {
        build,
        repository: None,
    }
}

/// Pushes, and waits until the image needs approval.
fn waiting() -> World {
    let mut world = World::quiet();
    world.push("main", "first", &[]);
    world.settle();
    world
}

#[test]
fn s23_many_people_at_the_same_time_leave_one_row_each() {
    let mut world = waiting();
    let before = world.answers.len();
    for person in ["lee", "park", "dana", "kim", "mallory"] {
        world.ask(person, approve(2));
        world.ask(person, hold());
        world.ask(person, Command::Cancel(of_build(1)));
        world.ask(person, Command::Retry(of_build(1)));
    }
    world.settle();
    let answered = world.answers.len() - before;
    assert_eq!(answered, 20, "{:#?}", world.answers);
    assert_eq!(decisions(&world).len(), answered);
    assert_eq!(broken(&world), []);
}

#[test]
fn s23_a_crash_at_any_step_of_a_decision_leaves_it_once() {
    for (command, action) in [
        (approve(2), "approve"),
        (hold(), "hold"),
        (Command::Cancel(of_build(1)), "cancel"),
    ] {
        let mut crashed = 0;
        for step in 1..40 {
            let mut world = World::quiet();
            world.push("main", "first", &[]);
            match action {
                "cancel" => world.pass(Duration::from_secs(20)),
                _ => world.settle(),
            }
            let before = world.answers.len();
            let crash_at = world.chance.steps() + step;
            world.crash_at = Some(crash_at);
            world.ask("lee", command.clone());
            world.settle();
            crashed += u32::from(world.crash_at.is_none());
            assert_eq!(world.answers.len() - before, 1, "{:?}", world.answers);
            // A person who got no answer asks again, and is told that it is already done.
            let rows = decisions(&world);
            let done = rows.iter().filter(|row| row.result.word() == "done");
            // The build may have ended before a second request.
            let (done, is_build) = (done.count(), action == "cancel");
            assert!(
                done == 1 || is_build && done == 0,
                "{action}, {step}: {rows:#?}"
            );
            assert!((1..=2).contains(&rows.len()), "{action}, {step}: {rows:#?}");
            assert!(rows.iter().all(|row| row.action.word() == action));
            assert_eq!(broken(&world), []);
        }
        assert!(crashed > 3, "{action} was interrupted {crashed} times");
    }
}

#[test]
fn s23_a_row_about_a_build_that_is_lost_is_found() {
    let mut world = waiting();
    world.ask("lee", Command::Cancel(of_build(1)));
    world.settle();
    world.chance.take_out(Mechanism::Rows);
    world.ask("lee", Command::Cancel(of_build(1)));
    world.settle();
    let broken = broken(&world);
    let places: Vec<Option<u64>> = broken.iter().map(|known| known.breaks_at).collect();
    assert_eq!(places, [Some(2)]);
}

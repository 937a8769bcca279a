//! Rows are written before the item that makes them count: what happens if only one of them is written.

use std::future::Future;
use std::pin::pin;
use std::task::{Context as Task, Poll, Waker};

use towline_answers::{Command, command};
use towline_domain::stage::Stage;
use towline_ports::{Query, Row, Store as _};
use towline_simulation::{Mechanism, World};
use towline_state::{Context, history};

fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        let task = &mut Task::from_waker(Waker::noop());
        if let Poll::Ready(value) = future.as_mut().poll(task) {
            return value;
        }
    }
}

/// Pushes, and waits until the image needs approval.
fn waiting() -> World {
    let mut world = World::quiet();
    world.push("main", "first", &[]);
    world.settle();
    world
}

fn context(world: &World) -> Context<'_> {
    Context {
        store: world.ports.store.inner(),
        bus: &world.ports.bus,
        clock: world.ports.clock.as_ref(),
    }
}

fn prod(world: &World) -> Stage {
    let stage = world.watch.look(|known| {
        let mut stages = known.stages.values();
        let prod = stages.find(|stage| stage.key.stage.as_str() == "prod");
        prod.cloned()
    });
    Stage::clone(&stage.expect("something waits for prod"))
}

/// Pushes without a mechanism.
fn without(mechanism: Mechanism) {
    let mut world = World::quiet();
    world.chance.take_out(mechanism);
    world.push("main", "first", &[]);
    world.settle();
}

#[test]
#[should_panic(expected = "which is not there")]
fn an_item_that_is_written_before_its_rows_is_found() {
    without(Mechanism::RowsFirst);
}

#[test]
#[should_panic(expected = "which is not there")]
fn rows_whose_loss_nobody_heeds_are_found() {
    without(Mechanism::Rows);
}

#[test]
#[should_panic(expected = "is never done")]
fn an_announcement_that_is_lost_and_never_made_again_is_found() {
    let mut world = World::quiet();
    world.chance.take_out(Mechanism::Announcing);
    world.withheld.announcements = true;
    world.push("main", "first", &[]);
    world.settle();
}

/// Two writers decide on the same state and write their rows: the loser leaves nothing else.
#[test]
fn of_two_writers_one_leaves_rows_that_nobody_believes() {
    let mut world = waiting();
    let stage = prod(&world);
    let before = now(history::ledger(context(&world), &stage, 100)).expect("rows");
    // The rows of another writer, who loses: a row that follows the same one.
    let mut lost = before[0].clone();
    lost.previous = before[0].hash();
    lost.sequence += 1;
    let orphan = Row {
        key: towline_state::keys::row(towline_state::keys::ledger(&stage.key), &lost),
        body: serde_json::to_value(&lost).expect("JSON").into(),
    };
    now(world.ports.store.inner().put_rows(vec![orphan.clone()])).expect("a row");
    let found = now(history::ledger(context(&world), &stage, 100)).expect("rows");
    assert_eq!(found, before, "before the winner has written");
    let number = stage.waiting[0].number;
    world.ask(
        "lee",
        Command::Approve(command::Approve {
            promotion: number,
            comment: None,
            repository: None,
        }),
    );
    world.pass(std::time::Duration::from_secs(5));
    let stage = prod(&world);
    let found = now(history::ledger(context(&world), &stage, 100)).expect("rows");
    let said: Vec<u64> = found.iter().rev().map(|row| row.sequence).collect();
    let expected: Vec<u64> = (1..=stage.ledger.sequence).collect();
    assert_eq!(said, expected, "after the winner has written");
    assert!(!found.contains(&lost), "{found:#?}");
    let kept = Query::all(orphan.key.partition.to_string());
    let kept = now(world.ports.store.inner().query(&kept)).expect("a page");
    assert_eq!(kept.items.len(), found.len() + 1);
}

/// A crash after the rows decides nothing, and the next writer decides again.
#[test]
fn a_crash_between_rows_and_their_item_leaves_everything_to_the_next() {
    let mut crashes = 0;
    for step in 1..90 {
        let mut world = World::quiet();
        world.crash_at = Some(step);
        world.push("main", "first", &[]);
        world.settle();
        if !world.answers.iter().any(|answer| answer.starts_with("202")) {
            continue; // nothing was answered for
        }
        crashes += 1;
        assert_eq!(
            world.faults_at_rest(),
            Vec::<String>::new(),
            "a crash at step {step}"
        );
        let stages = world.watch.look(|known| known.stages.clone());
        for stage in stages.values() {
            let rows = now(history::ledger(context(&world), stage, 100)).expect("rows");
            let named = stage.ledger.sequence;
            assert_eq!(rows.len() as u64, named, "a crash at step {step}");
        }
    }
    assert!(crashes > 70, "{crashes}");
}

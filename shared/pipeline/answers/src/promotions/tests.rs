//! The answers about a promotion are true.

#![expect(
    clippy::needless_pass_by_value,
    reason = "what is expected stands where it is expected"
)]

use expect_test::{Expect, expect};

use crate::command::{Approve, Hold, Reject, Resume, Rollback};
use crate::tests::World;
use crate::{Command, Query, query};

/// One approval is enough, and nothing newer replaces a waiting promotion.
const QUEUE: &str = "
version: 1
pipeline: shop
components: {web: {repository: acme/web, build: {tags: [\"{sha7}-{build}\"]}}}
stages:
  - {name: staging, from: build}
  - {name: prod, from: staging, gates: [approval: {groups: [managers], supersede: false}]}
";

fn approve(promotion: u64) -> Command {
    Command::Approve(Approve {
        promotion,
        comment: None,
        repository: None,
    })
}

fn hold(reason: &str) -> Command {
    Command::Hold(Hold {
        component: "web".parse().expect("a name"),
        stage: "prod".parse().expect("a name"),
        reason: reason.into(),
        repository: None,
    })
}

fn check(world: &World, command: Command, expected: Expect) {
    expected.assert_eq(&world.tell(command));
    world.settle();
}

#[test]
fn an_approval_says_what_the_promotion_waits_for() {
    let world = World::with_a_push("first");
    check(
        &world,
        approve(2),
        expect!["promotion #2 to prod: approved; waiting for approval 1/2"],
    );
    check(
        &world,
        approve(999),
        expect!["refused: promotion #999 not found"],
    );
}

#[test]
fn an_approval_in_a_queue_or_a_held_stage_promises_nothing() {
    let world = World::new();
    world.push_defined("first", QUEUE);
    world.settle();
    world.push_defined("second", QUEUE);
    world.settle_with(b"{\"second\":true}");
    check(
        &world,
        approve(4),
        expect!["refused: promotion #4 not found"],
    );
    check(
        &world,
        hold("freeze"),
        expect![
            "automatic promotions of web to prod are paused; to resume them, run: towline resume web prod"
        ],
    );
    check(
        &world,
        approve(2),
        expect!["promotion #2 to prod: approved; waiting: prod is held by @lee: freeze"],
    );
    let resume = Command::Resume(Resume {
        component: "web".parse().expect("a name"),
        stage: "prod".parse().expect("a name"),
        repository: None,
    });
    check(
        &world,
        resume,
        expect!["automatic promotions of web to prod are resumed"],
    );
    check(
        &world,
        approve(2),
        expect!["refused: promotion #2 was completed at 2026-03-02 09:37 UTC"],
    );
}

#[test]
fn an_approval_that_opens_the_gate_and_a_rollback_say_so() {
    let world = World::new();
    world.push_defined("first", QUEUE);
    world.settle();
    check(
        &world,
        approve(2),
        expect!["promotion #2 to prod: approved; tagging the image"],
    );
    let reject = Command::Reject(Reject {
        promotion: 2,
        reason: "too late".into(),
        repository: None,
    });
    check(
        &world,
        reject,
        expect!["refused: promotion #2 was completed at 2026-03-02 09:07 UTC"],
    );
    let back = Command::Rollback(Rollback {
        component: "web".parse().expect("a name"),
        stage: "prod".parse().expect("a name"),
        to: None,
        reason: None,
        repository: None,
    });
    check(
        &world,
        back,
        expect!["refused: no image older than a5f32f0 has been live in prod"],
    );
}

#[test]
fn a_component_that_left_the_definition_is_said_to_have() {
    let world = World::new();
    world.push_defined("first", QUEUE);
    world.settle();
    world.push_defined(
        "second",
        &QUEUE
            .replace("web:", "api:")
            .replace("acme/web", "acme/api"),
    );
    world.settle();
    let now = Query::Now(query::Now {
        component: Some("web".parse().expect("a name")),
        ..query::Now::default()
    });
    expect!["refused: component web is no longer in the definition of acme/shop; stages: staging, prod; to see what was live, run: towline history web STAGE"].assert_eq(&world.ask(now));
}

/// The clock of a machine may step back between two pushes.
#[test]
fn s19_runs_are_listed_in_their_order_whatever_the_clock_said() {
    let world = World::with_a_push("first");
    world
        .clock
        .set("2026-03-01T09:00:00Z".parse().expect("a moment"));
    world.push("second");
    world.settle();
    let runs = world.ask(Query::Runs(query::Runs {
        limit: None,
        repository: None,
    }));
    let titles = runs.lines().skip(1);
    let titles: Vec<&str> = titles
        .filter_map(|line| line.split_whitespace().last())
        .collect();
    assert_eq!(titles, ["second", "first"], "{runs}");
}

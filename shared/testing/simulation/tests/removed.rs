//! Stories about commits that a forced push removes while their images wait (F26).

#![expect(
    clippy::needless_pass_by_value,
    reason = "what is expected stands where it is expected"
)]

use std::time::Duration;

use expect_test::{Expect, expect};
use towline_answers::{Command, command};
use towline_domain::explain;
use towline_domain::ledger::What;
use towline_domain::names::CommitSha;
use towline_simulation::shop::{DEFINITION, REPOSITORY};
use towline_simulation::{Mechanism, World};

/// Long enough to act, and too short for the sweep to find that a ref has moved.
const SOON: Duration = Duration::from_secs(5);

/// How promotions ended, the answers to people, and the stages of the backend in words.
fn told(world: &mut World) -> String {
    let mut text = world.watch.look(|known| {
        let rows = known.rows.values().flatten();
        let ended = rows.filter_map(|row| match &row.what {
            What::Ended { promotion, how } => Some(explain::ending(*promotion, how, None)),
            What::Overridden { reason, .. } => Some(format!("override: {reason}")),
            What::Requested { .. }
            | What::Approved { .. }
            | What::Denied { .. }
            | What::Moved { .. }
            | What::Held { .. }
            | What::Resumed
            | What::Drifted { .. } => None,
        });
        ended.map(|text| text + "\n").collect::<String>()
    });
    for answer in world.answers.drain(..) {
        if answer != "202 accepted" {
            text += &format!("> {answer}\n");
        }
    }
    let view = world.view();
    let of_backend = view.lines().filter(|line| line.starts_with("backend/"));
    of_backend.for_each(|line| text += &format!("{line}\n"));
    text
}

fn check(world: &mut World, expect: Expect) {
    expect.assert_eq(&told(world));
}

fn ask(world: &mut World, login: &str, command: Command) {
    world.ask(login, command);
    world.pass(SOON);
}

fn approve(promotion: u64) -> Command {
    Command::Approve(command::Approve {
        promotion,
        comment: None,
        repository: None,
    })
}

fn promote(image: &str, overriding: Option<&str>) -> Command {
    Command::Promote(command::Promote {
        component: "backend".parse().expect("a component"),
        image: image.into(),
        stage: "prod".parse().expect("a stage"),
        reason: overriding.map(str::to_owned),
        overrides: overriding.is_some(),
        repository: None,
    })
}

fn roll_back() -> Command {
    Command::Rollback(command::Rollback {
        component: "backend".parse().expect("a component"),
        stage: "prod".parse().expect("a stage"),
        to: None,
        reason: None,
        repository: None,
    })
}

/// The shop with its first images live in prod, and a second one of the backend that waits for it as #6.
fn waiting() -> (World, CommitSha, CommitSha) {
    let mut world = World::quiet();
    world.definition = format!("{DEFINITION}rights: {{override: [release-managers]}}\n");
    let first = world.push("main", "first", &[]);
    world.settle();
    for promotion in [2, 4] {
        ask(&mut world, "lee", approve(promotion));
        ask(&mut world, "park", approve(promotion));
    }
    let second = world.push("main", "second", &["backend/main.rs"]);
    world.settle();
    world.answers.clear();
    (world, first, second)
}

#[test]
fn f26_s12_a_commit_that_was_forced_away_does_not_go_live_by_approvals() {
    let (mut world, first, second) = waiting();
    ask(&mut world, "lee", approve(6));
    world.move_ref("main", &first);
    ask(&mut world, "park", approve(6));
    check(
        &mut world,
        expect![[r#"
        promotion #6 was refused: 09ee3d7 is no longer on main; promote it again once it is back, or with --override
        > promotion #6 to prod: approved; waiting for approval 1/2, expires in 23h 59m
        > promotion #6 to prod: approved; tagging the image
        backend/prod: first
        backend/staging: second
    "#]],
    );
    let shown = world.ports.statuses.inner().of(REPOSITORY, &second);
    let prod = shown.iter().find(|it| it.context == "towline/prod/backend");
    let prod = prod.map(|status| status.description.as_str());
    expect!["promotion #6 was refused: 09ee3d7 is no longer on main; promote it again once it is back, or with --override"].assert_eq(prod.unwrap_or_default());
    // The same holds for a request; a person who may override needs no ref.
    ask(&mut world, "lee", promote("build#3", None));
    ask(&mut world, "lee", approve(7));
    ask(&mut world, "park", approve(7));
    ask(
        &mut world,
        "park",
        promote("build#3", Some("incident 4711")),
    );
    check(
        &mut world,
        expect![[r#"
        promotion #6 was refused: 09ee3d7 is no longer on main; promote it again once it is back, or with --override
        promotion #7 was refused: 09ee3d7 is no longer on main; promote it again once it is back, or with --override
        override: incident 4711
        > promotion #7 of 09ee3d7 to prod: waiting for approval 0/2, expires in 23h 59m
        > promotion #7 to prod: approved; waiting for approval 1/2, expires in 23h 59m
        > promotion #7 to prod: approved; tagging the image
        > promotion #8 of 09ee3d7 to prod: tagging the image
        backend/prod: second
        backend/staging: second
    "#]],
    );
    assert!(world.view().contains("backend/prod: second\n"));
    world.settle();
    assert_eq!(world.faults_at_rest(), Vec::<String>::new());
}

#[test]
fn f26_another_admitted_ref_is_as_good_and_what_comes_back_must_be_asked_for() {
    let (mut world, first, second) = waiting();
    world.move_ref("release/1", &second);
    world.move_ref("main", &first);
    ask(&mut world, "lee", approve(6));
    ask(&mut world, "park", approve(6));
    check(
        &mut world,
        expect![[r#"
        > promotion #6 to prod: approved; waiting for approval 1/2, expires in 23h 59m
        > promotion #6 to prod: approved; tagging the image
        backend/prod: second
        backend/staging: second
    "#]],
    );

    let (mut world, first, second) = waiting();
    ask(&mut world, "lee", approve(6));
    world.move_ref("main", &first);
    ask(&mut world, "park", approve(6));
    world.move_ref("main", &second);
    world.settle();
    ask(&mut world, "lee", promote("build#3", None));
    ask(&mut world, "lee", approve(7));
    ask(&mut world, "park", approve(7));
    check(
        &mut world,
        expect![[r#"
        promotion #6 was refused: 09ee3d7 is no longer on main; promote it again once it is back, or with --override
        > promotion #6 to prod: approved; waiting for approval 1/2, expires in 23h 59m
        > promotion #6 to prod: approved; tagging the image
        > promotion #7 of 09ee3d7 to prod: waiting for approval 0/2, expires in 23h 59m
        > promotion #7 to prod: approved; waiting for approval 1/2, expires in 23h 59m
        > promotion #7 to prod: approved; tagging the image
        backend/prod: second
        backend/staging: second
    "#]],
    );
}

#[test]
fn f26_a_rollback_goes_back_to_a_commit_that_was_forced_away() {
    let (mut world, first, _) = waiting();
    ask(&mut world, "lee", approve(6));
    ask(&mut world, "park", approve(6));
    world.move_ref("main", &first);
    let third = world.push("main", "third", &["backend/main.rs"]);
    world.settle();
    for person in ["lee", "park"] {
        ask(&mut world, person, approve(8));
    }
    world.move_ref("main", &third);
    ask(&mut world, "lee", roll_back());
    check(
        &mut world,
        expect![[r#"
        > promotion #6 to prod: approved; waiting for approval 1/2, expires in 23h 59m
        > promotion #6 to prod: approved; tagging the image
        > promotion #8 to prod: approved; waiting for approval 1/2, expires in 23h 59m
        > promotion #8 to prod: approved; tagging the image
        > rollback #9 of 09ee3d7 to prod: tagging the image
        backend/prod: second, rolled back; held by @lee: rollback
        backend/staging: third
    "#]],
    );
    world.settle();
    assert_eq!(world.faults_at_rest(), Vec::<String>::new());
}

/// What the watch says if the commit is not looked for.
#[test]
#[should_panic(expected = "F26: #6 begins although no admitted ref contains")]
fn f26_the_watch_notices_a_promotion_of_a_commit_that_is_gone() {
    let (mut world, first, _) = waiting();
    world.chance.take_out(Mechanism::CommitCheck);
    ask(&mut world, "lee", approve(6));
    world.move_ref("main", &first);
    world.pass(Duration::from_secs(40));
    ask(&mut world, "park", approve(6));
}

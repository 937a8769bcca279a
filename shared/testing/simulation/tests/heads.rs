//! Pushes whose webhook never arrives: the sweep finds them by comparing refs (F8).

#![expect(
    clippy::needless_pass_by_value,
    reason = "what is expected stands where it is expected"
)]

use std::time::Duration;

use expect_test::{Expect, expect};
use towline_simulation::world::router;
use towline_simulation::{Job, Mechanism, Plan, Weather, World, live};

const MINUTE: Duration = Duration::from_secs(60);

/// The shop after its first push. No later webhook arrives.
fn shop() -> World {
    let mut world = World::quiet();
    world.push("main", "first", &[]);
    world.settle();
    world.pass(MINUTE * 2);
    world.withheld.webhooks = true;
    world
}

fn check(world: &mut World, expect: Expect) {
    world.settle();
    let mut text = world.view();
    for answer in &world.answers {
        text += &format!("> {answer}\n");
    }
    expect.assert_eq(&text);
    assert_eq!(world.faults_at_rest(), Vec::<String>::new());
}

#[test]
fn f8_s7_i10_pushes_without_a_webhook_are_found_and_deployed() {
    let mut world = shop();
    world.push("main", "second", &["backend/main.rs"]);
    world.settle();
    world.push("release/1", "a new branch", &["web/index.html"]);
    check(
        &mut world,
        expect![[r#"
        main first: backend succeeded; web succeeded
        main second: backend succeeded
        release/1 a new branch: backend succeeded; web succeeded
        backend/prod: nothing; a new branch has 0 of 2 yes
        backend/staging: a new branch
        web/prod: nothing; a new branch has 0 of 2 yes
        web/staging: a new branch
        > 202 accepted
    "#]],
    );
}

#[test]
fn f8_a_push_is_found_within_five_minutes() {
    let mut world = shop();
    let commit = world.push("main", "second", &["backend/main.rs"]);
    world.pass(MINUTE * 5);
    let found = world.watch.look(|known| {
        let mut runs = known.runs.values();
        runs.any(|run| run.key.commit == commit)
    });
    assert!(found, "{}", world.view());
}

#[test]
fn f8_a_webhook_that_comes_after_all_is_a_duplicate() {
    let mut world = shop();
    let first = world.head("main");
    let second = world.push("main", "second", &["backend/main.rs"]);
    world.settle();
    let late = world.webhook("main", first.as_ref(), &second, "second");
    world.invoke(Job::Webhook(late));
    check(
        &mut world,
        expect![[r#"
        main first: backend succeeded; web succeeded
        main second: backend succeeded
        backend/prod: nothing; second has 0 of 2 yes
        backend/staging: second
        web/prod: nothing; first has 0 of 2 yes
        web/staging: first
        > 202 accepted
        > 200 duplicate
    "#]],
    );
}

#[test]
fn f8_a_webhook_in_time_is_not_anticipated() {
    let mut world = shop();
    let first = world.head("main");
    let second = world.push("main", "second", &["backend/main.rs"]);
    world.pass(MINUTE);
    let late = world.webhook("main", first.as_ref(), &second, "second");
    world.invoke(Job::Webhook(late));
    check(
        &mut world,
        expect![[r#"
        main first: backend succeeded; web succeeded
        main second: backend succeeded
        backend/prod: nothing; second has 0 of 2 yes
        backend/staging: second
        web/prod: nothing; first has 0 of 2 yes
        web/staging: first
        > 202 accepted
        > 202 accepted
    "#]],
    );
}

#[test]
fn f8_s2_a_branch_that_returns_without_a_webhook_is_built_again() {
    let mut world = shop();
    let first = world.head("main").expect("the first commit");
    let second = world.push("main", "second", &["backend/main.rs"]);
    world.settle();
    for (commit, title) in [(&first, "back"), (&second, "forth")] {
        world.push_existing("main", commit, title);
        world.settle();
    }
    check(
        &mut world,
        expect![[r#"
        main first: backend succeeded; web succeeded
        main second: backend succeeded
        main first: backend succeeded
        main second: backend succeeded
        backend/prod: nothing; second has 0 of 2 yes
        backend/staging: second
        web/prod: nothing; first has 0 of 2 yes
        web/staging: first
        > 202 accepted
    "#]],
    );
}

#[test]
fn f8_a_deletion_without_a_webhook_is_found() {
    let mut world = shop();
    let head = world.push("release/1", "release", &["backend/main.rs"]);
    world.settle();
    world.delete("release/1");
    world.pass(MINUTE * 5);
    world.settle();
    // The record of the branch says so: the same commit is a new push then.
    world.push_existing("release/1", &head, "release");
    check(
        &mut world,
        expect![[r#"
        main first: backend succeeded; web succeeded
        release/1 release: backend succeeded; web succeeded
        release/1 release:
        backend/prod: nothing; release has 0 of 2 yes
        backend/staging: release
        web/prod: nothing; release has 0 of 2 yes
        web/staging: release
        > 202 accepted
    "#]],
    );
}

#[test]
fn f8_refs_that_start_no_run_are_not_watched() {
    let mut world = shop();
    world.commit("topic", "not admitted", &[("backend/main.rs", "2")]);
    world.pass(MINUTE * 10);
    world.settle();
    assert!(!world.view().contains("not admitted"), "{}", world.view());
}

#[test]
fn f8_i10_without_the_comparison_a_lost_push_stays_lost() {
    let mut world = shop();
    world.chance.take_out(Mechanism::Comparison);
    world.push("main", "second", &["backend/main.rs"]);
    world.pass(MINUTE * 60);
    world.settle();
    assert_eq!(
        world.faults_at_rest(),
        ["I10: the head of main has no run of its own"]
    );
}

#[test]
fn f8_i10_without_the_comparison_a_seed_shows_it() {
    let router = router();
    let shows = |seed: &u64| {
        let mut plan = Plan::of(*seed, Weather::Rough);
        plan.without.insert(Mechanism::Comparison);
        let outcome = live(&plan, &router);
        let mut faults = outcome.faults.iter();
        faults.any(|fault| fault.starts_with("I10"))
    };
    let first = (0..200).find(shows);
    assert!(first.is_some(), "no seed misses the comparison of heads");
}

#[test]
fn f8_s7_a_move_back_to_a_commit_whose_push_came_too_late_is_found() {
    let mut world = shop();
    let first = world.head("main");
    let second = world.push("main", "second", &["backend/main.rs"]);
    let third = world.push("main", "third", &["backend/main.rs"]);
    for (before, after, title) in [
        (Some(&second), &third, "third"),
        (first.as_ref(), &second, "second"),
    ] {
        let late = world.webhook("main", before, after, title);
        world.invoke(Job::Webhook(late));
        world.settle();
    }
    world.push_existing("main", &second, "back");
    check(
        &mut world,
        expect![[r#"
            main first: backend succeeded; web succeeded
            main third: backend succeeded
            main second: refused: superseded: ad25e00 is newer on main and is already planned
            main second: backend succeeded
            backend/prod: nothing; second has 0 of 2 yes
            backend/staging: second
            web/prod: nothing; first has 0 of 2 yes
            web/staging: first
            > 202 accepted
            > 202 accepted
            > 202 accepted
        "#]],
    );
}

#[test]
fn f8_s7_a_move_back_between_two_lists_is_found() {
    let mut world = shop();
    let first = world.head("main").expect("something was pushed");
    let second = world.push("main", "second", &["backend/main.rs"]);
    let pushed = world.webhook("main", Some(&first), &second, "second");
    world.invoke(Job::Webhook(pushed));
    world.pass(Duration::from_secs(5));
    world.push_existing("main", &first, "back");
    check(
        &mut world,
        expect![[r#"
        main first: backend succeeded; web succeeded
        main second: backend succeeded
        main first: backend succeeded
        backend/prod: nothing; first has 0 of 2 yes
        backend/staging: first
        web/prod: nothing; first has 0 of 2 yes
        web/staging: first
        > 202 accepted
        > 202 accepted
    "#]],
    );
}

//! Stories about people: who may approve, promote and override what.

#![expect(
    clippy::needless_pass_by_value,
    reason = "what is expected stands where it is expected"
)]

use expect_test::{Expect, expect};
use serde_json::Value;
use towline_answers::{Command, command};
use towline_simulation::World;
use towline_simulation::github::signed;
use towline_simulation::shop::DEFINITION;

/// The end of a world: its stages in words, and the answers to people.
fn check(world: &mut World, expect: Expect) {
    world.settle();
    let mut text = world.view();
    for answer in world.answers.iter().filter(|it| *it != "202 accepted") {
        text += &format!("> {answer}\n");
    }
    expect.assert_eq(&text);
    assert_eq!(world.faults_at_rest(), Vec::<String>::new());
}

/// Somebody writes a commit on main and pushes it.
fn push(world: &mut World, login: &str, message: &str) {
    let before = world.head("main");
    let file = ("backend/main.rs", message);
    let title = message.lines().next().unwrap_or_default();
    world.who = login.into();
    let commit = world.commit("main", title, &[file]);
    let body = world
        .webhook("main", before.as_ref(), &commit, message)
        .body;
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    world.deliver(signed(&body, &format!("{login}-{}", commit.short())));
    world.settle();
}

fn ask(world: &mut World, login: &str, command: Command) {
    world.ask(login, command);
    world.settle();
}

fn approve(promotion: u64) -> Command {
    Command::Approve(command::Approve {
        promotion,
        comment: None,
        repository: None,
    })
}

/// The shop with its first images live in prod.
fn live() -> World {
    let mut world = World::quiet();
    world.push("main", "first", &[]);
    world.settle();
    for promotion in [2, 4] {
        ask(&mut world, "lee", approve(promotion));
        ask(&mut world, "park", approve(promotion));
    }
    world.answers.clear();
    world
}

fn promote(image: &str, overriding: Option<&str>) -> Command {
    Command::Promote(command::Promote {
        component: "backend".parse().expect("a component"),
        image: image.into(),
        stage: "staging".parse().expect("a stage"),
        reason: overriding.map(str::to_owned),
        overrides: overriding.is_some(),
        repository: None,
    })
}

fn of_build(build: u64) -> command::OfBuild {
    command::OfBuild {
        build,
        repository: None,
    }
}

#[test]
fn s4_a28_an_image_of_a_ref_that_main_does_not_admit_needs_an_override() {
    let mut world = live();
    let rights = format!("{DEFINITION}rights: {{override: [release-managers]}}\n");
    world.push_files("main", "rights", &[(".towline.yml", &rights)]);
    world.settle();
    let any = rights.replace("branches: [main,", "branches: [main, evil,");
    let files = [(".towline.yml", any.as_str()), ("backend/x", "x")];
    world.push_files("evil", "evil", &files);
    world.settle();
    for (person, reason) in [
        ("mallory", None),
        ("mallory", Some("I want to")),
        ("lee", None),
        ("lee", Some("incident 4711")),
    ] {
        ask(&mut world, person, promote("build#3", reason));
    }
    let overridden = world.view();
    expect![[r#"
        main first: backend succeeded; web succeeded
        main rights:
        evil evil: backend succeeded; web succeeded
        backend/prod: first
        backend/staging: evil
        web/prod: first
        web/staging: first
    "#]]
    .assert_eq(&overridden);
    world.push("main", "next", &["libs/x"]);
    check(
        &mut world,
        expect![[r#"
            main first: backend succeeded; web succeeded
            main rights:
            evil evil: backend succeeded; web succeeded
            main next: backend succeeded; web succeeded
            backend/prod: first; next has 0 of 2 yes
            backend/staging: next
            web/prod: first; next has 0 of 2 yes
            web/staging: next
            > refused: @mallory does not have the right `operate`; everyone in a group has it
            > refused: @mallory does not have the right `override`; these groups have it: release-managers
            > refused: 51294a7 cannot be promoted to staging: by the default branch's .towline.yml, branch evil matches no pattern in source.branches; members of the groups in its rights.override can promote it with --override
            > promotion #5 of 51294a7 to staging: tagging the image
        "#]],
    );
}

#[test]
fn s4_who_may_not_operate_cancels_and_retries_nothing() {
    let mut world = live();
    push(&mut world, "dana", "second");
    ask(&mut world, "mallory", Command::Cancel(of_build(3)));
    ask(&mut world, "mallory", Command::Retry(of_build(3)));
    check(
        &mut world,
        expect![[r#"
        main first: backend succeeded; web succeeded
        main second: backend succeeded
        backend/prod: first; second has 0 of 2 yes
        backend/staging: second
        web/prod: first
        web/staging: first
        > refused: @mallory does not have the right `operate`; everyone in a group has it
        > refused: @mallory does not have the right `operate`; everyone in a group has it
    "#]],
    );
}

#[test]
fn s4_a_gate_that_is_removed_releases_nothing_that_waits() {
    let mut world = live();
    push(&mut world, "dana", "second");
    let gate = "    gates: [approval: {groups: [release-managers], min: 2, expires: 24h}]\n";
    let open = DEFINITION.replace(gate, "");
    assert_ne!(open, DEFINITION);
    world.push_files("main", "open", &[(".towline.yml", &open)]);
    check(
        &mut world,
        expect![[r#"
        main first: backend succeeded; web succeeded
        main second: backend succeeded
        main open:
        backend/prod: first; second has 0 of 2 yes
        backend/staging: second
        web/prod: first
        web/staging: first
    "#]],
    );
}

#[test]
fn s11_a_push_that_removes_a_gate_is_not_promoted_without_it() {
    let mut world = live();
    let gate = "    gates: [approval: {groups: [release-managers], min: 2, expires: 24h}]\n";
    let open = DEFINITION.replace(gate, "");
    assert_ne!(open, DEFINITION);
    let files = [(".towline.yml", open.as_str()), ("backend/x", "x")];
    world.push_files("main", "open", &files);
    world.settle();
    world.push("main", "next", &["backend/y"]);
    world.settle();
    let waiting = world.view();
    ask(&mut world, "lee", approve(8));
    ask(&mut world, "park", approve(8));
    world.push("main", "free", &["backend/z"]);
    world.settle();
    let after = world.view();
    expect![[r#"
        main first: backend succeeded; web succeeded
        main open: backend succeeded
        main next: backend succeeded
        backend/prod: first; open has 0 of 2 yes; next has 0 of 2 yes
        backend/staging: next
        web/prod: first
        web/staging: first
        ---
        main first: backend succeeded; web succeeded
        main open: backend succeeded
        main next: backend succeeded
        main free: backend succeeded
        backend/prod: first; open has 0 of 2 yes; next waits its turn; free has 0 of 2 yes
        backend/staging: free
        web/prod: first
        web/staging: first
    "#]]
    .assert_eq(&format!("{waiting}---\n{after}"));
    check(
        &mut world,
        expect![[r#"
            main first: backend succeeded; web succeeded
            main open: backend succeeded
            main next: backend succeeded
            main free: backend succeeded
            backend/prod: first; open has 0 of 2 yes; next waits its turn; free has 0 of 2 yes
            backend/staging: free
            web/prod: first
            web/staging: first
            > promotion #8 to prod: approved; waiting for approval 1/2 (by the rules before 14c0e21), expires in 23h 59m
            > promotion #8 to prod: approved; waiting for promotion #6
        "#]],
    );
}

#[test]
fn s5_a23_who_wrote_an_earlier_commit_or_is_named_in_a_trailer_approves_no_later_one() {
    let mut world = live();
    push(&mut world, "lee", "second");
    let third = "third\n\nCo-authored-by: P <9+park@users.noreply.github.com>";
    push(&mut world, "mallory", third);
    for (person, promotion) in [("lee", 8), ("park", 8), ("dana", 8)] {
        ask(&mut world, person, approve(promotion));
    }
    check(
        &mut world,
        expect![[r#"
            main first: backend succeeded; web succeeded
            main second: backend succeeded
            main third: backend succeeded
            backend/prod: first; third has 1 of 2 yes
            backend/staging: third
            web/prod: first
            web/staging: first
            > refused: @lee pushed or wrote something that 6d022a7 contains since c8ac692, which is live; someone else must approve it (approval.self: deny)
            > refused: @park pushed or wrote 6d022a7; someone else must approve it (approval.self: deny)
            > promotion #8 to prod: approved; waiting for approval 1/2, expires in 23h 59m
        "#]],
    );
}

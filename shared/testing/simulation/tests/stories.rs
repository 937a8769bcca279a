//! Stories through all handlers, one fault at a time; each names the ids it is about.

#![expect(
    clippy::needless_pass_by_value,
    reason = "what is expected stands where it is expected"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use expect_test::{Expect, expect};
use towline_answers::{Command, command};
use towline_domain::explain;
use towline_domain::intent::StageKey;
use towline_domain::ledger::What;
use towline_domain::names::{BuildId, CommitSha, ComponentName, ImageRepository, Tag};
use towline_domain::run::BuildStatus;
use towline_ports::StartBuild;
use towline_simulation::build::variable;
use towline_simulation::github::{signed, with_header};
use towline_simulation::shop::{DEFINITION, REPOSITORY};
use towline_simulation::world::router;
use towline_simulation::{BuildPlan, Job, Profile, Pushes, World};
use towline_wire::codebuild::Status;

const MINUTE: Duration = Duration::from_secs(60);

/// The end of a world: its runs and stages in words, and the answers to people and webhooks.
fn check(world: &mut World, expect: Expect) {
    world.settle();
    let mut text = world.view();
    for answer in &world.answers {
        text += &format!("> {answer}\n");
    }
    expect.assert_eq(&mask(&text));
    assert_eq!(world.faults_at_rest(), Vec::<String>::new());
}

/// The shop after its first push.
fn shop() -> World {
    let mut world = World::quiet();
    world.push("main", "first", &[]);
    world
}

fn approve(promotion: u64) -> Command {
    Command::Approve(command::Approve {
        promotion,
        comment: None,
        repository: None,
    })
}

fn rollback(stage: &str) -> Command {
    rollback_to(stage, None)
}

fn rollback_to(stage: &str, image: Option<&str>) -> Command {
    Command::Rollback(command::Rollback {
        component: "backend".parse().expect("a component"),
        stage: stage.parse().expect("a stage"),
        to: image.map(str::to_owned),
        reason: Some("broken".into()),
        repository: None,
    })
}

fn backend() -> ImageRepository {
    "acme/backend".parse().expect("an image repository")
}

fn tag(text: &str) -> Tag {
    text.parse().expect("a tag")
}

fn builds(world: &World) -> Vec<(BuildId, StartBuild)> {
    world.ports.builds.inner().started()
}

fn plan(ends: BuildStatus, pushes: Pushes) -> BuildPlan {
    BuildPlan {
        takes: 2 * MINUTE,
        ends,
        pushes,
        strays: false,
    }
}

/// A push of the backend alone, all the way to prod; the numbers are those of an undisturbed world.
fn straight(world: &mut World) {
    world.push("main", "first", &[]);
    world.settle();
    world.push("main", "second", &["backend/main.rs"]);
    world.settle();
    for person in ["lee", "park"] {
        let waiting = world.watch.look(|known| {
            let stages = known.stages.values();
            let waiting = stages.flat_map(|stage| &stage.waiting);
            let mut numbers: Vec<u64> = waiting
                .filter(|known| known.candidate.repository == backend())
                .map(|known| known.number)
                .collect();
            numbers.sort_unstable();
            numbers
        });
        world.ask(person, approve(waiting.last().copied().unwrap_or(0)));
        world.settle();
    }
}

#[test]
fn a_push_goes_straight_to_prod() {
    let mut world = World::quiet();
    straight(&mut world);
    check(
        &mut world,
        expect![[r#"
            main first: backend succeeded; web succeeded
            main second: backend succeeded
            backend/prod: second
            backend/staging: second
            web/prod: nothing; first has 0 of 2 yes
            web/staging: first
            > 202 accepted
            > 202 accepted
            > promotion #6 to prod: approved; waiting for approval 1/2, expires in 23h 59m
            > promotion #6 to prod: approved; tagging the image
        "#]],
    );
}

#[test]
fn f11_f12_f13_a_crash_at_any_step_changes_nothing_in_the_end() {
    let end = |crash_at: Option<u64>| {
        let mut world = World::quiet();
        world.crash_at = crash_at;
        straight(&mut world);
        assert_eq!(world.faults_at_rest(), Vec::<String>::new(), "{crash_at:?}");
        assert_eq!(world.crash_at, None, "step {crash_at:?} never came");
        (world.view(), world.chance.steps())
    };
    let (usual, steps) = end(None);
    assert!(steps > 100);
    for step in 1..=steps {
        assert_eq!(end(Some(step)).0, usual, "a crash at step {step}");
    }
    println!("a crash at each of {steps} steps");
}

#[test]
fn f1_f2_a5_a_push_delivered_again_is_one_run() {
    let mut world = World::quiet();
    let head = world.commit("main", "first", &[]);
    let request = world.webhook("main", None, &head, "first");
    world.invoke(Job::Webhook(request.clone()));
    world.invoke(Job::Webhook(request.clone()));
    world.settle();
    world.pass(60 * 24 * 60 * MINUTE);
    world.invoke(Job::Webhook(with_header(
        request,
        "X-GitHub-Delivery",
        "another",
    )));
    check(
        &mut world,
        expect![[r#"
        main first: backend succeeded; web succeeded
        backend/prod: nothing
        backend/staging: first
        web/prod: nothing
        web/staging: first
        > 202 accepted
        > 200 duplicate
        > 200 duplicate
    "#]],
    );
}

#[test]
fn f3_an_older_push_that_comes_later_is_superseded_at_birth() {
    let mut world = shop();
    world.settle();
    let first = world.head("main");
    let second = world.commit("main", "second", &[("backend/main.rs", "2")]);
    let late = world.webhook("main", first.as_ref(), &second, "second");
    world.push("main", "third", &["backend/main.rs"]);
    world.pass(MINUTE);
    world.invoke(Job::Webhook(late));
    check(
        &mut world,
        expect![[r#"
            main first: backend succeeded; web succeeded
            main third: backend succeeded
            main second: refused: superseded: COMMIT is newer on main and is already planned
            backend/prod: nothing; third has 0 of 2 yes
            backend/staging: third
            web/prod: nothing; first has 0 of 2 yes
            web/staging: first
            > 202 accepted
            > 202 accepted
            > 202 accepted
        "#]],
    );
}

/// The last push of main repeats an earlier one: from first to second.
#[test]
fn s2_a_branch_that_returns_to_a_commit_builds_it_again_each_time() {
    let mut world = shop();
    world.settle();
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
        main back: backend succeeded
        main forth: backend succeeded
        backend/prod: nothing; forth has 0 of 2 yes
        backend/staging: forth
        web/prod: nothing; first has 0 of 2 yes
        web/staging: first
        > 202 accepted
        > 202 accepted
        > 202 accepted
        > 202 accepted
    "#]],
    );
}

#[test]
fn s2_a_branch_that_is_created_again_where_it_was_deleted_is_built_and_promoted() {
    let mut world = shop();
    world.settle();
    let head = world.push("release/1", "release", &["backend/main.rs"]);
    world.pass(Duration::from_secs(10));
    world.delete("release/1");
    world.pass(Duration::from_secs(10));
    world.push_existing("release/1", &head, "release");
    check(
        &mut world,
        expect![[r#"
        main first: backend succeeded; web succeeded
        release/1 release: backend superseded; web superseded
        release/1 release: backend succeeded; web succeeded
        backend/prod: nothing; release has 0 of 2 yes
        backend/staging: release
        web/prod: nothing; release has 0 of 2 yes
        web/staging: release
        > 202 accepted
        > 202 accepted
        > 200 ignored
        > 202 accepted
    "#]],
    );
}

#[test]
fn f3_f26_a_push_that_was_forced_away_is_superseded_at_birth() {
    let mut world = shop();
    world.settle();
    let first = world.head("main");
    let lost = world.commit("main", "lost", &[("backend/main.rs", "2")]);
    let late = world.webhook("main", first.as_ref(), &lost, "lost");
    world.move_ref("main", &first.expect("the first commit"));
    world.push("main", "kept", &["backend/main.rs"]);
    world.pass(MINUTE);
    world.invoke(Job::Webhook(late));
    check(
        &mut world,
        expect![[r#"
            main first: backend succeeded; web succeeded
            main kept: backend succeeded
            main lost: refused: superseded: COMMIT is newer on main and is already planned
            backend/prod: nothing; kept has 0 of 2 yes
            backend/staging: kept
            web/prod: nothing; first has 0 of 2 yes
            web/staging: first
            > 202 accepted
            > 202 accepted
            > 202 accepted
        "#]],
    );
}

#[test]
fn s3_a30_builds_of_the_default_branch_are_trusted_and_no_others() {
    let mut world = shop();
    world.settle();
    world.push("release/1", "fix", &["backend/main.rs"]);
    // Its own definition lets a branch be built.
    let definition = DEFINITION.replace("[main,", "[main, evil,");
    let files = [
        (".towline.yml", definition.as_str()),
        ("backend/main.rs", "poison"),
    ];
    world.push_files("evil", "poison", &files);
    world.settle();
    let builds = builds(&world).into_iter();
    let trust: BTreeSet<String> = builds
        .map(|(_, start)| format!("{} {:?}", start.git_ref, start.trust))
        .collect();
    let expected = [
        "refs/heads/evil Other",
        "refs/heads/main DefaultBranch",
        "refs/heads/release/1 Other",
    ];
    assert_eq!(Vec::from_iter(trust), expected);
}

#[test]
fn f25_i10_a_newer_push_supersedes_what_is_still_built() {
    let mut world = shop();
    world.pass(MINUTE);
    world.push("main", "second", &["backend/main.rs"]);
    check(
        &mut world,
        expect![[r#"
        main first: backend superseded; web superseded
        main second: backend succeeded; web succeeded
        backend/prod: nothing; second has 0 of 2 yes
        backend/staging: second
        web/prod: nothing; second has 0 of 2 yes
        web/staging: second
        > 202 accepted
        > 202 accepted
    "#]],
    );
}

#[test]
fn f3_f25_of_two_pushes_that_are_planned_at_once_the_newer_one_wins() {
    let router = router();
    for seed in 0..60 {
        let at_once = Profile {
            concurrency: 8,
            ..Profile::QUIET
        };
        let mut world = World::new(seed, at_once, &router);
        world.push("main", "first", &[]);
        world.settle();
        let first = world.head("main");
        let second = world.commit("main", "second", &[("backend/main.rs", "2")]);
        let third = world.commit("main", "third", &[("backend/main.rs", "3")]);
        let newer = world.webhook("main", Some(&second), &third, "third");
        let older = world.webhook("main", first.as_ref(), &second, "second");
        for request in [newer, older] {
            world.invoke(Job::Webhook(request));
        }
        world.settle();
        assert_eq!(world.faults_at_rest(), Vec::<String>::new(), "seed {seed}");
        let view = world.view();
        assert!(
            view.contains("backend/staging: third"),
            "seed {seed}:\n{view}"
        );
    }
}

#[test]
fn f4_the_end_of_a_build_may_be_known_before_its_beginning() {
    let mut world = World::quiet();
    world.crash_after_start();
    world.push("main", "first", &[]);
    check(
        &mut world,
        expect![[r#"
        main first: backend succeeded; web succeeded
        backend/prod: nothing; first has 0 of 2 yes
        backend/staging: first
        web/prod: nothing; first has 0 of 2 yes
        web/staging: first
        > 202 accepted
    "#]],
    );
}

#[test]
fn f4_a_build_that_is_first_heard_of_when_it_has_failed_is_not_watched_for_ever() {
    let mut world = World::quiet();
    world.crash_after_start();
    world.withheld.builds = true;
    world.withheld.sweeps = true;
    world.next_builds = [plan(BuildStatus::Failed, Pushes::Nothing)].into();
    world.push("main", "first", &[]);
    world.pass(MINUTE);
    world.withheld.builds = false;
    world.pass(2 * MINUTE);
    world.withheld.sweeps = false;
    world.settle();
    assert!(world.view().contains(" failed"), "{}", world.view());
}

#[test]
fn f6_lost_events_of_codebuild_are_found_by_asking() {
    let mut world = shop();
    world.withheld.builds = true;
    world.next_builds = [
        plan(BuildStatus::Succeeded, Pushes::Image),
        plan(BuildStatus::Failed, Pushes::Nothing),
    ]
    .into();
    check(
        &mut world,
        expect![[r#"
        main first: backend succeeded; web failed
        backend/prod: nothing; first has 0 of 2 yes
        backend/staging: first
        > 202 accepted
    "#]],
    );
}

#[test]
fn f5_f7_lost_events_of_ecr_are_found_by_reading() {
    let mut world = shop();
    world.withheld.images = true;
    check(
        &mut world,
        expect![[r#"
        main first: backend succeeded; web succeeded
        backend/prod: nothing; first has 0 of 2 yes
        backend/staging: first
        web/prod: nothing; first has 0 of 2 yes
        web/staging: first
        > 202 accepted
    "#]],
    );
}

#[test]
fn f11_lost_announcements_are_made_again_by_the_sweep() {
    let mut world = shop();
    world.withheld.announcements = true;
    world.pass(5 * MINUTE);
    world.withheld.announcements = false;
    check(
        &mut world,
        expect![[r#"
        main first: backend succeeded; web succeeded
        backend/prod: nothing; first has 0 of 2 yes
        backend/staging: first
        web/prod: nothing; first has 0 of 2 yes
        web/staging: first
        > 202 accepted
    "#]],
    );
}

#[test]
fn f10_a_lost_answer_of_startbuild_is_healed_early_and_late() {
    for wait in [MINUTE, 30 * MINUTE] {
        let mut world = World::quiet();
        world.crash_after_start();
        world.withheld.builds = true; // so that nothing but StartBuild can bind
        world.push("main", "first", &[]);
        world.withheld.sweeps = true;
        world.pass(wait);
        world.withheld.sweeps = false;
        world.settle();
        assert_eq!(
            builds(&world).len(),
            2,
            "one build for each component after {wait:?}"
        );
        check(
            &mut world,
            expect![[r#"
            main first: backend succeeded; web succeeded
            backend/prod: nothing; first has 0 of 2 yes
            backend/staging: first
            web/prod: nothing; first has 0 of 2 yes
            web/staging: first
            > 202 accepted
        "#]],
        );
    }
}

#[test]
fn a_fault_of_codebuild_is_retried_and_a_third_one_is_final() {
    let mut world = shop();
    let fault = plan(BuildStatus::Fault, Pushes::Nothing);
    let fine = BuildPlan::default();
    world.next_builds = [fault, fine, fault, fault].into();
    check(
        &mut world,
        expect![[r#"
        main first: backend fault, fault, fault; web succeeded
        web/prod: nothing; first has 0 of 2 yes
        web/staging: first
        > 202 accepted
    "#]],
    );
}

#[test]
fn a_failed_build_promotes_nothing_even_if_it_pushed() {
    let mut world = shop();
    world.next_builds = [
        plan(BuildStatus::Failed, Pushes::Image),
        plan(BuildStatus::Succeeded, Pushes::Nothing),
    ]
    .into();
    check(
        &mut world,
        expect![[r#"
        main first: backend failed; web failed
        > 202 accepted
    "#]],
    );
}

#[test]
fn a26_what_pushes_its_tag_twice_is_held() {
    let mut world = shop();
    world.next_builds = [plan(BuildStatus::Succeeded, Pushes::Twice)].into();
    check(
        &mut world,
        expect![[r#"
        main first: backend held; web succeeded
        web/prod: nothing; first has 0 of 2 yes
        web/staging: first
        > 202 accepted
    "#]],
    );
}

#[test]
fn a27_an_event_that_contradicts_the_registry_is_held() {
    let mut world = shop();
    world.withheld.images = true;
    world.next_builds = [plan(BuildStatus::Succeeded, Pushes::Nothing)].into();
    world.pass(MINUTE);
    let (_, start) = builds(&world).remove(0);
    let unique = tag(variable(&start, "IMAGE_TAG"));
    world.put_image(&start.image_repository, &unique, "what is there");
    let other = format!("sha256:{}", "e".repeat(64))
        .parse()
        .expect("a digest");
    let event = world.image_pushed(&start.image_repository, &unique, &other);
    world.emit(event.clone());
    check(
        &mut world,
        expect![[r#"
        main first: backend held; web succeeded
        web/prod: nothing; first has 0 of 2 yes
        web/staging: first
        > 202 accepted
    "#]],
    );
}

#[test]
fn s6_f35_a_stage_tag_moved_by_somebody_else_is_put_back() {
    let mut world = shop();
    world.settle();
    world.put_image(&backend(), &tag("staging"), "from elsewhere");
    world.settle();
    world.push("main", "second", &["backend/main.rs"]);
    world.settle();
    // The event of this move is lost.
    world.withheld.images = true;
    world.put_image(&backend(), &tag("staging"), "from elsewhere");
    world.withheld.images = false;
    world.pass(Duration::from_secs(360));
    check(
        &mut world,
        expect![[r#"
        main first: backend succeeded; web succeeded
        main second: backend succeeded
        backend/prod: nothing; second has 0 of 2 yes
        backend/staging: second, rolled back
        web/prod: nothing; first has 0 of 2 yes
        web/staging: first
        > 202 accepted
        > 202 accepted
    "#]],
    );
    let versions = world.watch.look(|known| {
        let stages = known.stages.values();
        let live = stages.filter_map(|stage| Some((&stage.key, stage.pointer.as_ref()?.version)));
        let live = live.map(|(key, version)| format!("{}/{} v{version}", key.component, key.stage));
        live.collect::<Vec<_>>()
    });
    assert_eq!(versions, ["backend/staging v4", "web/staging v1"]);
}

#[test]
fn f35_a_stage_tag_moved_by_somebody_else_can_hold_the_stage() {
    let mut world = shop();
    let definition = DEFINITION.replace("from: build}", "from: build, drift: hold}");
    world.push_files("main", "held", &[(".towline.yml", &definition)]);
    world.settle();
    world.put_image(&backend(), &tag("staging"), "from elsewhere");
    world.settle();
    world.push("main", "second", &["backend/main.rs"]);
    check(
        &mut world,
        expect![[r#"
        main first: backend superseded; web superseded
        main held: backend succeeded; web succeeded
        main second: backend succeeded
        backend/prod: nothing; held has 0 of 2 yes
        backend/staging: held, but its tag is elsewhere; held by towline: tag staging was moved
        web/prod: nothing; held has 0 of 2 yes
        web/staging: held
        > 202 accepted
        > 202 accepted
        > 202 accepted
    "#]],
    );
}

#[test]
fn f33_i11_events_of_our_own_retag_change_nothing() {
    let mut world = shop();
    world.settle();
    let before = world.ports.store.inner().dump();
    let digest = world.ports.images.inner().tags(&backend())[&tag("staging")].clone();
    drop(world.chance.take_requests());
    let event = world.image_pushed(&backend(), &tag("staging"), &digest);
    world.emit(event.clone());
    world.settle();
    assert_eq!(world.ports.store.inner().dump(), before);
    // The registry is not read: one read of the ledger is enough.
    let mut requests = world.chance.take_requests();
    requests.retain(|(function, _), _| function != "sweep");
    let read = ("record-images".to_owned(), "get many".to_owned());
    assert_eq!(requests.into_iter().collect::<Vec<_>>(), [(read, 1)]);
}

#[test]
fn f30_a_rollback_goes_back_and_holds() {
    let mut world = shop();
    world.settle();
    world.push("main", "second", &["backend/main.rs"]);
    world.settle();
    world.ask("lee", rollback("staging"));
    world.settle();
    world.push("main", "third", &["backend/main.rs"]);
    world.settle();
    world.ask("lee", rollback("prod"));
    check(
        &mut world,
        expect![[r#"
            main first: backend succeeded; web succeeded
            main second: backend succeeded
            main third: backend succeeded
            backend/prod: nothing; second has 0 of 2 yes
            backend/staging: first, rolled back; held by @lee: rollback: broken
            web/prod: nothing; first has 0 of 2 yes
            web/staging: first
            > 202 accepted
            > 202 accepted
            > rollback #7 of COMMIT to staging: tagging the image
            > 202 accepted
            > refused: no image has been live in prod of backend yet
        "#]],
    );
}

#[test]
fn a29_what_was_never_live_in_a_stage_is_not_rolled_back_to() {
    let mut world = shop();
    world.settle();
    world.push("main", "second", &["backend/main.rs"]);
    world.settle();
    for to in ["build#1", "build#3", "build#99"] {
        world.ask("lee", rollback_to("prod", Some(to)));
        world.settle();
    }
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
            > refused: sha256:6909be62 was never live in prod; `towline history backend prod` shows what was
            > refused: sha256:a91535a0 was never live in prod; `towline history backend prod` shows what was
            > refused: build#99 not found in acme/shop
        "#]],
    );
}

#[test]
fn a22_a23_approvals_count_once_and_not_from_who_pushed() {
    let mut world = shop();
    world.settle();
    for person in ["dana", "mallory", "lee", "lee", "park", "park"] {
        world.ask(person, approve(2));
        world.settle();
    }
    check(
        &mut world,
        expect![[r#"
            main first: backend succeeded; web succeeded
            backend/prod: first
            backend/staging: first
            web/prod: nothing; first has 0 of 2 yes
            web/staging: first
            > 202 accepted
            > refused: @dana pushed or wrote COMMIT; someone else must approve it (approval.self: deny)
            > refused: @mallory does not have the right `approve`; these groups have it: release-managers
            > promotion #2 to prod: approved; waiting for approval 1/2, expires in 23h 59m
            > refused: @lee has already approved promotion #2
            > promotion #2 to prod: approved; tagging the image
            > refused: promotion #2 was completed at TIME TIME UTC
        "#]],
    );
}

#[test]
fn a1_a2_i12_what_is_not_signed_by_us_touches_nothing() {
    let mut world = World::quiet();
    let head = world.commit("main", "first", &[]);
    let request = world.webhook("main", None, &head, "first");
    let wrong = format!("sha256={}", "0".repeat(64));
    world.invoke(Job::Webhook(with_header(
        request,
        "X-Hub-Signature-256",
        &wrong,
    )));
    world.pass(Duration::from_secs(10));
    assert_eq!(world.answers, ["401 refused"]);
    assert_eq!(world.chance.steps(), 0);
}

#[test]
fn a7_a8_a_repository_nobody_registered_is_ignored() {
    let mut world = World::quiet();
    let head = world.commit("main", "first", &[]);
    let request = world.webhook("main", None, &head, "first");
    for (field, value) in [("id", "8"), ("full_name", "\"mallory/shop\"")] {
        let mut body: serde_json::Value = serde_json::from_slice(&request.body).expect("JSON");
        body["repository"]["id"] = "8".parse().expect("a number");
        body["repository"][field] = value.parse().expect("JSON");
        world.invoke(Job::Webhook(signed(&body, "stranger")));
    }
    world.pass(Duration::from_secs(10));
    assert_eq!(world.answers, ["200 ignored", "200 ignored"]);
    assert_eq!(world.ports.store.inner().dump(), []);
}

#[test]
fn f18_f19_poison_is_dropped_and_an_unknown_status_is_asked_after() {
    let mut world = shop();
    world.pass(MINUTE);
    let (id, start) = builds(&world).remove(0);
    let mut poison = world.build_changed(&id, &start, Status::Known(BuildStatus::Succeeded));
    poison["detail"]["build-id"] = "nonsense".into();
    let odd = world.build_changed(&id, &start, Status::Unknown("ODD".into()));
    for event in [poison, odd] {
        world.invoke(Job::Event("advance-stages".into(), event.into(), 0));
    }
    check(
        &mut world,
        expect![[r#"
        main first: backend succeeded; web succeeded
        backend/prod: nothing; first has 0 of 2 yes
        backend/staging: first
        web/prod: nothing; first has 0 of 2 yes
        web/staging: first
        > 202 accepted
    "#]],
    );
}

#[test]
fn f14_two_deliveries_of_one_intent_are_as_good_as_one() {
    let mut world = World::quiet();
    world.everything_twice = true;
    straight(&mut world);
    check(
        &mut world,
        expect![[r#"
            main first: backend succeeded; web succeeded
            main second: backend succeeded
            backend/prod: second
            backend/staging: second
            web/prod: nothing; first has 0 of 2 yes
            web/staging: first
            > 202 accepted
            > 202 accepted
            > promotion #6 to prod: approved; waiting for approval 1/2, expires in 23h 59m
            > promotion #6 to prod: approved; tagging the image
        "#]],
    );
}

#[test]
fn a_build_that_never_ends_is_given_up_at_its_deadline() {
    let mut world = shop();
    let for_ever = BuildPlan {
        takes: Duration::from_secs(20 * 3600),
        ..BuildPlan::default()
    };
    world.next_builds = [for_ever].into();
    check(
        &mut world,
        expect![[r#"
        main first: backend failed; web succeeded
        web/prod: nothing; first has 0 of 2 yes
        web/staging: first
        > 202 accepted
    "#]],
    );
}

#[test]
fn a_definition_that_is_absent_or_broken_or_asks_too_much_is_refused_with_the_reason() {
    let mut world = World::quiet();
    world.push_files(
        "main",
        "broken",
        &[(".towline.yml", "version: 1\npipelin: shop\n")],
    );
    world.settle();
    let later = format!("{DEFINITION}notify: {{slack: \"#deploys\"}}\n");
    world.push_files("main", "asks too much", &[(".towline.yml", &later)]);
    world.settle();
    world.push_files("main", "good [skip ci]", &[(".towline.yml", DEFINITION)]);
    world.settle();
    world.push("main", "good", &[]);
    world.settle();
    world.push("feature", "not for us", &[]);
    check(
        &mut world,
        expect![[r#"
            main broken: refused: .towline.yml at COMMIT: line 1, column 1: `pipeline` is missing: name it, as in `pipeline: shop` (and 2 more; run `towline validate` to see all)
            main asks too much: refused: this version of Towline does not support notify.slack yet; remove it from .towline.yml to continue
            main good [skip ci]: skipped: the commit message contains "[skip ci]" (source.skip_message)
            main good: backend succeeded; web succeeded
            feature not for us: skipped: branch feature matches no pattern in source.branches
            backend/prod: nothing; good has 0 of 2 yes
            backend/staging: good
            web/prod: nothing; good has 0 of 2 yes
            web/staging: good
            > 202 accepted
            > 202 accepted
            > 202 accepted
            > 202 accepted
            > 202 accepted
        "#]],
    );
}

/// The statuses of a commit, one line for each context.
fn statuses(world: &World, commit: &CommitSha) -> String {
    let all = world.ports.statuses.inner().of(REPOSITORY, commit);
    let lines = all.iter().map(|status| {
        let (context, state) = (&status.context, status.state);
        format!("{context}: {state:?}: {}\n", status.description)
    });
    lines.collect()
}

#[test]
fn f34_of_two_runs_of_one_commit_the_newer_is_shown_whichever_ends_last() {
    let mut world = World::quiet();
    let slow = BuildPlan {
        takes: 10 * MINUTE,
        ..plan(BuildStatus::Failed, Pushes::Nothing)
    };
    world.next_builds = [slow].into();
    let commit = world.push("main", "first", &[]);
    world.pass(MINUTE);
    world.move_ref("release/1", &commit);
    let again = world.webhook("release/1", None, &commit, "first");
    world.deliver(again);
    check(
        &mut world,
        expect![[r#"
        main first: backend failed; web succeeded
        release/1 first: backend succeeded; web succeeded
        backend/prod: nothing; first has 0 of 2 yes
        backend/staging: first
        web/prod: nothing; first has 0 of 2 yes
        web/staging: first
        > 202 accepted
        > 202 accepted
    "#]],
    );
    expect![[r#"
        towline/build/backend: Success: build#3 succeeded: sha256:a91535a0…
        towline/build/web: Success: build#4 succeeded: sha256:94928b78…
        towline/prod/backend: Pending: waits for approval 0/2 until 2026-03-03 09:03 UTC: towline approve 4
        towline/prod/web: Pending: waits for approval 0/2 until 2026-03-03 09:03 UTC: towline approve 6
        towline/staging/backend: Success: went live 2026-03-02 09:03 UTC (promotion #3)
        towline/staging/web: Success: went live 2026-03-02 09:03 UTC (promotion #5)
    "#]].assert_eq(&statuses(&world, &commit));
}

#[test]
fn tags_that_ecr_lets_nobody_put_on_wait_and_say_what_to_do() {
    let mut world = World::quiet();
    world.deny_tags(true);
    let commit = world.push("main", "first", &[]);
    world.pass(20 * MINUTE);
    expect![[r#"
        main first: backend succeeded; web succeeded
        backend/staging: nothing; first waits for a person
        web/staging: nothing; first waits for a person
    "#]]
    .assert_eq(&world.view());
    expect![[r#"
        towline/build/backend: Success: build#1 succeeded: sha256:6909be62…
        towline/build/web: Success: build#2 succeeded: sha256:e620e7c2…
        towline/staging/backend: Pending: waits: AWS denies it; ask Towline why
        towline/staging/web: Pending: waits: AWS denies it; ask Towline why
    "#]]
    .assert_eq(&statuses(&world, &commit));
}

#[test]
fn a_component_is_built_when_something_of_its_own_changed_since_it_was_last_built() {
    let mut world = shop();
    world.settle();
    let mut why = |title: &str, files: &[&str], plan: Option<BuildPlan>| {
        world.next_builds.extend(plan);
        let commit: CommitSha = world.push("main", title, files);
        world.settle();
        world.watch.look(|known| {
            let run = known.runs.values().find(|run| run.key.commit == commit);
            let run = run.expect("every push has its run");
            let built = run
                .components
                .iter()
                .map(|(name, built)| format!("{name}: {}", built.reason));
            let skipped = run
                .skipped
                .iter()
                .map(|(name, why)| format!("{name}: {why}"));
            let mut lines: Vec<String> = built.chain(skipped).collect();
            lines.sort();
            format!("{title}\n  {}\n", lines.join("\n  "))
        })
    };
    let failing = plan(BuildStatus::Failed, Pushes::Nothing);
    let text = [
        why("docs only", &["backend/README.md"], None),
        why("backend fails", &["backend/main.rs"], Some(failing)),
        why(
            "web, and the backend is not forgotten",
            &["web/index.html"],
            None,
        ),
        why("shared code", &["libs/money.rs"], None),
        why("elsewhere", &["Makefile"], None),
    ];
    expect![[r#"
        docs only
          backend: no file under backend/**, libs/** that is not ignored (1 file changed since COMMIT)
          web: no file under web/**, libs/** (1 file changed since COMMIT)
        backend fails
          backend: backend/main.rs changed since COMMIT
          web: no file under web/**, libs/** (2 files changed since COMMIT)
        web, and the backend is not forgotten
          backend: backend/main.rs changed since COMMIT
          web: web/index.html changed since COMMIT
        shared code
          backend: libs/money.rs, which it watches, changed since COMMIT
          web: libs/money.rs, which it watches, changed since COMMIT
        elsewhere
          backend: no file under backend/**, libs/** that is not ignored (1 file changed since COMMIT)
          web: no file under web/**, libs/** (1 file changed since COMMIT)
    "#]]
    .assert_eq(&mask(&text.concat()));
}

/// The text without commit ids and times, which follow from how many steps a story takes.
fn mask(text: &str) -> String {
    let words = text.split_inclusive([' ', '\n']);
    words
        .map(|word| {
            let bare = word.trim_end().trim_end_matches([':', ')', ';']);
            let is_commit = bare.len() == 7 && bare.bytes().all(|byte| byte.is_ascii_hexdigit());
            let is_date = bare.starts_with("2026-");
            let is_hour = bare.len() == 5 && bare.as_bytes()[2] == b':';
            let is_time = is_date || is_hour;
            match (is_commit, is_time) {
                (true, _) => word.replace(bare, "COMMIT"),
                (_, true) => word.replace(bare, "TIME"),
                (false, false) => word.into(),
            }
        })
        .collect()
}

#[test]
fn f1_eight_deliveries_at_the_same_time_are_one_run() {
    let mut world = World::quiet();
    world.chance.set_profile(Profile {
        concurrency: 8,
        ..Profile::QUIET
    });
    let head = world.commit("main", "first", &[]);
    let request = world.webhook("main", None, &head, "first");
    for _ in 0..8 {
        world.invoke(Job::Webhook(request.clone()));
    }
    world.settle();
    world.answers.sort();
    check(
        &mut world,
        expect![[r#"
        main first: backend succeeded; web succeeded
        backend/prod: nothing; first has 0 of 2 yes
        backend/staging: first
        web/prod: nothing; first has 0 of 2 yes
        web/staging: first
        > 200 duplicate
        > 200 duplicate
        > 200 duplicate
        > 200 duplicate
        > 200 duplicate
        > 200 duplicate
        > 200 duplicate
        > 202 accepted
    "#]],
    );
}

#[test]
fn f9_no_capacity_delays_a_build_and_never_fails_it() {
    let mut world = World::quiet();
    world.chance.set_profile(Profile {
        busy: 10_000,
        ..Profile::QUIET
    });
    world.push("main", "first", &[]);
    world.pass(60 * MINUTE);
    expect![[r#"
        main first: backend due; web due
    "#]]
    .assert_eq(&world.view());
    assert_eq!(builds(&world), []);
    world.chance.set_profile(Profile::QUIET);
    check(
        &mut world,
        expect![[r#"
        main first: backend succeeded; web succeeded
        backend/prod: nothing; first has 0 of 2 yes
        backend/staging: first
        web/prod: nothing; first has 0 of 2 yes
        web/staging: first
        > 202 accepted
    "#]],
    );
}

#[test]
fn f22_f23_conflicts_at_every_other_commit_only_take_longer() {
    let mut world = World::quiet();
    world.chance.set_profile(Profile {
        conflict: 5_000,
        ..Profile::QUIET
    });
    straight(&mut world);
    check(
        &mut world,
        expect![[r#"
            main first: backend succeeded; web succeeded
            main second: backend succeeded
            backend/prod: second
            backend/staging: second
            web/prod: nothing; first has 0 of 2 yes
            web/staging: first
            > 202 accepted
            > 202 accepted
            > promotion #6 to prod: approved; waiting for approval 1/2, expires in 23h 59m
            > promotion #6 to prod: approved; tagging the image
        "#]],
    );
}

#[test]
fn f29_an_image_that_is_gone_fails_its_promotion_and_leaves_the_stage() {
    let mut world = shop();
    world.settle();
    let images = world.ports.images.inner();
    let digest = images.tags(&backend())[&tag("staging")].clone();
    assert!(images.delete(&backend(), &digest));
    for person in ["lee", "park"] {
        world.ask(person, approve(2));
        world.settle();
    }
    let ended = world.watch.look(|known| {
        let rows = known.rows.values().flatten();
        let mut last = rows.filter_map(|row| {
            let What::Ended { promotion, how } = &row.what else {
                return None;
            };
            Some(explain::ending(*promotion, how, None))
        });
        last.next_back()
    });
    expect!["promotion #2 failed: the image no longer exists in the registry; build it again"]
        .assert_eq(&ended.unwrap_or_default());
    assert!(world.view().contains("backend/prod: nothing\n"));
}

#[test]
fn people_can_cancel_hold_resume_and_try_again() {
    let mut world = shop();
    world.pass(MINUTE);
    let (component, stage) = (backend_name(), "staging".parse().expect("a stage"));
    world.ask(
        "lee",
        Command::Cancel(command::OfBuild {
            build: 1,
            repository: None,
        }),
    );
    world.settle();
    world.ask(
        "lee",
        Command::Hold(command::Hold {
            component: backend_name(),
            stage,
            reason: "freeze".into(),
            repository: None,
        }),
    );
    world.settle();
    world.ask(
        "lee",
        Command::Retry(command::OfBuild {
            build: 1,
            repository: None,
        }),
    );
    world.settle();
    let stage = "staging".parse().expect("a stage");
    world.ask(
        "park",
        Command::Resume(command::Resume {
            component,
            stage,
            repository: None,
        }),
    );
    check(
        &mut world,
        expect![[r#"
            main first: backend cancelled, succeeded; web succeeded
            backend/prod: nothing; first has 0 of 2 yes
            backend/staging: first
            web/prod: nothing; first has 0 of 2 yes
            web/staging: first
            > 202 accepted
            > build#1 is cancelled
            > automatic promotions of backend to staging are paused; to resume them, run: towline resume backend staging
            > build#3 of backend is due; it repeats build#1
            > automatic promotions of backend to staging are resumed
        "#]],
    );
}

#[test]
fn f6_f7_a_build_that_ended_on_a_day_without_sweeps_is_found_after_its_deadline() {
    let mut world = World::quiet();
    world.push("main", "first", &[]);
    world.pass(MINUTE);
    world.withheld.builds = true;
    world.withheld.images = true;
    world.withheld.sweeps = true;
    world.pass(24 * 60 * MINUTE);
    world.withheld.sweeps = false;
    check(
        &mut world,
        expect![[r#"
            main first: backend succeeded; web succeeded
            backend/prod: nothing; first has 0 of 2 yes
            backend/staging: first
            web/prod: nothing; first has 0 of 2 yes
            web/staging: first
            > 202 accepted
        "#]],
    );
}

/// Clocks of invocations differ: what went live says the same time in the history and beside its commit.
#[test]
fn a_stage_says_one_time_although_the_clock_goes_back() {
    let mut world = shop();
    world.settle();
    let before = world.now();
    world.ports.clock.set(before - 10 * MINUTE);
    world.push("main", "second", &["backend/main.rs"]);
    world.settle();
    let (since, at) = world.watch.look(|known| {
        let staging =
            |key: &&StageKey| key.component == backend_name() && key.stage.as_str() == "staging";
        let key = known.stages.keys().find(staging).expect("a stage");
        let moved = known.rows[key].iter().rev();
        let mut moved = moved.filter(|row| matches!(row.what, What::Moved { .. }));
        let live = known.stages[key].pointer.as_ref();
        (live.map(|live| live.since), moved.next().map(|row| row.at))
    });
    assert!(since.is_some());
    assert_eq!(since, at);
}

fn backend_name() -> ComponentName {
    "backend".parse().expect("a component")
}

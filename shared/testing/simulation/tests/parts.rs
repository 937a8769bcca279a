//! A component with two platforms through all handlers: two builds, two images and one index.

#![expect(
    clippy::needless_pass_by_value,
    reason = "what is expected stands where it is expected"
)]

use std::time::Duration;

use expect_test::{Expect, expect};
use towline_domain::definition::Architecture;
use towline_domain::explain;
use towline_domain::names::{Digest, ImageRepository, Tag};
use towline_domain::run::{Attempt, AttemptState, BuildStatus};
use towline_ports::Images as _;
use towline_simulation::build::variable;
use towline_simulation::shop::definition_in_parts;
use towline_simulation::world::router;
use towline_simulation::{BuildPlan, Plan, Pushes, Weather, World, live};

const MINUTE: Duration = Duration::from_secs(60);

fn shop() -> World {
    let mut world = World::quiet();
    world.definition = definition_in_parts();
    world
}

fn backend() -> ImageRepository {
    "acme/backend".parse().expect("an image repository")
}

fn plan(ends: BuildStatus, pushes: Pushes) -> BuildPlan {
    BuildPlan {
        takes: 2 * MINUTE,
        ends,
        pushes,
        strays: false,
    }
}

/// The backend's newest attempt.
fn attempt(world: &World) -> Attempt {
    world.watch.look(|known| {
        let newest = known.runs.values().max_by_key(|run| run.order);
        let name = "backend".parse().expect("a component");
        let component = &newest.expect("a run").components[&name];
        component.latest().clone()
    })
}

/// The end of the world: its view, the attempt with its parts, and the reason.
fn check(world: &mut World, expect: Expect) {
    check_view(world, expect);
    assert_eq!(world.faults_at_rest(), Vec::<String>::new());
}

fn check_view(world: &mut World, expect: Expect) {
    world.settle();
    let attempt = attempt(world);
    let parts = attempt.parts.iter().map(|part| part.state.word());
    let parts: Vec<&str> = parts.collect();
    let why = match &attempt.state {
        AttemptState::Failed { .. } | AttemptState::Held { .. } => explain::attempt(&attempt),
        AttemptState::Due
        | AttemptState::Building
        | AttemptState::Succeeded
        | AttemptState::Cancelled { .. }
        | AttemptState::Superseded { .. } => String::new(),
    };
    let text = format!("{}{}: {why}\n", world.view(), parts.join(", "));
    expect.assert_eq(&hide(&text));
}

/// Digests do not matter.
fn hide(text: &str) -> String {
    let mut parts = text.split("sha256:");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| format!("{text}sha256:…{}", &part[64..]))
}

/// One image for both platforms is live in staging, and under every tag of its attempt.
fn check_index(world: &World) {
    let attempt = attempt(world);
    let digest = attempt.image.clone().expect("it has an image");
    let images = world.ports.images.inner();
    let tags = images.tags(&backend());
    for tag in &attempt.tags {
        assert_eq!(tags[tag], digest, "{tag}");
    }
    let staging: Tag = "staging".parse().expect("a tag");
    assert_eq!(tags[&staging], digest);
    let children: Vec<Digest> = attempt
        .parts
        .iter()
        .filter_map(|part| part.image.clone())
        .collect();
    assert_eq!(children.len(), 2);
    for part in &attempt.parts {
        assert_eq!(Some(&tags[&part.unique_tag]), part.image.as_ref());
    }
    let read = futures_now(images.manifest(&backend(), &digest));
    let index: serde_json::Value = serde_json::from_str(&read).expect("an index is JSON");
    let listed = index["manifests"].as_array().expect("a list").iter();
    let listed: Vec<(String, String)> = listed
        .map(|child| {
            let text = |at: &serde_json::Value| at.as_str().unwrap_or_default().to_owned();
            (
                text(&child["digest"]),
                text(&child["platform"]["architecture"]),
            )
        })
        .collect();
    let expected = children.iter().zip(["amd64", "arm64"]);
    let expected = expected.map(|(digest, architecture)| (digest.to_string(), architecture.into()));
    assert_eq!(listed, expected.collect::<Vec<(String, String)>>());
}

/// A manifest in memory is available at once.
fn futures_now<E: std::fmt::Debug>(
    asked: impl Future<Output = Result<Option<towline_ports::StoredManifest>, E>>,
) -> String {
    let mut asked = std::pin::pin!(asked);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match asked.as_mut().poll(&mut context) {
        std::task::Poll::Ready(found) => found.expect("it answers").expect("it is there").text,
        std::task::Poll::Pending => panic!("memory waits for nobody"),
    }
}

#[test]
fn two_platforms_are_two_builds_and_one_image() {
    let mut world = shop();
    world.push("main", "first", &[]);
    check(
        &mut world,
        expect![[r#"
        main first: backend succeeded; web succeeded
        backend/prod: nothing; first has 0 of 2 yes
        backend/staging: first
        web/prod: nothing; first has 0 of 2 yes
        web/staging: first
        succeeded, succeeded: 
    "#]],
    );
    check_index(&world);
    let started = world.ports.builds.inner().started();
    let mut asked: Vec<_> = started
        .iter()
        .filter(|(_, start)| start.image_repository == backend())
        .map(|(_, start)| (variable(start, "IMAGE_PLATFORM"), start.architecture))
        .collect();
    asked.sort_unstable_by_key(|(platform, _)| *platform);
    assert_eq!(
        asked,
        [
            ("linux/amd64", Some(Architecture::X86)),
            ("linux/arm64", Some(Architecture::Arm))
        ]
    );
    let uuids: std::collections::BTreeSet<&str> = started
        .iter()
        .filter(|(_, start)| start.image_repository == backend())
        .map(|(_, start)| variable(start, "BUILD_UUID"))
        .collect();
    assert_eq!(uuids.len(), 1, "both are of one attempt");
}

#[test]
fn f2_f6_f7_events_that_come_twice_or_never_change_nothing_in_the_end() {
    let end = |set_up: fn(&mut World)| {
        let mut world = shop();
        set_up(&mut world);
        world.push("main", "first", &[]);
        world.settle();
        check_index(&world);
        assert_eq!(world.faults_at_rest(), Vec::<String>::new());
        world.view()
    };
    let usual = end(|_| {});
    let set_ups: [fn(&mut World); 4] = [
        |world| world.everything_twice = true,
        |world| world.withheld.builds = true,
        |world| world.withheld.images = true,
        |world| {
            world.withheld.builds = true;
            world.withheld.images = true;
            world.everything_twice = true;
        },
    ];
    for (number, set_up) in set_ups.into_iter().enumerate() {
        assert_eq!(end(set_up), usual, "set-up {number}");
    }
}

#[test]
fn f11_f12_f13_a_crash_at_any_step_changes_nothing_in_the_end() {
    let end = |crash_at: Option<u64>| {
        let mut world = shop();
        world.crash_at = crash_at;
        world.push("main", "first", &[]);
        world.settle();
        check_index(&world);
        assert_eq!(world.faults_at_rest(), Vec::<String>::new(), "{crash_at:?}");
        (world.view(), world.chance.steps())
    };
    let (usual, steps) = end(None);
    for step in 1..=steps {
        assert_eq!(end(Some(step)).0, usual, "a crash at step {step}");
    }
    println!("a crash at each of {steps} steps");
}

#[test]
fn one_platform_that_fails_fails_all_and_stops_the_other() {
    let long = BuildPlan {
        takes: 60 * MINUTE,
        ..BuildPlan::default()
    };
    let mut world = shop();
    let bad = plan(BuildStatus::Failed, Pushes::Nothing);
    world.next_builds.extend([bad, long, long]);
    world.push("main", "first", &[]);
    check(
        &mut world,
        expect![[r#"
        main first: backend failed; web succeeded
        web/prod: nothing; first has 0 of 2 yes
        web/staging: first
        failed, failed: build#1 for linux/amd64 ended FAILED: BUILD: COMMAND_EXECUTION_ERROR: exit status 1
    "#]],
    );
    let ends = world
        .watch
        .look(|known| known.builds.values().copied().collect::<Vec<_>>());
    assert!(ends.contains(&Some(BuildStatus::Stopped)), "{ends:?}");
}

#[test]
fn a_fault_on_one_platform_builds_both_again() {
    let mut world = shop();
    let fault = plan(BuildStatus::Fault, Pushes::Nothing);
    world.next_builds.extend([fault, BuildPlan::default()]);
    world.push("main", "first", &[]);
    check(
        &mut world,
        expect![[r#"
        main first: backend fault, succeeded; web succeeded
        backend/prod: nothing; first has 0 of 2 yes
        backend/staging: first
        web/prod: nothing; first has 0 of 2 yes
        web/staging: first
        succeeded, succeeded: 
    "#]],
    );
    check_index(&world);
}

#[test]
fn a26_an_image_that_a_build_puts_where_the_index_belongs_is_held() {
    let mut world = shop();
    world.push("main", "first", &[]);
    world.pass(MINUTE);
    let unique = attempt(&world).unique_tag;
    world.put_image(&backend(), &unique, "not the index");
    check(
        &mut world,
        expect![[r#"
            main first: backend held; web succeeded
            web/prod: nothing; first has 0 of 2 yes
            web/staging: first
            succeeded, succeeded: build#1 is held: tag 50ea2b8-1 is for sha256:…, the index of its platforms, and was on sha256:…: someone else pushed it
        "#]],
    );
}

#[test]
fn a_part_whose_image_is_gone_fails_with_the_reason() {
    let mut world = shop();
    let quick = plan(BuildStatus::Succeeded, Pushes::Image);
    let slow = BuildPlan {
        takes: 30 * MINUTE,
        ..quick
    };
    world.next_builds.extend([quick, slow, slow]);
    world.push("main", "first", &[]);
    world.pass(10 * MINUTE);
    let images = attempt(&world)
        .parts
        .into_iter()
        .filter_map(|part| part.image);
    for digest in images {
        assert!(world.ports.images.inner().delete(&backend(), &digest));
    }
    check(
        &mut world,
        expect![[r#"
            main first: backend failed; web succeeded
            web/prod: nothing; first has 0 of 2 yes
            web/staging: first
            succeeded, succeeded: the image index of build#1 was not pushed: the image no longer exists in the registry; build it again
        "#]],
    );
}

#[test]
fn an_index_that_ecr_lets_nobody_put_waits_and_says_what_to_do() {
    let mut world = shop();
    world.deny_tags(true);
    world.push("main", "first", &[]);
    world.pass(20 * MINUTE);
    let said = format!("{}{}\n", world.view(), explain::attempt(&attempt(&world)));
    expect![[r#"
        main first: backend building; web succeeded
        web/staging: nothing; first waits for a person
        build#1 succeeded on every platform; its image index has not been pushed yet: AWS denies it (`towline doctor` lists missing permissions): AccessDeniedException: not authorized to perform: ecr:PutImage; it continues once this is fixed
    "#]].assert_eq(&hide(&said));
    world.deny_tags(false);
    world.settle();
    check_index(&world);
}

fn seeds(weather: Weather) {
    let router = router();
    for seed in 0..20 {
        let outcome = live(&Plan::in_parts(seed, weather), &router);
        assert!(
            outcome.faults.is_empty(),
            "{} seed {seed}: {:#?}\n{}",
            weather.word(),
            outcome.faults,
            outcome.view
        );
    }
}

#[test]
fn calm_seeds_of_two_platforms_break_nothing() {
    seeds(Weather::Calm);
}

#[test]
fn rough_seeds_of_two_platforms_break_nothing() {
    seeds(Weather::Rough);
}

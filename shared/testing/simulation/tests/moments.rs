//! Stories about timing: retries, simultaneous plans, and reads that come too early.

use std::time::Duration;

use expect_test::{Expect, expect};
use towline_domain::names::GitRef;
use towline_domain::run::BuildStatus;
use towline_ports::Item;
use towline_simulation::build::variable;
use towline_simulation::shop::{DEFINITION, REPOSITORY};
use towline_simulation::world::router;
use towline_simulation::{BuildPlan, Job, Profile, Pushes, World};

const MINUTE: Duration = Duration::from_secs(60);

/// The statuses of the newest commit of main, by context.
fn statuses(world: &World) -> String {
    let head = world.head("main").expect("something was pushed");
    let all = world.ports.statuses.inner().of(REPOSITORY, &head);
    let lines = all.iter().map(|status| {
        let text: String = status.description.chars().take(40).collect();
        format!(
            "{}: {:?}: {}\n",
            status.context,
            status.state,
            text.trim_end()
        )
    });
    lines.collect()
}

/// Everything under keys with this prefix.
fn kept(world: &World, prefix: &str) -> Vec<Item> {
    let mut items = world.ports.store.inner().dump();
    items.retain(|item| item.key.partition.starts_with(prefix));
    items
}

fn check(found: &str, expected: &Expect) {
    expected.assert_eq(found);
}

#[test]
fn a_promotion_that_is_denied_waits_and_goes_on_once_it_is_allowed() {
    for late in [0, 20, 40] {
        let mut world = World::quiet();
        world.retries = true;
        world.deny_tags(true);
        world.pass(Duration::from_secs(late));
        world.push("main", "first", &[]);
        world.pass(Duration::from_secs(5 * 3600));
        let tries = world.ports.images.denied();
        assert!(
            (4..40).contains(&tries),
            "with growing pauses: {tries} tries in five hours"
        );
        check(
            &statuses(&world),
            &expect![[r#"
            towline/build/backend: Success: build#1 succeeded: sha256:6909be62…
            towline/build/web: Success: build#2 succeeded: sha256:e620e7c2…
            towline/staging/backend: Pending: waits: AWS denies it; ask Towline why
            towline/staging/web: Pending: waits: AWS denies it; ask Towline why
        "#]],
        );
        world.deny_tags(false);
        // When one is tried again and succeeds, the other is announced too.
        let until = world.now() + Duration::from_secs(3600);
        let live = |world: &World| statuses(world).matches("Success: went live").count();
        while live(&world) == 0 {
            world.pass(Duration::from_secs(10));
            assert!(world.now() < until, "each is tried once an hour");
        }
        world.pass(MINUTE);
        assert_eq!(live(&world), 2, "{}", statuses(&world));
    }
}

#[test]
fn a_status_that_fails_stops_no_other_and_follows_later() {
    let mut world = World::quiet();
    world.ports.statuses.fail(Some("towline/build/backend"));
    world.push("main", "first", &[]);
    world.pass(10 * MINUTE);
    check(
        &statuses(&world),
        &expect![[r#"
        towline/build/web: Success: build#2 succeeded: sha256:e620e7c2…
        towline/prod/backend: Pending: waits for approval 0/2 until 2026-03-03
        towline/prod/web: Pending: waits for approval 0/2 until 2026-03-03
        towline/staging/backend: Success: went live 2026-03-02 09:02 UTC (promotio
        towline/staging/web: Success: went live 2026-03-02 09:02 UTC (promotio
    "#]],
    );
    world.ports.statuses.fail(None);
    world.settle();
    assert!(statuses(&world).starts_with("towline/build/backend: Success"));
}

#[test]
fn an_image_is_looked_for_twice_before_it_is_missing() {
    let mut world = World::quiet();
    world.withheld.images = true;
    world.next_builds.extend([BuildPlan {
        takes: 2 * MINUTE,
        ends: BuildStatus::Succeeded,
        pushes: Pushes::Nothing,
        strays: false,
    }]);
    world.push("main", "first", &[]);
    world.pass(2 * MINUTE + Duration::from_secs(95));
    let looked = world.chance.take_requests();
    let looks = looked.get(&("record-images".into(), "DescribeImages".into()));
    assert_eq!(looks, Some(&2), "one for each component");
    // The image arrives only now, without an event.
    let (_, start) = world.ports.builds.inner().started().swap_remove(0);
    let tags = variable(&start, "IMAGE_TAGS").split(' ');
    for tag in tags.filter_map(|tag| tag.parse().ok()) {
        world.put_image(&start.image_repository, &tag, "late");
    }
    world.settle();
    check(
        &world.view(),
        &expect![[r#"
        main first: backend succeeded; web succeeded
        backend/prod: nothing; first has 0 of 2 yes
        backend/staging: first
        web/prod: nothing; first has 0 of 2 yes
        web/staging: first
    "#]],
    );
}

/// The shop with this many additional components, each in its own image repository.
fn large(more: usize) -> String {
    let (before, after) = DEFINITION.split_once("stages:").expect("it has stages");
    let component = |number| {
        format!(
            "  part{number}: {{repository: acme/part{number}, build: {{preset: docker, context: backend}}}}\n"
        )
    };
    let parts: String = (0..more).map(component).collect();
    format!("{before}{parts}stages:{after}")
}

#[test]
fn s13_of_two_first_pushes_at_once_the_default_branch_claims() {
    let router = router();
    let planned = |world: &World| {
        let runs = world.watch.look(|known| known.runs.clone());
        let of = |branch: &str| {
            let git_ref = GitRef::Branch(branch.into());
            let run = runs.values().find(|run| run.key.git_ref == git_ref);
            run.map(|run| run.components.len())
        };
        (of("main"), of("release/1"))
    };
    for (more, seeds) in [(0, 16), (8, 2), (30, 1)] {
        let definition = large(more);
        for seed in 0..seeds {
            let at_once = Profile {
                concurrency: 8,
                jump: 0,
                ..Profile::QUIET
            };
            let mut world = World::new(seed, at_once, &router);
            let soon = world.now() + Duration::from_secs(30);
            let files = [(".towline.yml", definition.as_str())];
            for branch in ["main", "release/1"] {
                let head = world.commit(branch, branch, &files);
                let request = world.webhook(branch, None, &head, branch);
                world.invoke(Job::Webhook(request));
            }
            while world.now() < soon && !matches!(planned(&world), (Some(_), Some(_))) {
                world.step();
            }
            // Before anything is announced again.
            let (main, release) = planned(&world);
            assert_eq!(main, Some(2 + more), "seed {seed}");
            // It has the claims of main, or is planned too early for them.
            assert!(matches!(release, Some(0)) || release == main, "seed {seed}");
            world.settle();
            assert_eq!(world.faults_at_rest(), Vec::<String>::new(), "seed {seed}");
        }
    }
}

/// Of sixty images that are offered to prod only the newest waits: nothing is owed for the others, and
/// the stage's item stays small.
#[test]
fn what_no_longer_waits_is_no_longer_looked_after() {
    let mut world = World::quiet();
    for number in 0..60 {
        world.push("main", &format!("change {number}"), &["backend/main.rs"]);
        world.settle();
    }
    let prod = kept(&world, "STAGES#");
    let prod = prod.iter().find(|item| &*item.key.sort == "backend/prod");
    let body = &prod.expect("prod has something waiting").body;
    assert_eq!(body["waiting"].as_array().map(Vec::len), Some(1));
    assert_eq!(body["owes"].as_array().map(Vec::len), Some(1));
    assert_eq!(world.faults_at_rest(), Vec::<String>::new());
}

#[test]
fn what_a_run_claims_is_written_with_it_or_not_at_all() {
    let definition = large(18);
    for step in 1..40 {
        let mut world = World::quiet();
        world.withheld.sweeps = true;
        world.crash_at = Some(step);
        world.push_files("main", "first", &[(".towline.yml", &definition)]);
        world.pass(Duration::from_secs(20));
        let is_planned = world.watch.look(|known| !known.runs.is_empty());
        let claims = kept(&world, "CLAIM#").len() + kept(&world, "PROJECT#").len();
        let expected = if is_planned { 2 * 20 } else { 0 };
        assert_eq!(claims, expected, "a crash at step {step}");
    }
}

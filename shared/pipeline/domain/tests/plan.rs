//! `plan::of` push by push: what is built and why, what is not, and what else changes.

#![expect(
    clippy::needless_pass_by_value,
    reason = "what is expected stands where it is expected"
)]

mod common;
#[path = "plan/refused.rs"]
mod refused;
#[path = "plan/world.rs"]
mod world;

use expect_test::{Expect, expect};
use world::World;

/// Each line sets the scene or is a push; the answer is what each push led to.
fn check(definition: &str, script: &str, expect: Expect) {
    let mut world = World::new(definition);
    let mut text = String::new();
    for line in script.lines().map(str::trim) {
        if let Some(answer) = world.play(line) {
            text += &format!("{line} -> {answer}");
        }
    }
    expect.assert_eq(&text);
}

const WEB: &str = "component web paths=web/**";
const BOTH: &str = "component web paths=web/** watch=libs/** | component api paths=api/** watch=libs/** images=acme/api";

#[test]
fn the_first_push_builds_everything_and_its_definition_rules_the_stages() {
    check(
        BOTH,
        "push main a",
        expect![[r#"
        push main a -> run 1, building
          api: #2 aaaaaaa-2: no successful build on this ref yet
          web: #1 aaaaaaa-1: no successful build on this ref yet
          claims acme/api
          claims acme/web
          claims towline-acme-shop-api
          claims towline-acme-shop-web
          trusts a
    "#]],
    );
}

#[test]
fn a_component_is_built_when_its_files_changed_since_it_was_last_built() {
    check(
        BOTH,
        "push main a
         ends web main well
         ends api main well
         push main b touching=web/x
         ends web main badly
         push main c touching=README
         ends web main well
         push main d touching=libs/money",
        expect![[r#"
            push main a -> run 1, building
              api: #2 aaaaaaa-2: no successful build on this ref yet
              web: #1 aaaaaaa-1: no successful build on this ref yet
              claims acme/api
              claims acme/web
              claims towline-acme-shop-api
              claims towline-acme-shop-web
              trusts a
            push main b touching=web/x -> run 2, building
              web: #3 bbbbbbb-3: web/x changed since aaaaaaa
              api: not built: no file under api/**, libs/** (1 file changed since aaaaaaa)
            push main c touching=README -> run 3, building
              web: #4 ccccccc-4: web/x changed since aaaaaaa
              api: not built: no file under api/**, libs/** (2 files changed since aaaaaaa)
              note: 1 changed file outside every component: README
              supersedes web of b
            push main d touching=libs/money -> run 4, building
              api: #6 ddddddd-6: libs/money, which it watches, changed since aaaaaaa
              web: #5 ddddddd-5: libs/money, which it watches, changed since ccccccc
              note: 1 changed file outside every component: README
        "#]],
    );
}

#[test]
fn a_push_that_takes_back_what_is_being_built_is_built_too() {
    check(
        WEB,
        "push main b touching=web/x
         ends web main well
         push main c touching=web/x
         push main a",
        expect![[r#"
            push main b touching=web/x -> run 1, building
              web: #1 bbbbbbb-1: no successful build on this ref yet
              claims acme/web
              claims towline-acme-shop-web
              trusts b
            push main c touching=web/x -> run 2, building
              web: #2 ccccccc-2: web/x changed since bbbbbbb
            push main a -> run 3, building
              web: #3 aaaaaaa-3: web/x changed since bbbbbbb
              supersedes web of c
        "#]],
    );
}

#[test]
fn a_newer_run_takes_over_what_an_older_one_still_builds() {
    check(
        BOTH,
        "push main a
         ends api main well
         push main b touching=libs/x",
        expect![[r#"
            push main a -> run 1, building
              api: #2 aaaaaaa-2: no successful build on this ref yet
              web: #1 aaaaaaa-1: no successful build on this ref yet
              claims acme/api
              claims acme/web
              claims towline-acme-shop-api
              claims towline-acme-shop-web
              trusts a
            push main b touching=libs/x -> run 2, building
              api: #4 bbbbbbb-4: libs/x, which it watches, changed since aaaaaaa
              web: #3 bbbbbbb-3: no successful build on this ref yet
              supersedes web of a
        "#]],
    );
}

#[test]
fn when_nobody_can_say_what_changed_everything_is_built() {
    check(
        WEB,
        "push main a
         ends web main well
         unknown a
         push main b",
        expect![[r#"
            push main a -> run 1, building
              web: #1 aaaaaaa-1: no successful build on this ref yet
              claims acme/web
              claims towline-acme-shop-web
              trusts a
            push main b -> run 2, building
              web: #2 bbbbbbb-2: built to be safe: more than 9 files changed
        "#]],
    );
}

#[test]
fn f1_the_same_push_again_is_nothing() {
    check(
        WEB,
        "push main a\npush main a",
        expect![[r#"
        push main a -> run 1, building
          web: #1 aaaaaaa-1: no successful build on this ref yet
          claims acme/web
          claims towline-acme-shop-web
          trusts a
        push main a -> nothing
    "#]],
    );
}

#[test]
fn i10_a_ref_that_comes_back_to_a_commit_gets_another_run() {
    check(
        WEB,
        "push main a
         push main b touching=web/x
         push main a
         push main a",
        expect![[r#"
            push main a -> run 1, building
              web: #1 aaaaaaa-1: no successful build on this ref yet
              claims acme/web
              claims towline-acme-shop-web
              trusts a
            push main b touching=web/x -> run 2, building
              web: #2 bbbbbbb-2: no successful build on this ref yet
              supersedes web of a
            push main a -> run 3, building
              web: #3 aaaaaaa-3: no successful build on this ref yet
              supersedes web of b
            push main a -> nothing
        "#]],
    );
}

#[test]
fn each_platform_is_a_build_and_a_push_starts_forty() {
    check(
        "component web platforms=linux/amd64,linux/arm64",
        "push main a",
        expect![[r#"
            push main a -> run 1, building
              web: #1 aaaaaaa-1 aaaaaaa-1-amd64 aaaaaaa-1-arm64: no successful build on this ref yet
              claims acme/web
              claims towline-acme-shop-web
              trusts a
        "#]],
    );
    let platforms: Vec<String> = (1..=20).map(|number| format!("linux/v{number}")).collect();
    let platforms = platforms.join(",");
    let components = ["a", "b", "c"]
        .map(|name| format!("component {name} images=acme/{name} platforms={platforms}"));
    let mut world = World::new(&components.join(" | "));
    let text = world.play("push main a").expect("a push answers");
    let not_built: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("not built"))
        .collect();
    expect!["  c: not built: refused: a push starts at most 40 builds, one for each platform; split the pipeline"].assert_eq(&not_built.join("\n"));
}

#[test]
fn i7_the_rules_of_stages_come_from_the_default_branch() {
    check(
        "component web | source branches=** | stage prod tags=prod",
        "push side a
         push main b touching=x
         push main c touching=x
         definition component web | source branches=** | stage live tags=live
         push side d touching=x
         push main e touching=x",
        expect![[r#"
            push side a -> run 1, nothing to build
              web: not built: refused: image repository acme/web belongs to no component yet; only the definition of the default branch (main) can claim it, so push it there first
              shows web
            push main b touching=x -> run 2, building
              web: #1 bbbbbbb-1: no successful build on this ref yet
              claims acme/web
              claims towline-acme-shop-web
              trusts b
            push main c touching=x -> run 3, building
              web: #2 ccccccc-2: no successful build on this ref yet
              supersedes web of b
            push side d touching=x -> run 4, building
              web: #3 ddddddd-3: no successful build on this ref yet
            push main e touching=x -> run 5, building
              web: #4 eeeeeee-4: no successful build on this ref yet
              trusts e
              supersedes web of c
        "#]],
    );
    // The default branch is there, but nothing of it was pushed yet.
    check(
        "component web | source branches=** | stage prod tags=prod",
        "definition broken
         head main f
         push main f
         definition component web | source branches=**
         push side e",
        expect![[r#"
            push main f -> run 1, refused
              because .towline.yml at fffffff: line 3, column 1: unknown key `stage` (and 2 more; run `towline validate` to see all)
              leaves the ref alone
              shows the run
            push side e -> run 2, nothing to build
              web: not built: refused: image repository acme/web belongs to no component yet; only the definition of the default branch (main) can claim it, so push it there first
              shows web
        "#]],
    );
}

#[test]
fn what_is_wanted_is_looked_up_in_as_few_looks_as_decide_it() {
    let looks = |definition: &str, script: &str, expect: Expect| {
        let mut world = World::new(definition);
        for line in script.lines().map(str::trim) {
            world.play(line);
        }
        expect.assert_eq(&(world.looks.join("\n") + "\n"));
    };
    looks(
        BOTH,
        "push main a",
        expect![[r#"
        definition at a
        a run, base of api, base of web, owner of acme/api, owner of acme/web, owner of towline-acme-shop-api, owner of towline-acme-shop-web
        buildspec of web, buildspec of api
        numbers for 2
    "#]],
    );
    looks(
        BOTH,
        "push main a
         ends web main well
         ends api main well
         push main b touching=web/x",
        expect![[r#"
            definition at b
            a run, base of api, base of web, owner of acme/api, owner of acme/web, owner of towline-acme-shop-api, owner of towline-acme-shop-web
            head of main
            changed since a, changed since a
            buildspec of web
            numbers for 1
        "#]],
    );
    looks(
        BOTH,
        "push main a\npush main b touching=web/x",
        expect![[r#"
        definition at b
        a run, base of api, base of web, owner of acme/api, owner of acme/web, owner of towline-acme-shop-api, owner of towline-acme-shop-web
        head of main
        run of a, run of a
        buildspec of web, buildspec of api
        numbers for 2
    "#]],
    );
    looks(
        "component web | source github=acme/other",
        "push main a",
        expect![[r#"
            definition at a
            a run
            numbers for 0
        "#]],
    );
}

#[test]
fn a23_every_push_counts_whether_it_is_built_or_not() {
    check(
        WEB,
        "push main b by=dana
         ends web main well
         push main c by=kim touching=README
         push main d by=lee touching=web/x
         ends web main badly
         head main f
         push main e by=park
         push main f by=dana touching=web/x
         authors main 1-5
         authors main 3-5
         push refs/tags/v1 f by=ada
         authors refs/tags/v1 1-9",
        expect![[r#"
            push main b by=dana -> run 1, building
              web: #1 bbbbbbb-1: no successful build on this ref yet
              claims acme/web
              claims towline-acme-shop-web
              trusts b
            push main c by=kim touching=README -> run 2, nothing to build
              web: not built: no file under web/** (1 file changed since bbbbbbb)
              note: 1 changed file outside every component: README
            push main d by=lee touching=web/x -> run 3, building
              web: #2 ddddddd-2: web/x changed since bbbbbbb
              note: 1 changed file outside every component: README
            push main e by=park -> run 4, building
              web: #3 eeeeeee-3: web/x changed since bbbbbbb
              note: 1 changed file outside every component: README
              supersedes web of d
            push main f by=dana touching=web/x -> run 5, building
              web: #4 fffffff-4: web/x changed since bbbbbbb
              note: 1 changed file outside every component: README
              supersedes web of e
            authors main 1-5 -> dana, kim, lee, park
            authors main 3-5 -> dana, park
            push refs/tags/v1 f by=ada -> run 6, skipped
              because source.tags is not set, so tag v1 starts no run
            authors refs/tags/v1 1-9 -> ada, dana, kim, lee, park
        "#]],
    );
}

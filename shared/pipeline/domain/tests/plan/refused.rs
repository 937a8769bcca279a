//! Pushes and components for which nothing is built, and why.

use expect_test::expect;

use super::{WEB, check};

#[test]
fn f3_an_older_push_that_comes_late_is_turned_away_by_what_the_ref_says() {
    check(
        WEB,
        "head main c
         push main c
         push main b
         head main b
         push main b",
        expect![[r#"
            push main c -> run 1, building
              web: #1 ccccccc-1: no successful build on this ref yet
              claims acme/web
              claims towline-acme-shop-web
              trusts c
            push main b -> run 2, refused
              because superseded: ccccccc is newer on main and is already planned
              leaves the ref alone
            push main b -> run 3, building
              web: #2 bbbbbbb-2: no successful build on this ref yet
              supersedes web of c
        "#]],
    );
    check(
        WEB,
        "head main d\npush main c\npush main b",
        expect![[r#"
        push main c -> run 1, building
          web: #1 ccccccc-1: no successful build on this ref yet
          claims acme/web
          claims towline-acme-shop-web
          trusts c
        push main b -> run 2, refused
          because superseded: ccccccc is newer on main and is already planned
          leaves the ref alone
    "#]],
    );
    check(
        WEB,
        "head main d\npush main b\npush main c",
        expect![[r#"
        push main b -> run 1, building
          web: #1 bbbbbbb-1: no successful build on this ref yet
          claims acme/web
          claims towline-acme-shop-web
          trusts b
        push main c -> run 2, building
          web: #2 ccccccc-2: no successful build on this ref yet
          supersedes web of b
    "#]],
    );
}

#[test]
fn a_push_that_the_definition_does_not_want_is_skipped_and_hidden() {
    let definition = "component web | source branches=main,release/** tags=v* skip=[skip]";
    check(
        definition,
        "push feature a
         push refs/tags/x1 b
         push main c saying=[skip]
         push main b
         push release/1 d
         push refs/tags/v1 e",
        expect![[r#"
            push feature a -> run 1, skipped
              because branch feature matches no pattern in source.branches
            push refs/tags/x1 b -> run 2, skipped
              because tag x1 matches no pattern in source.tags
            push main c saying=[skip] -> run 3, skipped
              because the commit message contains "[skip]" (source.skip_message)
              trusts c
            push main b -> run 4, building
              web: #1 bbbbbbb-1: no successful build on this ref yet
              claims acme/web
              claims towline-acme-shop-web
            push release/1 d -> run 5, building
              web: #2 ddddddd-2: no successful build on this ref yet
            push refs/tags/v1 e -> run 6, building
              web: #3 eeeeeee-3: no successful build on this ref yet
        "#]],
    );
    check(
        "component web",
        "push side a\npush refs/tags/v1 b",
        expect![[r#"
            push side a -> run 1, skipped
              because side is not the default branch, and source.branches is not set
            push refs/tags/v1 b -> run 2, skipped
              because source.tags is not set, so tag v1 starts no run
        "#]],
    );
}

#[test]
fn s13_only_the_default_branch_claims_an_image_repository() {
    check(
        "component web | source branches=**",
        "push evil a
         push main b
         push evil c",
        expect![[r#"
            push evil a -> run 1, nothing to build
              web: not built: refused: image repository acme/web belongs to no component yet; only the definition of the default branch (main) can claim it, so push it there first
              shows web
            push main b -> run 2, building
              web: #1 bbbbbbb-1: no successful build on this ref yet
              claims acme/web
              claims towline-acme-shop-web
              trusts b
            push evil c -> run 3, building
              web: #2 ccccccc-2: no successful build on this ref yet
        "#]],
    );
}

#[test]
fn a_definition_that_cannot_be_followed_refuses_the_push_and_shows_why() {
    check(
        "broken",
        "push main f",
        expect![[r#"
        push main f -> run 1, refused
          because .towline.yml at fffffff: line 3, column 1: unknown key `stage` (and 2 more; run `towline validate` to see all)
          leaves the ref alone
          shows the run
    "#]],
    );
    check(
        "component web | source github=acme/other",
        "push main a",
        expect![[r#"
            push main a -> run 1, refused
              because the definition is for acme/other (source.github), but the push came from acme/shop
              leaves the ref alone
              shows the run
        "#]],
    );
    check(
        "component web | source github=ACME/Shop",
        "push main a",
        expect![[r#"
            push main a -> run 1, building
              web: #1 aaaaaaa-1: no successful build on this ref yet
              claims acme/web
              claims towline-acme-shop-web
              trusts a
        "#]],
    );
    check(
        "component web | unsupported notify.slack | unsupported stages.prod.copy_to",
        "push main a",
        expect![[r#"
            push main a -> run 1, refused
              because this version of Towline does not support notify.slack, stages.prod.copy_to yet; remove it from .towline.yml to continue
              trusts a
              shows the run
        "#]],
    );
}

#[test]
fn a_commit_may_come_within_five_minutes_of_its_push() {
    check(
        "gone",
        "push main a\nwait 299\npush main a\nwait 1\npush main a",
        expect![[r#"
            push main a -> later
            push main a -> later
            push main a -> run 1, refused
              because commit aaaaaaa is not in the repository; was it pushed there?
              leaves the ref alone
        "#]],
    );
    check(
        WEB,
        "buildspec web gone\npush main a\nwait 300\npush main a",
        expect![[r#"
            push main a -> later
            push main a -> run 1, refused
              because commit aaaaaaa is not in the repository; was it pushed there?
              leaves the ref alone
        "#]],
    );
}

#[test]
fn a_component_that_cannot_be_built_does_not_keep_the_others_from_it() {
    check(
        "component web | component api images=acme/api | unsupported components.web.build.x of=web",
        "push main a",
        expect![[r#"
            push main a -> run 1, building
              api: #1 aaaaaaa-1: no successful build on this ref yet
              web: not built: refused: this version of Towline does not support components.web.build.x yet; remove it from .towline.yml to continue
              claims acme/api
              claims towline-acme-shop-api
              trusts a
              shows web
        "#]],
    );
    check(
        "component web | component api images=acme/api",
        "buildspec web bad\npush main a",
        expect![[r#"
            push main a -> run 1, building
              api: #1 aaaaaaa-1: no successful build on this ref yet
              web: not built: refused: line 1: a tab
              claims acme/api
              claims acme/web
              claims towline-acme-shop-api
              claims towline-acme-shop-web
              trusts a
              shows web
        "#]],
    );
    check(
        "component web tags={sha7} | component api tags={nope}-{build} images=acme/api",
        "push main a",
        expect![[r#"
            push main a -> run 1, nothing to build
              api: not built: refused: components.api.build.tags: "{nope}-{build}" has {nope}, which is not a placeholder; there are {sha}, {sha7}, {build}, {build_uuid}, {branch_slug} and, in tags and parameters, {env.NAME}
              web: not built: refused: components.web.build.tags: no tag differs from build to build; add {build} or {build_uuid} to one, as in "{sha}-{build}"
              claims acme/api
              claims acme/web
              claims towline-acme-shop-api
              claims towline-acme-shop-web
              trusts a
              shows api
              shows web
        "#]],
    );
}

#[test]
fn a26_a_build_pushes_no_tag_of_a_stage_of_its_own_or_of_the_trusted_definition() {
    check(
        "component web tags={sha7}-{build},prod | stage prod tags=prod",
        "push main a",
        expect![[r#"
            push main a -> run 1, nothing to build
              web: not built: refused: components.web.build.tags: prod belongs to a stage; a build may not push it
              claims acme/web
              claims towline-acme-shop-web
              trusts a
              shows web
        "#]],
    );
    check(
        "component web | source branches=** | stage prod tags=prod",
        "push main a
         definition component web tags={sha7}-{build},prod | source branches=** | stage live tags=live
         push side b",
        expect![[r#"
            push main a -> run 1, building
              web: #1 aaaaaaa-1: no successful build on this ref yet
              claims acme/web
              claims towline-acme-shop-web
              trusts a
            push side b -> run 2, nothing to build
              web: not built: refused: components.web.build.tags: prod belongs to a stage; a build may not push it
              shows web
        "#]],
    );
}

#[test]
fn two_components_cannot_have_one_image_repository() {
    check(
        "component web | component api",
        "push main a",
        expect![[r#"
            push main a -> run 1, building
              web: #1 aaaaaaa-1: no successful build on this ref yet
              api: not built: refused: image repository acme/web belongs to component web of repository 7; choose another
              claims acme/web
              claims towline-acme-shop-web
              trusts a
              shows api
        "#]],
    );
    check(
        "component web",
        "claim acme/web 9 shop\nrepository 9 acme/renamed\npush main a",
        expect![[r#"
            push main a -> run 1, nothing to build
              web: not built: refused: image repository acme/web belongs to component shop of repository 9; choose another
              trusts a
              shows web
        "#]],
    );
}

#[test]
fn a_component_hands_over_what_it_had_on_the_default_branch_only() {
    check(
        "component web | source branches=**",
        "push main a
         definition component site images=acme/web | source branches=**
         push side b
         push main c",
        expect![[r#"
            push main a -> run 1, building
              web: #1 aaaaaaa-1: no successful build on this ref yet
              claims acme/web
              claims towline-acme-shop-web
              trusts a
            push side b -> run 2, nothing to build
              site: not built: refused: image repository acme/web belongs to component web of repository 7; choose another
              shows site
            push main c -> run 3, building
              site: #2 ccccccc-2: no successful build on this ref yet
              claims acme/web
              claims towline-acme-shop-site
              trusts c
        "#]],
    );
}

#[test]
fn a_project_belongs_to_another_repository_while_that_has_its_name() {
    check(
        WEB,
        "claim towline-acme-shop-web 9 shop-web\npush main a",
        expect![[r#"
            push main a -> run 1, nothing to build
              web: not built: refused: CodeBuild project towline-acme-shop-web already builds component shop-web of repository 9; rename this component
              claims acme/web
              trusts a
              shows web
        "#]],
    );
    check(
        WEB,
        "claim towline-acme-shop-web 9 web\nrepository 9 acme/shop\npush main a",
        expect![[r#"
            push main a -> run 1, building
              web: #1 aaaaaaa-1: no successful build on this ref yet
              claims acme/web
              claims towline-acme-shop-web
              trusts a
        "#]],
    );
    check(
        WEB,
        "claim towline-acme-shop-web 9 web\nrepository 9 acme/shop.old\npush main a",
        expect![[r#"
            push main a -> run 1, building
              web: #1 aaaaaaa-1: no successful build on this ref yet
              claims acme/web
              claims towline-acme-shop-web
              trusts a
        "#]],
    );
    check(
        WEB,
        "claim towline-acme-shop-web 9 shop-web\nrepository 9 acme/new\npush main a",
        expect![[r#"
            push main a -> run 1, building
              web: #1 aaaaaaa-1: no successful build on this ref yet
              claims acme/web
              claims towline-acme-shop-web
              trusts a
        "#]],
    );
}

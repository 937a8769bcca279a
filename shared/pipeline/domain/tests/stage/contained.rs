//! What becomes of a promotion when the source was asked which refs still contain its commit.

use expect_test::expect;
use towline_domain::definition::{Glob, Source};
use towline_domain::names::GitRef;
use towline_domain::stage::contained::named;
use towline_domain::trusted::{Older, Trusted};

use super::common::{good, new_stage, rule, trusted};
use super::{FIRST_IS_LIVE, check};

#[test]
fn f26_s12_a_commit_that_no_admitted_ref_contains_is_not_promoted_by_an_old_approval() {
    check(
        "approval 1; keep",
        "offer 1\noffer 2\napprove 1 by lee\ncommit of 1 not on refs/heads/main\ncommit of 1 not on refs/heads/main\nlease 1 for a\napprove 1 by park\napprove 2 by lee\ncommit of 2 contained\nlease 2 for a\ntagged 2 by a",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline
            offer 2 -> #2 for 2 asked by towline
            approve 1 by lee -> #1 approved by @lee; Promotion Due #1
            commit of 1 not on refs/heads/main -> #1 refused by towline: promotion #1 was refused: 1111111 is no longer on main; promote it again once it is back, or with --override
            commit of 1 not on refs/heads/main -> nothing
            lease 1 for a -> refused: promotion #1 is not in progress
            approve 1 by park -> denied @park: approve: promotion #1 is already closed; refused: promotion #1 is already closed
            approve 2 by lee -> #2 approved by @lee; Promotion Due #2
            commit of 2 contained -> nothing
            lease 2 for a -> noted
            tagged 2 by a -> moved to 2 v1
            = 2 v1
        "#]],
    );
}

#[test]
fn f26_the_refs_that_were_looked_at_are_named() {
    check(
        "auto",
        "offer 1\ncommit of 1 not on refs/heads/main,refs/tags/v1\noffer 2\ncommit of 2 not on refs/heads/main,refs/heads/a,refs/heads/b,refs/heads/c,refs/heads/d and 40 unseen",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline; Promotion Due #1
            commit of 1 not on refs/heads/main,refs/tags/v1 -> #1 refused by towline: promotion #1 was refused: 1111111 is no longer on main or v1; promote it again once it is back, or with --override
            offer 2 -> #2 for 2 asked by towline; Promotion Due #2
            commit of 2 not on refs/heads/main,refs/heads/a,refs/heads/b,refs/heads/c,refs/heads/d and 40 unseen -> #2 refused by towline: promotion #2 was refused: 2222222 is no longer on main, a, b or 2 more refs (40 further refs were not looked at); promote it again once it is back, or with --override
            = nothing
        "#]],
    );
}

#[test]
fn f26_s12_a_writer_that_has_not_asked_relies_only_on_a_lease_that_is_still_there() {
    check(
        "auto",
        "offer 1\nlease 1 for a without asking\nlease 1 for a\nobstructed 1 by a\nlease 1 for b without asking\nlease 1 for b\nwait 61\nlease 1 for c without asking\ntagged 1 by c\noverride 2 of main by olga must go\nlease 2 for a without asking",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline; Promotion Due #1
            lease 1 for a without asking -> refused: the lease for promotion #1 was lost
            lease 1 for a -> noted
            obstructed 1 by a -> noted
            lease 1 for b without asking -> refused: the lease for promotion #1 was lost
            lease 1 for b -> noted
            lease 1 for c without asking -> noted
            tagged 1 by c -> moved to 1 v1
            override 2 of main by olga must go -> #2 override for 2 by @olga: must go; Promotion Due #2
            lease 2 for a without asking -> noted
            = 1 v1, #2 acts
        "#]],
    );
}

#[test]
fn f26_s12_who_may_override_promotes_it_all_the_same() {
    check(
        "approval 1",
        "offer 1\napprove 1 by lee\ncommit of 1 not on refs/heads/main\noverride 1 of main by lee must go\noverride 1 of main by olga must go\ncommit of 2 not on refs/heads/main\nlease 2 for a\ntagged 2 by a",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline
            approve 1 by lee -> #1 approved by @lee; Promotion Due #1
            commit of 1 not on refs/heads/main -> #1 refused by towline: promotion #1 was refused: 1111111 is no longer on main; promote it again once it is back, or with --override
            override 1 of main by lee must go -> denied @lee: promote 1111111: @lee does not have the right `override`; these groups have it: owners; refused: @lee does not have the right `override`; these groups have it: owners
            override 1 of main by olga must go -> #2 override for 1 by @olga: must go; Promotion Due #2
            commit of 2 not on refs/heads/main -> nothing
            lease 2 for a -> noted
            tagged 2 by a -> moved to 1 v1
            = 1 v1
        "#]],
    );
    check(
        "approval 1",
        "offer 1\noverride 1 of main by olga must go\ncommit of 1 not on refs/heads/main\ncommit of 1 unknown: no answer",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline
            override 1 of main by olga must go -> #1 override for 1 by @olga: must go; Promotion Due #1
            commit of 1 not on refs/heads/main -> nothing
            commit of 1 unknown: no answer -> nothing
            = nothing, #1 acts
        "#]],
    );
}

#[test]
fn f26_a_commit_that_is_put_back_is_promoted_by_a_new_request_only() {
    check(
        "approval 1",
        "offer 1\napprove 1 by lee\ncommit of 1 not on refs/heads/main\noffer 1\ncommit of 1 contained\npromote 1 by lee\napprove 2 by lee\ncommit of 2 contained",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline
            approve 1 by lee -> #1 approved by @lee; Promotion Due #1
            commit of 1 not on refs/heads/main -> #1 refused by towline: promotion #1 was refused: 1111111 is no longer on main; promote it again once it is back, or with --override
            offer 1 -> nothing
            commit of 1 contained -> nothing
            promote 1 by lee -> #2 for 1 asked by @lee
            approve 2 by lee -> #2 approved by @lee; Promotion Due #2
            commit of 2 contained -> nothing
            = nothing, #2 acts
        "#]],
    );
}

#[test]
fn f26_while_the_source_does_not_answer_a_promotion_waits_and_nothing_waits_for_it() {
    check(
        "auto",
        "offer 1\ncommit of 1 unknown: no answer\ncommit of 1 unknown: no answer\ncommit of 1 unknown: 502\nlease 1 for a\ntagged 1 by a\ncommit of 1 contained\ncommit of 1 contained\nlease 1 for a\ncommit of 1 unknown: no answer\ncommit of 1 not on refs/heads/main\ntagged 1 by a",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline; Promotion Due #1
            commit of 1 unknown: no answer -> noted
            commit of 1 unknown: no answer -> nothing
            commit of 1 unknown: 502 -> noted
            lease 1 for a -> refused: promotion #1 is not in progress
            tagged 1 by a -> nothing
            commit of 1 contained -> Promotion Due #1
            commit of 1 contained -> nothing
            lease 1 for a -> noted
            commit of 1 unknown: no answer -> refused: another process is carrying out promotion #1
            commit of 1 not on refs/heads/main -> refused: another process is carrying out promotion #1
            tagged 1 by a -> moved to 1 v1
            = 1 v1
        "#]],
    );
    let live = format!("{FIRST_IS_LIVE}\noffer 2\ncommit of 2 unknown: no answer");
    check(
        "auto",
        &format!("{live}\noutside prod on 9\nlease 3 for a\ntagged 3 by a\ncommit of 2 contained"),
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline; Promotion Due #1
            lease 1 for a -> noted
            tagged 1 by a -> moved to 1 v1
            offer 2 -> #2 for 2 asked by towline; Promotion Due #2
            commit of 2 unknown: no answer -> noted
            outside prod on 9 -> prod drifted to 9; #3 back to 1 asked by towline; Promotion Due #3
            lease 3 for a -> noted
            tagged 3 by a -> moved to 1 v2
            commit of 2 contained -> Promotion Due #2
            = 1 v2, #2 acts
        "#]],
    );
    check(
        "auto",
        &format!("{live}\nlease 2 for a\ntagged 2 by a\nrollback 1 by lee\ncommit of 2 contained"),
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline; Promotion Due #1
            lease 1 for a -> noted
            tagged 1 by a -> moved to 1 v1
            offer 2 -> #2 for 2 asked by towline; Promotion Due #2
            commit of 2 unknown: no answer -> noted
            lease 2 for a -> refused: promotion #2 is not in progress
            tagged 2 by a -> nothing
            rollback 1 by lee -> denied @lee: roll back to 1111111: 1111111 is already live in prod; refused: 1111111 is already live in prod
            commit of 2 contained -> Promotion Due #2
            = 1 v1, #2 acts
        "#]],
    );
    let two = format!("{FIRST_IS_LIVE}\noffer 2\nlease 2 for a\ntagged 2 by a");
    check(
        "auto",
        &format!(
            "{two}\noffer 3\ncommit of 3 unknown: no answer\nrollback 1 by lee\ncommit of 4 not on refs/heads/main\nlease 4 for a\ntagged 4 by a"
        ),
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline; Promotion Due #1
            lease 1 for a -> noted
            tagged 1 by a -> moved to 1 v1
            offer 2 -> #2 for 2 asked by towline; Promotion Due #2
            lease 2 for a -> noted
            tagged 2 by a -> moved to 2 v2
            offer 3 -> #3 for 3 asked by towline; Promotion Due #3
            commit of 3 unknown: no answer -> noted
            rollback 1 by lee -> #3 superseded by @lee: promotion #3 was superseded by a rollback by @lee; held by @lee: rollback; #4 back to 1 asked by @lee; Promotion Due #4
            commit of 4 not on refs/heads/main -> nothing
            lease 4 for a -> noted
            tagged 4 by a -> moved to 1 v3
            = 1 v3, held
        "#]],
    );
    check(
        "auto",
        &format!("{live}\noverride 2 of main by olga github is down"),
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline; Promotion Due #1
            lease 1 for a -> noted
            tagged 1 by a -> moved to 1 v1
            offer 2 -> #2 for 2 asked by towline; Promotion Due #2
            commit of 2 unknown: no answer -> noted
            override 2 of main by olga github is down -> #2 override for 2 by @olga: github is down; Promotion Due #2
            = 1 v1, #2 acts
        "#]],
    );
}

#[test]
fn f26_a_source_that_never_answers_ends_the_promotion_and_says_so() {
    check(
        "approval 1; expires 60",
        "offer 1\napprove 1 by lee\ncommit of 1 unknown: 401\nwait 90\nexpire 1\ngive up 1\ngive up 1",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline; Promotion Watch Due #1
            approve 1 by lee -> #1 approved by @lee; Promotion Due #1
            commit of 1 unknown: 401 -> Promotion Watch Due #1
            expire 1 -> nothing
            give up 1 -> #1 failed by towline: promotion #1 failed: cannot check whether its commit is still on a ref: 401; tried 50 times since 2026-03-02 09:00 UTC
            give up 1 -> nothing
            = nothing
        "#]],
    );
}

/// The definition of all stories with these branches.
fn admitting(branches: &[&str]) -> Trusted {
    let branches = branches
        .iter()
        .map(|text| Glob::new(text).expect("a pattern"));
    let mut trusted = trusted().clone();
    trusted.definition.source = Source {
        branches: branches.collect(),
        ..Source::default()
    };
    trusted
}

#[test]
fn f26_s11_a_ref_that_a_change_admits_counts_once_the_change_holds() {
    let mut stage = new_stage();
    let before = admitting(&[]);
    let now = Trusted {
        order: 5,
        older: vec![Older {
            stage: good("prod"),
            gate: rule("approval 1").approval.expect("a gate"),
            source: before.definition.source.clone(),
            branch: "main".into(),
            overrule: Vec::new(),
            commit: good(&"5".repeat(40)),
            order: 5,
        }],
        ..admitting(&["main", "evil"])
    };
    let admits = |stage: &towline_domain::stage::Stage| {
        ["main", "evil", "other"].map(|name| stage.admits(&now, &GitRef::Branch(name.into())))
    };
    assert_eq!(admits(&stage), [true, false, false]);
    stage.accepted = 5;
    assert_eq!(admits(&stage), [true, true, false]);
}

#[test]
fn refs_are_listed_only_if_there_are_patterns() {
    let branch = |name: &str| GitRef::Branch(name.into());
    for (branches, expected) in [
        (&[][..], Some(vec![branch("main")])),
        (
            &["main", "release/1"],
            Some(vec![branch("main"), branch("release/1")]),
        ),
        (&["main", "release/*"], None),
        (&["main", "release/**"], None),
    ] {
        assert_eq!(named(&admitting(branches)), expected, "{branches:?}");
    }
}

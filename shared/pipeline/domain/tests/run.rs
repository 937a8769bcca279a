//! `run::advance` fact by fact: every transition and every refusal.

#![expect(
    clippy::needless_pass_by_value,
    reason = "what is expected stands where it is expected"
)]

mod common;
#[path = "run/parts.rs"]
mod parts;

use common::{at, intent_text, new_run, run_fact, run_text, said_text};
use expect_test::{Expect, expect};
use towline_domain::reason::{NotAdmitted, Refusal};
use towline_domain::run::{Attempt, Run, RunStatus, advance};

/// Each line is a fact; `wait N` lets N seconds pass. Each answer is the state after the fact, what
/// is owed because of it, and why it was refused.
fn check(facts: &str, expect: Expect) {
    check_of(new_run(), facts, expect);
}

fn check_of(mut run: Run, facts: &str, expect: Expect) {
    let mut now = 0;
    let mut text = String::new();
    for line in facts.lines().map(str::trim) {
        if let Some(seconds) = line.strip_prefix("wait ") {
            now += common::good::<u64>(seconds);
            continue;
        }
        let notes = run.notes.len();
        let decision = advance(run, &run_fact(line), at(now));
        run = decision.run;
        let mut parts = vec![run_text(&run)];
        parts.extend(decision.intents.iter().map(intent_text));
        parts.extend(decision.said.as_ref().map(said_text));
        parts.extend(decision.refused.map(|why| format!("refused: {why}")));
        parts.extend(
            run.notes[notes..]
                .iter()
                .map(|note| format!("note: {note}")),
        );
        if !decision.changed {
            parts.push("unchanged".into());
        }
        text += &format!("{line} -> {}\n", parts.join("; "));
    }
    expect.assert_eq(&text);
}

#[test]
fn i6_success_needs_the_build_and_its_image() {
    check(
        "bound 1\nreport 1 IN_PROGRESS\nreport 1 SUCCEEDED\nimage 1",
        expect![[r#"
        bound 1 -> building; Build Watch Due
        report 1 IN_PROGRESS -> building
        report 1 SUCCEEDED -> building; Image Due aaaaaaa-1
        image 1 -> succeeded
    "#]],
    );
}

#[test]
fn f5_the_image_may_come_before_the_build_succeeds() {
    check(
        "image 1\nbound 1\nreport 1 SUCCEEDED",
        expect![[r#"
        image 1 -> due
        bound 1 -> building; Build Watch Due
        report 1 SUCCEEDED -> succeeded
    "#]],
    );
}

#[test]
fn f4_the_first_report_binds_and_the_answer_of_startbuild_changes_nothing() {
    check(
        "report 1 SUCCEEDED\nbound 1\nimage 1",
        expect![[r#"
        report 1 SUCCEEDED -> building; Build Watch Due; Image Due aaaaaaa-1
        bound 1 -> building; unchanged
        image 1 -> succeeded
    "#]],
    );
}

#[test]
fn f15_a_second_build_is_stopped_and_counts_for_nothing() {
    check(
        "bound 1\nbound 2\nreport 2 IN_PROGRESS\nreport 2 SUCCEEDED\nreport 2 FAULT\nreport 1 FAILED",
        expect![[r#"
            bound 1 -> building; Build Watch Due
            bound 2 -> building; Build Stop Due shop:2; unchanged
            report 2 IN_PROGRESS -> building; Build Stop Due shop:2; unchanged
            report 2 SUCCEEDED -> building; unchanged
            report 2 FAULT -> building; unchanged
            report 1 FAILED -> failed (build#1 ended FAILED: BUILD: exit status 1)
        "#]],
    );
}

#[test]
fn a_build_of_another_commit_is_held_and_stopped() {
    check(
        "report 1 IN_PROGRESS of a\nreport 1 SUCCEEDED of a\nimage 1",
        expect![[r#"
            report 1 IN_PROGRESS of a -> building; Build Watch Due
            report 1 SUCCEEDED of a -> building; Image Due aaaaaaa-1
            image 1 -> succeeded
        "#]],
    );
    check(
        "report 1 IN_PROGRESS of b\nreport 1 SUCCEEDED of a\nimage 1",
        expect![[r#"
            report 1 IN_PROGRESS of b -> held (it builds commit bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, but aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa was pushed); Build Watch Due; Build Stop Due shop:1
            report 1 SUCCEEDED of a -> held (it builds commit bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, but aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa was pushed); unchanged
            image 1 -> held (it builds commit bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, but aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa was pushed); unchanged
        "#]],
    );
    check(
        "bound 1\nimage 1\nreport 1 SUCCEEDED of b",
        expect![[r#"
            bound 1 -> building; Build Watch Due
            image 1 -> building
            report 1 SUCCEEDED of b -> held (it builds commit bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, but aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa was pushed); Build Stop Due shop:1
        "#]],
    );
}

#[test]
fn a_build_that_ends_badly_fails_the_attempt_with_its_reason() {
    check(
        "bound 1\nreport 1 FAILED\nimage 1",
        expect![[r#"
        bound 1 -> building; Build Watch Due
        report 1 FAILED -> failed (build#1 ended FAILED: BUILD: exit status 1)
        image 1 -> failed (build#1 ended FAILED: BUILD: exit status 1); unchanged
    "#]],
    );
    check(
        "bound 1\nreport 1 TIMED_OUT",
        expect![[r#"
            bound 1 -> building; Build Watch Due
            report 1 TIMED_OUT -> failed (build#1 ended TIMED_OUT: no phase gave a reason; see the log)
        "#]],
    );
    check(
        "bound 1\nreport 1 STOPPED\nreport 1 SUCCEEDED",
        expect![[r#"
            bound 1 -> building; Build Watch Due
            report 1 STOPPED -> failed (build#1 ended STOPPED: no phase gave a reason; see the log)
            report 1 SUCCEEDED -> failed (build#1 ended STOPPED: no phase gave a reason; see the log); unchanged
        "#]],
    );
}

#[test]
fn s18_a_restart_of_towline_uses_up_no_try() {
    check(
        "restarted 1\nretry 1\n2: restarted 2\nretry 2\n3: report 3 FAULT\nretry 3\n4: restarted 4\nretry 4\n5: report 5 FAULT\nretry 5\n6: report 6 FAULT",
        expect![[r#"
            restarted 1 -> failed (build#1 ended FAULT: BUILD: restarted; a fault); Build Watch Due; Build Retry Due after 1
            retry 1 -> failed (build#1 ended FAULT: BUILD: restarted; a fault) | due; Build Due; note: build#1 of backend is tried again as build#2 by towline
            2: restarted 2 -> failed (build#1 ended FAULT: BUILD: restarted; a fault) | failed (build#2 ended FAULT: BUILD: restarted; a fault); Build Watch Due; Build Retry Due after 2
            retry 2 -> failed (build#1 ended FAULT: BUILD: restarted; a fault) | failed (build#2 ended FAULT: BUILD: restarted; a fault) | due; Build Due; note: build#2 of backend is tried again as build#3 by towline
            3: report 3 FAULT -> failed (build#1 ended FAULT: BUILD: restarted; a fault) | failed (build#2 ended FAULT: BUILD: restarted; a fault) | failed (build#3 ended FAULT: no phase gave a reason; see the log; a fault); Build Watch Due; Build Retry Due after 3
            retry 3 -> failed (build#1 ended FAULT: BUILD: restarted; a fault) | failed (build#2 ended FAULT: BUILD: restarted; a fault) | failed (build#3 ended FAULT: no phase gave a reason; see the log; a fault) | due; Build Due; note: build#3 of backend is tried again as build#4 by towline
            4: restarted 4 -> failed (build#1 ended FAULT: BUILD: restarted; a fault) | failed (build#2 ended FAULT: BUILD: restarted; a fault) | failed (build#3 ended FAULT: no phase gave a reason; see the log; a fault) | failed (build#4 ended FAULT: BUILD: restarted; a fault); Build Watch Due; Build Retry Due after 4
            retry 4 -> failed (build#1 ended FAULT: BUILD: restarted; a fault) | failed (build#2 ended FAULT: BUILD: restarted; a fault) | failed (build#3 ended FAULT: no phase gave a reason; see the log; a fault) | failed (build#4 ended FAULT: BUILD: restarted; a fault) | due; Build Due; note: build#4 of backend is tried again as build#5 by towline
            5: report 5 FAULT -> failed (build#1 ended FAULT: BUILD: restarted; a fault) | failed (build#2 ended FAULT: BUILD: restarted; a fault) | failed (build#3 ended FAULT: no phase gave a reason; see the log; a fault) | failed (build#4 ended FAULT: BUILD: restarted; a fault) | failed (build#5 ended FAULT: no phase gave a reason; see the log; a fault); Build Watch Due; Build Retry Due after 5
            retry 5 -> failed (build#1 ended FAULT: BUILD: restarted; a fault) | failed (build#2 ended FAULT: BUILD: restarted; a fault) | failed (build#3 ended FAULT: no phase gave a reason; see the log; a fault) | failed (build#4 ended FAULT: BUILD: restarted; a fault) | failed (build#5 ended FAULT: no phase gave a reason; see the log; a fault) | due; Build Due; note: build#5 of backend is tried again as build#6 by towline
            6: report 6 FAULT -> failed (build#1 ended FAULT: BUILD: restarted; a fault) | failed (build#2 ended FAULT: BUILD: restarted; a fault) | failed (build#3 ended FAULT: no phase gave a reason; see the log; a fault) | failed (build#4 ended FAULT: BUILD: restarted; a fault) | failed (build#5 ended FAULT: no phase gave a reason; see the log; a fault) | failed (build#6 ended FAULT: no phase gave a reason; see the log; a fault); Build Watch Due
        "#]],
    );
}

#[test]
fn a_fault_is_retried_up_to_three_attempts() {
    check(
        "report 1 FAULT\nretry 1\nretry 1\n2: report 2 FAULT\nretry 2\n3: report 3 FAULT\nretry 3",
        expect![[r#"
            report 1 FAULT -> failed (build#1 ended FAULT: no phase gave a reason; see the log; a fault); Build Watch Due; Build Retry Due after 1
            retry 1 -> failed (build#1 ended FAULT: no phase gave a reason; see the log; a fault) | due; Build Due; note: build#1 of backend is tried again as build#2 by towline
            retry 1 -> failed (build#1 ended FAULT: no phase gave a reason; see the log; a fault) | due; unchanged
            2: report 2 FAULT -> failed (build#1 ended FAULT: no phase gave a reason; see the log; a fault) | failed (build#2 ended FAULT: no phase gave a reason; see the log; a fault); Build Watch Due; Build Retry Due after 2
            retry 2 -> failed (build#1 ended FAULT: no phase gave a reason; see the log; a fault) | failed (build#2 ended FAULT: no phase gave a reason; see the log; a fault) | due; Build Due; note: build#2 of backend is tried again as build#3 by towline
            3: report 3 FAULT -> failed (build#1 ended FAULT: no phase gave a reason; see the log; a fault) | failed (build#2 ended FAULT: no phase gave a reason; see the log; a fault) | failed (build#3 ended FAULT: no phase gave a reason; see the log; a fault); Build Watch Due
            retry 3 -> failed (build#1 ended FAULT: no phase gave a reason; see the log; a fault) | failed (build#2 ended FAULT: no phase gave a reason; see the log; a fault) | failed (build#3 ended FAULT: no phase gave a reason; see the log; a fault) | due; Build Due; note: build#3 of backend is tried again as build#4 by towline
        "#]],
    );
}

#[test]
fn s23_each_decision_about_a_build_is_one_row_denials_included() {
    check(
        "retry 1 by kim\ncancel 1 by lee\ncancel 1 by lee\nretry 1 by kim\nretry 1 by lee\ncancel 1 by kim\ncancel 2 by kim",
        expect![[r#"
            retry 1 by kim -> due; row: denied kim Retry build#1: build#1 of backend has not finished; retry works on a build that failed or was stopped; refused: build#1 of backend has not finished; retry works on a build that failed or was stopped; unchanged
            cancel 1 by lee -> cancelled by @lee; row: lee cancelled build#1
            cancel 1 by lee -> cancelled by @lee; row: denied lee Cancel build#1: no build of backend is running for aaaaaaa; refused: no build of backend is running for aaaaaaa; unchanged
            retry 1 by kim -> cancelled by @lee | due; Build Due; row: kim retried build#1 as build#2; note: build#1 of backend is tried again as build#2 by @kim
            retry 1 by lee -> cancelled by @lee | due; row: denied lee Retry build#1: build#1 was followed by build#2; name that one; refused: build#1 was followed by build#2; name that one; unchanged
            cancel 1 by kim -> cancelled by @lee | due; row: denied kim Cancel build#1: build#1 was followed by build#2; name that one; refused: build#1 was followed by build#2; name that one; unchanged
            cancel 2 by kim -> cancelled by @lee | cancelled by @kim; row: kim cancelled build#2
        "#]],
    );
    // The same request of a machine, twice: it is the same fact, and no decision.
    check(
        "cancel lee\nretry 1\nretry 1",
        expect![[r#"
        cancel lee -> cancelled by @lee; row: lee cancelled build#1
        retry 1 -> cancelled by @lee | due; Build Due; note: build#1 of backend is tried again as build#2 by towline
        retry 1 -> cancelled by @lee | due; unchanged
    "#]],
    );
}

#[test]
fn only_what_has_failed_or_was_stopped_is_retried() {
    check(
        "retry 1\nbound 1\nretry 1\nreport 1 SUCCEEDED\nimage 1\nretry 1",
        expect![[r#"
            retry 1 -> due; refused: build#1 of backend has not finished; retry works on a build that failed or was stopped; unchanged
            bound 1 -> building; Build Watch Due
            retry 1 -> building; refused: build#1 of backend has not finished; retry works on a build that failed or was stopped; unchanged
            report 1 SUCCEEDED -> building; Image Due aaaaaaa-1
            image 1 -> succeeded
            retry 1 -> succeeded; refused: build#1 of backend succeeded; retry works on a build that failed or was stopped; unchanged
        "#]],
    );
    check(
        "cancel lee\nretry 1\n2: report 2 SUCCEEDED\n2: image 2\n1: image 1",
        expect![[r#"
            cancel lee -> cancelled by @lee; row: lee cancelled build#1
            retry 1 -> cancelled by @lee | due; Build Due; note: build#1 of backend is tried again as build#2 by towline
            2: report 2 SUCCEEDED -> cancelled by @lee | building; Build Watch Due; Image Due aaaaaaa-2
            2: image 2 -> cancelled by @lee | succeeded
            1: image 1 -> cancelled by @lee | succeeded; unchanged
        "#]],
    );
}

#[test]
fn f9_no_capacity_is_waited_for_and_never_fails() {
    check(
        "delayed throttled\ndelayed throttled\nbound 1\ndelayed throttled",
        expect![[r#"
        delayed throttled -> due
        delayed throttled -> due; unchanged
        bound 1 -> building; Build Watch Due
        delayed throttled -> building; unchanged
    "#]],
    );
}

#[test]
fn a_build_that_can_never_start_fails() {
    check(
        "refused nonsense\nbound 1\nrefused nonsense",
        expect![[r#"
        refused nonsense -> failed (nonsense)
        bound 1 -> failed (nonsense); Build Stop Due shop:1; unchanged
        refused nonsense -> failed (nonsense); unchanged
    "#]],
    );
    check(
        "bound 1\nrefused nonsense",
        expect![[r#"
        bound 1 -> building; Build Watch Due
        refused nonsense -> building; unchanged
    "#]],
    );
}

#[test]
fn a_superseded_or_cancelled_build_is_stopped_whenever_it_is_known() {
    check(
        "bound 1\nsuperseded\nsuperseded\nreport 1 SUCCEEDED",
        expect![[r#"
        bound 1 -> building; Build Watch Due
        superseded -> superseded by 00112233aabbccdd; Build Stop Due shop:1
        superseded -> superseded by 00112233aabbccdd; unchanged
        report 1 SUCCEEDED -> superseded by 00112233aabbccdd; unchanged
    "#]],
    );
    check(
        "superseded\nbound 1\nreport 1 IN_PROGRESS",
        expect![[r#"
        superseded -> superseded by 00112233aabbccdd
        bound 1 -> superseded by 00112233aabbccdd; Build Stop Due shop:1; unchanged
        report 1 IN_PROGRESS -> superseded by 00112233aabbccdd; Build Stop Due shop:1; unchanged
    "#]],
    );
    check(
        "bound 1\ncancel lee\ncancel lee\ncancel lee web",
        expect![[r#"
            bound 1 -> building; Build Watch Due
            cancel lee -> cancelled by @lee; Build Stop Due shop:1; row: lee cancelled build#1
            cancel lee -> cancelled by @lee; row: denied lee Cancel build#1: no build of backend is running for aaaaaaa; refused: no build of backend is running for aaaaaaa; unchanged
            cancel lee web -> cancelled by @lee; row: denied lee Cancel build#1: no build of web is running for aaaaaaa; refused: no build of web is running for aaaaaaa; unchanged
        "#]],
    );
    check(
        "report 1 SUCCEEDED\ncancel lee",
        expect![[r#"
            report 1 SUCCEEDED -> building; Build Watch Due; Image Due aaaaaaa-1
            cancel lee -> cancelled by @lee; row: lee cancelled build#1
        "#]],
    );
}

#[test]
fn a26_a_tag_pushed_twice_is_held_and_after_success_noted() {
    check(
        "bound 1\nimage 1\nimage 2\nimage 1",
        expect![[r#"
            bound 1 -> building; Build Watch Due
            image 1 -> building
            image 2 -> held (tag aaaaaaa-1 was on sha256:0000000000000000000000000000000000000000000000000000000000000001 and is on sha256:0000000000000000000000000000000000000000000000000000000000000002: it was pushed twice); Build Stop Due shop:1
            image 1 -> held (tag aaaaaaa-1 was on sha256:0000000000000000000000000000000000000000000000000000000000000001 and is on sha256:0000000000000000000000000000000000000000000000000000000000000002: it was pushed twice); unchanged
        "#]],
    );
    check(
        "bound 1\nimage 1\nreport 1 SUCCEEDED\nimage 2\nimage 2",
        expect![[r#"
            bound 1 -> building; Build Watch Due
            image 1 -> building
            report 1 SUCCEEDED -> succeeded
            image 2 -> succeeded; note: tag aaaaaaa-1 was on sha256:0000000000000000000000000000000000000000000000000000000000000001 and is on sha256:0000000000000000000000000000000000000000000000000000000000000002: it was pushed twice
            image 2 -> succeeded; unchanged
        "#]],
    );
    check(
        "bound 1\nreport 1 FAILED\nimage 1\nimage 2",
        expect![[r#"
        bound 1 -> building; Build Watch Due
        report 1 FAILED -> failed (build#1 ended FAILED: BUILD: exit status 1)
        image 1 -> failed (build#1 ended FAILED: BUILD: exit status 1); unchanged
        image 2 -> failed (build#1 ended FAILED: BUILD: exit status 1); unchanged
    "#]],
    );
}

#[test]
fn a27_an_event_that_contradicts_the_registry_is_held() {
    check(
        "bound 1\nimage 1 said 2\nreport 1 SUCCEEDED",
        expect![[r#"
            bound 1 -> building; Build Watch Due
            image 1 said 2 -> held (the push event said sha256:0000000000000000000000000000000000000000000000000000000000000002 for tag aaaaaaa-1, the registry holds sha256:0000000000000000000000000000000000000000000000000000000000000001); Build Stop Due shop:1
            report 1 SUCCEEDED -> held (the push event said sha256:0000000000000000000000000000000000000000000000000000000000000002 for tag aaaaaaa-1, the registry holds sha256:0000000000000000000000000000000000000000000000000000000000000001); unchanged
        "#]],
    );
    check(
        "image 1 said 1\nbound 1\nreport 1 SUCCEEDED",
        expect![[r#"
        image 1 said 1 -> due
        bound 1 -> building; Build Watch Due
        report 1 SUCCEEDED -> succeeded
    "#]],
    );
}

#[test]
fn an_image_that_is_missing_fails_only_a_build_that_said_it_succeeded() {
    check(
        "missing\nbound 1\nmissing\nreport 1 SUCCEEDED\nmissing\nimage 1",
        expect![[r#"
        missing -> due; unchanged
        bound 1 -> building; Build Watch Due
        missing -> building; unchanged
        report 1 SUCCEEDED -> building; Image Due aaaaaaa-1
        missing -> failed (build#1 succeeded but pushed nothing to acme/backend under tag aaaaaaa-1; push "$ECR_REGISTRY/$IMAGE_REPO:$IMAGE_TAG" in the build phase)
        image 1 -> failed (build#1 succeeded but pushed nothing to acme/backend under tag aaaaaaa-1; push "$ECR_REGISTRY/$IMAGE_REPO:$IMAGE_TAG" in the build phase); unchanged
    "#]],
    );
    check(
        "bound 1\nimage 1\nreport 1 SUCCEEDED\nmissing",
        expect![[r#"
        bound 1 -> building; Build Watch Due
        image 1 -> building
        report 1 SUCCEEDED -> succeeded
        missing -> succeeded; unchanged
    "#]],
    );
}

#[test]
fn what_has_no_result_by_its_deadline_is_given_up() {
    let deadline = Attempt::QUEUE.as_secs() + 3_600 + Attempt::SLACK.as_secs();
    let facts = format!(
        "bound 1\nwait {}\ndeadline\nwait 1\ndeadline\ndeadline",
        deadline - 1
    );
    check(
        &facts,
        expect![[r#"
            bound 1 -> building; Build Watch Due
            deadline -> building; unchanged
            deadline -> failed (build#1 had no result by its deadline, 2026-03-02 18:10 UTC); Build Stop Due shop:1
            deadline -> failed (build#1 had no result by its deadline, 2026-03-02 18:10 UTC); unchanged
        "#]],
    );
}

/// The sweep may come back after the deadline and learn only then that the build had succeeded.
#[test]
fn what_is_known_to_have_succeeded_is_not_given_up() {
    check(
        "bound 1\nwait 100000\nreport 1 SUCCEEDED\ndeadline\nimage 1",
        expect![[r#"
            bound 1 -> building; Build Watch Due
            report 1 SUCCEEDED -> building; Image Due aaaaaaa-1
            deadline -> building; unchanged
            image 1 -> succeeded
        "#]],
    );
    check(
        "report 1 SUCCEEDED\nwait 100000\ndeadline\nmissing",
        expect![[r#"
            report 1 SUCCEEDED -> building; Build Watch Due; Image Due aaaaaaa-1
            deadline -> building; unchanged
            missing -> failed (build#1 succeeded but pushed nothing to acme/backend under tag aaaaaaa-1; push "$ECR_REGISTRY/$IMAGE_REPO:$IMAGE_TAG" in the build phase)
        "#]],
    );
}

#[test]
fn facts_about_attempts_of_other_runs_change_nothing() {
    check(
        "9: bound 1\n9: report 1 SUCCEEDED",
        expect![[r#"
        9: bound 1 -> due; unchanged
        9: report 1 SUCCEEDED -> due; unchanged
    "#]],
    );
}

#[test]
fn a34_a_queued_build_that_gives_way_is_superseded_and_no_failure() {
    check(
        "bound 1\ngave way 1 ref\ngave way 1 ref\nretry 1",
        expect![[r#"
            bound 1 -> building; Build Watch Due
            gave way 1 ref -> superseded by 00112233aabbccdd, too many of the ref; Build Stop Due shop:1
            gave way 1 ref -> superseded by 00112233aabbccdd, too many of the ref; unchanged
            retry 1 -> superseded by 00112233aabbccdd, too many of the ref | due; Build Due; note: build#1 of backend is tried again as build#2 by towline
        "#]],
    );
    check(
        "gave way 1 repository\nreport 2 IN_PROGRESS",
        expect![[r#"
            gave way 1 repository -> superseded by 00112233aabbccdd, too many of the repository; Build Watch Due; Build Stop Due shop:1
            report 2 IN_PROGRESS -> superseded by 00112233aabbccdd, too many of the repository; Build Stop Due shop:2; unchanged
        "#]],
    );
}

#[test]
fn a_run_stands_as_its_worst_component_stands() {
    let check = |facts: &str, status: RunStatus| {
        let run = facts.lines().fold(new_run(), |run, line| {
            advance(run, &run_fact(line), at(0)).run
        });
        assert_eq!(run.status(), status, "{facts}");
    };
    check("bound 1", RunStatus::Building);
    check("report 1 SUCCEEDED\nimage 1", RunStatus::Succeeded);
    check("report 1 FAILED", RunStatus::Failed);
    check("cancel lee", RunStatus::Cancelled);
    check("superseded", RunStatus::Superseded);
    check("image 1\nimage 2", RunStatus::Held);
    check("report 1 FAILED\nretry 1", RunStatus::Building);
    let mut run = new_run();
    run.components.clear();
    assert_eq!(run.status(), RunStatus::Nothing);
    run.refused = Some(Refusal::NoCommit(run.key.commit.clone()));
    assert_eq!(run.status(), RunStatus::Refused);
    let git_ref = run.key.git_ref.clone();
    run.refused = Some(Refusal::Filtered(NotAdmitted::NotDefault(git_ref)));
    assert_eq!(run.status(), RunStatus::Skipped);
}

#[test]
fn the_id_of_a_run_follows_from_its_key_alone() {
    let run = new_run();
    assert_eq!(run.id, run.key.id());
    let mut other = run.key.clone();
    other.git_ref = common::good("refs/tags/main");
    assert_ne!(run.id, other.id(), "a12: a tag is not a branch of its name");
}

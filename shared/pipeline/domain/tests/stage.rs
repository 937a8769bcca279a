//! `stage::advance` fact by fact: who enters, who waits, who is refused and why.

#![expect(
    clippy::needless_pass_by_value,
    reason = "what is expected stands where it is expected"
)]

mod common;
#[path = "stage/contained.rs"]
mod contained;
#[path = "stage/drift.rs"]
mod drift;
#[path = "stage/rollbacks.rs"]
mod rollbacks;

use common::{at, intent_text, new_stage, number_of, policy, row_text, rule, stage_fact};
use expect_test::{Expect, expect};
use towline_domain::stage::{MOST_WAITING, Stage, Wait, advance};

/// Each line is a fact, at the second it stands in the script; `wait N` lets N seconds pass. Each
/// answer is what the ledger gains, what is owed and what was refused; the last line, the stage.
fn check(rules: &str, facts: &str, expect: Expect) {
    check_with(rules, &[], facts, expect);
}

fn check_with(rules: &str, not_executed: &[&str], facts: &str, expect: Expect) {
    let (mut rules, mut ruled) = (rules, rule(rules));
    let (mut stage, mut number, mut now) = (new_stage(), 1, 0);
    let mut text = String::new();
    for line in facts.lines().map(str::trim) {
        if let Some(new) = line.strip_prefix("rule ") {
            (rules, ruled) = (new, rule(new));
            continue;
        }
        if let Some(seconds) = line.strip_prefix("wait ") {
            now += common::good::<u64>(seconds);
            continue;
        }
        let fact = stage_fact(line, at(now));
        let policy = policy(&ruled, not_executed, number);
        let decision = advance(stage, &fact, policy, at(now));
        number += u64::from(decision.took_number);
        stage = decision.stage;
        let mut parts: Vec<String> = decision.rows.iter().map(row_text).collect();
        parts.extend(decision.intents.iter().map(intent_text));
        parts.extend(decision.refused.map(|why| format!("refused: {why}")));
        if parts.is_empty() {
            parts.push(if decision.changed { "noted" } else { "nothing" }.into());
        }
        text += &format!("{line} -> {}\n", parts.join("; "));
    }
    text += &stage_text(&stage, rules);
    expect.assert_eq(&text);
}

fn stage_text(stage: &Stage, rules: &str) -> String {
    let rule = rule(rules);
    let mut text = match &stage.pointer {
        Some(live) => format!("= {} v{}", number_of(&live.candidate.digest), live.version),
        None => "= nothing".into(),
    };
    for promotion in &stage.waiting {
        let why = match stage.wait_of(promotion, &rule) {
            None => "acts".into(),
            Some(Wait::Approval { given, needed }) => format!("{given}/{needed}"),
            Some(Wait::Turn { after }) => format!("after #{after}"),
            Some(Wait::Hold(_)) => "held".into(),
            Some(Wait::Person(_)) => "obstructed".into(),
            Some(Wait::Source { said }) => format!("unchecked ({said})"),
        };
        text += &format!(", #{} {why}", promotion.number);
    }
    text + if stage.hold.is_some() {
        ", held\n"
    } else {
        "\n"
    }
}

/// Puts the first image live in a stage whose promotions need no approval.
const FIRST_IS_LIVE: &str = "offer 1\nlease 1 for a\ntagged 1 by a";

#[test]
fn an_automatic_stage_takes_what_arrives_and_a_manual_one_waits_to_be_asked() {
    check(
        "auto",
        "offer 1\noffer 1\nlease 1 for a\ntagged 1 by a\noffer 1",
        expect![[r#"
        offer 1 -> #1 for 1 asked by towline; Promotion Due #1
        offer 1 -> nothing
        lease 1 for a -> noted
        tagged 1 by a -> moved to 1 v1
        offer 1 -> nothing
        = 1 v1
    "#]],
    );
    check(
        "manual",
        "offer 1\npromote 1 by lee\npromote 1 by lee\nlease 1 for a\ntagged 1 by a\npromote 1 by lee",
        expect![[r#"
            offer 1 -> noted
            promote 1 by lee -> #1 for 1 asked by @lee; Promotion Due #1
            promote 1 by lee -> denied @lee: promote 1111111: 1111111 is already waiting for prod, as promotion #1; refused: 1111111 is already waiting for prod, as promotion #1
            lease 1 for a -> noted
            tagged 1 by a -> moved to 1 v1
            promote 1 by lee -> denied @lee: promote 1111111: 1111111 is already live in prod; refused: 1111111 is already live in prod
            = 1 v1
        "#]],
    );
}

#[test]
fn i8_an_older_image_never_enters_by_itself_and_not_by_promotion() {
    check(
        "auto",
        "offer 2\noffer 1\nlease 1 for a\ntagged 1 by a\noffer 1\npromote 1 by lee",
        expect![[r#"
            offer 2 -> #1 for 2 asked by towline; Promotion Due #1
            offer 1 -> noted
            lease 1 for a -> noted
            tagged 1 by a -> moved to 2 v1
            offer 1 -> nothing
            promote 1 by lee -> denied @lee: promote 1111111: 1111111 is older than 2222222, which is live in prod; to go back, use rollback; refused: 1111111 is older than 2222222, which is live in prod; to go back, use rollback
            = 2 v1
        "#]],
    );
}

#[test]
fn the_same_bytes_built_again_are_no_news_unless_something_else_came_between() {
    let facts = format!("{FIRST_IS_LIVE}\noffer 2=1");
    check(
        "auto",
        &facts,
        expect![[r#"
        offer 1 -> #1 for 1 asked by towline; Promotion Due #1
        lease 1 for a -> noted
        tagged 1 by a -> moved to 1 v1
        offer 2=1 -> noted
        = 1 v1
    "#]],
    );
    let facts = format!(
        "{FIRST_IS_LIVE}\noffer 2\noffer 3=1\nlease 2 for a\ntagged 2 by a\nlease 3 for a\ntagged 3 by a"
    );
    check(
        "auto",
        &facts,
        expect![[r#"
        offer 1 -> #1 for 1 asked by towline; Promotion Due #1
        lease 1 for a -> noted
        tagged 1 by a -> moved to 1 v1
        offer 2 -> #2 for 2 asked by towline; Promotion Due #2
        offer 3=1 -> #3 for 1 asked by towline
        lease 2 for a -> noted
        tagged 2 by a -> moved to 2 v2; Promotion Due #3
        lease 3 for a -> noted
        tagged 3 by a -> moved to 1 v3
        = 1 v3
    "#]],
    );
    check(
        "keep; approval 1",
        "offer 1\noffer 2\noffer 3=1\noffer 4=1",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline
            offer 2 -> #2 for 2 asked by towline
            offer 3=1 -> #3 for 1 asked by towline
            offer 4=1 -> noted
            = nothing, #1 0/1, #2 0/1, #3 0/1
        "#]],
    );
}

#[test]
fn a_queue_goes_one_by_one_and_oldest_first() {
    check(
        "queue",
        "offer 1\noffer 2\noffer 3\nlease 1 for a\ntagged 1 by a\nlease 2 for b\ntagged 2 by b",
        expect![[r#"
        offer 1 -> #1 for 1 asked by towline; Promotion Due #1
        offer 2 -> #2 for 2 asked by towline
        offer 3 -> #3 for 3 asked by towline
        lease 1 for a -> noted
        tagged 1 by a -> moved to 1 v1; Promotion Due #2
        lease 2 for b -> noted
        tagged 2 by b -> moved to 2 v2; Promotion Due #3
        = 2 v2, #3 acts
    "#]],
    );
}

#[test]
fn superseding_keeps_what_acts_and_the_newest() {
    check(
        "supersede",
        "offer 1\noffer 2\noffer 3\nlease 1 for a\ntagged 1 by a",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline; Promotion Due #1
            offer 2 -> #2 for 2 asked by towline
            offer 3 -> #3 for 3 asked by towline; #2 superseded by towline: promotion #2 was superseded by #3 (3333333)
            lease 1 for a -> noted
            tagged 1 by a -> moved to 1 v1; Promotion Due #3
            = 1 v1, #3 acts
        "#]],
    );
}

#[test]
fn in_parallel_a_later_one_may_pass_one_that_lacks_approval() {
    check(
        "parallel; keep; approval 1",
        "offer 1\noffer 2\napprove 2 by lee\napprove 1 by lee\nlease 2 for a\ntagged 2 by a",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline
            offer 2 -> #2 for 2 asked by towline
            approve 2 by lee -> #2 approved by @lee; Promotion Due #2
            approve 1 by lee -> #1 approved by @lee
            lease 2 for a -> noted
            tagged 2 by a -> moved to 2 v1; #1 superseded by towline: promotion #1 was superseded: 2222222 is live and not older
            = 2 v1
        "#]],
    );
    check(
        "queue; keep; approval 1",
        "offer 1\noffer 2\napprove 2 by lee\napprove 1 by lee",
        expect![[r#"
        offer 1 -> #1 for 1 asked by towline
        offer 2 -> #2 for 2 asked by towline
        approve 2 by lee -> #2 approved by @lee
        approve 1 by lee -> #1 approved by @lee; Promotion Due #1
        = nothing, #1 acts, #2 after #1
    "#]],
    );
}

#[test]
fn i12_approval_needs_as_many_different_people_as_the_rule_says() {
    check(
        "approval 2",
        "offer 1\napprove 1 by lee\napprove 1 by lee\napprove 1 by LEE\napprove 1 by mallory\napprove 1 by park\napprove 1 by kim",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline
            approve 1 by lee -> #1 approved by @lee
            approve 1 by lee -> denied @lee: approve: @lee has already approved promotion #1; refused: @lee has already approved promotion #1
            approve 1 by LEE -> denied @LEE: approve: @LEE has already approved promotion #1; refused: @LEE has already approved promotion #1
            approve 1 by mallory -> denied @mallory: approve: @mallory does not have the right `approve`; these groups have it: managers; refused: @mallory does not have the right `approve`; these groups have it: managers
            approve 1 by park -> #1 approved by @park; Promotion Due #1
            approve 1 by kim -> denied @kim: approve: promotion #1 needs no approval; refused: promotion #1 needs no approval
            = nothing, #1 acts
        "#]],
    );
    check(
        "anybody; approval 1",
        "offer 1\napprove 1 by mallory",
        expect![[r#"
        offer 1 -> #1 for 1 asked by towline
        approve 1 by mallory -> #1 approved by @mallory; Promotion Due #1
        = nothing, #1 acts
    "#]],
    );
}

#[test]
fn a23_nobody_approves_what_they_pushed_or_wrote() {
    check(
        "approval 1",
        "offer 1\napprove 1 by dana\napprove 1 by DANA\napprove 1 by ada\napprove 1 by lee",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline
            approve 1 by dana -> denied @dana: approve: @dana pushed or wrote 1111111; someone else must approve it (approval.self: deny); refused: @dana pushed or wrote 1111111; someone else must approve it (approval.self: deny)
            approve 1 by DANA -> denied @DANA: approve: @DANA pushed or wrote 1111111; someone else must approve it (approval.self: deny); refused: @DANA pushed or wrote 1111111; someone else must approve it (approval.self: deny)
            approve 1 by ada -> denied @ada: approve: @ada pushed or wrote 1111111; someone else must approve it (approval.self: deny); refused: @ada pushed or wrote 1111111; someone else must approve it (approval.self: deny)
            approve 1 by lee -> #1 approved by @lee; Promotion Due #1
            = nothing, #1 acts
        "#]],
    );
    check(
        "self; approval 1",
        "offer 1\napprove 1 by dana",
        expect![[r#"
        offer 1 -> #1 for 1 asked by towline
        approve 1 by dana -> #1 approved by @dana; Promotion Due #1
        = nothing, #1 acts
    "#]],
    );
}

#[test]
fn a23_nobody_approves_what_contains_their_work_since_the_live_image() {
    let live = "offer 1 by kim\napprove 1 by lee\nlease 1 for a\ntagged 1 by a";
    check(
        "approval 1",
        &format!(
            "{live}\noffer 2 by kim\noffer 3 by park\napprove 3 by kim\napprove 3 by lee\nlease 3 for a\ntagged 3 by a\noffer 4 by park\napprove 4 by kim"
        ),
        expect![[r#"
            offer 1 by kim -> #1 for 1 asked by towline
            approve 1 by lee -> #1 approved by @lee; Promotion Due #1
            lease 1 for a -> noted
            tagged 1 by a -> moved to 1 v1
            offer 2 by kim -> #2 for 2 asked by towline
            offer 3 by park -> #3 for 3 asked by towline; #2 superseded by towline: promotion #2 was superseded by #3 (3333333)
            approve 3 by kim -> denied @kim: approve: @kim pushed or wrote something that 3333333 contains since 1111111, which is live; someone else must approve it (approval.self: deny); refused: @kim pushed or wrote something that 3333333 contains since 1111111, which is live; someone else must approve it (approval.self: deny)
            approve 3 by lee -> #3 approved by @lee; Promotion Due #3
            lease 3 for a -> noted
            tagged 3 by a -> moved to 3 v2
            offer 4 by park -> #4 for 4 asked by towline
            approve 4 by kim -> #4 approved by @kim; Promotion Due #4
            = 3 v2, #4 acts
        "#]],
    );
    check(
        "approval 1",
        &format!(
            "{live}\noffer 5 by park after 1:kim,3:lee,4:dana\napprove 2 by lee\napprove 2 by kim"
        ),
        expect![[r#"
            offer 1 by kim -> #1 for 1 asked by towline
            approve 1 by lee -> #1 approved by @lee; Promotion Due #1
            lease 1 for a -> noted
            tagged 1 by a -> moved to 1 v1
            offer 5 by park after 1:kim,3:lee,4:dana -> #2 for 5 asked by towline
            approve 2 by lee -> denied @lee: approve: @lee pushed or wrote something that 5555555 contains since 1111111, which is live; someone else must approve it (approval.self: deny); refused: @lee pushed or wrote something that 5555555 contains since 1111111, which is live; someone else must approve it (approval.self: deny)
            approve 2 by kim -> #2 approved by @kim; Promotion Due #2
            = 1 v1, #2 acts
        "#]],
    );
}

#[test]
fn a23_after_a_rollback_authors_of_what_was_live_count_again() {
    check(
        "approval 1; no hold",
        "offer 1 by dana\napprove 1 by lee\nlease 1 for a\ntagged 1 by a\noffer 2 by kim\napprove 2 by lee\nlease 2 for a\ntagged 2 by a\nrollback 1 by lee\nlease 3 for a\ntagged 3 by a\noffer 3 by park\napprove 4 by kim\napprove 4 by lee",
        expect![[r#"
            offer 1 by dana -> #1 for 1 asked by towline
            approve 1 by lee -> #1 approved by @lee; Promotion Due #1
            lease 1 for a -> noted
            tagged 1 by a -> moved to 1 v1
            offer 2 by kim -> #2 for 2 asked by towline
            approve 2 by lee -> #2 approved by @lee; Promotion Due #2
            lease 2 for a -> noted
            tagged 2 by a -> moved to 2 v2
            rollback 1 by lee -> #3 back to 1 asked by @lee; Promotion Due #3
            lease 3 for a -> noted
            tagged 3 by a -> moved to 1 v3
            offer 3 by park -> #4 for 3 asked by towline
            approve 4 by kim -> denied @kim: approve: @kim pushed or wrote something that 3333333 contains since 1111111, which is live; someone else must approve it (approval.self: deny); refused: @kim pushed or wrote something that 3333333 contains since 1111111, which is live; someone else must approve it (approval.self: deny)
            approve 4 by lee -> #4 approved by @lee; Promotion Due #4
            = 1 v3, #4 acts
        "#]],
    );
}

#[test]
fn a23_nobody_approves_when_there_are_more_authors_than_are_known() {
    check(
        "approval 1",
        "offer 3 by dana after 2:too-many\napprove 1 by lee",
        expect![[r#"
            offer 3 by dana after 2:too-many -> #1 for 3 asked by towline
            approve 1 by lee -> denied @lee: approve: too many people took part in what 3333333 contains to list them all, so nobody can approve it (approval.self: deny); someone with the right `override` can promote it with --override; refused: too many people took part in what 3333333 contains to list them all, so nobody can approve it (approval.self: deny); someone with the right `override` can promote it with --override
            = nothing, #1 0/1
        "#]],
    );
}

#[test]
fn s4_only_who_may_operate_promotes_and_holds() {
    check(
        "manual",
        "offer 1\npromote 1 by mallory\nhold by mallory now\nhold by lee now\nresume by mallory\nresume by lee\npromote 1 by lee\nreject 1 by mallory no\nrollback 1 by mallory",
        expect![[r#"
            offer 1 -> noted
            promote 1 by mallory -> denied @mallory: promote 1111111: @mallory does not have the right `operate`; these groups have it: managers; refused: @mallory does not have the right `operate`; these groups have it: managers
            hold by mallory now -> denied @mallory: hold: @mallory does not have the right `operate`; these groups have it: managers; refused: @mallory does not have the right `operate`; these groups have it: managers
            hold by lee now -> held by @lee: now
            resume by mallory -> denied @mallory: resume: @mallory does not have the right `operate`; these groups have it: managers; refused: @mallory does not have the right `operate`; these groups have it: managers
            resume by lee -> resumed by @lee
            promote 1 by lee -> #1 for 1 asked by @lee; Promotion Due #1
            reject 1 by mallory no -> denied @mallory: reject: promotion #1 is in progress; roll back instead; refused: promotion #1 is in progress; roll back instead
            rollback 1 by mallory -> denied @mallory: roll back to 1111111: @mallory does not have the right `operate`; these groups have it: managers; refused: @mallory does not have the right `operate`; these groups have it: managers
            = nothing, #1 acts
        "#]],
    );
}

#[test]
fn s4_a28_an_image_of_a_ref_that_is_not_admitted_enters_by_override_only() {
    check(
        "approval 1",
        "offer 1 of evil\npromote 2 of evil by lee\noverride 2 of evil by lee now\noverride 2 of evil by olga incident 4711\nlease 1 for a\ntagged 1 by a\noverride 3 of main by olga again",
        expect![[r#"
            offer 1 of evil -> #1 for 1 asked by towline; #1 refused by towline: promotion #1 was refused: 1111111 cannot be promoted to prod: by the default branch's .towline.yml, evil is not the default branch, and source.branches is not set; members of the groups in its rights.override can promote it with --override
            promote 2 of evil by lee -> denied @lee: promote 2222222: 2222222 cannot be promoted to prod: by the default branch's .towline.yml, evil is not the default branch, and source.branches is not set; members of the groups in its rights.override can promote it with --override; refused: 2222222 cannot be promoted to prod: by the default branch's .towline.yml, evil is not the default branch, and source.branches is not set; members of the groups in its rights.override can promote it with --override
            override 2 of evil by lee now -> denied @lee: promote 2222222: @lee does not have the right `override`; these groups have it: owners; refused: @lee does not have the right `override`; these groups have it: owners
            override 2 of evil by olga incident 4711 -> #2 override for 2 by @olga: incident 4711; Promotion Due #2
            lease 1 for a -> refused: promotion #1 is not in progress
            tagged 1 by a -> nothing
            override 3 of main by olga again -> #3 override for 3 by @olga: again
            = nothing, #2 acts, #3 after #2
        "#]],
    );
}

#[test]
fn s4_an_override_lets_what_waits_pass_its_gate_but_no_hold() {
    check(
        "approval 2",
        "offer 1\noverride 1 of main by olga incident 4711\noverride 1 of main by olga again\nhold by lee now\noffer 2",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline
            override 1 of main by olga incident 4711 -> #1 override for 1 by @olga: incident 4711; Promotion Due #1
            override 1 of main by olga again -> denied @olga: promote 1111111: 1111111 is already waiting for prod, as promotion #1; refused: 1111111 is already waiting for prod, as promotion #1
            hold by lee now -> held by @lee: now
            offer 2 -> noted
            = nothing, #1 acts, held
        "#]],
    );
}

#[test]
fn s4_what_waits_keeps_the_gate_it_was_requested_under() {
    check(
        "approval 2",
        "offer 1\napprove 1 by lee\nrule auto\noffer 1\napprove 1 by park",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline
            approve 1 by lee -> #1 approved by @lee
            offer 1 -> nothing
            approve 1 by park -> #1 approved by @park; Promotion Due #1
            = nothing, #1 acts
        "#]],
    );
    check(
        "anybody; approval 1",
        "offer 1\nrule approval 2\napprove 1 by mallory\napprove 1 by lee\nrule anybody; approval 1\nexpire 1",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline
            approve 1 by mallory -> denied @mallory: approve: @mallory does not have the right `approve`; these groups have it: managers; refused: @mallory does not have the right `approve`; these groups have it: managers
            approve 1 by lee -> #1 approved by @lee
            expire 1 -> Promotion Due #1
            = nothing, #1 acts
        "#]],
    );
    check(
        "approval 1; expires 600",
        "offer 1\nrule approval 1; expires 60\nwait 100\napprove 1 by lee\nexpire 1",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline; Promotion Watch Due #1
            approve 1 by lee -> denied @lee: approve: promotion #1 has expired; refused: promotion #1 has expired
            expire 1 -> #1 expired by towline: promotion #1 expired: nobody approved it within 1m
            = nothing
        "#]],
    );
}

#[test]
fn s4_an_earlier_approval_counts_only_if_the_present_gate_would_count_it() {
    check(
        "anybody; self; keep; approval 2",
        "offer 1\napprove 1 by mallory\napprove 1 by dana\nrule approval 2",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline
            approve 1 by mallory -> #1 approved by @mallory
            approve 1 by dana -> #1 approved by @dana; Promotion Due #1
            = nothing, #1 acts
        "#]],
    );
    check(
        "anybody; self; keep; approval 3",
        "offer 1\napprove 1 by mallory\napprove 1 by dana\nrule approval 2\napprove 1 by lee",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline
            approve 1 by mallory -> #1 approved by @mallory
            approve 1 by dana -> #1 approved by @dana
            approve 1 by lee -> #1 approved by @lee
            = nothing, #1 1/2
        "#]],
    );
}

#[test]
fn f31_after_the_end_there_is_nothing_to_approve() {
    check(
        "approval 1",
        "offer 1\nreject 1 by lee not today\napprove 1 by park\nreject 1 by park\noffer 1",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline
            reject 1 by lee not today -> #1 rejected by @lee: promotion #1 was rejected by @lee: not today
            approve 1 by park -> denied @park: approve: promotion #1 is already closed; refused: promotion #1 is already closed
            reject 1 by park -> denied @park: reject: promotion #1 is already closed; refused: promotion #1 is already closed
            offer 1 -> nothing
            = nothing
        "#]],
    );
    check(
        "approval 1",
        "offer 1\noffer 2\napprove 1 by lee\napprove 2 by lee\nreject 2 by lee too late",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline
            offer 2 -> #2 for 2 asked by towline; #1 superseded by towline: promotion #1 was superseded by #2 (2222222)
            approve 1 by lee -> denied @lee: approve: promotion #1 is already closed; refused: promotion #1 is already closed
            approve 2 by lee -> #2 approved by @lee; Promotion Due #2
            reject 2 by lee too late -> denied @lee: reject: promotion #2 is in progress; roll back instead; refused: promotion #2 is in progress; roll back instead
            = nothing, #2 acts
        "#]],
    );
    check(
        "auto",
        "offer 1\napprove 1 by lee\napprove 9 by lee",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline; Promotion Due #1
            approve 1 by lee -> denied @lee: approve: promotion #1 needs no approval; refused: promotion #1 needs no approval
            approve 9 by lee -> denied @lee: approve: promotion #9 is already closed; refused: promotion #9 is already closed
            = nothing, #1 acts
        "#]],
    );
}

#[test]
fn only_who_may_approve_may_reject() {
    check(
        "approval 1",
        "offer 1\nreject 1 by mallory no\nreject 1 by lee no",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline
            reject 1 by mallory no -> denied @mallory: reject: @mallory does not have the right `approve`; these groups have it: managers; refused: @mallory does not have the right `approve`; these groups have it: managers
            reject 1 by lee no -> #1 rejected by @lee: promotion #1 was rejected by @lee: no
            = nothing
        "#]],
    );
}

#[test]
fn an_approval_expires() {
    check(
        "expires 60; approval 2",
        "offer 1\napprove 1 by lee\nwait 59\nexpire 1\nwait 1\napprove 1 by park\nexpire 1\nexpire 1",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline; Promotion Watch Due #1
            approve 1 by lee -> #1 approved by @lee
            expire 1 -> nothing
            approve 1 by park -> denied @park: approve: promotion #1 has expired; refused: promotion #1 has expired
            expire 1 -> #1 expired by towline: promotion #1 expired: nobody else approved it within 1m
            expire 1 -> nothing
            = nothing
        "#]],
    );
    check(
        "expires 60; approval 1",
        "offer 1\napprove 1 by lee\nwait 60\nexpire 1",
        expect![[r#"
        offer 1 -> #1 for 1 asked by towline; Promotion Watch Due #1
        approve 1 by lee -> #1 approved by @lee; Promotion Due #1
        expire 1 -> nothing
        = nothing, #1 acts
    "#]],
    );
}

#[test]
fn a_newer_candidate_takes_the_place_of_one_that_lacks_approval() {
    check(
        "approval 2",
        "offer 1\napprove 1 by lee\noffer 2",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline
            approve 1 by lee -> #1 approved by @lee
            offer 2 -> #2 for 2 asked by towline; #1 superseded by towline: promotion #1 was superseded by #2 (2222222)
            = nothing, #2 0/2
        "#]],
    );
    check(
        "keep; approval 2",
        "offer 1\noffer 2",
        expect![[r#"
        offer 1 -> #1 for 1 asked by towline
        offer 2 -> #2 for 2 asked by towline
        = nothing, #1 0/2, #2 0/2
    "#]],
    );
}

#[test]
fn f14_f32_one_writer_at_a_time_has_the_lease() {
    check(
        "auto",
        "lease 1 for a\noffer 1\nlease 1 for a\nlease 1 for b\nlease 1 for a\ntagged 1 by b\nwait 60\nlease 1 for b\ntagged 1 by a\ntagged 1 by b\ntagged 1 by b",
        expect![[r#"
            lease 1 for a -> refused: promotion #1 is not in progress
            offer 1 -> #1 for 1 asked by towline; Promotion Due #1
            lease 1 for a -> noted
            lease 1 for b -> refused: another process is carrying out promotion #1
            lease 1 for a -> nothing
            tagged 1 by b -> refused: the lease for promotion #1 was lost
            lease 1 for b -> noted
            tagged 1 by a -> refused: the lease for promotion #1 was lost
            tagged 1 by b -> moved to 1 v1
            tagged 1 by b -> nothing
            = 1 v1
        "#]],
    );
}

#[test]
fn f29_what_cannot_be_tagged_ends_and_the_next_one_goes() {
    check(
        "queue",
        "offer 1\noffer 2\nuntaggable 1 by a\nlease 1 for a\nuntaggable 1 by b\nuntaggable 1 by a",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline; Promotion Due #1
            offer 2 -> #2 for 2 asked by towline
            untaggable 1 by a -> nothing
            lease 1 for a -> noted
            untaggable 1 by b -> nothing
            untaggable 1 by a -> #1 failed by towline: promotion #1 failed: the image no longer exists in the registry; build it again; Promotion Due #2
            = nothing, #2 acts
        "#]],
    );
}

#[test]
fn what_this_version_does_not_execute_is_refused_by_name() {
    check_with(
        "auto",
        &["stages.prod.deploy.ecs", "stages.prod.verify"],
        "offer 1\npromote 1 by lee",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline; #1 refused by towline: promotion #1 was refused: this version of Towline does not support stages.prod.deploy.ecs, stages.prod.verify; remove it from the definition to continue; refused: this version of Towline does not support stages.prod.deploy.ecs, stages.prod.verify; remove it from the definition to continue
            promote 1 by lee -> #2 for 1 asked by @lee; #2 refused by towline: promotion #2 was refused: this version of Towline does not support stages.prod.deploy.ecs, stages.prod.verify; remove it from the definition to continue; refused: this version of Towline does not support stages.prod.deploy.ecs, stages.prod.verify; remove it from the definition to continue
            = nothing
        "#]],
    );
}

#[test]
fn the_oldest_of_too_many_gives_way() {
    let rule = rule("queue; keep; approval 1");
    let mut stage = new_stage();
    let last = MOST_WAITING as u64 + 2;
    for order in 1..=last {
        let fact = stage_fact(&format!("offer {order}"), at(0));
        stage = advance(stage, &fact, policy(&rule, &[], order), at(0)).stage;
    }
    let numbers: Vec<u64> = stage.waiting.iter().map(|known| known.number).collect();
    assert_eq!(numbers, (3..=last).collect::<Vec<_>>());
}

#[test]
fn i12_only_approvers_undo_what_approvers_decided() {
    check(
        "auto; approval 1",
        &format!(
            "{FIRST_IS_LIVE}\nrollback 1 by eve\nhold by eve something smells\nresume by eve\nresume by lee"
        ),
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline
            lease 1 for a -> refused: promotion #1 is not in progress
            tagged 1 by a -> nothing
            rollback 1 by eve -> denied @eve: roll back to 1111111: @eve does not have the right `approve`; these groups have it: managers; refused: @eve does not have the right `approve`; these groups have it: managers
            hold by eve something smells -> denied @eve: hold: @eve does not have the right `operate`; these groups have it: managers; refused: @eve does not have the right `operate`; these groups have it: managers
            resume by eve -> denied @eve: resume: @eve does not have the right `approve`; these groups have it: managers; refused: @eve does not have the right `approve`; these groups have it: managers
            resume by lee -> denied @lee: resume: prod is not held; refused: prod is not held
            = nothing, #1 0/1
        "#]],
    );
}

#[test]
fn a_promotion_nobody_could_carry_out_gives_the_stage_free() {
    check(
        "auto",
        "offer 1\nlease 1 for a\ngive up 1\noffer 2",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline; Promotion Due #1
            lease 1 for a -> noted
            give up 1 -> #1 failed by towline: promotion #1 failed: the tags could not be set: tried 50 times since 2026-03-02 09:00 UTC
            offer 2 -> #2 for 2 asked by towline; Promotion Due #2
            = nothing, #2 acts
        "#]],
    );
}

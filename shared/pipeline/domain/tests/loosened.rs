//! What a change of the definition loosens, and how long the rules before it hold.

#![expect(
    clippy::needless_pass_by_value,
    reason = "what is expected stands where it is expected"
)]

mod common;

use common::{at, candidate, good, intent_text, new_stage, row_text, rule, stage_fact};
use expect_test::{Expect, expect};
use towline_domain::definition::{Definition, Glob, Source};
use towline_domain::explain;
use towline_domain::loosened;
use towline_domain::rights::Rights;
use towline_domain::stage::{Policy, advance};
use towline_domain::trusted::Trusted;

fn list(text: &str) -> Vec<String> {
    let parts = text.split(',').filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

/// A definition of the `order`th push: `approval 1 | main,release/* | owners`.
fn trusted(order: u64, text: &str) -> Trusted {
    let parts: Vec<&str> = text.split('|').map(str::trim).collect();
    let part = |index: usize| parts.get(index).copied().unwrap_or_default();
    let globs = list(part(1)).into_iter();
    let branches = globs.map(|text| Glob::new(&text).expect("a glob"));
    Trusted {
        definition: Definition {
            pipeline: good("shop"),
            source: Source {
                branches: branches.collect(),
                ..Source::default()
            },
            components: Vec::new(),
            stages: vec![rule(part(0))],
            rights: Rights {
                operate: Vec::new(),
                overrule: list(part(2)),
            },
            not_executed: Vec::new(),
        },
        commit: candidate(order).commit,
        order,
        branch: "main".into(),
        older: Vec::new(),
    }
}

fn changed(before: &Trusted, order: u64, text: &str) -> Trusted {
    let new = trusted(order, text);
    Trusted {
        older: loosened::after(before, &new),
        ..new
    }
}

#[test]
fn s11_a_change_loosens_a_gate_if_it_lets_more_pass() {
    for (old, new, is_looser) in [
        ("approval 2", "approval 1", true),
        ("approval 1", "approval 2", false),
        ("approval 1", "auto", true),
        ("approval 1", "manual; approval 1", false),
        ("approval 1", "anybody; approval 1", true),
        ("anybody; approval 1", "approval 1", false),
        ("approval 1", "self; approval 1", true),
        ("self; approval 1", "approval 1", false),
        ("approval 1; expires 60", "approval 1; expires 61", true),
        ("approval 1; expires 60", "approval 1", true),
        ("approval 1", "approval 1; expires 60", false),
        ("auto", "approval 1", false),
        ("approval 1", "approval 1 | main,evil", true),
        ("approval 1 | main,evil", "approval 1", false),
        ("auto", "auto | main,evil", false),
        ("approval 1", "approval 1 | | owners", true),
        ("approval 1 | | owners", "approval 1", false),
    ] {
        let older = loosened::after(&trusted(1, old), &trusted(2, new));
        assert_eq!(!older.is_empty(), is_looser, "{old} -> {new}");
    }
}

#[test]
fn s11_a_change_that_is_taken_back_leaves_nothing() {
    let first = trusted(1, "approval 2");
    let looser = changed(&first, 2, "auto");
    let looser_still = changed(&looser, 3, "auto | main,evil");
    assert_eq!(looser_still.older.len(), 1);
    assert_eq!(changed(&looser_still, 4, "approval 2").older, []);
}

/// Each line is a fact, or a `change ORDER to RULES` of the definition.
fn check(rules: &str, facts: &str, expect: Expect) {
    let mut trusted = trusted(1, rules);
    let (mut stage, mut number, mut text) = (new_stage(), 1, String::new());
    for line in facts.lines().map(str::trim) {
        if let Some(change) = line.strip_prefix("change ") {
            let (order, rules) = change.split_once(" to ").expect("an order and rules");
            trusted = changed(&trusted, good(order), rules);
            continue;
        }
        let policy = Policy {
            rule: &trusted.definition.stages[0],
            trusted: &trusted,
            not_executed: &[],
            next_number: number,
        };
        let decision = advance(stage, &stage_fact(line, at(0)), policy, at(0));
        number += u64::from(decision.took_number);
        stage = decision.stage;
        let mut parts: Vec<String> = decision.rows.iter().map(row_text).collect();
        parts.extend(decision.intents.iter().map(intent_text));
        parts.extend(decision.refused.map(|why| format!("refused: {why}")));
        for promotion in &stage.waiting {
            let rule = &trusted.definition.stages[0];
            let waits = explain::waiting(&stage, promotion, rule, at(0));
            parts.push(format!("#{} {waits}", promotion.number));
        }
        text += &format!("{line} -> {}\n", parts.join("; "));
    }
    expect.assert_eq(&text);
}

const FIRST_IS_LIVE: &str = "offer 1\napprove 1 by lee\nlease 1 for a\ntagged 1 by a";

#[test]
fn s11_the_gate_before_holds_until_a_promotion_with_the_change_was_approved_under_it() {
    check(
        "approval 1",
        &format!(
            "{FIRST_IS_LIVE}\nchange 3 to auto\noffer 2\napprove 2 by lee\nlease 2 for a\ntagged 2 by a\noffer 3\napprove 3 by lee\nlease 3 for a\ntagged 3 by a\noffer 4"
        ),
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline; #1 waits for approval 0/1
            approve 1 by lee -> #1 approved by @lee; Promotion Due #1; #1 is in progress
            lease 1 for a -> #1 is in progress
            tagged 1 by a -> moved to 1 v1
            offer 2 -> #2 for 2 asked by towline; #2 waits for approval 0/1 (by the rules before 3333333)
            approve 2 by lee -> #2 approved by @lee; Promotion Due #2; #2 is in progress
            lease 2 for a -> #2 is in progress
            tagged 2 by a -> moved to 2 v2
            offer 3 -> #3 for 3 asked by towline; #3 waits for approval 0/1 (by the rules before 3333333)
            approve 3 by lee -> #3 approved by @lee; Promotion Due #3; #3 is in progress
            lease 3 for a -> #3 is in progress
            tagged 3 by a -> moved to 3 v3
            offer 4 -> #4 for 4 asked by towline; Promotion Due #4; #4 is in progress
        "#]],
    );
}

#[test]
fn s11_branches_and_overrides_of_the_change_wait_for_it_too() {
    check(
        "approval 1",
        &format!(
            "{FIRST_IS_LIVE}\nchange 3 to approval 1 | main,evil | owners\noffer 2 of evil\noverride 2 of evil by olga now\noffer 3\napprove 3 by lee\nlease 3 for a\ntagged 3 by a\noffer 4 of evil\noverride 5 of main by olga now"
        ),
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline; #1 waits for approval 0/1
            approve 1 by lee -> #1 approved by @lee; Promotion Due #1; #1 is in progress
            lease 1 for a -> #1 is in progress
            tagged 1 by a -> moved to 1 v1
            offer 2 of evil -> #2 for 2 asked by towline; #2 refused by towline: promotion #2 was refused: 2222222 cannot be promoted to prod: evil is not the default branch, and source.branches is not set; 3333333 changes that, and takes effect once a promotion that contains it was approved under the old rules
            override 2 of evil by olga now -> denied @olga: promote 2222222: @olga does not have the right `override` yet; 3333333 grants it, and takes effect once a promotion that contains it was approved under the old rules; refused: @olga does not have the right `override` yet; 3333333 grants it, and takes effect once a promotion that contains it was approved under the old rules
            offer 3 -> #3 for 3 asked by towline; #3 waits for approval 0/1 (by the rules before 3333333)
            approve 3 by lee -> #3 approved by @lee; Promotion Due #3; #3 is in progress
            lease 3 for a -> #3 is in progress
            tagged 3 by a -> moved to 3 v2
            offer 4 of evil -> #4 for 4 asked by towline; #4 waits for approval 0/1
            override 5 of main by olga now -> #5 override for 5 by @olga: now; #4 superseded by towline: promotion #4 was superseded by #5 (5555555); Promotion Due #5; #5 is in progress
        "#]],
    );
}

#[test]
fn s11_a_stricter_gate_holds_at_once() {
    check(
        "approval 1",
        "offer 1\nchange 2 to approval 2\napprove 1 by lee\napprove 1 by park",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline; #1 waits for approval 0/1
            approve 1 by lee -> #1 approved by @lee; #1 waits for approval 1/2
            approve 1 by park -> #1 approved by @park; Promotion Due #1; #1 is in progress
        "#]],
    );
}

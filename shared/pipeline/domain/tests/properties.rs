//! What must hold after every fact, for any facts in any order; named by the ids of SECURITY.md.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{
    at, new_run, new_run_in_parts, new_stage, person, policy, rule, run_fact, stage_fact,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::Config;
use towline_domain::intent::Intent;
use towline_domain::ledger::{Head, Row, What};
use towline_domain::names::{BuildId, GitRef, Tag};
use towline_domain::person::Actor;
use towline_domain::run::{self, Attempt, AttemptState, Run};
use towline_domain::stage::{self, Decision, Stage};
use towline_domain::{Timestamp, tags};

fn cases(cases: u32) -> Config {
    Config {
        failure_persistence: None,
        ..Config::with_cases(cases)
    }
}

/// Any fact about the run's first three attempts.
fn any_run_fact() -> impl Strategy<Value = String> {
    const FACTS: [&str; 20] = [
        "bound 1",
        "bound 2",
        "report 1 IN_PROGRESS",
        "report 1 SUCCEEDED",
        "report 1 FAILED",
        "report 1 FAULT",
        "report 2 IN_PROGRESS",
        "report 2 SUCCEEDED",
        "report 2 STOPPED",
        "image 1",
        "image 2",
        "image 1 said 2",
        "missing",
        "deadline",
        "delayed busy",
        "refused no",
        "superseded",
        "cancel lee",
        "retry 1",
        "retry 2",
    ];
    (1..=3u32, select(&FACTS[..])).prop_map(|(of, fact)| format!("{of}: {fact}"))
}

/// Any fact about the parts of the run's first two attempts, or about one as a whole.
fn any_fact_of_parts() -> impl Strategy<Value = String> {
    const PARTS: [&str; 8] = [
        "bound #",
        "report # SUCCEEDED",
        "report # SUCCEEDED",
        "image #",
        "image #",
        "report # FAILED",
        "report # FAULT",
        "image 7",
    ];
    const WHOLE: [&str; 6] = [
        "index 9",
        "index 9",
        "image 9",
        "index 9 found 8",
        "retry 1 in parts",
        "cancel lee",
    ];
    let part = (
        1..=2u32,
        select(&["amd64", "arm64"][..]),
        select(&PARTS[..]),
    );
    let part = part.prop_map(|(of, platform, fact)| {
        let number = if platform == "amd64" { "1" } else { "2" };
        format!("{of}/{platform}: {}", fact.replace('#', number))
    });
    let whole = (1..=2u32, select(&WHOLE[..])).prop_map(|(of, fact)| format!("{of}: {fact}"));
    prop_oneof![5 => part, 1 => whole]
}

/// Some time after the start; now and then past every deadline.
fn any_time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![9 => 0..1_000u64, 1 => Just(100_000)].prop_map(at)
}

fn check_run_step(before: &Run, after: &Run) {
    for (name, component) in &before.components {
        for (position, old) in component.attempts.iter().enumerate() {
            let new = &after.components[name].attempts[position];
            check_attempt_step(old, new);
            assert_eq!(old.parts.len(), new.parts.len());
            for (old, new) in old.parts.iter().zip(&new.parts) {
                check_attempt_step(old, new);
            }
            let ended = new.state.is_terminal();
            let open = new.parts.iter().any(|part| !part.state.is_terminal());
            assert!(!(ended && open), "its parts end with it");
        }
    }
}

fn check_attempt_step(old: &Attempt, new: &Attempt) {
    assert_eq!(old.id, new.id);
    if old.state.is_terminal() {
        assert_eq!(
            (&old.state, &old.build, &old.image),
            (&new.state, &new.build, &new.image)
        );
    }
    assert!(old.build.is_none() || old.build == new.build, "I5");
    assert!(!old.build_succeeded || new.build_succeeded);
    let back = old.state == AttemptState::Building && new.state == AttemptState::Due;
    assert!(!back, "I2");
}

proptest! {
    #![proptest_config(cases(5_000))]

    #[test]
    fn i2_i5_attempts_only_go_forward_and_keep_their_one_build(
        facts in vec((any_run_fact(), any_time()), 0..25),
    ) {
        let mut run = new_run();
        for (fact, now) in facts {
            let decision = run::advance(run.clone(), &run_fact(&fact), now);
            check_run_step(&run, &decision.run);
            prop_assert_eq!(decision.changed, decision.run != run);
            run = decision.run;
        }
    }

    #[test]
    fn i5_a_build_that_is_not_the_bound_one_is_stopped_and_changes_nothing(
        facts in vec((any_run_fact(), any_time()), 0..15),
    ) {
        let run = facts
            .iter()
            .fold(new_run(), |run, (fact, now)| run::advance(run, &run_fact(fact), *now).run);
        let stranger: BuildId = common::good("shop:9");
        for status in ["IN_PROGRESS", "SUCCEEDED", "FAILED", "FAULT"] {
            let (_, _, first) = run.attempt(&common::attempt_id(1)).expect("every run has it");
            if first.build.is_none() && !first.state.is_terminal() {
                continue;
            }
            let decision = run::advance(run.clone(), &run_fact(&format!("report 9 {status}")), at(5));
            prop_assert!(!decision.changed);
            let stops = vec![Intent::BuildStopDue { build: stranger.clone() }];
            prop_assert_eq!(decision.intents, if status == "IN_PROGRESS" { stops } else { vec![] });
        }
    }

    #[test]
    fn i6_what_succeeded_has_a_bound_build_that_succeeded_and_an_image(
        facts in vec((any_run_fact(), any_time()), 0..25),
    ) {
        let mut run = new_run();
        let mut reported = BTreeSet::new();
        for (fact, now) in facts {
            let fact = run_fact(&fact);
            if let run::Fact::BuildReported(of, report) = &fact
                && report.status == run::BuildStatus::Succeeded
            {
                reported.insert((of.clone(), report.build.clone()));
            }
            run = run::advance(run, &fact, now).run;
            for attempt in run.components.values().flat_map(|component| &component.attempts) {
                if attempt.state == AttemptState::Succeeded {
                    let build = attempt.build.clone().expect("a bound build");
                    prop_assert!(reported.contains(&(attempt.id.clone(), build)));
                    prop_assert!(attempt.image.is_some());
                }
            }
        }
    }

    #[test]
    fn i11_a_fact_about_a_run_twice_is_as_good_as_once(
        facts in vec((any_run_fact(), any_time()), 0..15),
        last in any_run_fact(),
        now in any_time(),
    ) {
        let run = facts
            .iter()
            .fold(new_run(), |run, (fact, now)| run::advance(run, &run_fact(fact), *now).run);
        let once = run::advance(run, &run_fact(&last), now).run;
        let twice = run::advance(once.clone(), &run_fact(&last), now);
        prop_assert!(!twice.changed);
        prop_assert_eq!(once, twice.run);
    }

    #[test]
    fn i11_the_facts_of_one_attempt_come_to_the_same_in_any_order(
        ending in select(&["SUCCEEDED", "FAILED", "FAULT", "STOPPED", "TIMED_OUT"][..]),
        order in vec(any::<Index>(), 12),
    ) {
        let ends = format!("report 1 {ending}");
        let mut facts = vec!["bound 1", "report 1 IN_PROGRESS", &ends, "image 1", "bound 1", "image 1"];
        let live = |facts: &[&str]| {
            let run = facts.iter().fold(new_run(), |run, fact| run::advance(run, &run_fact(fact), at(9)).run);
            let attempt = run.components.values().next().expect("one").latest().clone();
            (attempt.state, attempt.build, attempt.image)
        };
        let usual = live(&facts);
        prop_assert!(usual.0.is_terminal());
        for pair in order.chunks(2) {
            facts.swap(pair[0].index(6), pair[1].index(6));
        }
        prop_assert_eq!(live(&facts), usual);
    }

    #[test]
    fn i2_i6_i11_an_attempt_in_parts_keeps_to_the_same_rules(
        facts in vec((any_fact_of_parts(), any_time()), 0..25),
    ) {
        let mut run = new_run_in_parts();
        let mut said: BTreeSet<String> = BTreeSet::new();
        for (line, now) in facts {
            let fact = run_fact(&line);
            let decision = run::advance(run.clone(), &fact, now);
            check_run_step(&run, &decision.run);
            prop_assert_eq!(decision.changed, decision.run != run);
            run = decision.run;
            let again = run::advance(run.clone(), &fact, now);
            prop_assert!(!again.changed && again.run == run, "{} twice", line);
            said.insert(line);
            for attempt in run.components.values().flat_map(|component| &component.attempts) {
                if attempt.state != AttemptState::Succeeded {
                    continue;
                }
                prop_assert_eq!(&attempt.image, &Some(common::digest(9)));
                let put = format!("{}: index 9", attempt.number);
                prop_assert!(said.contains(&put));
                for (number, part) in (1..).zip(&attempt.parts) {
                    let of = format!("{}/{}", attempt.number, ["amd64", "arm64"][number - 1]);
                    let reported = format!("{of}: report {number} SUCCEEDED");
                    prop_assert!(part.build.is_some() && part.image.is_some() && said.contains(&reported));
                }
            }
        }
    }

    #[test]
    fn i11_the_facts_of_all_parts_come_to_the_same_in_any_order(
        ending in select(&["SUCCEEDED", "FAILED", "FAULT", "STOPPED", "TIMED_OUT"][..]),
        order in vec(any::<Index>(), 20),
    ) {
        let ends = format!("1/arm64: report 2 {ending}");
        let mut facts = vec![
            "1/amd64: bound 1", "1/amd64: report 1 IN_PROGRESS", "1/amd64: report 1 SUCCEEDED", "1/amd64: image 1",
            "1/arm64: bound 2", "1/arm64: report 2 IN_PROGRESS", &ends, "1/arm64: image 2",
            "1/arm64: image 2", "1/amd64: report 1 SUCCEEDED",
        ];
        let live = |facts: &[&str]| {
            let (mut run, mut due) = (new_run_in_parts(), 0);
            for fact in facts {
                let decision = run::advance(run, &run_fact(fact), at(9));
                due += decision.intents.iter().filter(|intent| matches!(intent, Intent::IndexDue(_))).count();
                run = decision.run;
            }
            let index = run::advance(run, &run_fact("index 9"), at(9)).run;
            let attempt = index.components.values().next().expect("one").latest().clone();
            let builds: Vec<_> = attempt.parts.iter().map(|part| part.build.clone()).collect();
            (attempt.state, attempt.image, due, if ending == "SUCCEEDED" { builds } else { vec![] })
        };
        let usual = live(&facts);
        prop_assert!(usual.0.is_terminal());
        prop_assert_eq!(usual.2, usize::from(ending == "SUCCEEDED"));
        for pair in order.chunks(2) {
            facts.swap(pair[0].index(10), pair[1].index(10));
        }
        prop_assert_eq!(live(&facts), usual);
    }

    #[test]
    fn a_part_that_fails_leaves_no_build_of_another_running(
        order in vec(any::<Index>(), 10),
    ) {
        let mut facts = vec![
            "1/amd64: bound 1", "1/amd64: report 1 IN_PROGRESS", "1/amd64: image 1",
            "1/arm64: bound 2", "1/arm64: report 2 FAILED",
        ];
        for pair in order.chunks(2) {
            facts.swap(pair[0].index(5), pair[1].index(5));
        }
        let (mut run, mut stopped) = (new_run_in_parts(), false);
        for fact in facts {
            let decision = run::advance(run, &run_fact(fact), at(9));
            let stop = Intent::BuildStopDue { build: common::good("shop:1") };
            stopped |= decision.intents.contains(&stop);
            run = decision.run;
        }
        prop_assert!(stopped);
    }

    #[test]
    fn a11_refs_of_different_names_have_different_slugs_that_are_tags(
        one in any_ref(),
        other in any_ref(),
    ) {
        let (slug, second) = (tags::slug(&one), tags::slug(&other));
        prop_assert!(slug.parse::<Tag>().is_ok(), "{:?}", slug);
        prop_assert!(slug.len() <= 60);
        prop_assert_eq!(one == other, slug == second);
    }
}

/// A ref made of what slugs could confuse, or of anything.
fn any_ref() -> impl Strategy<Value = GitRef> {
    let name = prop_oneof![
        "[aA/._-]{1,4}",
        "[a-c/-]{40,60}",
        "\\PC{1,20}",
        "main(--[0-9a-f]{10})?"
    ];
    (name, any::<bool>()).prop_map(|(name, tag)| {
        if tag {
            GitRef::Tag(name)
        } else {
            GitRef::Branch(name)
        }
    })
}

const PEOPLE: [&str; 6] = ["lee", "LEE", "park", "dana", "ada", "mallory"];
const RULES: [&str; 7] = [
    "auto",
    "manual; supersede",
    "parallel; keep; approval 1",
    "approval 2",
    "keep; expires 500; approval 2",
    "supersede; self; approval 1",
    "auto; no hold",
];

/// Any fact about a stage; writers have the names of a and b.
fn any_stage_fact() -> impl Strategy<Value = String> {
    let who = || select(&PEOPLE[..]);
    prop_oneof![
        4 => (1..8u64).prop_map(|order| format!("offer {order}")),
        1 => (1..8u64, who()).prop_map(|(order, who)| format!("promote {order} by {who}")),
        5 => (1..6u64, who()).prop_map(|(number, who)| format!("approve {number} by {who}")),
        1 => (1..6u64, who()).prop_map(|(number, who)| format!("reject {number} by {who} no")),
        1 => (1..8u64, who()).prop_map(|(order, who)| format!("rollback {order} by {who}")),
        1 => who().prop_map(|who| format!("hold by {who} wait")),
        2 => who().prop_map(|who| format!("resume by {who}")),
        4 => (1..6u64, select(&["a", "b"][..])).prop_map(|(number, who)| format!("lease {number} for {who}")),
        6 => (1..6u64, select(&["a", "b"][..])).prop_map(|(number, who)| format!("tagged {number} by {who}")),
        1 => (1..6u64, select(&["a", "b"][..])).prop_map(|(number, who)| format!("untaggable {number} by {who}")),
        2 => (1..6u64, select(&["contained", "unknown: no answer", "not on refs/heads/main"][..]))
            .prop_map(|(number, found)| format!("commit of {number} {found}")),
        1 => (1..6u64, select(&["a", "b"][..])).prop_map(|(number, who)| format!("obstructed {number} by {who}")),
        1 => (1..6u64).prop_map(|number| format!("expire {number}")),
        1 => (1..9u64).prop_map(|order| format!("outside prod on {order}")),
    ]
}

/// Applies the facts of a stage and passes every step to `check`.
fn live(
    rules: &str,
    facts: &[(String, Timestamp)],
    mut check: impl FnMut(&Stage, &stage::Fact, &Decision),
) {
    let rule = rule(rules);
    let (mut stage, mut number) = (new_stage(), 1);
    for (fact, now) in facts {
        let fact = stage_fact(fact, *now);
        // A rollback returns to an image that was live: the caller has looked that up (A29).
        let decision = stage::advance(stage.clone(), &fact, policy(&rule, &[], number), *now);
        assert_eq!(decision.changed, decision.stage != stage, "{fact:?}");
        check(&stage, &fact, &decision);
        number += u64::from(decision.took_number);
        stage = decision.stage;
        let numbers: BTreeSet<u64> = stage.waiting.iter().map(|known| known.number).collect();
        assert_eq!(
            numbers.len(),
            stage.waiting.len(),
            "each has a number of its own: {fact:?}"
        );
    }
}

fn acting(stage: &Stage) -> Vec<u64> {
    stage
        .waiting
        .iter()
        .filter(|known| known.acting)
        .map(|known| known.number)
        .collect()
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn i8_i9_a_pointer_moves_by_one_through_the_one_promotion_that_acts(
        rules in select(&RULES[..]),
        facts in vec((any_stage_fact(), any_time()), 0..40),
    ) {
        live(rules, &facts, |before, _, decision| {
            let after = &decision.stage;
            assert!(acting(after).len() <= 1, "I9");
            assert_eq!(decision.moved, before.pointer != after.pointer);
            if let (true, Some(now)) = (decision.moved, &after.pointer) {
                let old = before.pointer.as_ref();
                assert_eq!(now.version, old.map_or(0, |old| old.version) + 1);
                assert_eq!(acting(before), [now.promotion]);
                assert!(now.rollback || old.is_none_or(|old| old.candidate.order < now.candidate.order));
            }
            for number in acting(after).into_iter().filter(|number| !acting(before).contains(number)) {
                let begun = after.promotion(number).expect("it acts");
                let live = after.pointer.as_ref();
                assert!(begun.rollback || after.hold.is_none(), "I8");
                assert!(begun.rollback || live.is_none_or(|live| live.candidate.order < begun.candidate.order));
            }
        });
    }

    #[test]
    fn i12_what_acts_has_the_yes_of_enough_people_who_may(
        rules in select(&RULES[2..6]),
        facts in vec((any_stage_fact(), any_time()), 0..40),
    ) {
        let approval = rule(rules).approval.expect("a rule with approval");
        let mut rows: Vec<Row> = Vec::new();
        live(rules, &facts, |before, _, decision| {
            rows.extend(decision.rows.clone());
            for number in acting(&decision.stage).into_iter().filter(|number| !acting(before).contains(number)) {
                let begun = decision.stage.promotion(number).expect("it acts");
                let yes: BTreeSet<String> = rows.iter().filter_map(|row| match (&row.what, &row.by) {
                    (What::Approved { promotion, digest, commit, .. }, Actor::Person(login))
                        if *promotion == number && *digest == begun.candidate.digest && *commit == begun.candidate.commit =>
                    {
                        let person = person(login);
                        assert!(person.is_in(&approval.groups));
                        assert!(approval.allow_self || !person.is_one_of(&begun.candidate.authors));
                        Some(login.to_lowercase())
                    }
                    _ => None,
                }).collect();
                assert!(begun.rollback || yes.len() >= approval.min as usize, "{yes:?}");
            }
        });
    }

    #[test]
    fn i3_the_ledger_is_a_chain_that_folds_into_the_stage(
        rules in select(&RULES[..]),
        facts in vec((any_stage_fact(), any_time()), 0..40),
    ) {
        let mut head = Head::default();
        let (mut version, mut held) = (0, false);
        let mut waiting: BTreeMap<u64, usize> = BTreeMap::new();
        live(rules, &facts, |_, _, decision| {
            for row in &decision.rows {
                assert_eq!((row.sequence, &row.previous), (head.sequence + 1, &head.hash));
                head = Head { sequence: row.sequence, hash: row.hash() };
                match &row.what {
                    What::Requested { promotion, .. } | What::Overridden { promotion, .. } => assert_eq!(waiting.insert(*promotion, 0), None),
                    What::Approved { promotion, .. } => *waiting.get_mut(promotion).expect("it waits") += 1,
                    What::Ended { promotion, .. } => assert!(waiting.remove(promotion).is_some()),
                    What::Moved { promotion, version: now, .. } => {
                        assert!(waiting.remove(promotion).is_some());
                        version = *now;
                    }
                    What::Held { .. } => held = true,
                    What::Resumed => held = false,
                    What::Denied { .. } | What::Drifted { .. } => {}
                }
            }
            let stage = &decision.stage;
            assert_eq!(head, stage.ledger);
            assert_eq!(version, stage.pointer.as_ref().map_or(0, |pointer| pointer.version));
            assert_eq!(held, stage.hold.is_some());
            let known: BTreeMap<u64, usize> = stage.waiting.iter().map(|known| (known.number, known.approvals.len())).collect();
            assert_eq!(waiting, known);
        });
    }

    #[test]
    fn i11_what_a_machine_says_of_a_stage_twice_is_as_good_as_once(
        rules in select(&RULES[..]),
        facts in vec((any_stage_fact(), any_time()), 0..30),
    ) {
        let rule = rule(rules);
        let mut times = facts.iter().map(|(_, now)| *now);
        live(rules, &facts, |_, fact, decision| {
            let now = times.next().expect("one for each fact");
            let by_machine = matches!(fact, stage::Fact::Offered(_) | stage::Fact::Tagged { .. }
                | stage::Fact::TagRefused { .. } | stage::Fact::CommitLookedUp { .. }
                | stage::Fact::ExpiryDue { .. } | stage::Fact::TagMovedOutside { .. });
            if by_machine && decision.refused.is_none() {
                let again = stage::advance(decision.stage.clone(), fact, policy(&rule, &[], 99), now);
                assert!(again.rows.is_empty() && !again.changed, "{fact:?}: {again:?}");
            }
        });
    }
}

//! Which deliveries GitHub is asked to repeat, and how often.

use towline_domain::Timestamp;
use towline_domain::redelivery::{Attempt, Redeliveries};

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(minute * 60).expect("a time")
}

/// Attempts such as `a@3 failed` by GUID and minute, one a line.
fn attempts(text: &str) -> Vec<Attempt> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let attempt = |line: &str| {
        let (guid, rest) = line.trim().split_once('@').expect("a GUID");
        let (minute, how) = rest.split_once(' ').expect("a minute");
        Attempt {
            guid: guid.into(),
            at: at(minute.parse().expect("a number")),
            succeeded: how == "ok",
        }
    };
    lines.map(attempt).collect()
}

/// The rounds at these minutes, each with what GitHub lists then: what is asked for, healed and lost.
fn check(rounds: &[(i64, &str)], expected: &[&str]) {
    let mut known = Redeliveries::default();
    let mut said = Vec::new();
    for (minute, text) in rounds {
        let round = known.round(&attempts(text), at(*minute));
        for (word, guids) in [
            ("ask", &round.ask),
            ("healed", &round.healed),
            ("lost", &round.lost),
        ] {
            let guids = guids.iter().map(|guid| format!("{minute}: {word} {guid}"));
            said.extend(guids);
        }
        known = round.after;
    }
    assert_eq!(said, expected, "{rounds:?}");
}

#[test]
fn f8_a_failed_delivery_is_asked_for_until_it_is_answered() {
    check(&[(20, "a@1 ok\nb@2 failed")], &["20: ask b"]);
    // It may still be under way.
    check(&[(5, "a@1 failed")], &[]);
    // It was repeated by hand.
    check(&[(20, "a@1 failed\na@9 ok")], &[]);
    check(
        &[
            (20, "a@1 failed"),
            (25, "a@1 failed"),
            (35, "a@1 failed\na@21 ok"),
            (45, "a@1 failed\na@21 ok"),
        ],
        &["20: ask a", "35: healed a"],
    );
}

#[test]
fn f8_a_delivery_is_asked_for_twice_and_then_said_to_be_lost() {
    check(
        &[
            (20, "a@1 failed"),
            (40, "a@1 failed\na@21 failed"),
            (60, "a@1 failed\na@21 failed\na@41 failed"),
            (80, "a@1 failed\na@21 failed\na@41 failed"),
            (99, "a@1 failed\na@21 failed\na@41 failed"),
        ],
        &["20: ask a", "40: ask a", "60: lost a"],
    );
}

#[test]
fn f8_nothing_older_than_github_keeps_is_asked_for() {
    let days = |days: i64| days * 24 * 60;
    check(&[(days(3), "a@1 failed")], &[]);
    check(&[(days(2), "a@1 failed")], &["2880: ask a"]);
}

#[test]
fn f8_a_round_asks_for_a_few_and_the_next_for_the_rest() {
    let many: Vec<String> = (0..30)
        .map(|number| format!("d{number:02}@1 failed"))
        .collect();
    let many = attempts(&many.join("\n"));
    let first = Redeliveries::default().round(&many, at(20));
    let second = first.after.round(&many, at(21));
    assert_eq!((first.ask.len(), second.ask.len()), (20, 10));
}

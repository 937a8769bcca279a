//! Which pushes and deletions are news.

use expect_test::expect;
use towline_domain::arrival::{Reporter, Stored, is_duplicate, is_news};
use towline_domain::names::CommitSha;
use towline_domain::plan::Branch;

fn commit(letter: &str) -> CommitSha {
    letter.repeat(40).parse().expect("a commit")
}

/// `at a`, `was a` for a deleted ref, or `-`.
fn branch(text: &str) -> Option<Branch> {
    let (word, letter) = text.split_once(' ')?;
    Some(Branch {
        head: Some(commit(letter)),
        deleted: word == "was",
        ..Branch::default()
    })
}

#[test]
fn s2_a_known_push_is_a_duplicate_only_while_its_ref_is_there() {
    let mut text = String::new();
    for stored in [Stored::Never, Stored::Owed, Stored::Planned] {
        for place in ["-", "at a", "at b", "was b"] {
            let branch = branch(place);
            let answer = match is_duplicate(stored, branch.as_ref(), &commit("b")) {
                true => "duplicate",
                false => "news",
            };
            text += &format!("{stored:?}, {place}: {answer}\n");
        }
    }
    expect![[r#"
        Never, -: news
        Never, at a: news
        Never, at b: news
        Never, was b: news
        Owed, -: duplicate
        Owed, at a: duplicate
        Owed, at b: duplicate
        Owed, was b: duplicate
        Planned, -: news
        Planned, at a: news
        Planned, at b: duplicate
        Planned, was b: news
    "#]]
    .assert_eq(&text);
}

#[test]
fn s2_a_repeated_webhook_does_not_delete_a_ref_that_was_created_again() {
    let mut text = String::new();
    for reporter in [Reporter::Webhook("5c1d".into()), Reporter::Sweep] {
        for noted in [false, true] {
            for place in ["-", "at a", "was a"] {
                let branch = branch(place);
                let answer = match is_news(&reporter, noted, branch.as_ref()) {
                    true => "news",
                    false => "nothing new",
                };
                let before = if noted { ", noted before" } else { "" };
                text += &format!("{}{before}, {place}: {answer}\n", reporter.delivery());
            }
        }
    }
    expect![[r#"
        5c1d, -: nothing new
        5c1d, at a: news
        5c1d, was a: news
        5c1d, noted before, -: nothing new
        5c1d, noted before, at a: nothing new
        5c1d, noted before, was a: nothing new
        found by the sweep, -: nothing new
        found by the sweep, at a: news
        found by the sweep, was a: nothing new
        found by the sweep, noted before, -: nothing new
        found by the sweep, noted before, at a: news
        found by the sweep, noted before, was a: nothing new
    "#]]
    .assert_eq(&text);
}

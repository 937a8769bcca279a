//! Which refs are where no push has moved them, and what follows.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use common::new_run;
use towline_domain::Timestamp;
use towline_domain::definition::{Glob, Source};
use towline_domain::heads::{
    Heads, Listed, MOST_OPEN, Missed, Moved, Open, Rules, Verdict, first_seen, judge, missed,
    newest,
};
use towline_domain::names::{CommitSha, GitRef};
use towline_domain::plan::Branch;
use towline_domain::reason::Refusal;
use towline_domain::run::Run;

const PATIENCE: Duration = Duration::from_secs(120);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn commit(letter: &str) -> CommitSha {
    letter.repeat(40).parse().expect("a commit")
}

/// `main` or `tags/v1`.
fn git_ref(name: &str) -> GitRef {
    match name.strip_prefix("tags/") {
        Some(tag) => GitRef::Tag(tag.into()),
        None => GitRef::Branch(name.into()),
    }
}

/// Refs such as `main=a tags/v1=b`.
fn listed(text: &str) -> Listed {
    let refs = text.split_whitespace().map(|word| {
        let (name, letter) = word.split_once('=').expect("a ref and its object");
        (git_ref(name), commit(letter))
    });
    Listed {
        mark: Some(text.into()),
        refs: refs.collect(),
    }
}

/// Rules that admit these branches, and the tags `v*` if `v*` is among them.
fn rules(patterns: &str) -> Rules {
    let globs = |of_tags: bool| {
        let words = patterns.split_whitespace();
        let words = words.filter(|word| word.starts_with('v') == of_tags);
        words
            .map(|word| Glob::new(word).expect("a pattern"))
            .collect()
    };
    Rules {
        source: Source {
            branches: globs(false),
            tags: globs(true),
            ..Source::default()
        },
        default_branch: "main".into(),
    }
}

/// The open moves, as `main a->b since 0`.
fn open(heads: &Heads) -> Vec<String> {
    let letter = |commit: &Option<CommitSha>| {
        let commit = commit
            .as_ref()
            .map(|commit| commit.as_str()[..1].to_owned());
        commit.unwrap_or_else(|| "-".into())
    };
    let lines = heads.open.iter().map(|(git_ref, open)| {
        format!(
            "{} {}->{} since {}",
            git_ref.name(),
            letter(&open.from),
            letter(&open.at),
            open.since.as_second()
        )
    });
    lines.collect()
}

/// The open moves after each list, one a minute; `planned` are the refs with a run.
fn check(lists: &[(&str, &str)], planned: &[&str], expected: &[&str]) {
    let mut heads: Option<Heads> = None;
    for (number, (patterns, refs)) in (0..).zip(lists) {
        let (rules, listed) = (rules(patterns), listed(refs));
        let new = first_seen(heads.as_ref(), &listed, &rules);
        let planned: BTreeSet<GitRef> = new
            .into_iter()
            .filter(|new| planned.iter().any(|name| git_ref(name) == **new))
            .cloned()
            .collect();
        let now = at(60 * number);
        heads = Some(Heads::then(heads.as_ref(), listed, rules, &planned, now));
    }
    assert_eq!(open(&heads.expect("a list")), expected, "{lists:?}");
}

#[test]
fn f8_moves_stay_open_with_where_the_ref_was() {
    check(&[("main", "main=a topic=a")], &[], &[]);
    check(
        &[("main", "main=a"), ("main", "main=b topic=c")],
        &[],
        &["main a->b since 60"],
    );
    // It moves again before anyone has explained the first move.
    check(
        &[("main", "main=a"), ("main", "main=b"), ("main", "main=c")],
        &[],
        &["main a->c since 60"],
    );
    check(
        &[("main r*", "main=a"), ("main r*", "main=a r1=b")],
        &[],
        &["r1 -->b since 60"],
    );
    check(
        &[("main r*", "main=a r1=b"), ("main r*", "main=a")],
        &[],
        &["r1 b->- since 60"],
    );
    check(
        &[
            ("main v*", "main=a"),
            ("main v*", "main=a tags/v1=b tags/x=b"),
        ],
        &[],
        &["v1 -->b since 60"],
    );
}

#[test]
fn f8_refs_from_before_they_were_watched_are_no_news_unless_they_were_planned() {
    check(
        &[("main r*", "main=a r1=b r2=c")],
        &["main"],
        &["main -->a since 0"],
    );
    check(
        &[
            ("main", "main=a r1=b r2=c"),
            ("main r*", "main=a r1=b r2=c"),
        ],
        &["r2"],
        &["r2 -->c since 60"],
    );
    // Rules that no longer admit a ref close its move.
    check(
        &[
            ("main r*", "main=a"),
            ("main r*", "main=a r1=b"),
            ("main", "main=a r1=b"),
        ],
        &[],
        &[],
    );
}

#[test]
fn f8_a_move_is_missed_if_no_push_explains_it_in_time() {
    let branch = |head: Option<&str>, deleted| Branch {
        head: head.map(commit),
        order: 7,
        deleted,
        ..Branch::default()
    };
    let (wait, missed) = (Verdict::Wait, Verdict::Missed);
    let explained = Verdict::Explained;
    for (to, branch, newest, early, late) in [
        (Some("b"), None, None, wait, missed),
        (
            Some("b"),
            Some(branch(Some("a"), false)),
            None,
            wait,
            missed,
        ),
        (
            Some("b"),
            Some(branch(Some("b"), true)),
            Some(7),
            wait,
            missed,
        ),
        // Planned already.
        (
            Some("b"),
            Some(branch(Some("b"), false)),
            Some(7),
            explained,
            explained,
        ),
        // Its push was refused after the planned one.
        (
            Some("b"),
            Some(branch(Some("a"), false)),
            Some(8),
            explained,
            explained,
        ),
        // It had a run before the branch moved away and back.
        (
            Some("b"),
            Some(branch(Some("a"), false)),
            Some(6),
            wait,
            missed,
        ),
        (None, Some(branch(Some("a"), false)), None, wait, missed),
        (
            None,
            Some(branch(Some("a"), true)),
            None,
            explained,
            explained,
        ),
        (None, None, None, explained, explained),
    ] {
        let open = Open {
            from: None,
            at: to.map(commit),
            since: at(0),
        };
        let moved = Moved {
            open: &open,
            branch: branch.as_ref(),
            commit: open.at.as_ref(),
            newest,
        };
        let said = [119, 120].map(|second| judge(&moved, PATIENCE, at(second)));
        assert_eq!(said, [early, late], "{to:?} {branch:?} {newest:?}");
    }
    // A tag of a file.
    let open = Open {
        from: None,
        at: Some(commit("b")),
        since: at(0),
    };
    let moved = Moved {
        open: &open,
        branch: None,
        commit: None,
        newest: None,
    };
    assert_eq!(judge(&moved, PATIENCE, at(999)), explained);
}

/// More moves than fit into the item of a repository are opened in later rounds, and none is lost.
#[test]
fn moves_that_have_no_room_are_opened_later() {
    let many = MOST_OPEN + 20;
    let refs = |letter: &str| {
        let refs = (0..many).map(|number| (git_ref(&format!("b{number:03}")), commit(letter)));
        refs.collect::<BTreeMap<_, _>>()
    };
    let listed = |letter: &str| Listed {
        mark: Some(letter.into()),
        refs: refs(letter),
    };
    let rules = rules("b*");
    let none = BTreeSet::new();
    let before = Heads::then(None, listed("a"), rules.clone(), &none, at(0));
    let mut heads = Heads::then(Some(&before), listed("b"), rules.clone(), &none, at(1));
    assert_eq!(heads.open.len(), MOST_OPEN);
    assert_eq!(heads.mark, None, "the next round lists everything again");
    heads.open.clear();
    let heads = Heads::then(Some(&heads), listed("b"), rules.clone(), &none, at(2));
    assert_eq!(heads.open.len(), 20);
    assert_eq!(heads.mark.as_deref(), Some("b"));
    assert_eq!(heads.refs, refs("b"));
    // Branches that were deleted are not forgotten either.
    let gone = Listed {
        mark: Some("c".into()),
        refs: BTreeMap::new(),
    };
    let heads = Heads::then(Some(&before), gone, rules, &none, at(3));
    assert_eq!((heads.open.len(), heads.refs.len()), (MOST_OPEN, 20));
}

#[test]
fn a_check_that_finds_no_room_is_not_over() {
    let name = |number: usize| git_ref(&format!("b{number:03}"));
    let planned: BTreeMap<_, _> = (0..=MOST_OPEN).map(|it| (name(it), commit("c"))).collect();
    let listed = Listed {
        mark: None,
        refs: planned.keys().map(|it| (it.clone(), commit("a"))).collect(),
    };
    let mut heads = Heads::then(None, listed, rules("b*"), &BTreeSet::new(), at(0));
    heads.drawn = 7;
    heads.recheck(&planned, 7, at(1));
    assert_eq!((heads.open.len(), heads.checked), (MOST_OPEN, 0));
    heads.open.remove(&name(0));
    heads.refs.insert(name(0), commit("c"));
    heads.recheck(&planned, 7, at(2));
    assert_eq!((heads.open.len(), heads.checked), (MOST_OPEN, 7));
}

/// What a move was: `a->b` at a ref that was planned at `a`, was deleted at `a`, or never planned (`-`).
fn what_was_missed(from: Option<&str>, to: Option<&str>, planned: Option<(&str, bool)>) -> String {
    let open = Open {
        from: from.map(commit),
        at: to.map(commit),
        since: at(0),
    };
    let branch = planned.map(|(head, deleted)| Branch {
        head: Some(commit(head)),
        deleted,
        ..Branch::default()
    });
    let letter = |commit: &CommitSha| commit.as_str()[..1].to_owned();
    match missed(&open, branch.as_ref(), to.map(commit)) {
        Missed::Push { before, after, .. } => {
            let before = before.as_ref().map_or("-".into(), letter);
            format!("push {before}->{}", letter(&after))
        }
        Missed::Deletion { before } => format!("deletion of {}", letter(&before)),
        Missed::Nothing => "nothing".into(),
    }
}

#[test]
fn f8_a_missed_move_is_a_push_or_a_deletion() {
    let at_a = Some(("a", false));
    assert_eq!(what_was_missed(Some("a"), Some("b"), at_a), "push a->b");
    assert_eq!(what_was_missed(None, Some("b"), at_a), "push a->b");
    assert_eq!(what_was_missed(None, Some("b"), None), "push -->b");
    assert_eq!(what_was_missed(Some("a"), None, at_a), "deletion of a");
    assert_eq!(what_was_missed(None, None, at_a), "deletion of a");
    assert_eq!(what_was_missed(None, None, Some(("a", true))), "nothing");
    // It was created again where it was deleted.
    let deleted = Some(("a", true));
    assert_eq!(what_was_missed(None, Some("b"), deleted), "push -->b");
}

#[test]
fn f8_a_run_that_came_too_late_does_not_explain_a_later_move() {
    let run = |order: u64, name: &str, refused: Option<Refusal>| {
        let mut run = new_run();
        run.key.git_ref = git_ref(name);
        Run {
            order,
            refused,
            ..run
        }
    };
    let late = Refusal::Superseded {
        by: commit("b"),
        git_ref: git_ref("main"),
    };
    let runs = [
        run(3, "main", None),
        run(4, "tags/v1", None),
        run(5, "main", Some(late)),
    ];
    assert_eq!(newest(&runs, &git_ref("main")), Some(3));
    assert_eq!(newest(&runs, &git_ref("tags/v1")), Some(4));
    assert_eq!(newest(&runs, &git_ref("topic")), None);
}

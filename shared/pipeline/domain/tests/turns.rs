//! Whose build starts next, and which gives way, in scripts of repositories and refs.

mod common;

use common::good;
use proptest::prelude::*;
use towline_domain::names::{GitRef, RepositoryId};
use towline_domain::turns::{Line, Room, Turns, Waiting, gives_way};

/// `7main` is the branch `main` of repository 7.
fn line(text: &str) -> Line {
    let (repository, branch) = text.split_at(1);
    Line {
        repository: RepositoryId(good(repository)),
        git_ref: GitRef::Branch(branch.into()),
    }
}

fn lines(text: &str) -> Vec<Line> {
    text.split_whitespace().map(line).collect()
}

/// The waiting lines in the order in which they start.
fn order(running: &str, waiting: &str) -> String {
    let (running, all) = (lines(running), lines(waiting));
    let mut turns = Turns::default();
    running.iter().for_each(|line| turns.begin(line));
    let order = turns.order(&running, &all);
    let words: Vec<&str> = waiting.split_whitespace().collect();
    let ordered: Vec<&str> = order.iter().map(|index| words[*index]).collect();
    ordered.join(" ")
}

#[test]
fn a34_repositories_take_turns_and_then_their_refs() {
    let cases = [
        ("", "", ""),
        ("", "1a 1a 1b", "1a 1b 1a"),
        ("1a", "1b 1c 1d 2a", "2a 1b 1c 1d"),
        ("1a 1b", "1c 1d 1e 2a 2a 3a", "2a 3a 1c 2a 1d 1e"),
        ("", "1a 1a 1a 1b 2a 2b 2a", "1a 2a 1b 2b 1a 2a 1a"),
    ];
    for (running, waiting, expected) in cases {
        assert_eq!(order(running, waiting), expected, "{running} | {waiting}");
    }
}

#[test]
fn a_turn_counts_until_nothing_of_its_line_is_left() {
    let mut turns = Turns::default();
    let waiting = lines("1a 2a");
    turns.begin(&waiting[0]);
    assert_eq!(turns.next([].iter(), &waiting), Some(1));
    turns.keep(&[], &waiting[1..]);
    assert_eq!(turns.next([].iter(), &waiting), Some(0));
}

/// The builds that wait after these were requested: `7main@a!` is of commit a, of the default branch.
fn waiting(requests: &str, room: Room) -> String {
    let mut waiting: Vec<(String, Waiting)> = Vec::new();
    for word in requests.split_whitespace() {
        let (of, commit) = word.split_once('@').expect("a commit");
        let is_trusted = commit.ends_with('!');
        let commit = commit.trim_end_matches('!').repeat(40);
        let new = Waiting {
            line: line(of),
            commit: good(&commit),
            is_trusted,
        };
        waiting.push((word.to_owned(), new));
        loop {
            let all: Vec<Waiting> = waiting.iter().map(|(_, it)| it.clone()).collect();
            let Some((index, _)) = gives_way(&all, room) else {
                break;
            };
            waiting.remove(index);
        }
    }
    let words: Vec<String> = waiting.into_iter().map(|(word, _)| word).collect();
    words.join(" ")
}

#[test]
fn a34_the_oldest_give_way_to_the_newest() {
    let room = Room {
        per_repository: 3,
        per_ref: 2,
    };
    let cases = [
        ("1x@a 1x@b 1x@c", "1x@b 1x@c"),
        // One push may have more builds than that.
        ("1x@a 1x@a 1x@a", "1x@a 1x@a 1x@a"),
        ("1x@a 1x@b 1x@b 1x@b", "1x@b 1x@b 1x@b"),
        ("1a@a 1b@a 1c@a 1d@a", "1b@a 1c@a 1d@a"),
        ("1a@a 1b@a 1b@b 1c@a", "1a@a 1b@b 1c@a"),
        // The default branch gives way last, and another repository never.
        ("1main@a! 1b@a 1c@a 1d@a", "1main@a! 1c@a 1d@a"),
        ("2x@a 1a@a 1b@a 1c@a 1d@a", "2x@a 1b@a 1c@a 1d@a"),
        ("1m@a! 1m@b! 1n@c! 1d@a", "1m@b! 1n@c! 1d@a"),
    ];
    for (requests, expected) in cases {
        assert_eq!(waiting(requests, room), expected, "{requests}");
    }
}

proptest! {
    /// Whatever else waits, the first build of a repository with none running is at most one turn
    /// of each other such repository away.
    #[test]
    fn a34_a_flood_does_not_delay_the_first_build_of_another(
        flood in prop::collection::vec("[a-e]", 1..60),
        others in prop::collection::vec(2..6_u64, 0..20),
    ) {
        let line = |repository, branch: &str| Line {
            repository: RepositoryId(repository),
            git_ref: GitRef::Branch(branch.into()),
        };
        let mut waiting: Vec<Line> = flood.iter().map(|branch| line(1, branch)).collect();
        waiting.extend(others.iter().map(|repository| line(*repository, "main")));
        waiting.push(line(9, "main"));
        let running = [line(1, "a")];
        let order = Turns::default().order(&running, &waiting);
        let place = order.iter().position(|index| *index == waiting.len() - 1).expect("it starts");
        let repositories: std::collections::BTreeSet<_> =
            waiting.iter().map(|line| line.repository).collect();
        prop_assert!(place < repositories.len(), "{place}: {order:?}");
        let mut all = order.clone();
        all.sort_unstable();
        prop_assert_eq!(all, (0..waiting.len()).collect::<Vec<_>>());
    }
}

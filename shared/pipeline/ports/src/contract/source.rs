//! The contract of a source of repositories.

use std::collections::BTreeMap;

use towline_domain::filter::ChangedFiles;
use towline_domain::names::{CommitSha, GitRef};

use crate::{Brought, FileAt, Refs, Relation, RepositoryRef, Source};

/// A commit of the history that a source must have.
#[derive(Debug, Clone, Copy)]
pub struct SourceCommit {
    /// Its parent, by its index in the history; none for the first one.
    pub parent: Option<usize>,
    /// Its files, by path.
    pub files: &'static [(&'static str, &'static str)],
    /// The branch whose head it is, if any.
    pub branch: Option<&'static str>,
}

/// The history that [`source()`] reads: two commits in a row, and one that branches off at the first.
pub const HISTORY: [SourceCommit; 3] = [
    SourceCommit {
        parent: None,
        files: &[(".towline.yml", "one"), ("web/index.html", "hello")],
        branch: None,
    },
    SourceCommit {
        parent: Some(0),
        files: &[(".towline.yml", "second"), ("api/main.rs", "")],
        branch: Some("main"),
    },
    SourceCommit {
        parent: Some(0),
        files: &[(".towline.yml", "one")],
        branch: Some("topic/cart"),
    },
];

/// Panics unless a source that has [`HISTORY`], under these ids, keeps the contract of [`Source`].
pub async fn source(source: &dyn Source, shop: &RepositoryRef, commits: &[CommitSha; 3]) {
    let unknown: CommitSha = "f".repeat(40).parse().expect("a commit");
    files_are_those_of_the_commit(source, shop, commits, &unknown).await;
    heads_are_those_of_the_ref(source, shop, commits).await;
    commits_are_compared(source, shop, commits, &unknown).await;
    refs_are_listed(source, shop, commits).await;
    a_move_says_what_it_brought(source, shop, commits, &unknown).await;
}

async fn files_are_those_of_the_commit(
    source: &dyn Source,
    shop: &RepositoryRef,
    [first, second, _]: &[CommitSha; 3],
    unknown: &CommitSha,
) {
    let found = |text: &str| FileAt::Found(text.into());
    for (commit, path, most, expected) in [
        (first, ".towline.yml", 3, found("one")),
        (second, ".towline.yml", 6, found("second")),
        (second, ".towline.yml", 5, FileAt::TooLarge { bytes: 6 }),
        (first, "web/index.html", 99, found("hello")),
        (second, "web/index.html", 99, FileAt::Missing),
        (second, "api/main.rs", 0, found("")),
        (first, "web", 99, FileAt::Missing),
        (first, "../.towline.yml", 99, FileAt::Missing),
        (unknown, ".towline.yml", 99, FileAt::NoCommit),
    ] {
        let answer = source.file(shop, commit, path, most).await;
        assert_eq!(
            answer.expect("it answers"),
            expected,
            "{path:?} of {commit}"
        );
    }
}

async fn heads_are_those_of_the_ref(
    source: &dyn Source,
    shop: &RepositoryRef,
    [_, second, third]: &[CommitSha; 3],
) {
    let branch = |name: &str| GitRef::Branch(name.into());
    for (git_ref, expected) in [
        (branch("main"), Some(second)),
        (branch("topic/cart"), Some(third)),
        (branch("topic"), None),
        (GitRef::Tag("main".into()), None),
    ] {
        let head = source.head(shop, &git_ref).await.expect("it answers");
        assert_eq!(head.as_ref(), expected, "{git_ref}");
    }
}

async fn commits_are_compared(
    source: &dyn Source,
    shop: &RepositoryRef,
    [first, second, third]: &[CommitSha; 3],
    unknown: &CommitSha,
) {
    let known = |files: &[&str]| {
        let files = files.iter().map(|file| (*file).to_owned());
        ChangedFiles::Known(files.collect())
    };
    let all: &[&str] = &[".towline.yml", "api/main.rs", "web/index.html"];
    for (base, head, files) in [
        (first, second, all),
        (first, third, &["web/index.html"]),
        (second, second, &[]),
    ] {
        let changed = source.changed_files(shop, base, head).await;
        assert_eq!(changed.expect("it answers"), known(files));
    }
    let changed = source.changed_files(shop, unknown, first).await;
    let changed = changed.expect("it answers");
    assert!(matches!(changed, ChangedFiles::Unknown(_)), "{changed:?}");
    for (one, other, expected) in [
        (first, first, Relation::Same),
        (first, second, Relation::Behind),
        (second, first, Relation::Ahead),
        (second, third, Relation::Diverged),
        (first, unknown, Relation::Diverged),
    ] {
        let relation = source.relation(shop, one, other).await;
        assert_eq!(relation.expect("it answers"), expected, "{one} to {other}");
    }
}

async fn refs_are_listed(
    source: &dyn Source,
    shop: &RepositoryRef,
    [_, second, third]: &[CommitSha; 3],
) {
    let branch = |name: &str| GitRef::Branch(name.into());
    let answer = source.refs(shop, None).await.expect("it answers");
    let Refs::Now { mark, mut refs } = answer else {
        panic!("nothing is unchanged since no answer");
    };
    // A source may have another ref to keep the first commit.
    refs.retain(|git_ref, _| *git_ref != branch("first"));
    let expected = [(branch("main"), second), (branch("topic/cart"), third)];
    let expected: BTreeMap<_, _> = expected
        .into_iter()
        .map(|(git_ref, commit)| (git_ref, commit.clone()))
        .collect();
    assert_eq!(refs, expected);
    let again = source.refs(shop, mark.as_deref()).await;
    assert_eq!(again.expect("it answers"), Refs::Unchanged);
    let other = source.refs(shop, Some("another mark")).await;
    assert!(matches!(other.expect("it answers"), Refs::Now { .. }));
}

async fn a_move_says_what_it_brought(
    source: &dyn Source,
    shop: &RepositoryRef,
    [first, second, third]: &[CommitSha; 3],
    unknown: &CommitSha,
) {
    for (before, commit, forced) in [
        (None, second, false),
        (Some(first), second, false),
        (Some(second), third, true),
        (Some(unknown), second, true),
    ] {
        let brought = source.brought(shop, before, commit).await;
        let Some(brought) = brought.expect("it answers") else {
            panic!("{commit} exists");
        };
        let Brought {
            forced: is_forced,
            message,
            author,
            people,
            cut,
        } = brought;
        assert!(!cut, "{before:?} to {commit}");
        assert_eq!(is_forced, forced, "{before:?} to {commit}");
        assert!(
            !message.is_empty() && people.contains(&author),
            "{people:?}"
        );
    }
    let none = source.brought(shop, None, unknown).await;
    assert_eq!(none.expect("it answers"), None);
}

//! The memory source keeps the contract, and reads what it was given.

use std::sync::Arc;

use super::*;
use crate::contract::{self, RepositoriesWorld};

const SHOP: RepositoryId = RepositoryId(7);

fn commit(parents: &[&CommitSha], files: &[(&str, &str)]) -> MemoryCommit {
    let files = files.iter();
    MemoryCommit {
        parents: parents.iter().copied().cloned().collect(),
        title: "Fix the cart".into(),
        author: "Ada".into(),
        at: Timestamp::UNIX_EPOCH,
        files: files
            .map(|(path, text)| ((*path).into(), (*text).into()))
            .collect(),
    }
}

fn shop() -> (MemorySource, RepositoryRef, GitRef) {
    let name: RepositoryName = "acme/shop".parse().expect("a name");
    let source = MemorySource::new();
    source.add(SHOP, MemoryRepository::new(name.clone()));
    let repository = RepositoryRef { id: SHOP, name };
    (source, repository, GitRef::Branch("main".into()))
}

#[tokio::test]
async fn it_keeps_the_contract() {
    let (source, repository, _) = shop();
    let mut commits: Vec<CommitSha> = Vec::new();
    for known in contract::HISTORY {
        let parents: Vec<&CommitSha> = known.parent.iter().map(|at| &commits[*at]).collect();
        let commit = commit(&parents, known.files);
        let branch = GitRef::Branch(known.branch.unwrap_or("first").into());
        commits.push(source.push(SHOP, &branch, commit));
    }
    let commits = commits.try_into().expect("three commits");
    contract::source(&source, &repository, &commits).await;
}

/// The repositories of [`contract::REGISTERED`]; memory knows the ids from the start.
struct Kept(Arc<MemorySource>);

#[async_trait]
impl RepositoriesWorld for Kept {
    async fn open(&self) -> Arc<dyn Repositories> {
        Arc::<MemorySource>::clone(&self.0)
    }
}

#[tokio::test]
async fn a7_a8_it_keeps_the_contract_of_repositories() {
    let source = Arc::new(MemorySource::new());
    for (id, name) in contract::REGISTERED {
        let name = name.parse().expect("a name");
        source.add(id, MemoryRepository::new(name));
    }
    contract::repositories(&Kept(source)).await;
}

#[tokio::test]
async fn commits_are_compared_by_their_trees_and_parents() {
    let (source, shop, main) = shop();
    let side = GitRef::Branch("side".into());
    let first = source.push(SHOP, &main, commit(&[], &[("a", "1"), ("b", "1")]));
    let second = source.push(SHOP, &main, commit(&[&first], &[("a", "2"), ("c", "1")]));
    let other = source.push(SHOP, &side, commit(&[&first], &[("a", "1")]));
    let unknown: CommitSha = "f".repeat(40).parse().expect("a commit id");

    let known =
        |files: &[&str]| ChangedFiles::Known(files.iter().map(|file| (*file).into()).collect());
    for (base, head, files) in [
        (&first, &second, &["a", "b", "c"][..]),
        (&first, &first, &[]),
        (&first, &other, &["b"]),
    ] {
        let changed = source.changed_files(&shop, base, head).await;
        assert_eq!(changed.expect("it answers"), known(files));
    }
    let changed = source.changed_files(&shop, &unknown, &first).await;
    assert!(matches!(changed, Ok(ChangedFiles::Unknown(_))));

    for (one, two, relation) in [
        (&first, &first, Relation::Same),
        (&first, &second, Relation::Behind),
        (&second, &first, Relation::Ahead),
        (&second, &other, Relation::Diverged),
        (&first, &unknown, Relation::Diverged),
        (&unknown, &unknown, Relation::Diverged),
    ] {
        let found = source.relation(&shop, one, two).await;
        assert_eq!(found.expect("it answers"), relation, "{one} and {two}");
    }
    let head = source.head(&shop, &main).await.expect("it answers");
    assert_eq!(head, Some(second));
    let tag = GitRef::Tag("main".into());
    assert_eq!(source.head(&shop, &tag).await.expect("it answers"), None);
}

#[tokio::test]
async fn files_come_from_exactly_that_commit_and_not_too_large() {
    let (source, shop, main) = shop();
    let first = source.push(SHOP, &main, commit(&[], &[("a/b", "one")]));
    let second = source.push(SHOP, &main, commit(&[&first], &[]));
    let read = async |commit, path, most| source.file(&shop, commit, path, most).await;
    let unknown: CommitSha = "f".repeat(40).parse().expect("a commit id");
    for (commit, path, most, expected) in [
        (&first, "a/b", 3, FileAt::Found(b"one".to_vec())),
        (&first, "a/b", 2, FileAt::TooLarge { bytes: 3 }),
        (&first, "/a/b", 3, FileAt::Missing),
        (&second, "a/b", 3, FileAt::Missing),
        (&unknown, "a/b", 3, FileAt::NoCommit),
    ] {
        let found = read(commit, path, most).await.expect("it answers");
        assert_eq!(found, expected, "{path} {most}");
    }
    let info = source.commit(&shop, &first).await.expect("it answers");
    assert_eq!(
        info.map(|info| info.title.display()),
        Some("Fix the cart".into())
    );
}

#[tokio::test]
async fn a24_a_repository_that_was_not_let_in_is_not_read() {
    let (source, shop, main) = shop();
    let stranger = RepositoryRef {
        id: RepositoryId(8),
        ..shop.clone()
    };
    assert!(source.head(&stranger, &main).await.is_err());
}

#[tokio::test]
async fn a7_a8_repositories_are_admitted_by_id_and_never_by_name() {
    let (source, shop, _) = shop();
    let admitted = |id| {
        let registered = if id == 7 { "acme/shop" } else { "acme/cloned" };
        Admission::Admitted(RepositoryRef {
            id: RepositoryId(id),
            name: registered.parse().expect("a name"),
        })
    };
    let impostor = |id, name: &str| Admission::Impostor {
        known: RepositoryId(id),
        remedy: Remedy::EditFile {
            name: name.parse().expect("a name"),
            file: "memory".into(),
        },
    };
    let cloned: RepositoryName = "acme/cloned".parse().expect("a name");
    let local = admission::local(1);
    source.add(local, MemoryRepository::new(cloned.clone()));
    let other: RepositoryName = "acme/other".parse().expect("a name");
    for (id, name, expected) in [
        (SHOP, &shop.name, admitted(7)),
        (SHOP, &other, admitted(7)),
        (RepositoryId(8), &shop.name, impostor(7, "acme/shop")),
        (RepositoryId(8), &other, Admission::Unknown),
        (admission::local(2), &shop.name, admitted(7)),
        // The first real id of a clone is permanent.
        (RepositoryId(8), &cloned, admitted(local.0)),
        (RepositoryId(9), &cloned, impostor(8, "acme/cloned")),
        (RepositoryId(8), &cloned, admitted(local.0)),
        (admission::local(2), &cloned, admitted(local.0)),
    ] {
        let name = name.clone();
        let answer = source.admit(&RepositoryRef { id, name }).await;
        assert_eq!(answer.expect("it answers"), expected, "{id}");
    }
}

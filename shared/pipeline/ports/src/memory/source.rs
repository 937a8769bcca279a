//! A `Source` whose repositories are plain structs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use async_trait::async_trait;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use towline_domain::filter::ChangedFiles;
use towline_domain::names::{CommitSha, GitRef, RepositoryId, RepositoryName};
use towline_domain::untrusted::Untrusted;

use super::lock;
use crate::admission::{self, Binding, Ids, Judgement, Known};
use crate::{
    Admission, CommitInfo, FileAt, PortError, Relation, Repositories, RepositoryRef, Source,
};

/// Admitted repositories.
#[derive(Debug, Default)]
pub struct MemorySource {
    repositories: Mutex<BTreeMap<RepositoryId, MemoryRepository>>,
    /// The GitHub ids of those that were added with a local id.
    real: Mutex<BTreeMap<RepositoryId, RepositoryId>>,
}

/// One repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryRepository {
    /// Its name now.
    pub name: RepositoryName,
    /// All of its commits.
    pub commits: BTreeMap<CommitSha, MemoryCommit>,
    pub refs: BTreeMap<GitRef, CommitSha>,
}

/// One commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryCommit {
    /// Its parents; none for the first one.
    pub parents: Vec<CommitSha>,
    /// First line of its message.
    pub title: String,
    /// Its author's name.
    pub author: String,
    /// When it was committed.
    pub at: Timestamp,
    /// Its files, by path from the root.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl MemoryCommit {
    /// Its id: a hash of its content, like Git's, but not the same.
    #[must_use]
    pub fn sha(&self) -> CommitSha {
        let hash = Sha256::digest(format!("{self:?}"));
        hex::encode(&hash[..20])
            .parse()
            .expect("40 hexadecimal digits, not all of them 0")
    }
}

impl MemoryRepository {
    /// An empty repository.
    #[must_use]
    pub fn new(name: RepositoryName) -> Self {
        Self {
            name,
            commits: BTreeMap::new(),
            refs: BTreeMap::new(),
        }
    }

    fn ancestors(&self, of: &CommitSha) -> BTreeSet<&CommitSha> {
        let mut found = BTreeSet::new();
        let mut open = Vec::from_iter(self.commits.get_key_value(of));
        while let Some((sha, commit)) = open.pop() {
            if found.insert(sha) {
                let parents = commit.parents.iter();
                open.extend(parents.filter_map(|parent| self.commits.get_key_value(parent)));
            }
        }
        found
    }
}

impl MemorySource {
    /// A source without repositories.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Admits a repository.
    pub fn add(&self, id: RepositoryId, repository: MemoryRepository) {
        lock(&self.repositories).insert(id, repository);
    }

    /// Changes a repository, for example its name or a ref.
    ///
    /// # Panics
    ///
    /// When there is no such repository.
    pub fn change<T>(&self, id: RepositoryId, how: impl FnOnce(&mut MemoryRepository) -> T) -> T {
        let mut repositories = lock(&self.repositories);
        how(repositories
            .get_mut(&id)
            .expect("a repository that was added"))
    }

    /// Adds a commit and moves a ref to it.
    ///
    /// # Panics
    ///
    /// When there is no such repository, or not the commit's parents.
    pub fn push(&self, id: RepositoryId, git_ref: &GitRef, commit: MemoryCommit) -> CommitSha {
        let sha = commit.sha();
        self.change(id, |repository| {
            for parent in &commit.parents {
                assert!(
                    repository.commits.contains_key(parent),
                    "no commit {parent}"
                );
            }
            repository.commits.insert(sha.clone(), commit);
            repository.refs.insert(git_ref.clone(), sha.clone());
        });
        sha
    }

    fn read<T>(
        &self,
        repository: &RepositoryRef,
        read: impl FnOnce(&MemoryRepository) -> T,
    ) -> Result<T, PortError> {
        let repositories = lock(&self.repositories);
        let found = repositories.get(&repository.id).ok_or_else(|| {
            PortError::because(format!("read {}: it was not let in", repository.name))
        })?;
        Ok(read(found))
    }
}

#[async_trait]
impl Source for MemorySource {
    async fn file(
        &self,
        repository: &RepositoryRef,
        commit: &CommitSha,
        path: &str,
        most: usize,
    ) -> Result<FileAt, PortError> {
        self.read(repository, |repository| {
            let Some(commit) = repository.commits.get(commit) else {
                return FileAt::NoCommit;
            };
            match commit.files.get(path) {
                None => FileAt::Missing,
                Some(bytes) if bytes.len() > most => FileAt::TooLarge {
                    bytes: bytes.len() as u64,
                },
                Some(bytes) => FileAt::Found(bytes.clone()),
            }
        })
    }

    async fn changed_files(
        &self,
        repository: &RepositoryRef,
        base: &CommitSha,
        head: &CommitSha,
    ) -> Result<ChangedFiles, PortError> {
        self.read(repository, |repository| {
            let files = |commit| repository.commits.get(commit).map(|commit| &commit.files);
            let (Some(before), Some(after)) = (files(base), files(head)) else {
                return ChangedFiles::Unknown(format!(
                    "{} or {} is not there any more",
                    base.short(),
                    head.short()
                ));
            };
            let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            let changed = |path: &&String| before.get(*path) != after.get(*path);
            ChangedFiles::Known(paths.into_iter().filter(changed).cloned().collect())
        })
    }

    async fn head(
        &self,
        repository: &RepositoryRef,
        git_ref: &GitRef,
    ) -> Result<Option<CommitSha>, PortError> {
        self.read(repository, |repository| {
            repository.refs.get(git_ref).cloned()
        })
    }

    async fn relation(
        &self,
        repository: &RepositoryRef,
        first: &CommitSha,
        second: &CommitSha,
    ) -> Result<Relation, PortError> {
        self.read(repository, |repository| {
            let known = repository.commits.contains_key(first);
            if known && first == second {
                Relation::Same
            } else if known && repository.ancestors(second).contains(first) {
                Relation::Behind
            } else if repository.ancestors(first).contains(second) {
                Relation::Ahead
            } else {
                Relation::Diverged
            }
        })
    }

    async fn commit(
        &self,
        repository: &RepositoryRef,
        commit: &CommitSha,
    ) -> Result<Option<CommitInfo>, PortError> {
        self.read(repository, |repository| {
            let commit = repository.commits.get(commit)?;
            Some(CommitInfo {
                title: Untrusted::first_line(&commit.title),
                author: Untrusted::first_line(&commit.author),
                at: commit.at,
            })
        })
    }
}

#[async_trait]
impl Repositories for MemorySource {
    async fn admit(&self, repository: &RepositoryRef) -> Result<Admission, PortError> {
        let repositories = lock(&self.repositories);
        let mut real = lock(&self.real);
        let known: Vec<Known> = repositories
            .iter()
            .map(|(id, repository)| Known {
                name: repository.name.clone(),
                ids: Ids::Bound(Binding {
                    id: *id,
                    real: real.get(id).copied(),
                }),
            })
            .collect();
        Ok(match admission::judge(&known, repository) {
            Judgement::Admitted(known) => Admission::Admitted(known),
            Judgement::Bind { binding, name } => {
                real.extend(binding.real.map(|real| (binding.id, real)));
                let id = binding.id;
                Admission::Admitted(RepositoryRef { id, name })
            }
            Judgement::Unknown => Admission::Unknown,
            Judgement::Impostor { name, known } => Admission::Impostor {
                known,
                remedy: format!("add {name} with the other id"),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract;

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
            remedy: format!("add {name} with the other id"),
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
}

//! A `Source` whose repositories are plain structs.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use async_trait::async_trait;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use towline_domain::filter::ChangedFiles;
use towline_domain::names::{CommitSha, GitRef, RepositoryId, RepositoryName};
use towline_domain::reason::NotCompared;
use towline_domain::untrusted::Untrusted;

use super::lock;
use crate::admission::{self, Binding, Ids, Judgement, Known};
use crate::{
    Admission, Brought, CommitInfo, FileAt, PortError, Refs, Relation, Remedy, Repositories,
    RepositoryRef, Source,
};

/// Admitted repositories.
#[derive(Debug, Default)]
pub struct MemorySource {
    repositories: Mutex<BTreeMap<RepositoryId, MemoryRepository>>,
    /// The GitHub ids of those that were added with a local id.
    real: Mutex<BTreeMap<RepositoryId, RepositoryId>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryRepository {
    /// Its name now.
    pub name: RepositoryName,
    pub commits: BTreeMap<CommitSha, MemoryCommit>,
    pub refs: BTreeMap<GitRef, CommitSha>,
}

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
                let gone = if files(base).is_none() { base } else { head };
                return ChangedFiles::Unknown(NotCompared::NoCommit(gone.clone()));
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

    async fn refs(
        &self,
        repository: &RepositoryRef,
        mark: Option<&str>,
    ) -> Result<Refs, PortError> {
        let refs = self.read(repository, |repository| repository.refs.clone())?;
        let hash = hex::encode(Sha256::digest(format!("{refs:?}")));
        Ok(match mark == Some(hash.as_str()) {
            true => Refs::Unchanged,
            false => Refs::Now {
                mark: Some(hash),
                refs,
            },
        })
    }

    async fn brought(
        &self,
        repository: &RepositoryRef,
        before: Option<&CommitSha>,
        commit: &CommitSha,
    ) -> Result<Option<Brought>, PortError> {
        self.read(repository, |repository| {
            let head = repository.commits.get(commit)?;
            let known = before.map(|before| repository.ancestors(before));
            let known = known.filter(|known| !known.is_empty());
            let reached = repository.ancestors(commit);
            let is_new = |sha: &&CommitSha| match &known {
                Some(known) => !known.contains(*sha),
                None => *sha == commit,
            };
            let new = reached.iter().copied().filter(is_new);
            let people: BTreeSet<&String> =
                new.map(|sha| &repository.commits[sha].author).collect();
            Some(Brought {
                forced: before.is_some_and(|before| !reached.contains(before)),
                message: head.title.clone(),
                author: head.author.clone(),
                people: people.into_iter().cloned().collect(),
                cut: false,
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
                remedy: Remedy::EditFile {
                    name,
                    file: "memory".into(),
                },
            },
        })
    }
}

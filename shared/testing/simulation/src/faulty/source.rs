//! The repositories on GitHub.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use towline_domain::filter::ChangedFiles;
use towline_domain::names::{CommitSha, GitRef};
use towline_ports::memory::MemorySource;
use towline_ports::{
    Admission, Brought, CommitInfo, FileAt, PortError, Refs, Relation, Repositories, RepositoryRef,
    Source,
};

use crate::chance::Chance;
use crate::mechanism::Mechanism;

pub struct FaultySource {
    pub(crate) inner: MemorySource,
    /// Without [`Mechanism::HeadCheck`]: the commit of the push being planned.
    pub(crate) pushed: Mutex<Option<CommitSha>>,
    pub(crate) chance: Arc<Chance>,
}

#[async_trait]
impl Source for FaultySource {
    async fn file(
        &self,
        repository: &RepositoryRef,
        commit: &CommitSha,
        path: &str,
        most: usize,
    ) -> Result<FileAt, PortError> {
        self.chance.before("get a file").await?;
        self.inner.file(repository, commit, path, most).await
    }

    async fn changed_files(
        &self,
        repository: &RepositoryRef,
        base: &CommitSha,
        head: &CommitSha,
    ) -> Result<ChangedFiles, PortError> {
        self.chance.before("compare").await?;
        self.inner.changed_files(repository, base, head).await
    }

    async fn head(
        &self,
        repository: &RepositoryRef,
        git_ref: &GitRef,
    ) -> Result<Option<CommitSha>, PortError> {
        self.chance.before("get a ref").await?;
        let is_planned = !self.chance.is_acting("promote-images");
        if is_planned && self.chance.lacks(Mechanism::HeadCheck) {
            let pushed = self.pushed.lock().unwrap_or_else(PoisonError::into_inner);
            return Ok(pushed.clone());
        }
        self.inner.head(repository, git_ref).await
    }

    async fn relation(
        &self,
        repository: &RepositoryRef,
        first: &CommitSha,
        second: &CommitSha,
    ) -> Result<Relation, PortError> {
        self.chance.before("compare").await?;
        let is_promoted = self.chance.is_acting("promote-images");
        if is_promoted && self.chance.lacks(Mechanism::CommitCheck) {
            return Ok(Relation::Behind);
        }
        self.inner.relation(repository, first, second).await
    }

    async fn commit(
        &self,
        repository: &RepositoryRef,
        commit: &CommitSha,
    ) -> Result<Option<CommitInfo>, PortError> {
        self.chance.before("get a commit").await?;
        self.inner.commit(repository, commit).await
    }

    async fn refs(
        &self,
        repository: &RepositoryRef,
        mark: Option<&str>,
    ) -> Result<Refs, PortError> {
        self.chance.before("list refs").await?;
        if self.chance.lacks(Mechanism::Comparison) && mark.is_some() {
            return Ok(Refs::Unchanged);
        }
        self.inner.refs(repository, mark).await
    }

    async fn brought(
        &self,
        repository: &RepositoryRef,
        before: Option<&CommitSha>,
        commit: &CommitSha,
    ) -> Result<Option<Brought>, PortError> {
        self.chance.before("compare").await?;
        self.inner.brought(repository, before, commit).await
    }
}

#[async_trait]
impl Repositories for FaultySource {
    async fn admit(&self, repository: &RepositoryRef) -> Result<Admission, PortError> {
        self.chance.before("admit").await?;
        self.inner.admit(repository).await
    }
}

//! GitHub's commit statuses.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use towline_domain::names::CommitSha;
use towline_ports::memory::MemoryStatuses;
use towline_ports::{CommitStatus, PortError, RepositoryRef, StatusError, Statuses};

use crate::chance::Chance;
use crate::watch::Watch;

pub struct FaultyStatuses {
    pub(crate) inner: MemoryStatuses,
    /// The context whose status always fails.
    pub(crate) failing: Mutex<Option<String>>,
    pub(crate) chance: Arc<Chance>,
    pub(crate) watch: Arc<Watch>,
}

impl FaultyStatuses {
    /// The statuses behind it, without faults.
    #[must_use]
    pub fn inner(&self) -> &MemoryStatuses {
        &self.inner
    }

    /// From now on, setting the status of this context fails; `None` ends that.
    pub fn fail(&self, context: Option<&str>) {
        *self.failing.lock().unwrap_or_else(PoisonError::into_inner) = context.map(str::to_owned);
    }

    fn fails(&self, context: &str) -> bool {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        failing.as_deref() == Some(context)
    }
}

#[async_trait]
impl Statuses for FaultyStatuses {
    async fn set(
        &self,
        repository: &RepositoryRef,
        commit: &CommitSha,
        status: &CommitStatus,
    ) -> Result<(), StatusError> {
        self.chance.before("POST a status").await?;
        if self.fails(&status.context) {
            return Err(PortError::because("GitHub does not answer").into());
        }
        self.watch.status_is_set(commit, status);
        self.inner.set(repository, commit, status).await?;
        Ok(self.chance.after("POST a status").await?)
    }
}

//! Commit statuses that are plain lists.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use towline_domain::names::{CommitSha, RepositoryId};

use super::lock;
use crate::statuses::MOST_DESCRIPTION;
use crate::{CommitStatus, NotShown, RepositoryRef, StatusError, Statuses};

type ByContext = BTreeMap<(RepositoryId, CommitSha, String), CommitStatus>;

/// Statuses in memory; a context has one.
#[derive(Debug, Default)]
pub struct MemoryStatuses {
    shown: Mutex<ByContext>,
}

impl MemoryStatuses {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The statuses of a commit, by context.
    #[must_use]
    pub fn of(&self, repository: RepositoryId, commit: &CommitSha) -> Vec<CommitStatus> {
        let shown = lock(&self.shown);
        let its = shown
            .iter()
            .filter(|((id, sha, _), _)| *id == repository && sha == commit);
        its.map(|(_, status)| status.clone()).collect()
    }
}

#[async_trait]
impl Statuses for MemoryStatuses {
    async fn set(
        &self,
        repository: &RepositoryRef,
        commit: &CommitSha,
        status: &CommitStatus,
    ) -> Result<(), StatusError> {
        if status.description.chars().count() > MOST_DESCRIPTION {
            let said = format!("the description is over {MOST_DESCRIPTION} characters");
            return Err(NotShown::Rejected { said }.into());
        }
        // GitHub treats contexts that differ only in case as the same.
        let key = (
            repository.id,
            commit.clone(),
            status.context.to_ascii_lowercase(),
        );
        lock(&self.shown).insert(key, status.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{self, StatusesWorld};

    #[async_trait]
    impl StatusesWorld for MemoryStatuses {
        fn statuses(&self) -> &dyn Statuses {
            self
        }

        fn commit(&self) -> (RepositoryRef, CommitSha) {
            let repository = RepositoryRef {
                id: RepositoryId(7),
                name: "acme/shop".parse().expect("a name"),
            };
            (repository, "a".repeat(40).parse().expect("a commit"))
        }

        async fn shown(&self, context: &str) -> Option<CommitStatus> {
            let (repository, commit) = self.commit();
            let shown = self.of(repository.id, &commit);
            shown.into_iter().find(|status| status.context == context)
        }
    }

    #[tokio::test]
    async fn it_keeps_the_contract() {
        contract::statuses(&MemoryStatuses::new()).await;
    }
}

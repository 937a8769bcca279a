//! CodeBuild.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use towline_domain::names::{AttemptId, BuildId, ComponentName, RepositoryName};
use towline_domain::run::{BuildReport, BuildStatus};
use towline_ports::memory::MemoryBuilds;
use towline_ports::{Builds, PortError, StartBuild, StartError};

use crate::chance::Chance;
use crate::hidden;
use crate::mechanism::Mechanism;
use crate::watch::Watch;
use crate::weather::Fault;

pub struct FaultyBuilds {
    pub(crate) inner: MemoryBuilds,
    pub(crate) chance: Arc<Chance>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) news: Mutex<Vec<BuildNews>>,
}

/// Changes at CodeBuild that were just requested.
#[derive(Debug)]
pub(crate) enum BuildNews {
    Started(BuildId, Box<StartBuild>),
    Stopped(BuildId),
}

impl FaultyBuilds {
    /// The builds behind it, without faults.
    #[must_use]
    pub fn inner(&self) -> &MemoryBuilds {
        &self.inner
    }

    pub(crate) fn has_news(&self) -> bool {
        let news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        !news.is_empty()
    }

    pub(crate) fn take_news(&self) -> Vec<BuildNews> {
        std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn tell(&self, news: BuildNews) {
        self.news
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(news);
    }
}

#[async_trait]
impl Builds for FaultyBuilds {
    async fn start(&self, mut build: StartBuild) -> Result<BuildId, StartError> {
        self.chance.before("StartBuild").await?;
        let said = || "CodeBuild has no capacity".into();
        if self.chance.strikes(Fault::Busy, said) {
            return Err(StartError::Busy("AccountLimitExceeded".into()));
        }
        self.watch.build_starts(&build.attempt);
        hidden::start(&self.chance, &mut build);
        if self.chance.lacks(Mechanism::Token) {
            self.inner.forget();
        }
        let id = self.inner.start(build.clone()).await?;
        if self.watch.build_started(&id, &build.attempt) {
            self.tell(BuildNews::Started(id.clone(), Box::new(build)));
        }
        self.chance.after("StartBuild").await?;
        Ok(id)
    }

    async fn get(&self, build: &BuildId) -> Result<Option<BuildReport>, PortError> {
        self.chance.before("BatchGetBuilds").await?;
        if self.chance.lacks(Mechanism::Polling) {
            return Ok(None);
        }
        self.inner.get(build).await
    }

    async fn find(
        &self,
        repository: &RepositoryName,
        component: &ComponentName,
        attempt: &AttemptId,
    ) -> Result<Option<BuildReport>, PortError> {
        self.chance.before("ListBuildsForProject").await?;
        if self.chance.lacks(Mechanism::FindOrStart) {
            return Ok(None);
        }
        self.inner.find(repository, component, attempt).await
    }

    async fn line(&self) -> Result<Option<Vec<BuildId>>, PortError> {
        self.inner.line().await
    }

    async fn stop(&self, build: &BuildId) -> Result<(), PortError> {
        self.chance.before("StopBuild").await?;
        self.watch.build_stops(build);
        let before = self.inner.get(build).await?;
        self.inner.stop(build).await?;
        if before.is_some_and(|report| report.status == BuildStatus::InProgress) {
            self.tell(BuildNews::Stopped(build.clone()));
        }
        self.chance.after("StopBuild").await
    }

    async fn log(&self, build: &BuildId, from: u64) -> Result<Option<Vec<u8>>, PortError> {
        self.chance.before("GetLogEvents").await?;
        self.inner.log(build, from).await
    }
}

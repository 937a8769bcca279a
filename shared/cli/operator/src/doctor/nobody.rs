//! A bus and a build service that do nothing, for questions that need neither.

use async_trait::async_trait;
use towline_domain::names::{AttemptId, BuildId, ComponentName, RepositoryName};
use towline_domain::run::BuildReport;
use towline_ports::{Announcement, Builds, Bus, PortError, StartBuild, StartError};

/// Announces nothing, starts nothing and knows no build.
#[derive(Debug, Clone, Copy)]
pub(super) struct Nobody;

fn unasked() -> PortError {
    PortError::because("doctor only reads")
}

#[async_trait]
impl Bus for Nobody {
    async fn announce(&self, _: Vec<Announcement>) -> Result<(), PortError> {
        Err(unasked())
    }
}

#[async_trait]
impl Builds for Nobody {
    async fn start(&self, _: StartBuild) -> Result<BuildId, StartError> {
        Err(unasked().into())
    }

    async fn get(&self, _: &BuildId) -> Result<Option<BuildReport>, PortError> {
        Ok(None)
    }

    async fn find(
        &self,
        _: &RepositoryName,
        _: &ComponentName,
        _: &AttemptId,
    ) -> Result<Option<BuildReport>, PortError> {
        Ok(None)
    }

    async fn stop(&self, _: &BuildId) -> Result<(), PortError> {
        Err(unasked())
    }

    async fn log(&self, _: &BuildId, _: u64) -> Result<Option<Vec<u8>>, PortError> {
        Ok(None)
    }
}

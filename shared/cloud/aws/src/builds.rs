//! `Builds` on CodeBuild.

#[cfg(feature = "logs")]
mod log;
mod report;
mod request;
#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_codebuild::Client;
use aws_sdk_codebuild::types::{Build, SortOrderType};
#[cfg(feature = "s3")]
use sha2::{Digest as _, Sha256};
use towline_domain::names::{AttemptId, BuildId, ComponentName, RepositoryName};
use towline_domain::run::{BuildReport, BuildStatus};
use towline_ports::{Builds, PortError, StartBuild, StartError};

#[cfg(feature = "s3")]
use crate::bucket::PutError;
use crate::environment::{Aws, Patience};
use crate::fault::{Fault, code, failed, is_throttled};

const PATIENCE: Patience = Patience::new(Duration::from_secs(3), Duration::from_secs(8), 3);

/// `StartBuild` checks project, role and source before it answers, and its token makes retries
/// harmless. start-builds has 30 seconds.
const START: Patience = Patience::new(Duration::from_secs(8), Duration::from_secs(18), 2);

/// Builds per request in a search: each answer contains the buildspec, of up to 25 KB. CodeBuild
/// accepts 100.
const PORTION: usize = 25;

/// Pages of 100 builds to search; the wanted attempt is at most hours old.
const MOST_PAGES: usize = 3;

/// The folder of buildspecs in the bucket; `infra/template.yaml` sets permissions and expiration.
#[cfg(feature = "s3")]
const BUILDSPECS: &str = "buildspecs";

/// CodeBuild; one project for each component, named by [`StartBuild::project`].
#[derive(Debug, Clone)]
pub struct CodeBuild {
    client: Client,
    starts: Client,
    #[cfg(feature = "s3")]
    bucket: Option<crate::Bucket>,
    #[cfg(feature = "logs")]
    logs: log::Logs,
}

impl Aws {
    #[must_use]
    pub fn builds(&self) -> CodeBuild {
        CodeBuild {
            client: Client::new(&self.patient(&PATIENCE)),
            starts: Client::new(&self.patient(&START)),
            #[cfg(feature = "s3")]
            bucket: None,
            #[cfg(feature = "logs")]
            logs: log::Logs::new(&self.patient(&PATIENCE)),
        }
    }
}

#[async_trait]
impl Builds for CodeBuild {
    async fn start(&self, build: StartBuild) -> Result<BuildId, StartError> {
        let project = StartBuild::project(&build.repository.name, &build.component);
        let doing = format!("starting a build of {project}");
        let (repository, component, attempt) = (
            build.repository.name.clone(),
            build.component.clone(),
            build.attempt.clone(),
        );
        let mut request =
            request::checked(build).map_err(|why| StartError::Refused(why.to_string()))?;
        self.put_aside(&mut request).await?;
        let answer = request.send_with(&self.starts).await;
        let error = match answer {
            Ok(answer) => {
                let id = answer.build_value().and_then(Build::id);
                let id = id
                    .ok_or_else(|| PortError::new(&*doing, "CodeBuild's answer has no build id"))?;
                return id
                    .parse()
                    .map_err(|error| PortError::new(doing, error).into());
            }
            Err(error) => error,
        };
        let fault = Fault::new(&error);
        match code(&error) {
            Some("AccountLimitExceededException") => Err(StartError::Busy(fault.to_string())),
            code if is_throttled(code) => Err(StartError::Busy(fault.to_string())),
            Some("ResourceNotFoundException") => Err(StartError::Refused(format!(
                "CodeBuild project {project} not found; create it with `towline deploy components`"
            ))),
            Some("InvalidInputException") => {
                // CodeBuild may answer this if a known token comes with other parameters. In that case,
                // the build exists already.
                match self.find(&repository, &component, &attempt).await? {
                    Some(found) => Ok(found.build),
                    None => Err(StartError::Refused(format!(
                        "CodeBuild rejected the build: {fault}"
                    ))),
                }
            }
            _ => Err(failed(doing, &error).into()),
        }
    }

    async fn get(&self, build: &BuildId) -> Result<Option<BuildReport>, PortError> {
        let found = self.describe(vec![build.to_string()]).await?;
        Ok(found.first().and_then(report::report))
    }

    async fn find(
        &self,
        repository: &RepositoryName,
        component: &ComponentName,
        attempt: &AttemptId,
    ) -> Result<Option<BuildReport>, PortError> {
        let project = StartBuild::project(repository, component);
        let mut next = None;
        for _ in 0..MOST_PAGES {
            let answer = self
                .client
                .list_builds_for_project()
                .project_name(&project)
                .sort_order(SortOrderType::Descending)
                .set_next_token(next)
                .send()
                .await;
            let answer = match answer {
                Ok(answer) => answer,
                // Without a project, nothing was ever started.
                Err(error) if code(&error) == Some("ResourceNotFoundException") => return Ok(None),
                Err(error) => return Err(failed(format!("listing builds of {project}"), &error)),
            };
            for portion in answer.ids().chunks(PORTION) {
                let builds = self.describe(portion.to_vec()).await?;
                let ours = builds.iter().find(|build| report::is_of(build, attempt));
                if let Some(report) = ours.and_then(report::report) {
                    return Ok(Some(report));
                }
            }
            next = answer.next_token;
            if next.is_none() {
                break;
            }
        }
        Ok(None)
    }

    async fn stop(&self, build: &BuildId) -> Result<(), PortError> {
        let answer = self.client.stop_build().id(build.as_str()).send().await;
        let Err(error) = answer else {
            return Ok(());
        };
        let ended = match code(&error) {
            Some("ResourceNotFoundException") => true,
            // CodeBuild's answer about an ended build is not documented.
            Some("InvalidInputException") => self
                .get(build)
                .await?
                .is_none_or(|report| report.status != BuildStatus::InProgress),
            _ => false,
        };
        match ended {
            true => Ok(()),
            false => Err(failed(format!("stopping {build}"), &error)),
        }
    }

    #[cfg(feature = "logs")]
    async fn log(&self, build: &BuildId, from: u64) -> Result<Option<Vec<u8>>, PortError> {
        let found = self.describe(vec![build.to_string()]).await?;
        match found.first() {
            None => Ok(None),
            Some(found) => match found.logs() {
                Some(place) => self.logs.read(build, place, from).await.map(Some),
                None => Ok(Some(Vec::new())),
            },
        }
    }

    #[cfg(not(feature = "logs"))]
    async fn log(&self, build: &BuildId, _from: u64) -> Result<Option<Vec<u8>>, PortError> {
        Err(PortError::because(format!(
            "reading the log of {build}: this function may not read logs"
        )))
    }
}

impl CodeBuild {
    /// With a bucket for buildspecs that are too long for a request.
    #[cfg(feature = "s3")]
    #[must_use]
    pub fn with_bucket(mut self, bucket: crate::Bucket) -> Self {
        self.bucket = Some(bucket);
        self
    }

    /// Stores a buildspec that is too long for a request where CodeBuild reads it. It is named by its
    /// content, so that a repeated request is the same. It is written each time, so that it does not
    /// expire before its build.
    async fn put_aside(&self, request: &mut request::Request) -> Result<(), StartError> {
        let Some(text) = request.long_buildspec() else {
            return Ok(());
        };
        #[cfg(feature = "s3")]
        if let Some(bucket) = &self.bucket {
            let digest = hex::encode(Sha256::digest(text));
            let key = format!("{BUILDSPECS}/{digest}.yml");
            let arn = match bucket.put_object(&key, text).await {
                Ok(arn) => arn,
                Err(PutError::Gone(bucket)) => {
                    return Err(StartError::Refused(format!(
                        "{}, and the bucket {bucket} no longer exists; run `towline deploy` again",
                        too_long(text)
                    )));
                }
                Err(PutError::Port(error)) => return Err(error.into()),
            };
            request.read_from(arn);
            return Ok(());
        }
        Err(StartError::Refused(format!(
            "{}, and no bucket is configured for it; run `towline deploy` again, then `towline deploy components`",
            too_long(text)
        )))
    }

    /// The builds with these ids that CodeBuild knows, 1 to 100.
    async fn describe(&self, ids: Vec<String>) -> Result<Vec<Build>, PortError> {
        let doing = match ids.as_slice() {
            [id] => format!("looking up {id}"),
            _ => format!("looking up {} builds", ids.len()),
        };
        let request = self.client.batch_get_builds().set_ids(Some(ids));
        let answer = request.send().await;
        let answer = answer.map_err(|error| failed(doing, &error))?;
        Ok(answer.builds.unwrap_or_default())
    }
}

/// Why a buildspec is not part of the request.
fn too_long(text: &str) -> String {
    format!(
        "the buildspec has {} characters, more than CodeBuild's limit of {}",
        text.chars().count(),
        request::LONGEST_BUILDSPEC
    )
}

//! The request of `StartBuild`, checked against limits of CodeBuild that are not in its API model.

use aws_sdk_codebuild::Client;
use aws_sdk_codebuild::config::http::HttpResponse;
use aws_sdk_codebuild::error::SdkError;
use aws_sdk_codebuild::operation::start_build::{
    StartBuildError, StartBuildInput, StartBuildOutput,
};
use aws_sdk_codebuild::types::{
    CacheType, EnvironmentType, EnvironmentVariable, EnvironmentVariableType, ProjectCache,
};
use towline_buildspec::images::is_for_lambda;
use towline_domain::definition::Architecture;
use towline_ports::{StartBuild, Trust};

/// The most characters of a buildspec in the request; CodeBuild reads a longer one from a bucket.
pub(super) const LONGEST_BUILDSPEC: usize = 25_600;

/// The most characters of an environment variable's value.
const LONGEST_VALUE: usize = 4_096;

/// Minutes a build may run (CodeBuild API, `BuildTimeOut`).
const MINUTES: std::ops::RangeInclusive<u64> = 5..=2_160;

/// A request that CodeBuild can accept.
pub(super) struct Request {
    project: String,
    build: StartBuild,
    minutes: i32,
}

impl Request {
    /// The buildspec, if it is too long for the request.
    pub(super) fn long_buildspec(&self) -> Option<&str> {
        let text = self.build.buildspec.as_str();
        (text.chars().count() > LONGEST_BUILDSPEC).then_some(text)
    }

    /// Makes CodeBuild read the buildspec from the object with this ARN.
    #[cfg(feature = "s3")]
    pub(super) fn read_from(&mut self, arn: String) {
        self.build.buildspec = arn;
    }
}

/// Why a build can never start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unstartable {
    /// CodeBuild would use the repository's buildspec.yml.
    #[error("the buildspec is empty")]
    NoBuildspec,
    #[error(
        "the value of the environment variable {name} has {length} characters; CodeBuild accepts at most {LONGEST_VALUE}"
    )]
    LongValue { name: String, length: usize },
}

/// Checks whether a build can start.
pub(super) fn checked(build: StartBuild) -> Result<Request, Unstartable> {
    if build.buildspec.is_empty() {
        return Err(Unstartable::NoBuildspec);
    }
    for (name, value) in &build.environment {
        let length = value.chars().count();
        if length > LONGEST_VALUE {
            return Err(Unstartable::LongValue {
                name: name.clone(),
                length,
            });
        }
    }
    let minutes = build.timeout.as_secs().div_ceil(60);
    let minutes = minutes.clamp(*MINUTES.start(), *MINUTES.end());
    Ok(Request {
        project: StartBuild::project(&build.repository.name, &build.component),
        minutes: i32::try_from(minutes).unwrap_or(i32::MAX),
        build,
    })
}

impl Request {
    /// Sends it.
    ///
    /// Source, role, compute type and status reports to GitHub are the project's (`infra/component.yaml`
    /// disables reports), because overriding reports is an error if the source does not support them.
    pub(super) async fn send_with(
        self,
        client: &Client,
    ) -> Result<StartBuildOutput, SdkError<StartBuildError, HttpResponse>> {
        let Self {
            project,
            build,
            minutes,
        } = self;
        let environment = build
            .environment
            .into_iter()
            .map(|(name, value)| {
                EnvironmentVariable::builder()
                    .name(name)
                    .value(value)
                    .r#type(EnvironmentVariableType::Plaintext)
                    .build()
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(SdkError::construction_failure)?;
        // Lambda compute supports neither privileged mode nor a timeout, and rejects a build that has one
        // ("Cannot specify timeoutInMinutes for lambda compute").
        let on_lambda = is_for_lambda(&build.image);
        // The project has one cache for all builds, so only those of the default branch use it (A30).
        // Builds on Lambda compute have no cache.
        let cache = match build.trust {
            Trust::Other if !on_lambda => Some(
                ProjectCache::builder()
                    .r#type(CacheType::NoCache)
                    .build()
                    .map_err(SdkError::construction_failure)?,
            ),
            Trust::DefaultBranch | Trust::Other => None,
        };
        StartBuildInput::builder()
            .project_name(project)
            .source_version(build.commit.as_str())
            .buildspec_override(build.buildspec)
            .set_environment_variables_override(Some(environment))
            .image_override(build.image)
            .set_cache_override(cache)
            .set_environment_type_override(
                build
                    .architecture
                    .map(|architecture| environment_type(architecture, on_lambda)),
            )
            .set_privileged_mode_override((!on_lambda).then_some(build.privileged))
            .set_timeout_in_minutes_override((!on_lambda).then_some(minutes))
            // The run decides about retries, because it knows about newer commits.
            .auto_retry_limit_override(0)
            .idempotency_token(build.attempt.as_str())
            .send_with(client)
            .await
    }
}

/// The machine for one platform of several, regardless of the project.
fn environment_type(architecture: Architecture, on_lambda: bool) -> EnvironmentType {
    match (architecture, on_lambda) {
        (Architecture::X86, false) => EnvironmentType::LinuxContainer,
        (Architecture::Arm, false) => EnvironmentType::ArmContainer,
        (Architecture::X86, true) => EnvironmentType::LinuxLambdaContainer,
        (Architecture::Arm, true) => EnvironmentType::ArmLambdaContainer,
    }
}

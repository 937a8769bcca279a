//! What `StartBuild` is asked for, checked first against limits CodeBuild has but does not model.

use aws_sdk_codebuild::Client;
use aws_sdk_codebuild::config::http::HttpResponse;
use aws_sdk_codebuild::error::SdkError;
use aws_sdk_codebuild::operation::start_build::{
    StartBuildError, StartBuildInput, StartBuildOutput,
};
use aws_sdk_codebuild::types::{EnvironmentVariable, EnvironmentVariableType};
use towline_ports::StartBuild;

/// Most characters of a buildspec that is sent along.
const LONGEST_BUILDSPEC: usize = 25_600;

/// Most characters of an environment variable's value.
const LONGEST_VALUE: usize = 4_096;

/// Minutes a build may run (CodeBuild API, `BuildTimeOut`).
const MINUTES: std::ops::RangeInclusive<u64> = 5..=2_160;

/// A request that CodeBuild can take.
pub(super) struct Request {
    project: String,
    build: StartBuild,
    minutes: i32,
}

/// Checks a build; gives the reason why it can never be started.
pub(super) fn checked(build: StartBuild) -> Result<Request, String> {
    let length = build.buildspec.chars().count();
    if length > LONGEST_BUILDSPEC {
        return Err(format!(
            "the buildspec has {length} characters, CodeBuild takes at most {LONGEST_BUILDSPEC}; put commands into a file of the repository and call that"
        ));
    }
    if length == 0 {
        // CodeBuild would take the file buildspec.yml of the repository.
        return Err("the buildspec is empty".to_owned());
    }
    for (name, value) in &build.environment {
        let length = value.chars().count();
        if length > LONGEST_VALUE {
            return Err(format!(
                "the value of the environment variable {name} has {length} characters, CodeBuild takes at most {LONGEST_VALUE}"
            ));
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
    /// Source, role and compute type are the project's; whether a build's status is reported to
    /// GitHub is too (`infra/component.yaml` says no), because overriding it is an error where the
    /// source cannot be reported to.
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
        StartBuildInput::builder()
            .project_name(project)
            .source_version(build.commit.as_str())
            .buildspec_override(build.buildspec)
            .set_environment_variables_override(Some(environment))
            .image_override(build.image)
            .privileged_mode_override(build.privileged)
            .timeout_in_minutes_override(minutes)
            // Trying again is decided by the run, which knows about a newer commit.
            .auto_retry_limit_override(0)
            .idempotency_token(build.attempt.as_str())
            .send_with(client)
            .await
    }
}

//! What `StartBuild` is asked for, checked first against limits CodeBuild has but does not model.

use aws_sdk_codebuild::Client;
use aws_sdk_codebuild::config::http::HttpResponse;
use aws_sdk_codebuild::error::SdkError;
use aws_sdk_codebuild::operation::start_build::{
    StartBuildError, StartBuildInput, StartBuildOutput,
};
use aws_sdk_codebuild::types::{EnvironmentType, EnvironmentVariable, EnvironmentVariableType};
use towline_ports::{Architecture, StartBuild};

/// Most characters of a buildspec that is sent along; CodeBuild reads a longer one from a bucket.
pub(super) const LONGEST_BUILDSPEC: usize = 25_600;

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

impl Request {
    /// The buildspec, where it is longer than what is sent along.
    pub(super) fn long_buildspec(&self) -> Option<&str> {
        let text = self.build.buildspec.as_str();
        (text.chars().count() > LONGEST_BUILDSPEC).then_some(text)
    }

    /// Has CodeBuild read the buildspec from this object in a bucket, by its ARN.
    #[cfg(feature = "s3")]
    pub(super) fn read_from(&mut self, arn: String) {
        self.build.buildspec = arn;
    }
}

/// Checks a build; gives the reason why it can never be started.
pub(super) fn checked(build: StartBuild) -> Result<Request, String> {
    if build.buildspec.is_empty() {
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
        // Lambda compute knows neither, and refuses a build that says anything about them.
        let on_lambda = is_of_lambda(&build.image);
        StartBuildInput::builder()
            .project_name(project)
            .source_version(build.commit.as_str())
            .buildspec_override(build.buildspec)
            .set_environment_variables_override(Some(environment))
            .image_override(build.image)
            .set_environment_type_override(
                build
                    .architecture
                    .map(|architecture| environment_type(architecture, on_lambda)),
            )
            .set_privileged_mode_override((!on_lambda).then_some(build.privileged))
            .set_timeout_in_minutes_override((!on_lambda).then_some(minutes))
            // Trying again is decided by the run, which knows about a newer commit.
            .auto_retry_limit_override(0)
            .idempotency_token(build.attempt.as_str())
            .send_with(client)
            .await
    }
}

/// Whether an image is one of those that CodeBuild runs on its Lambda compute and nowhere else, such
/// as `aws/codebuild/amazonlinux-x86_64-lambda-standard:nodejs22`. There is no Docker, and no build runs longer than a
/// quarter of an hour (CodeBuild user guide, "Limitations of AWS Lambda compute"; to a time-out it
/// answers "Cannot specify timeoutInMinutes for lambda compute").
fn is_of_lambda(image: &str) -> bool {
    image.starts_with("aws/codebuild/") && image.contains("-lambda-standard:")
}

/// What a part of an attempt for several platforms runs on, whatever its project says.
fn environment_type(architecture: Architecture, on_lambda: bool) -> EnvironmentType {
    match (architecture, on_lambda) {
        (Architecture::X86, false) => EnvironmentType::LinuxContainer,
        (Architecture::Arm, false) => EnvironmentType::ArmContainer,
        (Architecture::X86, true) => EnvironmentType::LinuxLambdaContainer,
        (Architecture::Arm, true) => EnvironmentType::ArmLambdaContainer,
    }
}

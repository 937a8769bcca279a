//! Why a call of `aws` failed, from what it prints.

use std::io;

use towline_console::outcome::Failure;
use towline_domain::untrusted::Untrusted;

/// Longest message of AWS that is shown, in bytes.
const LONGEST_SAID: usize = 600;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// The person must install `aws`.
    #[error(
        "`aws` is not on the PATH; install the AWS command line with `pip install awscli`, or version 2 as AWS describes"
    )]
    Missing,
    #[error("running aws {call}")]
    Start {
        call: String,
        #[source]
        cause: io::Error,
    },
    /// The person must sign in to AWS.
    #[error(
        "aws has no valid credentials ({said}); run `aws configure` or `aws sso login`, or name a profile with --profile"
    )]
    Credentials { said: String },
    #[error("aws {call}: {said}")]
    Refused {
        call: String,
        /// AWS's name for the error; empty if the command line itself failed.
        code: String,
        /// Its message, safe to show.
        said: String,
    },
    #[error("reading the output of aws {call}")]
    Unreadable {
        call: String,
        #[source]
        cause: serde_json::Error,
    },
    /// A value that `aws` would interpret.
    #[error("{0:?} cannot be passed to aws, which would read a file or an address of that name")]
    Value(String),
}

impl AwsError {
    /// AWS's name for the error.
    pub fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            Self::Missing
            | Self::Start { .. }
            | Self::Credentials { .. }
            | Self::Unreadable { .. }
            | Self::Value(_) => "",
        }
    }

    /// Whether the caller is not allowed to do it.
    pub fn is_denied(&self) -> bool {
        let code = self.code();
        code.starts_with("AccessDenied")
            || matches!(code, "UnauthorizedOperation" | "403" | "Forbidden")
    }

    /// Whether the thing that was asked for does not exist.
    pub fn is_absent(&self) -> bool {
        let code = self.code();
        let Self::Refused { said, .. } = self else {
            return false;
        };
        code.contains("NotFound")
            || matches!(
                code,
                "404" | "NoSuchEntity" | "NoSuchBucket" | "AWS.SimpleQueueService.NonExistentQueue"
            )
            || (code == "ValidationError" && said.contains("does not exist"))
    }
}

impl From<AwsError> for Failure {
    fn from(error: AwsError) -> Self {
        Self::Impossible(error.into())
    }
}

/// Reads what `aws` prints when it fails: `An error occurred (Code) when calling the X operation: why`.
pub(super) fn refusal(call: String, stderr: &str) -> AwsError {
    let lines = stderr
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let all: Vec<&str> = lines
        .filter(|line| !line.starts_with("Note: AWS CLI"))
        .collect();
    let text = all.join(" ");
    let safe = |text: &str| Untrusted::text(text.trim(), LONGEST_SAID).display();
    let no_credentials = [
        "Unable to locate credentials",
        "SSO session",
        "The config profile",
        "Error loading SSO",
        "Partial credentials",
    ];
    if no_credentials.iter().any(|words| text.contains(words)) {
        return AwsError::Credentials { said: safe(&text) };
    }
    let parts = text
        .split_once("An error occurred (")
        .and_then(|(_, rest)| {
            let (code, rest) = rest.split_once(')')?;
            let (_, said) = rest.split_once(": ")?;
            Some((code, said))
        });
    let (code, said) = parts.unwrap_or(("", &text));
    if matches!(
        code,
        "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "SignatureDoesNotMatch"
            | "AuthFailure"
    ) {
        return AwsError::Credentials {
            said: safe(&format!("{code}: {said}")),
        };
    }
    AwsError::Refused {
        call,
        code: code.to_owned(),
        said: safe(said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_aws_says_is_understood() {
        let check = |stderr: &str, code: &str, denied: bool, absent: bool, shown: &str| {
            let error = refusal("iam get-role".into(), stderr);
            assert_eq!(error.code(), code, "{stderr}");
            assert_eq!(error.is_denied(), denied, "{stderr}");
            assert_eq!(error.is_absent(), absent, "{stderr}");
            assert_eq!(error.to_string(), shown, "{stderr}");
        };
        check(
            "\nAn error occurred (AccessDenied) when calling the GetRole operation: User: kim is not authorized\n",
            "AccessDenied",
            true,
            false,
            "aws iam get-role: User: kim is not authorized",
        );
        check(
            "aws: [ERROR]: An error occurred (ValidationError) when calling the DescribeStacks operation: Stack with id x does not exist",
            "ValidationError",
            false,
            true,
            "aws iam get-role: Stack with id x does not exist",
        );
        check(
            "Note: AWS CLI version 2, the latest\nusage: aws [options]\naws: error: Invalid choice",
            "",
            false,
            false,
            "aws iam get-role: usage: aws [options] aws: error: Invalid choice",
        );
        check(
            "Unable to locate credentials. You can configure credentials by running \"aws configure\".",
            "",
            false,
            false,
            "aws has no valid credentials (Unable to locate credentials. You can configure credentials by running \"aws configure\".); run `aws configure` or `aws sso login`, or name a profile with --profile",
        );
    }
}

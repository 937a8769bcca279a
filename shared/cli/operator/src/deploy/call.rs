//! The calls to AWS that both deployments need: who is signed in, and how to deploy a stack.

use std::collections::BTreeMap;

use serde::Deserialize;
use towline_client::aws_cli::{AwsCli, Call};
use towline_client::words::{self, WordError};
use towline_console::outcome::Outcome;

/// Who is signed in to AWS.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Caller {
    pub account: String,
    pub arn: String,
}

impl Caller {
    pub async fn find(aws: &AwsCli) -> Outcome<Self> {
        Ok(aws.call("sts", "get-caller-identity").json().await?)
    }
}

/// Deploys a stack from a template, with the parameters that differ from what the stack has. A long
/// template is uploaded to a bucket first.
pub fn deploy(
    aws: &AwsCli,
    template: &str,
    stack: &str,
    bucket: Option<&str>,
    capabilities: &[&str],
    given: &BTreeMap<String, String>,
) -> Call {
    let mut call = aws
        .call("cloudformation", "deploy")
        .option("--template-file", template)
        .option("--stack-name", stack);
    if let Some(bucket) = bucket {
        call = call
            .option("--s3-bucket", bucket)
            .option("--s3-prefix", stack);
    }
    let capabilities = capabilities.iter().map(ToString::to_string);
    let call = call
        .list("--capabilities", capabilities)
        .word("--no-fail-on-empty-changeset");
    if given.is_empty() {
        return call;
    }
    let pairs = given.iter().map(|(name, value)| format!("{name}={value}"));
    call.list("--parameter-overrides", pairs)
}

/// Parses `NAME=VALUE`, where the name has letters and digits only.
///
/// # Errors
/// When the text has another form.
pub fn parameter(text: &str) -> Result<(String, String), WordError> {
    let (name, value) = words::pair(text)?;
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(WordError::new(
            "use only letters and digits in a parameter's name",
        ));
    }
    Ok((name, value))
}

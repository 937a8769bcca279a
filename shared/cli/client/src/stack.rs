//! A deployed stack: its place, its state, its parameters and outputs.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::anyhow;
use clap::Args;
use serde::Deserialize;

use crate::aws_cli::{AwsCli, AwsError};
use crate::words::{WordError, word};
use towline_console::outcome::Outcome;
use towline_console::surroundings;

/// The default name of the stack.
pub const STACK: &str = "towline";

/// Where a stack is.
#[derive(Debug, Clone, Default, Args)]
pub struct Place {
    /// AWS region [default: the one `aws` uses]
    #[arg(long, value_name = "REGION", value_parser = label, help_heading = "AWS")]
    pub region: Option<String>,
    /// Profile of the AWS command line
    #[arg(long, value_name = "PROFILE", value_parser = label, help_heading = "AWS")]
    pub profile: Option<String>,
}

impl Place {
    /// The command line for this place.
    pub fn aws(&self) -> AwsCli {
        AwsCli::new(self.named_region(), self.profile.clone())
    }

    /// The region, if one is set: version 1 of `aws` does not read `AWS_REGION`.
    fn named_region(&self) -> Option<String> {
        self.region.clone().or_else(|| {
            let names = ["AWS_REGION", "AWS_DEFAULT_REGION"];
            names.into_iter().find_map(surroundings::text)
        })
    }

    /// The options that name this place in a command for people to repeat.
    pub fn options(&self, region: &str) -> String {
        let profile = self.profile.iter().map(|it| format!(" --profile {it}"));
        format!("--region {region}{}", profile.collect::<String>())
    }

    /// The command line and its region, which is looked up if none is set.
    pub async fn located(&self) -> Outcome<(AwsCli, String)> {
        let aws = self.aws();
        let region = match self.named_region() {
            Some(region) => region,
            None => match aws.call("configure", "get").word("region").text().await {
                Ok(region) if !region.is_empty() => region,
                Ok(_) | Err(AwsError::Refused { .. }) => {
                    return Err(anyhow!("no AWS region is set; use --region, such as --region eu-west-1, or set AWS_REGION").into());
                }
                Err(error) => return Err(error.into()),
            },
        };
        Ok((aws.in_region(&region), region))
    }
}

/// A name as AWS accepts it for stacks, regions, profiles and buckets.
///
/// # Errors
/// When AWS would not accept it as a name.
pub fn label(text: &str) -> Result<String, WordError> {
    let good = |character: char| character.is_ascii_alphanumeric() || "-_.@".contains(character);
    let is_label = !text.is_empty() && !text.starts_with('-') && text.chars().all(good);
    word(
        text,
        is_label,
        "use only letters, digits, '-', '_', '.' and '@', without '-' at the start",
    )
}

/// A stack's name.
///
/// # Errors
/// When CloudFormation would not accept it (CloudFormation API, `CreateStack`).
pub fn stack_name(text: &str) -> Result<String, WordError> {
    let good = |character: char| character.is_ascii_alphanumeric() || character == '-';
    let begins = text.starts_with(|first: char| first.is_ascii_alphabetic());
    let is_name = begins && text.len() <= 128 && text.chars().all(good);
    word(
        text,
        is_name,
        "start with a letter; use only letters, digits and '-', at most 128 characters",
    )
}

/// CloudFormation's word for the state of a stack, such as `UPDATE_COMPLETE`, and what it means for the next
/// deployment (CloudFormation API, `StackStatus`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct StackStatus {
    word: String,
    state: StackState,
}

/// What the state of a stack means for the next deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StackState {
    /// The last deployment succeeded.
    Deployed,
    /// The last deployment failed and was undone, or left the stack in another state that can be updated.
    Failed,
    /// The stack was never complete; it must be deleted before it can be deployed.
    NeverComplete,
    /// A rollback failed, and must be continued first.
    Stuck,
    /// A change set was made and never executed.
    OnlyReviewed,
    /// A deployment is in progress.
    Busy,
}

impl StackStatus {
    pub fn state(&self) -> StackState {
        self.state
    }
}

impl From<String> for StackStatus {
    fn from(word: String) -> Self {
        let state = match word.as_str() {
            "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE" => StackState::Deployed,
            "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED" | "DELETE_FAILED" => {
                StackState::NeverComplete
            }
            "UPDATE_ROLLBACK_FAILED" => StackState::Stuck,
            "REVIEW_IN_PROGRESS" => StackState::OnlyReviewed,
            word if word.ends_with("_IN_PROGRESS") => StackState::Busy,
            _ => StackState::Failed,
        };
        Self { word, state }
    }
}

impl fmt::Display for StackStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.word)
    }
}

/// A stack as CloudFormation describes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Stack {
    #[serde(rename = "StackStatus")]
    pub status: StackStatus,
    #[serde(default)]
    parameters: Vec<Parameter>,
    #[serde(default)]
    outputs: Vec<Given>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    parameter_key: String,
    #[serde(default)]
    parameter_value: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    output_key: String,
    output_value: String,
}

impl Stack {
    /// The stack of that name, if there is one.
    pub async fn find(aws: &AwsCli, name: &str) -> Result<Option<Self>, AwsError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Described {
            stacks: Vec<Stack>,
        }
        let call = aws.call("cloudformation", "describe-stacks");
        match call.option("--stack-name", name).json::<Described>().await {
            Ok(described) => Ok(described.stacks.into_iter().next()),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The stack of that name.
    ///
    /// # Errors
    /// When it does not exist, or CloudFormation does not answer.
    pub async fn existing(aws: &AwsCli, name: &str) -> Outcome<Self> {
        let found = Self::find(aws, name).await?;
        let absent = || {
            let place = aws.region().unwrap_or("the region of your AWS settings");
            anyhow!(
                "stack {name} not found in {place}; deploy it with `towline deploy`, or name another with --stack and --region"
            )
        };
        Ok(found.ok_or_else(absent)?)
    }

    /// Its current parameters.
    pub fn parameters(&self) -> BTreeMap<&str, &str> {
        let pairs = self.parameters.iter();
        pairs
            .map(|it| (it.parameter_key.as_str(), it.parameter_value.as_str()))
            .collect()
    }

    /// Its outputs, by name.
    pub fn outputs(&self) -> BTreeMap<&str, &str> {
        let pairs = self.outputs.iter();
        pairs
            .map(|it| (it.output_key.as_str(), it.output_value.as_str()))
            .collect()
    }

    /// One output's value.
    pub fn output(&self, name: &str) -> Option<&str> {
        self.outputs().get(name).copied()
    }
}

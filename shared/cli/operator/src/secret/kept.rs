//! The secrets of a stack in Secrets Manager, version by version.

use anyhow::anyhow;
use clap::ValueEnum;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use towline_client::aws_cli::{AwsCli, AwsError};
use towline_client::stack::Stack;
use towline_console::outcome::Outcome;

/// The secrets of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// Signs GitHub's webhooks.
    Webhook,
    /// Reads commits and writes statuses on GitHub.
    Github,
    /// Signs Slack's commands.
    Slack,
    /// The people, set with `towline people`.
    #[value(skip)]
    People,
}

impl Name {
    /// The name that is typed and shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Github => "github",
            Self::Slack => "slack",
            Self::People => "people",
        }
    }

    /// The output of the stack that holds its ARN.
    pub fn output(self) -> &'static str {
        match self {
            Self::Webhook => "WebhookSecretArn",
            Self::Github => "GitHubSecretArn",
            Self::Slack => "SlackSecretArn",
            Self::People => "PeopleSecretArn",
        }
    }
}

/// The values of secrets that have never been set (infra/template.yaml).
const UNSET: [&str; 3] = ["unset", "{}", "[]"];

/// The staging label of the version that readers get.
const CURRENT: &str = "AWSCURRENT";
/// The staging label of the version before it.
const PREVIOUS: &str = "AWSPREVIOUS";
/// The staging label of a version that readers do not get yet.
const CHANGE: &str = "towline-change";

/// One version of a secret.
pub struct Version {
    pub id: String,
    /// `None` if the secret was never set.
    pub text: Option<String>,
    /// When it was created, if known.
    pub made: Option<Timestamp>,
}

/// A secret in Secrets Manager.
pub struct Kept<'a> {
    aws: &'a AwsCli,
    id: String,
}

impl<'a> Kept<'a> {
    pub async fn find(aws: &'a AwsCli, stack: &str, name: Name) -> Outcome<Self> {
        let described = Stack::existing(aws, stack).await?;
        match described.output(name.output()) {
            Some(id) => Ok(Self {
                aws,
                id: id.to_owned(),
            }),
            None => Err(anyhow!(
                "the stack {stack} has no output for its {} secret; run `towline deploy` again",
                name.word()
            )
            .into()),
        }
    }

    pub fn at(aws: &'a AwsCli, id: &str) -> Self {
        Self {
            aws,
            id: id.to_owned(),
        }
    }

    pub async fn current(&self) -> Result<Version, AwsError> {
        self.version(CURRENT).await
    }

    pub async fn previous(&self) -> Result<Option<Version>, AwsError> {
        match self.version(PREVIOUS).await {
            Ok(version) => Ok(Some(version)),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn version(&self, stage: &str) -> Result<Version, AwsError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Got {
            secret_string: String,
            #[serde(default)]
            version_id: String,
            #[serde(default)]
            created_date: Value,
        }
        let call = self.aws.call("secretsmanager", "get-secret-value");
        let call = call.option("--secret-id", &self.id);
        let got: Got = call.option("--version-stage", stage).json().await?;
        Ok(Version {
            id: got.version_id,
            text: Some(got.secret_string).filter(|text| !UNSET.contains(&text.trim())),
            made: moment(&got.created_date),
        })
    }

    /// Replaces the current version.
    pub async fn write(&self, text: String) -> Outcome {
        self.put(text, CURRENT).await?;
        Ok(())
    }

    /// Replaces the current version if it still is `before`; returns whether it was.
    ///
    /// The text is written without the label first. Then AWS moves the label, and only from the version
    /// that is named (Secrets Manager API, `UpdateSecretVersionStage`).
    pub async fn replace(&self, before: &str, text: String) -> Outcome<bool> {
        let written = self.put(text, CHANGE).await?;
        let call = self
            .aws
            .call("secretsmanager", "update-secret-version-stage");
        let call = call.option("--secret-id", &self.id);
        let call = call.option("--version-stage", CURRENT);
        let call = call.option("--move-to-version-id", &written);
        match call.option("--remove-from-version-id", before).text().await {
            Ok(_) => Ok(true),
            Err(error) if self.current().await?.id == before => Err(error.into()),
            Err(_) => Ok(false),
        }
    }

    async fn put(&self, text: String, stage: &str) -> Result<String, AwsError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Put {
            version_id: String,
        }
        let call = self.aws.call("secretsmanager", "put-secret-value");
        let call = call.option("--secret-id", &self.id);
        let call = call.option("--version-stages", stage);
        let put: Put = call.secret("--secret-string", text).json().await?;
        Ok(put.version_id)
    }

    /// Invalidates the version before the current one; returns whether there was one.
    pub async fn drop_previous(&self) -> Outcome<bool> {
        let call = self.aws.call("secretsmanager", "describe-secret");
        let described: Value = call.option("--secret-id", &self.id).json().await?;
        let versions = described["VersionIdsToStages"].as_object();
        let previous = versions.into_iter().flatten().find_map(|(id, stages)| {
            let stages = stages.as_array()?;
            stages.iter().any(|stage| stage == PREVIOUS).then_some(id)
        });
        let Some(version) = previous else {
            return Ok(false);
        };
        let call = self
            .aws
            .call("secretsmanager", "update-secret-version-stage");
        let call = call.option("--secret-id", &self.id);
        let call = call.option("--version-stage", PREVIOUS);
        call.option("--remove-from-version-id", version)
            .text()
            .await?;
        Ok(true)
    }
}

/// A time as `aws` prints it: version 1 in seconds since 1970, version 2 as text.
fn moment(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(seconds) => {
            let seconds = SignedDuration::try_from_secs_f64(seconds.as_f64()?).ok()?;
            Timestamp::from_duration(seconds).ok()
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

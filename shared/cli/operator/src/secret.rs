//! `towline secret`: fills in and rotates the secrets of a stack, which never stand in an argument.

mod github;

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::{Subcommand, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use towline_ports::Clock as _;
use towline_wire::signature::Secret;

pub use github::github;
use towline_client::aws_cli::{AwsCli, AwsError};

use towline_client::stack::{self, Place, STACK, Stack};
use towline_console::outcome::{Outcome, refused};
use towline_console::output::{Output, is_interactive};
use towline_console::process as console;
use towline_ports::system::{SystemClock, random_bytes};

/// Settings of `secret`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  towline secret set webhook --generate             made here, shown once, to paste into GitHub
  towline secret set github --from token.txt        a token
  towline secret set github --app-id 123456 --from key.pem
  pass slack/towline | towline secret set slack     from standard input

Setting a secret again rotates it: functions take notice within five minutes. Signatures by the one
before stay good for an hour, or until `towline secret drop-previous`. Setting it twice within that
hour ends the oldest, so that is asked about first.")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Set a secret, read from standard input or a file
    Set {
        /// webhook, github or slack
        #[arg(value_enum, hide_possible_values = true)]
        secret: Name,
        /// File it is in; else standard input
        #[arg(long, value_name = "FILE", conflicts_with = "generate")]
        from: Option<PathBuf>,
        /// Make one up and print it, this once
        #[arg(long)]
        generate: bool,
        /// GitHub App's id or client id: what is read is its private key
        #[arg(long, value_name = "ID")]
        app_id: Option<String>,
        /// End the secret before the current one without asking
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        of: Of,
    },
    /// Make the secret before the current one invalid
    DropPrevious {
        /// webhook, github or slack
        #[arg(value_enum, hide_possible_values = true)]
        secret: Name,
        #[command(flatten)]
        of: Of,
    },
}

/// Which stack is meant.
#[derive(Debug, Clone, clap::Args)]
pub struct Of {
    /// Name of the stack
    #[arg(long, value_name = "NAME", default_value = STACK, value_parser = stack::stack_name)]
    pub stack: String,
    #[command(flatten)]
    pub place: Place,
}

/// One of a stack's secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// What GitHub signs webhooks with.
    Webhook,
    /// What commits are read and statuses written with.
    Github,
    /// What Slack signs commands with.
    Slack,
    /// Who may ask and approve.
    #[value(skip)]
    People,
}

impl Name {
    /// Its name, as typed and shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Github => "github",
            Self::Slack => "slack",
            Self::People => "people",
        }
    }

    /// The output of the stack that tells where it is.
    #[must_use]
    pub fn output(self) -> &'static str {
        match self {
            Self::Webhook => "WebhookSecretArn",
            Self::Github => "GitHubSecretArn",
            Self::Slack => "SlackSecretArn",
            Self::People => "PeopleSecretArn",
        }
    }
}

/// What secrets hold that have never been set (infra/template.yaml).
const UNSET: [&str; 3] = ["unset", "{}", "[]"];

/// How soon what is written is acted on: functions keep what they have read for that long.
pub const NOTICED: &str = "functions take notice within five minutes";
/// How long signatures by the secret before the current one are taken.
const OVERLAP: SignedDuration = SignedDuration::from_hours(1);
/// The staging label of the version that Secrets Manager gives out.
const CURRENT: &str = "AWSCURRENT";
/// The staging label of the version before it.
const PREVIOUS: &str = "AWSPREVIOUS";
/// The staging label of a version that is not given out yet.
const CHANGE: &str = "towline-change";

/// One version of a secret.
pub struct Version {
    /// Its id.
    pub id: String,
    /// What it holds; none when that stands for nothing.
    pub text: Option<String>,
    /// When it was made, if AWS says so in a way we can read.
    made: Option<Timestamp>,
}

/// A secret in Secrets Manager.
pub struct Kept<'a> {
    aws: &'a AwsCli,
    id: String,
}

impl<'a> Kept<'a> {
    /// The stack's secret of that name.
    ///
    /// # Errors
    /// When the stack has none, or does not say.
    pub async fn find(aws: &'a AwsCli, stack: &str, name: Name) -> Outcome<Self> {
        let described = Stack::existing(aws, stack).await?;
        match described.output(name.output()) {
            Some(id) => Ok(Self {
                aws,
                id: id.to_owned(),
            }),
            None => Err(anyhow!("the stack {stack} does not tell its {} secret; deploy it again with `towline deploy`", name.word()).into()),
        }
    }

    /// A secret by its ARN.
    #[must_use]
    pub fn at(aws: &'a AwsCli, id: &str) -> Self {
        Self {
            aws,
            id: id.to_owned(),
        }
    }

    /// Its current version.
    ///
    /// # Errors
    /// When it may not be read.
    pub async fn current(&self) -> Result<Version, AwsError> {
        self.version(CURRENT).await
    }

    /// The version before the current one, if there is one.
    async fn previous(&self) -> Result<Option<Version>, AwsError> {
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

    /// Makes a text the current one, whatever is there.
    ///
    /// # Errors
    /// When it may not be written.
    async fn write(&self, text: String) -> Outcome {
        self.put(text, CURRENT).await?;
        Ok(())
    }

    /// Makes a text the current one if that is still the version `before`; whether it was.
    ///
    /// The text is written beside the current one first, and then the label is moved, which AWS does
    /// only from the version that is named (Secrets Manager API, `UpdateSecretVersionStage`).
    ///
    /// # Errors
    /// When it may not be written.
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

    /// Makes the text before the current one invalid; whether there was one.
    ///
    /// # Errors
    /// When it may not be done.
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

/// Does what was asked.
///
/// # Errors
/// Refused when what was given is no such secret; impossible when AWS or a file cannot be used.
pub async fn run(args: Args, output: Output) -> Outcome {
    match args.action {
        Action::Set {
            secret,
            from,
            generate,
            app_id,
            yes,
            of,
        } => {
            if generate && secret != Name::Webhook {
                return refused(format!(
                    "only the webhook's secret can be made up; give {}",
                    source_of(secret)
                ));
            }
            if app_id.is_some() && secret != Name::Github {
                return refused("--app-id belongs to the github secret");
            }
            let (text, made) = if generate {
                let made = hex::encode(random_bytes::<32>());
                (made.clone(), Some(made))
            } else {
                let given = given(secret, app_id.is_some(), from.as_deref())?;
                (checked(secret, &given, app_id)?, None)
            };
            set(secret, &of, text, made, yes, output).await
        }
        Action::DropPrevious { secret, of } => {
            let aws = of.place.aws();
            let kept = Kept::find(&aws, &of.stack, secret).await?;
            let word = secret.word();
            let sentence = if kept.drop_previous().await? {
                format!("the {word} secret before the current one is dropped; {NOTICED}")
            } else {
                format!("there is no {word} secret before the current one")
            };
            done(output, &sentence, None)
        }
    }
}

async fn set(
    secret: Name,
    of: &Of,
    text: String,
    made: Option<String>,
    yes: bool,
    output: Output,
) -> Outcome {
    let aws = of.place.aws();
    let kept = Kept::find(&aws, &of.stack, secret).await?;
    let word = secret.word();
    let stack = &of.stack;
    let before = kept.current().await?;
    if before.text.as_ref() == Some(&text) {
        // Writing it again would only push the one before it out.
        return done(
            output,
            &format!("the {word} secret of {stack} is that already"),
            None,
        );
    }
    // What signs is checked against both; what we ask GitHub with is always the newest.
    let is_checked = matches!(secret, Name::Webhook | Name::Slack) && before.text.is_some();
    if is_checked && !yes && is_recent(&before) {
        let older = kept.previous().await?.and_then(|older| older.text);
        if older.is_some_and(|older| Some(older) != before.text) {
            agree(word, output)?;
        }
    }
    kept.write(text).await?;
    let overlap = match is_checked {
        true => format!(
            "; signatures by the one before stay good for an hour, or until `towline secret drop-previous {word}`"
        ),
        false => String::new(),
    };
    let sentence = format!("the {word} secret of {stack} is set; {NOTICED}{overlap}");
    done(output, &sentence, made)
}

/// Whether signatures by the one before a version may still be taken.
fn is_recent(version: &Version) -> bool {
    version
        .made
        .is_none_or(|made| SystemClock.now().duration_since(made) < OVERLAP)
}

/// Asks whether a secret may end that somebody may still sign with.
fn agree(word: &str, output: Output) -> Outcome {
    let sentence = format!(
        "the {word} secret was set less than an hour ago, and the one before it may be what is still signed with: it ends with this, and what it signs is refused within minutes"
    );
    if !is_interactive() {
        return refused(format!(
            "{sentence}; say --yes for that, or wait until the newer one is in use everywhere"
        ));
    }
    output.progress(&sentence);
    if output.confirm("Go on?")? {
        return Ok(());
    }
    refused("nothing has been changed")
}

/// A moment as `aws` prints it: version 1 in seconds since 1970, version 2 as text.
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

fn done(output: Output, sentence: &str, made: Option<String>) -> Outcome {
    if output.is_json() {
        return output.value(&json!({ "message": sentence, "secret": made }));
    }
    output.progress(sentence);
    let Some(made) = made else {
        return Ok(());
    };
    output.progress("It is shown this once; GitHub's webhook takes it as its secret:");
    output.text(&format!("{made}\n"))
}

/// What a person hands over: a file's text, or what they type or pipe.
fn given(secret: Name, is_key: bool, from: Option<&std::path::Path>) -> Outcome<String> {
    if let Some(path) = from {
        let text = std::fs::read_to_string(path);
        return Ok(text.with_context(|| format!("reading {}", path.display()))?);
    }
    let what = if is_key {
        "the App's private key, with --from FILE"
    } else {
        source_of(secret)
    };
    let typed = console::hidden(&format!("{} secret ({what}): ", secret.word()));
    Ok(typed.context("reading what was typed")?)
}

fn source_of(secret: Name) -> &'static str {
    match secret {
        Name::Webhook => "at least 32 characters, the same at GitHub",
        Name::Github => "a token of GitHub's, or --app-id with the App's key",
        Name::Slack => "the signing secret, on the Slack app's Basic Information page",
        Name::People => "towline people",
    }
}

/// The secret as functions read it.
fn checked(secret: Name, given: &str, app_id: Option<String>) -> Outcome<String> {
    let text = given.trim();
    match secret {
        Name::Webhook | Name::Slack => match Secret::new(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(error) => refused(error.to_string()),
        },
        Name::Github => {
            let written = match (app_id, serde_json::from_str::<Value>(text)) {
                (Some(id), _) => {
                    json!({ "app_id": id, "private_key": format!("{text}\n") }).to_string()
                }
                (None, Ok(value @ Value::Object(_))) => value.to_string(),
                (None, _) if text.starts_with("-----BEGIN") => {
                    return refused("that is an App's private key; say whose with --app-id");
                }
                (None, _) => json!({ "token": text }).to_string(),
            };
            match github(&written) {
                Ok(()) => Ok(written),
                Err(wrong) => refused(format!("GitHub's secret {wrong}")),
            }
        }
        Name::People => refused("people are set with `towline people`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_checked_before_it_is_set() {
        let check = |secret, given: &str, app: Option<&str>, expected: Result<&str, &str>| {
            let outcome = checked(secret, given, app.map(str::to_owned));
            let found = outcome.map_err(|failure| failure.sentence().unwrap_or_default());
            assert_eq!(
                found.as_deref().map_err(String::as_str),
                expected,
                "{given}"
            );
        };
        let long = "0123456789abcdef0123456789abcdef";
        check(Name::Webhook, &format!("{long}\n"), None, Ok(long));
        check(
            Name::Webhook,
            "short",
            None,
            Err(
                "the secret has 5 bytes and needs at least 32; create one with `openssl rand -hex 32` and set it here and on GitHub",
            ),
        );
        check(Name::Slack, &format!("{long}\n"), None, Ok(long));
        check(
            Name::Github,
            "ghp_abc\n",
            None,
            Ok(r#"{"token":"ghp_abc"}"#),
        );
        check(
            Name::Github,
            r#"{ "token": "x" }"#,
            None,
            Ok(r#"{"token":"x"}"#),
        );
        check(
            Name::Github,
            r#"{"tokens": "x"}"#,
            None,
            Err(r#"GitHub's secret is neither {"token": …} nor {"app_id": …, "private_key": …}"#),
        );
        let key = "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----";
        check(
            Name::Github,
            key,
            Some("12"),
            Ok(
                r#"{"app_id":"12","private_key":"-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\n"}"#,
            ),
        );
        check(
            Name::Github,
            key,
            None,
            Err("that is an App's private key; say whose with --app-id"),
        );
    }
}

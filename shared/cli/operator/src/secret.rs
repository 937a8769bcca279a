//! `towline secret`: sets and rotates the secrets of a stack. A secret is never an argument.

mod github;
mod kept;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use jiff::SignedDuration;
use serde_json::{Value, json};
use towline_ports::Clock as _;
use towline_wire::signature::Secret;

pub use github::github;
use kept::Version;
pub use kept::{Kept, Name};

use towline_client::stack::{self, Place, STACK};
use towline_console::outcome::{Outcome, refused};
use towline_console::output::{Output, is_interactive};
use towline_console::process as console;
use towline_ports::system::{SystemClock, random_bytes};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  towline secret set webhook --generate             generates one and prints it once, to paste into GitHub
  towline secret set github --from token.txt        a token
  towline secret set github --app-id 123456 --from key.pem
  pass slack/towline | towline secret set slack     from standard input

Setting a secret again rotates it. Functions use the new one within five minutes, and accept signatures
by the previous one for an hour, or until `towline secret drop-previous`. Setting it twice within that
hour invalidates the oldest at once, so the command asks first.")]
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
        /// File to read it from [default: standard input]
        #[arg(long, value_name = "FILE", conflicts_with = "generate")]
        from: Option<PathBuf>,
        /// Generate one and print it once
        #[arg(long)]
        generate: bool,
        /// Id or client id of a GitHub App; the secret is then its private key
        #[arg(long, value_name = "ID")]
        app_id: Option<String>,
        /// Do not ask before the oldest secret is invalidated
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        of: Of,
    },
    /// Invalidate the previous secret
    DropPrevious {
        /// webhook, github or slack
        #[arg(value_enum, hide_possible_values = true)]
        secret: Name,
        #[command(flatten)]
        of: Of,
    },
}

#[derive(Debug, Clone, clap::Args)]
pub struct Of {
    /// Name of the stack
    #[arg(long, value_name = "NAME", default_value = STACK, value_parser = stack::stack_name)]
    pub stack: String,
    #[command(flatten)]
    pub place: Place,
}

/// Functions cache a secret for this long.
pub const NOTICED: &str = "functions use it within five minutes";
/// How long signatures by the previous secret are accepted.
const OVERLAP: SignedDuration = SignedDuration::from_hours(1);
/// Sets a secret, or invalidates the previous one.
///
/// # Errors
/// Refused when the text is not such a secret; an error when AWS or a file cannot be used.
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
                    "only the webhook secret can be generated; provide {}",
                    source_of(secret)
                ));
            }
            if app_id.is_some() && secret != Name::Github {
                return refused("--app-id is for the github secret");
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
                format!("the previous {word} secret is invalid within five minutes")
            } else {
                format!("there is no previous {word} secret")
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
        // Writing it again would only invalidate the previous one.
        return done(
            output,
            &format!("the {word} secret of {stack} is already set to this value"),
            None,
        );
    }
    // Signatures are checked against both secrets; calls to GitHub use the newest.
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
            "; signatures by the previous one are accepted for an hour, or until `towline secret drop-previous {word}`"
        ),
        false => String::new(),
    };
    let sentence = format!("the {word} secret of {stack} is set; {NOTICED}{overlap}");
    done(output, &sentence, made)
}

/// Whether signatures by the previous secret may still be accepted.
fn is_recent(version: &Version) -> bool {
    version
        .made
        .is_none_or(|made| SystemClock.now().duration_since(made) < OVERLAP)
}

/// Asks before a secret that may still be in use becomes invalid.
fn agree(word: &str, output: Output) -> Outcome {
    let sentence = format!(
        "the {word} secret was set less than an hour ago, and the one before it may still be in use. Setting another makes it invalid: its signatures are refused within minutes"
    );
    if !is_interactive() {
        return refused(format!(
            "{sentence}. Use --yes to do that, or wait until the newer one is in use everywhere"
        ));
    }
    output.progress(&sentence);
    if output.confirm("Continue?")? {
        return Ok(());
    }
    refused("nothing has been changed")
}

fn done(output: Output, sentence: &str, made: Option<String>) -> Outcome {
    if output.is_json() {
        return output.value(&json!({ "message": sentence, "secret": made }));
    }
    output.progress(sentence);
    let Some(made) = made else {
        return Ok(());
    };
    output.progress("Shown only once; set it as the secret of the webhook on GitHub:");
    output.text(&format!("{made}\n"))
}

/// The text of a file, or of standard input.
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
    Ok(typed.context("reading from the terminal")?)
}

fn source_of(secret: Name) -> &'static str {
    match secret {
        Name::Webhook => "at least 32 characters, the same on GitHub",
        Name::Github => "a GitHub token, or --app-id with the App's key",
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
                    return refused(
                        "this is the private key of a GitHub App; name the App with --app-id",
                    );
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
            Err(
                r#"GitHub's secret has an unknown key or value; it needs "token", or "app_id" and "private_key", all strings"#,
            ),
        );
        check(
            Name::Github,
            "{}",
            None,
            Err("GitHub's secret is empty; set a token, or an App with its private key"),
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
            Err("this is the private key of a GitHub App; name the App with --app-id"),
        );
    }
}

//! Calls AWS through its own command line, `aws` version 1 or 2, with one child process per call.
//!
//! A call is a list of arguments, never text for a shell. A value follows `=` in the argument of its
//! option, so it is never read as an option. A value that would make `aws` read a file or an address is
//! refused. Secrets go to the child's standard input only.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::process::Stdio;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use towline_buildspec::generate::quote;

mod error;

pub use error::AwsError;

use error::refusal;

/// Calls that run at the same time: each is a Python process.
const AT_ONCE: usize = 6;
/// Makes `aws` read a value from its standard input.
const STDIN: &str = "file:///dev/stdin";

/// The `aws` command line, for one region and one profile.
#[derive(Debug, Clone)]
pub struct AwsCli {
    region: Option<String>,
    profile: Option<String>,
    turns: Arc<Semaphore>,
}

impl AwsCli {
    /// For a region and a profile; if one is missing, `aws` uses its own settings.
    pub fn new(region: Option<String>, profile: Option<String>) -> Self {
        Self {
            region,
            profile,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// The same, in a region.
    pub fn in_region(mut self, region: &str) -> Self {
        self.region = Some(region.to_owned());
        self
    }

    /// Its region; none if `aws` finds it in its own settings.
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    pub fn call(&self, service: &str, operation: &str) -> Call {
        Call {
            cli: self.clone(),
            name: format!("{service} {operation}"),
            arguments: vec![service.into(), operation.into()],
            input: None,
            wrong: None,
        }
    }
}

/// A call that has not run yet.
#[derive(Clone)]
pub struct Call {
    cli: AwsCli,
    name: String,
    arguments: Vec<String>,
    input: Option<Vec<u8>>,
    wrong: Option<String>,
}

impl Call {
    pub fn option(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        let value = value.to_string();
        self.judge(&value);
        self.arguments.push(format!("{name}={value}"));
        self
    }

    /// Adds an option whose value is a URL that `aws` does not fetch, such as a queue's.
    pub fn address(mut self, name: &'static str, value: &str) -> Self {
        self.arguments.push(format!("{name}={value}"));
        self
    }

    /// Adds an option without a value, or a fixed word.
    pub fn word(mut self, word: &'static str) -> Self {
        self.arguments.push(word.into());
        self
    }

    /// Adds an option with a list of values, each of which begins with a fixed word.
    pub fn list(mut self, name: &'static str, values: impl IntoIterator<Item = String>) -> Self {
        self.arguments.push(name.into());
        for value in values {
            self.judge(&value);
            self.arguments.push(value);
        }
        self
    }

    /// Adds a value that nobody else on this machine may see.
    pub fn secret(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.arguments.push(format!("{name}={STDIN}"));
        self.input = Some(value.into());
        self
    }

    fn judge(&mut self, value: &str) {
        let reads = ["file://", "fileb://", "http://", "https://"];
        if value.starts_with('-') || reads.iter().any(|prefix| value.starts_with(prefix)) {
            self.wrong = Some(value.to_owned());
        }
    }

    /// The command with region and profile, for people to read or repeat.
    pub fn shown(&self) -> String {
        let words = std::iter::once("aws".to_owned()).chain(self.words());
        words.map(|word| quote(&word)).collect::<Vec<_>>().join(" ")
    }

    fn words(&self) -> impl Iterator<Item = String> {
        let region = self.cli.region.iter().map(|it| format!("--region={it}"));
        let profile = self.cli.profile.iter().map(|it| format!("--profile={it}"));
        let words = self.arguments.iter().cloned();
        words.chain(region).chain(profile)
    }

    /// Runs it; returns its answer as JSON.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, AwsError> {
        let name = self.name.clone();
        let mut text = self.run(&["--output=json"]).await?;
        if text.trim().is_empty() {
            // Some operations print nothing at all, such as a rule without targets in old versions.
            text = "{}".into();
        }
        serde_json::from_str(&text).map_err(|cause| AwsError::Unreadable { call: name, cause })
    }

    /// Runs it; returns its output without surrounding white space.
    pub async fn text(self) -> Result<String, AwsError> {
        Ok(self.run(&[]).await?.trim().to_owned())
    }

    async fn run(mut self, further: &[&str]) -> Result<String, AwsError> {
        let turns = Arc::clone(&self.cli.turns);
        // The semaphore is never closed.
        let _turn = turns.acquire().await.ok();
        let input = self.input.take();
        let mut child = self.start(further, input.is_some())?;
        let failed = |cause| AwsError::Start {
            call: self.name.clone(),
            cause,
        };
        if let (Some(input), Some(mut pipe)) = (input, child.stdin.take()) {
            match pipe.write_all(&input).await {
                // A process that does not read its input reports the reason itself.
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    return Err(failed(error));
                }
                _ => drop(pipe),
            }
        }
        let output = child.wait_with_output().await.map_err(failed)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(refusal(self.name, &String::from_utf8_lossy(&output.stderr)))
    }

    /// Starts it; [`Running::end`] returns its result.
    pub fn begin(self) -> Result<Running, AwsError> {
        let child = self.start(&[], false)?;
        Ok(Running {
            child,
            name: self.name,
        })
    }

    fn start(&self, further: &[&str], has_input: bool) -> Result<Child, AwsError> {
        if let Some(value) = &self.wrong {
            return Err(AwsError::Value(value.clone()));
        }
        let words = self.words().map(OsString::from);
        Command::new("aws")
            .args(words)
            .args(further)
            // Otherwise version 2 would prompt, or use a pager.
            .env("AWS_PAGER", "")
            .env("AWS_CLI_AUTO_PROMPT", "off")
            .stdin(if has_input {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|cause| match cause.kind() == io::ErrorKind::NotFound {
                true => AwsError::Missing,
                false => AwsError::Start {
                    call: self.name.clone(),
                    cause,
                },
            })
    }
}

pub struct Running {
    child: Child,
    name: String,
}

impl Running {
    /// Waits for its end.
    pub async fn end(self) -> Result<(), AwsError> {
        let name = self.name;
        let output = self.child.wait_with_output().await;
        let output = output.map_err(|cause| AwsError::Start {
            call: name.clone(),
            cause,
        })?;
        if output.status.success() {
            return Ok(());
        }
        Err(refusal(name, &String::from_utf8_lossy(&output.stderr)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_never_an_option_nor_read_from_elsewhere() {
        let check = |value: &str, good: bool| {
            let call = AwsCli::new(None, None).call("s3api", "head-bucket");
            let joined = call.clone().option("--bucket", value);
            let listed = call.list("--x", [value.to_owned()]);
            assert_eq!(joined.wrong.is_none(), good, "{value}");
            assert_eq!(listed.wrong.is_none(), good, "{value}");
        };
        check("acme/shop", true);
        check("Repositories=acme/shop,acme/*", true);
        check("--profile=other", false);
        check("file:///etc/passwd", false);
        check("https://example.com", false);
    }

    #[test]
    fn a_shown_call_can_be_pasted() {
        let call = AwsCli::new(Some("eu-west-1".into()), None)
            .call("cloudformation", "deploy")
            .list(
                "--parameter-overrides",
                ["Repositories=acme/*".to_owned(), "Note=it's".to_owned()],
            );
        assert_eq!(
            call.shown(),
            r"aws cloudformation deploy --parameter-overrides 'Repositories=acme/*' 'Note=it'\''s' --region=eu-west-1"
        );
    }
}

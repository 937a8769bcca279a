//! `towline people`: who may ask and approve, on one machine or at AWS.

use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::json;
use towline_domain::person::Person;
use towline_wire::people::{Known, is_trustworthy};

use super::secret::{Kept, Name};
use crate::credentials::DATA_FOLDER;
use crate::machine::Folder;
use crate::outcome::{Failure, Outcome, refused};
use crate::output::Output;
use crate::people::{self, People, PeopleError};
use crate::stack::{self, Place};

/// Settings of `people`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  towline people add lee --email lee@acme.example --group release-managers
  towline people add kim --group '*' --stack towline
  towline people add ci --arn arn:aws:iam::111122223333:role/ci --stack towline")]
pub struct Args {
    /// Folder that `towline serve` keeps everything in
    #[arg(
        long,
        value_name = "DIR",
        default_value = DATA_FOLDER,
        global = true,
        conflicts_with = "stack"
    )]
    data: PathBuf,
    /// Stack at AWS, instead of a folder
    #[arg(long, value_name = "NAME", global = true, value_parser = stack::stack_name)]
    stack: Option<String>,
    /// AWS region of the stack
    #[arg(long, value_name = "REGION", global = true, value_parser = stack::label)]
    region: Option<String>,
    /// Profile of the AWS command line
    #[arg(long, value_name = "PROFILE", global = true, value_parser = stack::label)]
    profile: Option<String>,
    #[command(subcommand)]
    action: Action,
}

/// What to do with people.
#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Let somebody in; prints the token to hand to them, once
    Add(Newcomer),
    /// Show everybody, without tokens
    List,
    /// Shut somebody out at once
    Remove {
        /// Their login
        login: String,
    },
}

/// Somebody to let in.
#[derive(Debug, clap::Args)]
struct Newcomer {
    /// Their login, best the one at GitHub: it tells whose commit they may not approve
    login: String,
    /// An address they commit under; can be given several times
    #[arg(long = "email", value_name = "ADDRESS")]
    emails: Vec<String>,
    /// A group they belong to; can be given several times, '*' stands for all
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// Their member id in Slack, such as U012AB3CD
    #[arg(long, value_name = "ID", value_parser = stack::label)]
    slack: Option<String>,
    /// The IAM role or user that signs their calls with --sigv4
    #[arg(long, value_name = "ARN", value_parser = principal)]
    arn: Option<String>,
}

impl From<Newcomer> for Known {
    fn from(newcomer: Newcomer) -> Self {
        Self {
            person: Person {
                login: newcomer.login,
                emails: newcomer.emails,
                groups: newcomer.groups,
            },
            token_sha256: None,
            slack: newcomer.slack,
            arn: newcomer.arn,
        }
    }
}

/// Does it; a running `towline serve` takes notice at once, functions at AWS within minutes.
///
/// # Errors
/// When the folder or stack cannot be used, or the login is taken, unknown or no login.
pub async fn run(args: Args, output: Output) -> Outcome {
    let Some(stack) = args.stack else {
        let folder = Folder::existing(&args.data).map_err(anyhow::Error::from)?;
        let people = People::open(&folder).map_err(failure)?;
        return match args.action {
            Action::List => list(&people.entries().map_err(failure)?, output),
            Action::Remove { login } => {
                people.remove(&login).map_err(failure)?;
                removed(&login, output)
            }
            Action::Add(newcomer) => {
                let login = newcomer.login.clone();
                let token = people.add(newcomer.into()).map_err(failure)?;
                added(&login, &token, output)
            }
        };
    };
    let place = Place {
        region: args.region,
        profile: args.profile,
    };
    let aws = place.aws();
    let kept = Kept::find(&aws, &stack, Name::People).await?;
    let text = kept.read().await?.unwrap_or_else(|| "[]".into());
    let mut entries: Vec<Known> = serde_json::from_str(&text)
        .context("the people secret is broken; set it to [] and add everybody again")?;
    let write = async |entries: &[Known]| {
        let text = serde_json::to_string(entries).context("writing the people")?;
        kept.write(text).await
    };
    match args.action {
        Action::List => list(&entries, output),
        Action::Remove { login } => {
            people::remove(&mut entries, &login).or_else(refused)?;
            write(&entries).await?;
            removed(&login, output)
        }
        Action::Add(newcomer) => {
            let login = newcomer.login.clone();
            let token = people::add(&mut entries, newcomer.into()).or_else(refused)?;
            write(&entries).await?;
            added(&login, &token, output)
        }
    }
}

fn added(login: &str, token: &str, output: Output) -> Outcome {
    if output.is_json() {
        return output.value(&json!({ "login": login, "token": token }));
    }
    output.progress(&format!(
        "The token of {login}; it is shown this once, TOWLINE_TOKEN takes it:"
    ));
    output.text(&format!("{token}\n"))
}

fn removed(login: &str, output: Output) -> Outcome {
    output.progress(&format!("{login} is shut out"));
    Ok(())
}

/// What was refused is the caller's to mend; everything else could not be done.
fn failure(error: PeopleError) -> Failure {
    match error {
        PeopleError::Refused(reason) => Failure::Refused(reason),
        PeopleError::Folder(_) | PeopleError::Broken { .. } => Failure::Impossible(error.into()),
    }
}

fn list(entries: &[Known], output: Output) -> Outcome {
    if output.is_json() {
        let persons = entries.iter().map(|entry| {
            json!({
                "login": entry.person.login, "emails": entry.person.emails,
                "groups": entry.person.groups, "slack": entry.slack, "arn": entry.arn,
            })
        });
        return output.value(&persons.collect::<Vec<_>>());
    }
    let mut text = format!("{:<20}  {:<24}  ALSO KNOWN AS\n", "LOGIN", "GROUPS");
    for entry in entries {
        let Person {
            login,
            emails,
            groups,
        } = &entry.person;
        let names = emails.iter().chain(&entry.slack).chain(&entry.arn);
        let names: Vec<&str> = names.map(String::as_str).collect();
        let groups = groups.join(", ");
        text += format!("{login:<20}  {groups:<24}  {}", names.join(", ")).trim_end();
        text.push('\n');
    }
    output.text(&text)
}

/// An IAM role or user, or one person's session of a role.
fn principal(text: &str) -> Result<String, String> {
    if text.contains(|it: char| it.is_whitespace() || it.is_control()) || !is_trustworthy(text) {
        return Err(
            "write an ARN such as arn:aws:iam::111122223333:role/release; a session's only of a role AWSReservedSSO_…, for anybody else chooses their session's name".into(),
        );
    }
    Ok(text.to_owned())
}

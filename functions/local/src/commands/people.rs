//! `towline people`: who may ask and approve, on one machine or on AWS.

use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::json;
use towline_domain::names::RepositoryName;
use towline_domain::person::Person;
use towline_wire::people::{Known, SlackUser, is_trustworthy};

use towline_client::credentials::DATA_FOLDER;
use towline_client::stack::{self, Place};
use towline_client::words::{WordError, word};
use towline_console::outcome::{Failure, Outcome, refused};
use towline_console::output::Output;
use towline_host::Folder;
use towline_host::people::{self, Changes, NotChanged, People, PeopleError};
use towline_operator::secret::{Kept, NOTICED, Name};

/// How often a change is tried while others also change the list.
const TRIES: usize = 10;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  towline people add lee --email lee@acme.example --group release-managers
  towline people add kim --group '*' --stack towline
  towline people add max --only acme/shop --slack T024BE7LD/U061F7AUR
  towline people add ci --arn arn:aws:iam::111122223333:role/ci --stack towline")]
pub struct Args {
    /// Folder of `towline serve`
    #[arg(
        long,
        value_name = "DIR",
        default_value = DATA_FOLDER,
        global = true,
        conflicts_with = "stack"
    )]
    data: PathBuf,
    /// Stack on AWS, instead of a folder
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

/// What to do with the list of people.
#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Add a person; prints their token once, if they need one
    Add(Newcomer),
    /// Change a person's entry; their token stays the same
    Change(Change),
    /// List everybody, without tokens
    List,
    /// Remove a person
    Remove {
        /// Their login
        login: String,
    },
}

/// A person to add.
#[derive(Debug, clap::Args)]
struct Newcomer {
    /// Login; their GitHub login, so that they cannot approve their own commits
    login: String,
    /// Email address of their commits; may be repeated
    #[arg(long = "email", value_name = "ADDRESS")]
    emails: Vec<String>,
    /// Group they belong to; '*' means every group; may be repeated
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// IAM role or user that signs their calls with --sigv4
    #[arg(long, value_name = "ARN", value_parser = principal)]
    arn: Option<String>,
    /// Create a token too, besides --arn
    #[arg(long)]
    token: bool,
    /// Repository they may see and act on; may be repeated [default: all]
    #[arg(long, value_name = "OWNER/NAME")]
    only: Vec<RepositoryName>,
    /// Their user in Slack, as WORKSPACE/USER; may be repeated
    #[arg(long, value_name = "T…/U…")]
    slack: Vec<SlackUser>,
}

/// What to change. Each option replaces all present values.
#[derive(Debug, clap::Args)]
struct Change {
    /// Their login
    login: String,
    /// Email address of their commits; may be repeated
    #[arg(long = "email", value_name = "ADDRESS")]
    emails: Vec<String>,
    /// Group they belong to; '*' means every group; may be repeated
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// Repository they may see and act on; may be repeated
    #[arg(long, value_name = "OWNER/NAME", conflicts_with = "everywhere")]
    only: Vec<RepositoryName>,
    /// They may see and act on all repositories
    #[arg(long)]
    everywhere: bool,
    /// Their user in Slack, as WORKSPACE/USER; may be repeated
    #[arg(long, value_name = "T…/U…")]
    slack: Vec<SlackUser>,
}

impl From<Change> for Changes {
    fn from(change: Change) -> Self {
        fn given<T>(values: Vec<T>) -> Option<Vec<T>> {
            (!values.is_empty()).then_some(values)
        }
        Self {
            emails: given(change.emails),
            groups: given(change.groups),
            only: match change.everywhere {
                true => Some(Vec::new()),
                false => given(change.only),
            },
            slack: given(change.slack),
        }
    }
}

impl From<Newcomer> for Known {
    fn from(newcomer: Newcomer) -> Self {
        Self {
            person: Person {
                login: newcomer.login,
                emails: newcomer.emails,
                groups: newcomer.groups,
                only: newcomer.only,
                ..Person::default()
            },
            token_sha256: None,
            arn: newcomer.arn,
            slack: newcomer.slack,
        }
    }
}

/// Changes or lists the people. `towline serve` uses a change at once, functions on AWS within five
/// minutes.
pub async fn run(args: Args, output: Output) -> Outcome {
    let Some(stack) = args.stack else {
        let folder = Folder::existing(&args.data).map_err(anyhow::Error::from)?;
        let people = People::open(&folder).map_err(failure)?;
        return match args.action {
            Action::List => list(&people.entries().map_err(failure)?, output),
            Action::Remove { login } => {
                people.remove(&login).map_err(failure)?;
                told(&login, "removed", output, false)
            }
            Action::Change(change) => {
                let login = change.login.clone();
                people.change(&login, change.into()).map_err(failure)?;
                told(&login, "changed", output, false)
            }
            Action::Add(newcomer) => {
                let (login, wanted) = (newcomer.login.clone(), newcomer.token);
                let token = people.add(newcomer.into(), wanted).map_err(failure)?;
                added(&login, token, output, false)
            }
        };
    };
    let place = Place {
        region: args.region,
        profile: args.profile,
    };
    let aws = place.aws();
    let kept = Kept::find(&aws, &stack, Name::People).await?;
    match args.action {
        Action::List => list(&entries(kept.current().await?.text)?, output),
        Action::Remove { login } => {
            change(&kept, |entries| people::remove(entries, &login)).await?;
            told(&login, "removed", output, true)
        }
        Action::Change(wanted) => {
            let login = wanted.login.clone();
            let changes = Changes::from(wanted);
            let change_it =
                |entries: &mut Vec<Known>| people::change(entries, &login, changes.clone());
            change(&kept, change_it).await?;
            told(&login, "changed", output, true)
        }
        Action::Add(newcomer) => {
            let (login, wanted) = (newcomer.login.clone(), newcomer.token);
            let known = Known::from(newcomer);
            let add = |entries: &mut Vec<Known>| people::add(entries, known.clone(), wanted);
            let token = change(&kept, add).await?;
            added(&login, token, output, true)
        }
    }
}

fn entries(text: Option<String>) -> Outcome<Vec<Known>> {
    let Some(text) = text else {
        return Ok(Vec::new());
    };
    Ok(serde_json::from_str(&text)
        .context("the people secret is not valid JSON; set it to [] and add everybody again")?)
}

/// Changes the list on AWS. If somebody else changed it in the meantime, starts again with the new
/// list.
async fn change<T>(
    kept: &Kept<'_>,
    change: impl Fn(&mut Vec<Known>) -> Result<T, NotChanged>,
) -> Outcome<T> {
    for _ in 0..TRIES {
        let before = kept.current().await?;
        let mut entries = entries(before.text)?;
        let result = change(&mut entries).or_else(|reason| refused(reason.to_string()))?;
        let text = serde_json::to_string(&entries).context("writing the people")?;
        if kept.replace(&before.id, text).await? {
            return Ok(result);
        }
    }
    refused("others keep changing the list at the same time; nothing has been changed, try again")
}

fn added(login: &str, token: Option<String>, output: Output, at_aws: bool) -> Outcome {
    if output.is_json() {
        return output.value(&json!({ "login": login, "token": token }));
    }
    if at_aws {
        output.progress(&format!("{login} is added; {NOTICED}"));
    } else if token.is_none() {
        output.progress(&format!("{login} is added"));
    }
    let Some(token) = token else {
        return Ok(());
    };
    output.progress(&format!(
        "The token of {login}, shown only once; put it in TOWLINE_TOKEN:"
    ));
    output.text(&format!("{token}\n"))
}

fn told(login: &str, done: &str, output: Output, at_aws: bool) -> Outcome {
    output.progress(&match at_aws {
        true => format!("{login} is {done}; {NOTICED}"),
        false => format!("{login} is {done}"),
    });
    Ok(())
}

/// Refusals have exit status 1; everything else is an error.
fn failure(error: PeopleError) -> Failure {
    match error {
        PeopleError::Refused(reason) => Failure::Refused(reason.to_string()),
        PeopleError::Folder(_) | PeopleError::Broken { .. } => Failure::Impossible(error.into()),
    }
}

fn list(entries: &[Known], output: Output) -> Outcome {
    if output.is_json() {
        let persons = entries.iter().map(|entry| {
            json!({
                "login": entry.person.login, "emails": entry.person.emails,
                "groups": entry.person.groups, "arn": entry.arn,
                "only": entry.person.only, "slack": entry.slack,
            })
        });
        return output.value(&persons.collect::<Vec<_>>());
    }
    let mut text = format!(
        "{:<20}  {:<24}  {:<24}  ALSO KNOWN AS\n",
        "LOGIN", "GROUPS", "REPOSITORIES"
    );
    for entry in entries {
        let Person {
            login,
            emails,
            groups,
            only,
            door: _,
        } = &entry.person;
        let names = emails.iter().chain(&entry.arn).cloned();
        let names = names.chain(entry.slack.iter().map(ToString::to_string));
        let names: Vec<String> = names.collect();
        let groups = groups.join(", ");
        let only: Vec<&str> = only.iter().map(RepositoryName::as_str).collect();
        let only = if only.is_empty() {
            "all".into()
        } else {
            only.join(", ")
        };
        let line = format!(
            "{login:<20}  {groups:<24}  {only:<24}  {}",
            names.join(", ")
        );
        text += line.trim_end();
        text.push('\n');
    }
    output.text(&text)
}

/// An IAM role or user, or one person's session of a role.
fn principal(text: &str) -> Result<String, WordError> {
    let is_one_word = !text.contains(|it: char| it.is_whitespace() || it.is_control());
    word(
        text,
        is_one_word && is_trustworthy(text),
        "use the ARN of a role or user, such as arn:aws:iam::111122223333:role/release; the ARN of a session is accepted only for roles AWSReservedSSO_…, because with other roles the caller chooses the name of the session",
    )
}

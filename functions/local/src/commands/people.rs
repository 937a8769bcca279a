//! `towline people`: who may ask and approve on this machine.

use std::path::PathBuf;

use serde_json::json;
use towline_domain::person::Person;

use crate::machine::Folder;
use crate::outcome::{Failure, Outcome};
use crate::output::Output;
use crate::people::{People, PeopleError};

/// Settings of `people`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder that `towline serve` keeps everything in
    #[arg(
        long,
        value_name = "DIR",
        default_value = ".towline-data",
        global = true
    )]
    data: PathBuf,
    #[command(subcommand)]
    action: Action,
}

/// What to do with people.
#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Let somebody in; prints the token to hand to them, once
    Add {
        /// Their login, best the one at GitHub: it tells whose commit they may not approve
        login: String,
        /// An address they commit under; can be given several times
        #[arg(long = "email", value_name = "ADDRESS")]
        emails: Vec<String>,
        /// A group they belong to; can be given several times, '*' stands for all
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
    },
    /// Show everybody, without tokens
    List,
    /// Shut somebody out at once
    Remove {
        /// Their login
        login: String,
    },
}

/// Does it; a running `towline serve` takes notice at once.
///
/// # Errors
/// When the folder cannot be used, or the login is taken, unknown or no login.
pub fn run(args: &Args, output: Output) -> Outcome {
    let folder = Folder::existing(&args.data).map_err(anyhow::Error::from)?;
    let people = People::open(&folder).map_err(failure)?;
    match &args.action {
        Action::Add {
            login,
            emails,
            groups,
        } => {
            let person = Person {
                login: login.clone(),
                emails: emails.clone(),
                groups: groups.clone(),
            };
            let token = people.add(person).map_err(failure)?;
            if output.is_json() {
                return output.value(&json!({ "login": login, "token": token }));
            }
            output.progress(&format!(
                "The token of {login}; it is shown this once, TOWLINE_TOKEN takes it:"
            ));
            output.text(&format!("{token}\n"))
        }
        Action::List => list(&people, output),
        Action::Remove { login } => {
            people.remove(login).map_err(failure)?;
            output.progress(&format!("{login} is shut out"));
            Ok(())
        }
    }
}

/// What was refused is the caller's to mend; everything else could not be done.
fn failure(error: PeopleError) -> Failure {
    match error {
        PeopleError::Refused(reason) => Failure::Refused(reason),
        PeopleError::Folder(_) | PeopleError::Broken { .. } => Failure::Impossible(error.into()),
    }
}

fn list(people: &People, output: Output) -> Outcome {
    let entries = people.entries().map_err(failure)?;
    if output.is_json() {
        let persons: Vec<&Person> = entries.iter().map(|entry| &entry.person).collect();
        return output.value(&persons);
    }
    let mut text = format!("{:<20}  {:<24}  EMAILS\n", "LOGIN", "GROUPS");
    for entry in entries {
        let Person {
            login,
            emails,
            groups,
        } = entry.person;
        let groups = groups.join(", ");
        text += format!("{login:<20}  {groups:<24}  {}", emails.join(", ")).trim_end();
        text.push('\n');
    }
    output.text(&text)
}

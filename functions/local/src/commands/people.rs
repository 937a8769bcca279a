//! `towline people`: who may ask and approve on this machine.

use std::path::PathBuf;

use towline_domain::person::Person;

use crate::machine::Folder;
use crate::people::{People, PeopleError};

/// Settings of `people`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder that `towline serve` keeps everything in
    #[arg(long, value_name = "DIR", default_value = ".towline-data", global = true)]
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
pub fn run(args: &Args, json: bool) -> Result<(), PeopleError> {
    let people = People::open(&Folder::open(&args.data)?)?;
    match &args.action {
        Action::Add { login, emails, groups } => {
            let person = Person { login: login.clone(), emails: emails.clone(), groups: groups.clone() };
            let token = people.add(person)?;
            if json {
                anstream::println!("{}", serde_json::json!({ "login": login, "token": token }));
            } else {
                anstream::eprintln!("The token of {login}; it is shown this once, TOWLINE_TOKEN takes it:");
                anstream::println!("{token}");
            }
        }
        Action::List => list(&people, json)?,
        Action::Remove { login } => {
            people.remove(login)?;
            anstream::eprintln!("{login} is shut out");
        }
    }
    Ok(())
}

fn list(people: &People, json: bool) -> Result<(), PeopleError> {
    let entries = people.entries()?;
    if json {
        let persons: Vec<&Person> = entries.iter().map(|entry| &entry.person).collect();
        anstream::println!("{:#}", serde_json::json!(persons));
        return Ok(());
    }
    anstream::println!("{:<20}  {:<24}  EMAILS", "LOGIN", "GROUPS");
    for entry in entries {
        let Person { login, emails, groups } = entry.person;
        anstream::println!("{login:<20}  {:<24}  {}", groups.join(", "), emails.join(", "));
    }
    Ok(())
}

//! `towline logs`: shows a build's log, and follows it.

use std::time::Duration;

use clap::Args;
use towline_answers::{Answer, Query, query};

use towline_domain::names::RepositoryName;

use crate::answer;
use towline_client::context::Context;
use towline_console::outcome::Outcome;
use towline_console::terminal::Harmless;

/// How often to ask for more.
const EVERY: Duration = Duration::from_millis(400);

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towline logs 142
  towline logs build#142 --follow")]
pub struct Logs {
    /// The build's number, as 142 or build#142
    #[arg(value_name = "BUILD", value_parser = towline_answers::words::build)]
    build: u64,
    /// Follow until the build finishes
    #[arg(long, short)]
    follow: bool,
    /// The repository, if several have a build of that number
    #[arg(long, value_name = "OWNER/NAME")]
    repository: Option<RepositoryName>,
}

/// Prints the log.
pub async fn run(context: &Context, args: Logs) -> Outcome {
    let client = context.client().await?;
    let mut from = 0;
    let mut printed = false;
    let mut harmless = Harmless::default();
    loop {
        let query = Query::Log(query::Log {
            build: args.build,
            from: Some(from),
            repository: args.repository.clone(),
        });
        let answer = client.ask(&query).await?;
        let Answer::Log {
            text, next, ended, ..
        } = &answer
        else {
            return answer::print(context.output, &answer);
        };
        let (grown, ended) = (!text.is_empty(), *ended);
        if !args.follow && (context.output.is_json() || !grown && !printed) {
            return answer::print(context.output, &answer);
        }
        if grown && context.output.is_json() {
            context.output.line(&answer)?;
        } else if grown {
            context.output.text(&harmless.pass(text))?;
        }
        printed |= grown;
        from = *next;
        // The log comes in parts: only an empty one means that there is no more for now.
        match (grown, ended || !args.follow) {
            (true, _) => {}
            (false, true) => return Ok(()),
            (false, false) => tokio::time::sleep(EVERY).await,
        }
    }
}

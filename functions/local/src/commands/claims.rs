//! `towline claims`: which component each image repository belongs to, and releasing one.

use clap::{Args, Subcommand};
use towline_answers::{Command, Query, command, query};

use super::{read, write};
use towline_client::context::Context;
use towline_console::outcome::Outcome;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towline claims
  towline claims release acme/payments")]
pub struct Claims {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Release an image repository, so that another component can claim it (owner only)
    Release(command::Release),
}

/// Shows the claims, or releases one.
///
/// # Errors
/// When it is denied or fails, or the answer cannot be printed.
pub async fn run(context: &Context, args: Claims) -> Outcome {
    match args.action {
        None => read::run(context, Query::Claims(query::Claims {})).await,
        Some(Action::Release(release)) => write::run(context, Command::Release(release)).await,
    }
}

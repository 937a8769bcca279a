//! `towline deploy`: puts Towline, and what its components need, into an AWS account.

mod bucket;
mod build;
mod components;
mod control;
mod follow;
mod machine;
mod plan;
pub mod tags;
pub mod tool;

use clap::Subcommand;

use towline_console::outcome::Outcome;
use towline_console::output::Output;

/// Settings of `deploy`.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  towline deploy --repositories acme/shop --dry-run     what would be done
  towline deploy --repositories 'acme/shop,tools/*'    the first time, from a checkout
  towline deploy                                        again, to upgrade
  towline deploy components                             beside a .towline.yml

Everything goes through AWS's own command line, with its settings and credentials. A parameter that
is not given keeps the value the stack has. What was interrupted is resumed by running it again.

Exit status: 0 deployed, 1 refused or failed at AWS, 2 could not try."
)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    control: control::Control,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make what a repository's components need: image repository, CodeBuild project, role
    Components(components::Components),
}

/// Deploys.
///
/// # Errors
/// Refused when a person says no or AWS does; impossible when tools, credentials or files are missing.
pub async fn run(args: Args, output: Output) -> Outcome {
    match args.what {
        Some(What::Components(components)) => components::run(components, output).await,
        None => control::run(args.control, output).await,
    }
}

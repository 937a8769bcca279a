//! `towline deploy`: deploys Towline, and what its components need, to an AWS account.

mod bucket;
mod build;
mod call;
mod components;
mod control;
mod deployment;
mod follow;
mod machine;
mod plan;
mod reserve;
mod tool;

use clap::Subcommand;

use towline_console::outcome::Outcome;
use towline_console::output::Output;

#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  towline deploy --repositories acme/shop --dry-run     print the plan
  towline deploy --repositories 'acme/shop,tools/*'    the first time, from a checkout
  towline deploy                                        again, to upgrade
  towline deploy components                             beside a .towline.yml

All calls go through the AWS command line, with its settings and credentials. A parameter that is not
given keeps the value of the stack. To resume an interrupted deployment, run the command again.

Exit status: 0 success, 1 refused or failed on AWS, 2 error."
)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    control: control::Control,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Create what a repository's components need: image repository, CodeBuild project, role
    Components(components::Components),
}

/// Deploys.
///
/// # Errors
/// Refused when a person or AWS says no; an error when tools, credentials or files are missing.
pub async fn run(args: Args, output: Output) -> Outcome {
    match args.what {
        Some(What::Components(components)) => components::run(components, output).await,
        None => control::run(args.control, output).await,
    }
}

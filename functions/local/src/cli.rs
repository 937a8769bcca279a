//! The command line: what can be typed, and which command it comes to.

use std::process::ExitCode;

use clap::{ColorChoice, Parser, Subcommand};

use crate::commands::{
    build, demo, explain, generate, lint, logs, pack, people, read, rollback, send, serve,
    validate, write,
};
use towline_client::context::Context;
use towline_console::outcome::Outcome;
use towline_console::output::Output;
use towline_operator::{deploy, doctor, iam, secret};

/// Moves container images from a Git push to production, and knows which one is where, since when and why
#[derive(Debug, Parser)]
#[command(
    name = "towline",
    version,
    propagate_version = false,
    max_term_width = 100,
    after_help = "\
Begin with:
  towline demo                           see the whole of it happen, in ten seconds
  towline serve --repo ~/code/shop       run it for a repository of yours
  towline send push --repo ~/code/shop   push to it as GitHub would

A REF is a commit's first digits (3f9c2ab), a tag (:prod), a digest's first digits
(sha256:858e0a1b) or a build (build#142).

Environment:
  TOWLINE_URL                              the Towline to ask, as --url
  TOWLINE_TOKEN, TOWLINE_TOKEN_FILE        who asks; on this machine, else .towline-data/owner.token
  TOWLINE_AUTH=sigv4                       as --sigv4
  TOWLINE_GITHUB_WEBHOOK_SECRET(_FILE)     signs what `send` sends
  NO_COLOR                                 no colours

Exit status: 0 done, 1 refused or something found, 2 could not."
)]
pub struct Cli {
    /// The Towline to ask [default: http://127.0.0.1:8017]
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "TOWLINE_URL",
        hide_env_values = true,
        help_heading = "Everywhere"
    )]
    url: Option<String>,
    /// Sign calls with AWS credentials instead of a token, for a Towline on AWS
    #[arg(long, global = true, help_heading = "Everywhere")]
    sigv4: bool,
    /// Print JSON for programs, errors too
    #[arg(long, global = true, help_heading = "Everywhere")]
    json: bool,
    /// Use colours: auto (on a terminal), always or never
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true,
        hide_default_value = true,
        help_heading = "Everywhere"
    )]
    color: ColorChoice,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the main job end to end, with nothing but this binary
    Demo(demo::Args),
    /// Run Towline on this machine for real repositories
    Serve(serve::Args),
    /// Send a signed push, as GitHub would
    Send(send::Send),

    /// What is live now, or was at a moment, by component and stage
    Now(read::Now),
    /// Where a commit's images are, and what keeps them from the next stage
    Where(read::Where),
    /// Why a commit was built or not
    Why(read::Why),
    /// The newest runs
    Runs(read::Runs),
    /// What became of a commit
    Commit(read::Commit),
    /// A component's images and tags, newest first
    Tags(read::Tags),
    /// Everything known of an image
    Image(read::Image),
    /// What was live in a stage, newest first
    History(read::History),
    /// What a build has written
    Logs(logs::Logs),

    /// Move an image into a stage
    Promote(write::Promote),
    /// Say yes to a promotion
    Approve(write::Approve),
    /// Say no to a promotion
    Reject(write::Reject),
    /// Go back to an image that was live
    Rollback(rollback::Rollback),
    /// Let nothing into a stage by itself
    Hold(write::Hold),
    /// Lift a hold
    Resume(write::Resume),
    /// Stop a build
    Cancel(write::OfBuild),
    /// Build again what failed or was stopped
    Retry(write::OfBuild),

    /// Check a .towline.yml, offline
    Validate(validate::Validate),
    /// Say what will go wrong with buildspecs on CodeBuild, offline, and mend it
    Lint(Box<lint::Lint>),
    /// What a finding of `lint` means, and what to do about it
    Explain(explain::Explain),
    /// The least that builds have to be allowed at AWS, and which line needs it
    Iam(Box<iam::Iam>),
    /// Run a component's buildspec on the working tree, on this machine, and time its phases
    Build(Box<build::Args>),
    /// Print the buildspec a run would use, or a definition to begin with
    Generate(generate::Generate),
    /// Make an image of files and push it, without Docker
    Pack(Box<pack::Pack>),

    /// Put Towline on AWS, or what its components need
    Deploy(Box<deploy::Args>),
    /// Fill in or rotate a secret of a Towline on AWS
    Secret(secret::Args),
    /// Who may use a Towline
    People(people::Args),
    /// Say what is wrong with a Towline and how to mend it
    Doctor(Box<doctor::Args>),
}

/// Runs what was typed.
pub async fn run() -> ExitCode {
    let cli = Cli::parse();
    match cli.color {
        ColorChoice::Auto => anstream::ColorChoice::Auto,
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    }
    .write_global();
    let context = Context {
        url: cli.url,
        sigv4: cli.sigv4,
        output: Output::new(cli.json),
    };
    match command(&context, cli.command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            context.output.failure(&failure);
            failure.exit_code()
        }
    }
}

async fn command(context: &Context, command: Command) -> Outcome {
    match command {
        Command::Demo(args) => demo::run(args, context.output).await,
        Command::Serve(args) => serve::run(args, context.output).await,
        Command::Send(args) => send::run(context, args).await,
        Command::Now(args) => read::now(context, args).await,
        Command::Where(args) => read::run(context, args).await,
        Command::Why(args) => read::run(context, args).await,
        Command::Runs(args) => read::run(context, args).await,
        Command::Commit(args) => read::run(context, args).await,
        Command::Tags(args) => read::run(context, args).await,
        Command::Image(args) => read::run(context, args).await,
        Command::History(args) => read::run(context, args).await,
        Command::Logs(args) => logs::run(context, args).await,
        Command::Promote(args) => write::promote(context, args).await,
        Command::Approve(args) => write::approve(context, args).await,
        Command::Reject(args) => write::run(context, args).await,
        Command::Rollback(args) => rollback::run(context, args).await,
        Command::Hold(args) => write::run(context, args).await,
        Command::Resume(args) => write::run(context, args).await,
        Command::Cancel(args) => write::run(context, args.cancel()).await,
        Command::Retry(args) => write::run(context, args.retry()).await,
        Command::Validate(args) => validate::run(context, &args),
        Command::Lint(args) => lint::run(context, &args),
        Command::Explain(args) => explain::run(context, &args),
        Command::Iam(args) => iam::run(context, &args),
        Command::Build(args) => build::run(context, *args).await,
        Command::Generate(args) => generate::run(context, &args),
        Command::Pack(args) => pack::run(context, *args).await,
        Command::Deploy(args) => deploy::run(*args, context.output).await,
        Command::Secret(args) => secret::run(args, context.output).await,
        Command::People(args) => people::run(args, context.output).await,
        Command::Doctor(args) => doctor::run(context, *args).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Cli;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Cli::command().debug_assert();
    }
}

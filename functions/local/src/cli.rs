//! The grammar of the command line, and which command runs.

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ColorChoice, CommandFactory as _, Parser, Subcommand};
use towline_answers::{Command as Told, Query, command};

use crate::commands::{
    audit, build, claims, demo, explain, generate, lint, logs, pack, people, read, rollback,
    schema, send, serve, validate, write,
};
use towline_client::context::Context;
use towline_console::outcome::Outcome;
use towline_console::output::Output;
use towline_operator::{deploy, doctor, iam, secret};

/// Move container images from a Git push to production, and see which one is where, since when and why
#[derive(Debug, Parser)]
#[command(
    name = "towline",
    version,
    propagate_version = false,
    max_term_width = 100,
    after_help = "\
Start with:
  towline demo                           watch a push reach production, in a second or two
  towline serve --repo ~/code/shop       run Towline for one of your repositories
  towline send push --repo ~/code/shop   send it a push as GitHub would

A REF is a commit prefix (3f9c2ab), a tag (:prod), a digest prefix (sha256:858e0a1b) or a build
(build#142).

Environment:
  TOWLINE_URL                              address of Towline, as --url
  TOWLINE_TOKEN, TOWLINE_TOKEN_FILE        your token [default on this machine: .towline-data/owner.token]
  TOWLINE_AUTH=sigv4                       as --sigv4
  TOWLINE_GITHUB_WEBHOOK_SECRET(_FILE)     signs pushes of `send`
  NO_COLOR                                 no colors

Exit status: 0 success, 1 refused or findings, 2 error."
)]
pub struct Cli {
    /// Address of the Towline server [default: http://127.0.0.1:8017]
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "TOWLINE_URL",
        hide_env_values = true,
        help_heading = "Everywhere"
    )]
    url: Option<String>,
    /// Sign calls with AWS credentials instead of a token (Towline on AWS)
    #[arg(long, global = true, help_heading = "Everywhere")]
    sigv4: bool,
    /// Print JSON, including errors
    #[arg(long, global = true, help_heading = "Everywhere")]
    json: bool,
    /// Use colors: auto (on a terminal), always or never
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
    /// Show a push, a promotion and a rollback on a sample repository
    Demo(demo::Args),
    /// Run Towline on this machine for real repositories
    Serve(serve::Args),
    /// Send a signed push, as GitHub would
    Send(send::Send),

    #[command(flatten)]
    Ask(Query),
    /// Show a build's log
    Logs(logs::Logs),
    /// List every decision and what followed from it, or check that no record was changed
    Audit(audit::Audit),

    /// Promote an image to a stage
    Promote(write::Promote),
    /// Approve a promotion
    Approve(write::Approve),
    /// Reject a promotion
    Reject(command::Reject),
    /// Return a stage to an image that was live there
    Rollback(rollback::Rollback),
    /// Pause automatic promotions to a stage
    Hold(command::Hold),
    /// Resume automatic promotions to a stage
    Resume(command::Resume),
    /// Stop a build
    Cancel(command::OfBuild),
    /// Retry a build that failed or was stopped
    Retry(command::OfBuild),
    /// Show which component each image repository belongs to, or release one
    Claims(claims::Claims),

    /// Check a .towline.yml, offline
    Validate(validate::Validate),
    /// Lint buildspecs for CodeBuild, offline, and fix them
    Lint(Box<lint::Lint>),
    /// Explain a finding of `lint`, and what to do about it
    Explain(explain::Explain),
    /// Print the least-privilege IAM policies for builds
    Iam(Box<iam::Iam>),
    /// Run a component's buildspec on this machine, on the working tree, and time its phases
    Build(Box<build::Args>),
    /// Print the buildspec that a run would use, or a first definition
    Generate(generate::Generate),
    /// Print the JSON Schema of .towline.yml, for editors
    Schema(schema::Schema),
    /// Build an image from files and push it, without Docker
    Pack(Box<pack::Pack>),

    /// Deploy Towline to AWS, or create what components need there
    Deploy(Box<deploy::Args>),
    /// Set or rotate a secret of a stack on AWS
    Secret(secret::Args),
    /// Manage the people who may use Towline
    People(people::Args),
    /// Check an installation, and say how to fix what is wrong
    Doctor(Box<doctor::Args>),
}

/// Runs the command that was typed.
pub async fn run() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| with_plain_usage(error).exit());
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
    match run_command(&context, cli.command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            context.output.failure(&failure);
            failure.exit_code()
        }
    }
}

/// The error without the options in its usage that the environment has set: clap names those as if they
/// were required.
fn with_plain_usage(mut error: clap::Error) -> clap::Error {
    let usage = error.get(ContextKind::Usage).map(ToString::to_string);
    let names_url = usage.is_some_and(|usage| usage.contains("--url"));
    let is_given = std::env::args().any(|word| word.starts_with("--url"));
    if error.kind() != ErrorKind::MissingRequiredArgument || !names_url || is_given {
        return error;
    }
    let mut root = Cli::command();
    root.build();
    let mut command = &mut root;
    for word in std::env::args().skip(1) {
        if command.find_subcommand(&word).is_some() {
            command = command.find_subcommand_mut(&word).expect("it was found");
        }
    }
    let usage = ContextValue::StyledStr(command.render_usage());
    error.insert(ContextKind::Usage, usage);
    error
}

async fn run_command(context: &Context, command: Command) -> Outcome {
    match command {
        Command::Demo(args) => demo::run(args, context.output).await,
        Command::Serve(args) => serve::run(args, context.output).await,
        Command::Send(args) => send::run(context, args).await,
        Command::Ask(query) => read::run(context, query).await,
        Command::Logs(args) => logs::run(context, args).await,
        Command::Audit(args) => audit::run(context, args).await,
        Command::Promote(args) => write::promote(context, args).await,
        Command::Approve(args) => write::approve(context, args).await,
        Command::Reject(args) => write::run(context, Told::Reject(args)).await,
        Command::Rollback(args) => rollback::run(context, args).await,
        Command::Hold(args) => write::run(context, Told::Hold(args)).await,
        Command::Resume(args) => write::run(context, Told::Resume(args)).await,
        Command::Cancel(args) => write::run(context, Told::Cancel(args)).await,
        Command::Retry(args) => write::run(context, Told::Retry(args)).await,
        Command::Claims(args) => claims::run(context, args).await,
        Command::Validate(args) => validate::run(context, &args),
        Command::Lint(args) => lint::run(context, &args),
        Command::Explain(args) => explain::run(context, &args),
        Command::Iam(args) => iam::run(context, &args),
        Command::Build(args) => build::run(context, *args).await,
        Command::Generate(args) => generate::run(context, &args),
        Command::Schema(args) => schema::run(context, &args),
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

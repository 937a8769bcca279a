//! `towline doctor`: says what is wrong with a Towline, and how to mend it.

mod api;
mod component;
mod folder;
mod machinery;
mod nobody;
mod pointers;
mod report;
mod rights;
mod rules;
mod webhook;

use std::path::PathBuf;

use towline_console::style::{Style, paint};
use towline_domain::definition::Definition;
use towline_domain::names::RepositoryName;

use crate::deploy;
use report::Report;
use towline_client::client::Client;
use towline_client::context::Context;
use towline_client::credentials::{self, DATA_FOLDER};
use towline_client::stack::{self, Place, STACK, Stack};
use towline_console::outcome::{Failure, Outcome};
use towline_console::output::is_interactive;

/// Settings of `doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  towline doctor --stack towline                  a deployed Towline; beside a .towline.yml its components too
  towline doctor --data .towline-data --repo .    one machine
  towline doctor --url https://a1b2c3.execute-api.eu-west-1.amazonaws.com

Environment:
  TOWLINE_GITHUB_TOKEN   lets it look at webhooks and their deliveries (repository hooks: read)
  TOWLINE_TOKEN          lets it compare what is live with what the registry has

Each line: ✔ good, ✘ wrong and how to mend it, ? could not be looked at, – not looked at.
Exit status: 0 nothing wrong, 1 something wrong, 2 something could not be looked at.")]
pub struct Args {
    /// A stack at AWS
    #[arg(long, value_name = "NAME", value_parser = stack::stack_name, conflicts_with = "data")]
    stack: Option<String>,
    /// The folder of a `towline serve`
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Repository served from the folder, as for `towline serve`; looks whether it answers
    #[arg(long = "repo", value_name = "[OWNER/NAME=]SOURCE")]
    repositories: Vec<String>,
    #[command(flatten)]
    defined: crate::defined::Defined,
    #[command(flatten)]
    place: Place,
}

/// Looks and tells. What is meant is the stack, folder or address named, in this order; else the
/// folder here, else the stack of the usual name.
///
/// # Errors
/// Found when something is wrong, unsure when something could not be looked at.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let usual = PathBuf::from(DATA_FOLDER);
    let report = match (&args.stack, &args.data, &context.url) {
        (Some(stack), _, _) => look_at_stack(context, &args, stack).await?,
        (None, Some(folder), _) => folder::look(folder, &args.repositories).await,
        (None, None, Some(address)) => at(context, &args, address).await?,
        (None, None, None) if usual.is_dir() => folder::look(&usual, &args.repositories).await,
        (None, None, None) => look_at_stack(context, &args, STACK).await?,
    };
    report.print(context.output)
}

async fn at(context: &Context, args: &Args, address: &str) -> Outcome<Report> {
    let client = Client::open(address, credentials::auth(context.sigv4)?, &args.place).await?;
    let mut report = Report::of(address);
    let log = "read the log of answer-chat, or what `towline serve` says";
    report.take(api::look(address, log).await);
    report.take(api::known(&client).await);
    Ok(report)
}

/// What is known of the definition here.
enum Defined {
    Read(Box<(RepositoryName, Definition)>),
    WithMistakes,
    Nowhere,
}

async fn look_at_stack(context: &Context, args: &Args, name: &str) -> Outcome<Report> {
    let (aws, region) = args.place.located().await?;
    let stack = Stack::existing(&aws, name).await?;
    let defined = match args.defined.is_there() {
        true => match args.defined.read(context.output) {
            Ok(defined) => Defined::Read(Box::new(defined)),
            Err(Failure::Found) => Defined::WithMistakes,
            Err(failure) => return Err(failure),
        },
        false => Defined::Nowhere,
    };
    let mut report = Report::of(format!("stack {name} in {region}"));
    if is_interactive() && !context.output.is_json() {
        let wait = paint(Style::Quiet, "Looking; AWS is asked a few dozen things.");
        context.output.progress(&wait);
    }
    let options = args.place.options(&region);
    let at = format!("--stack {name} {options}");
    let drifted =
        |command: String| format!("{command}; if that changes nothing, as told under Drift");
    let place = machinery::Place {
        aws: &aws,
        name,
        stack: &stack,
        again: format!("towline deploy {at}"),
        put_back: drifted(format!("towline deploy {at}")),
        at,
        options: &options,
    };
    let components_back = drifted(format!("towline deploy components {options}"));
    let url = stack.output("ApiUrl").unwrap_or_default();
    let log = format!(
        "read why with `aws logs tail /aws/lambda/{name}-answer-chat --since 1h {options}`"
    );
    let functions = async {
        let (findings, there) = machinery::functions(&place).await;
        let (rules, rights) =
            tokio::join!(rules::look(&place, &there), rights::look(&place, &there));
        (findings, rules, rights)
    };
    let own = match &defined {
        Defined::Read(known) => Some(&known.0),
        Defined::WithMistakes | Defined::Nowhere => None,
    };
    let repositories = webhook::repositories(&stack, own);
    let bucket = stack.output(deploy::tool::BUCKET);
    let components = async {
        match &defined {
            Defined::Read(known) => {
                component::look(&aws, &known.0, &known.1, bucket, &components_back).await
            }
            Defined::WithMistakes => component::with_mistakes(),
            Defined::Nowhere => component::not_looked_at(),
        }
    };
    let (whole, (functions, rules, rights), kept, api, webhooks, components, pointers) = tokio::join!(
        async { machinery::whole(&place) },
        functions,
        machinery::kept(&place),
        api::look(url, &log),
        webhook::look(&place, &repositories),
        components,
        pointers::of_stack(&aws, url, context.sigv4, &args.place),
    );
    for findings in [
        whole, functions, rules, rights, kept, api, webhooks, components, pointers,
    ] {
        report.take(findings);
    }
    let mut drift = report::Findings::of("Drift");
    if report.mends_with(&place.put_back) {
        drift.left_out(machinery::put_back(name, &options, &stack));
    }
    if report.mends_with(&components_back) {
        drift.left_out(component::put_back(&options));
    }
    report.take(drift);
    Ok(report)
}

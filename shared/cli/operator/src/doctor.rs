//! `towline doctor`: finds what is wrong with an installation, and says how to fix it.

mod api;
mod check;
mod component;
mod folder;
mod functions;
mod kept;
mod place;
mod pointers;
mod report;
mod role;
mod webhook;

use std::path::PathBuf;

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use futures::stream::{self, StreamExt as _};
use towline_client::client::Client;
use towline_client::context::Context;
use towline_client::credentials::{self, DATA_FOLDER};
use towline_client::stack::{self, Place as Options, STACK, Stack};
use towline_console::outcome::{Failure, Outcome};
use towline_domain::definition::Definition;
use towline_domain::names::RepositoryName;

use crate::defined::Defined;
use place::Place;
use report::{Findings, Report};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  towline doctor --stack towline                  a stack on AWS; beside a .towline.yml also its components
  towline doctor --data .towline-data --repo .    one machine
  towline doctor --url https://a1b2c3.execute-api.eu-west-1.amazonaws.com

Environment:
  TOWLINE_GITHUB_TOKEN   checks webhooks and their deliveries (needs repository hooks: read)
  TOWLINE_TOKEN          compares what is live with the registry

Each line is one check: ✔ good, ✘ wrong and how to fix it, ? could not run, – skipped.
Exit status: 0 no problems, 1 problems found, 2 a check could not run.")]
pub struct Args {
    /// Stack on AWS
    #[arg(long, value_name = "NAME", value_parser = stack::stack_name, conflicts_with = "data")]
    stack: Option<String>,
    /// Folder of `towline serve`
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Repository to check that `towline serve` serves, written as for `serve`
    #[arg(long = "repo", value_name = "[OWNER/NAME=]SOURCE")]
    repositories: Vec<String>,
    #[command(flatten)]
    defined: Defined,
    #[command(flatten)]
    place: Options,
}

/// Checks the stack, folder or address that is named, in this order; otherwise the folder here,
/// otherwise the stack with the default name.
///
/// # Errors
/// `Found` if something is wrong, `Unsure` if a check could not run.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let usual = PathBuf::from(DATA_FOLDER);
    let output = context.output;
    match (&args.stack, &args.data, &context.url) {
        (Some(stack), _, _) => look_at_stack(context, &args, stack).await,
        (None, Some(folder), _) => folder::look(folder, &args.repositories, output).await,
        (None, None, Some(address)) => look_at_address(context, &args, address).await,
        (None, None, None) if usual.is_dir() => {
            folder::look(&usual, &args.repositories, output).await
        }
        (None, None, None) => look_at_stack(context, &args, STACK).await,
    }
}

async fn look_at_address(context: &Context, args: &Args, address: &str) -> Outcome {
    let client = Client::open(address, credentials::auth(context.sigv4)?, &args.place).await?;
    let mut report = Report::begin(address, context.output)?;
    let log = "read the log of answer-chat, or what `towline serve` prints";
    report.take(api::look(address, log).await)?;
    report.take(api::known(&client).await)?;
    report.finish()
}

/// The definition in the current folder.
enum Known {
    Read(Box<(RepositoryName, Definition)>),
    WithMistakes,
    Nowhere,
}

impl Known {
    fn read(context: &Context, defined: &Defined) -> Outcome<Self> {
        if !defined.is_there() {
            return Ok(Self::Nowhere);
        }
        match defined.read(context.output) {
            Ok(read) => Ok(Self::Read(Box::new(read))),
            Err(Failure::Found) => Ok(Self::WithMistakes),
            Err(failure) => Err(failure),
        }
    }

    async fn components(&self, place: &Place<'_>) -> Vec<Findings> {
        let mut findings = Findings::of(component::GROUP);
        match self {
            Self::Read(known) => return component::look(place, &known.0, &known.1).await,
            Self::WithMistakes => {
                findings.wrong(
                    "the definition has mistakes",
                    "see them with `towline validate`",
                );
            }
            Self::Nowhere => findings
                .skipped("no .towline.yml here; run this beside one, or name it with --definition"),
        }
        vec![findings]
    }

    fn repository(&self) -> Option<&RepositoryName> {
        match self {
            Self::Read(known) => Some(&known.0),
            Self::WithMistakes | Self::Nowhere => None,
        }
    }
}

async fn look_at_stack(context: &Context, args: &Args, name: &str) -> Outcome {
    let (aws, region) = args.place.located().await?;
    let stack = Stack::existing(&aws, name).await?;
    let known = Known::read(context, &args.defined)?;
    let place = Place::new(&aws, name, &stack, &args.place, &region);
    let url = stack.output("ApiUrl").unwrap_or_default();
    let log = format!(
        "read why with `aws logs tail /aws/lambda/{name}-answer-chat --since 1h {}`",
        place.options
    );
    let repositories = webhook::repositories(&stack, known.repository());
    let checks: [LocalBoxFuture<'_, Vec<Findings>>; 10] = [
        async { vec![place.status()] }.boxed_local(),
        functions::look(&place).boxed_local(),
        kept::table(&place).boxed_local(),
        kept::bucket(&place).boxed_local(),
        kept::dead_letters(&place).boxed_local(),
        kept::secrets(&place).boxed_local(),
        async { vec![api::look(url, &log).await] }.boxed_local(),
        async { vec![webhook::look(&place, &repositories).await] }.boxed_local(),
        known.components(&place).boxed_local(),
        async { vec![pointers::of_stack(&aws, url, context.sigv4, &args.place).await] }
            .boxed_local(),
    ];
    let mut report = Report::begin(format!("stack {name} in {region}"), context.output)?;
    // All checks run at once; results are printed in this order as soon as they are known.
    let mut found = stream::iter(checks).buffered(10);
    while let Some(groups) = found.next().await {
        for findings in groups {
            report.take(findings)?;
        }
    }
    let mut drift = Findings::of("Drift");
    if report.advises(&place.put_back) {
        drift.skipped(place.drift());
    }
    if report.advises(&place.components_back) {
        drift.skipped(place.component_drift());
    }
    report.take(drift)?;
    report.finish()
}

//! Deploys Towline itself: builds its functions, uploads them, and has CloudFormation create the rest.

use std::collections::BTreeMap;
use std::path::PathBuf;

use towline_client::aws_cli::AwsCli;
use towline_client::stack::{self, Place, STACK, Stack};
use towline_client::words::WordError;
use towline_console::outcome::{Outcome, refused};
use towline_console::output::Output;
use towline_domain::names::RepositoryName;

use super::bucket::Bucket;
use super::build::{Arch, Functions};
use super::call::{Caller, parameter};
use super::deployment::Deployment;
use super::follow;
use super::plan::{Consent, Wanted};
use super::reserve::{self, RESERVE};
use super::tool;
use crate::templates;

/// Longest name of a stack: the names of functions and rules begin with it, and may have 64
/// characters.
const LONGEST_NAME: usize = 29;
/// The template's parameters that have options of their own.
const REPOSITORIES: &str = "Repositories";
const ARCHITECTURE: &str = "Architecture";
const ALARM_EMAIL: &str = "AlarmEmail";

#[derive(Debug, clap::Args)]
pub struct Control {
    /// Name of the stack
    #[arg(long, value_name = "NAME", default_value = STACK, value_parser = control_name)]
    stack: String,
    /// Repositories that may push: OWNER/NAME or OWNER/*, separated by commas
    #[arg(long, value_name = "LIST", value_parser = repositories)]
    repositories: Option<String>,
    /// Processors of the functions: arm64 or x86_64
    #[arg(long, value_enum, hide_possible_values = true)]
    arch: Option<Arch>,
    /// Email address for alarms
    #[arg(long, value_name = "ADDRESS")]
    alarm_email: Option<String>,
    /// Another parameter of infra/template.yaml; may be repeated
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parameter)]
    parameters: Vec<(String, String)>,
    /// Processors of builds with the preset pack, which need `towline`: x86_64 or arm64; may be repeated
    /// [default: those the stack has, x86_64 for a new one]
    #[arg(
        long = "tool",
        value_name = "ARCH",
        value_enum,
        hide_possible_values = true
    )]
    tools: Vec<Arch>,
    /// Do not build and upload `towline` for builds
    #[arg(long, conflicts_with = "tools")]
    no_tool: bool,
    /// Folder of built functions: DIR/NAME/bootstrap.zip, and DIR/tools/ARCH/towline/bootstrap
    #[arg(long, value_name = "DIR")]
    functions: Option<PathBuf>,
    /// Checkout of Towline to build from [default: the one this runs in]
    #[arg(long, value_name = "DIR", conflicts_with = "functions")]
    source: Option<PathBuf>,
    /// Bucket for uploads [default: towline-ACCOUNT-REGION, created if missing]
    #[arg(long, value_name = "NAME", value_parser = stack::label)]
    bucket: Option<String>,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    place: Place,
}

/// Deploys.
///
/// # Errors
/// Refused when a person or AWS says no; an error when something it needs is missing.
pub async fn run(args: Control, output: Output) -> Outcome {
    let wanted = Wanted::from(args.consent);
    let deployment = prepare(args).await?;
    let mut plan = deployment.plan();
    let names = templates::names(&deployment.template);
    match deployment.functions.check(&names, &deployment.tools).await {
        Ok(()) => {}
        Err(failure) if wanted == Wanted::DryRun => {
            plan.warn(failure.sentence().unwrap_or_default());
        }
        Err(failure) => return Err(failure),
    }
    if !plan.agree(wanted, output)? {
        return Ok(());
    }
    deployment.carry_out(output).await
}

/// Collects all facts, and refuses a deployment that cannot work.
async fn prepare(args: Control) -> Outcome<Deployment> {
    let (aws, region) = args.place.located().await?;
    let caller = Caller::find(&aws).await?;
    let before = Stack::find(&aws, &args.stack).await?;
    follow::must_be_free(&aws, &args.stack, before.as_ref())?;
    let kept = before.as_ref().map(Stack::parameters).unwrap_or_default();
    let arch = args.arch.unwrap_or(match kept.get(ARCHITECTURE) {
        Some(&"x86_64") => Arch::X86,
        Some(_) | None => Arch::Arm64,
    });
    let mut given = given(&args, &kept)?;
    let functions = Functions::find(args.functions.as_deref(), args.source.as_deref(), arch)?;
    let template = functions.template()?;
    let tools = tools(&args, &functions, &kept)?;
    // CloudFormation's own command line would ignore it without a message.
    let asked = args.parameters.iter().map(|(name, _)| name);
    if let Some(reason) = templates::unknown_parameter(&template, asked) {
        return refused(reason);
    }
    let mut notes = Vec::new();
    let is_open = !given.contains_key(RESERVE) && !kept.contains_key(RESERVE);
    if is_open && let Some(advice) = reserve::advice(&aws, &template).await? {
        given.extend(
            advice
                .value
                .map(|value| (RESERVE.to_owned(), value.to_owned())),
        );
        notes.push(advice.note);
    }
    let bucket = Bucket::of(args.bucket, &caller.account, &region);
    let bucket_exists = exists(&bucket, &aws, &caller).await?;
    Ok(Deployment {
        aws,
        region,
        caller,
        stack: args.stack,
        before,
        functions,
        tools,
        template,
        bucket,
        bucket_exists,
        given,
        notes,
    })
}

/// The parameters that the options set.
fn given(args: &Control, kept: &BTreeMap<&str, &str>) -> Outcome<BTreeMap<String, String>> {
    let mut given: BTreeMap<String, String> = args.parameters.iter().cloned().collect();
    let options = [
        (ARCHITECTURE, args.arch.map(|arch| arch.name().to_owned())),
        (REPOSITORIES, args.repositories.clone()),
        (ALARM_EMAIL, args.alarm_email.clone()),
    ];
    for (name, value) in options {
        given.extend(value.map(|value| (name.to_owned(), value)));
    }
    if !given.contains_key(REPOSITORIES) && !kept.contains_key(REPOSITORIES) {
        return refused(
            "which repositories may push? name them with --repositories, such as --repositories 'acme/shop,acme/*'",
        );
    }
    Ok(given)
}

/// The processors that `towline` for builds is uploaded for.
fn tools(args: &Control, functions: &Functions, kept: &BTreeMap<&str, &str>) -> Outcome<Vec<Arch>> {
    if args.no_tool {
        return Ok(Vec::new());
    }
    let mut tools = tool::wanted(&args.tools, kept);
    if let Functions::Built(_) = functions {
        let is_there = |arch: &Arch| functions.tool(*arch).is_file();
        if let Some(missing) = args.tools.iter().find(|arch| !is_there(arch)) {
            return refused(format!(
                "there is no towline for {}: {} is missing",
                missing.name(),
                functions.tool(*missing).display()
            ));
        }
        tools.retain(is_there);
    }
    Ok(tools)
}

async fn exists(bucket: &Bucket, aws: &AwsCli, caller: &Caller) -> Outcome<bool> {
    match bucket.exists(aws).await {
        Err(error) if error.is_denied() => refused(format!(
            "the bucket {} cannot be used: it belongs to another account, or {} may not see it; name another with --bucket",
            bucket.name, caller.arn
        )),
        exists => Ok(exists?),
    }
}

/// A stack's name that the names of functions and rules can begin with.
fn control_name(text: &str) -> Result<String, WordError> {
    let name = stack::stack_name(text)?;
    if name.len() > LONGEST_NAME {
        return Err(WordError::new(format!(
            "at most {LONGEST_NAME} characters: the names of functions and rules begin with it"
        )));
    }
    Ok(name)
}

/// `OWNER/NAME` or `OWNER/*`, separated by commas.
fn repositories(text: &str) -> Result<String, WordError> {
    let list: Vec<&str> = text.split(',').map(str::trim).collect();
    for name in &list {
        let whole = name.strip_suffix("/*").map(|owner| format!("{owner}/any"));
        let whole = whole.unwrap_or_else(|| (*name).to_owned());
        whole
            .parse::<RepositoryName>()
            .map_err(|_| WordError::new(format!("{name:?} is neither OWNER/NAME nor OWNER/*")))?;
    }
    Ok(list.join(","))
}

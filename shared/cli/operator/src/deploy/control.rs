//! Deploys Towline itself: builds its functions, uploads them, and has CloudFormation make the rest.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Value, json};
use towline_console::style::{Style, paint};

use super::bucket::Bucket;
use super::build::{self, Arch, Functions};
use super::follow::{self, Follow};
use super::plan::{Consent, Plan, Wanted};
use super::tool::{self, Tool};
use crate::templates;
use towline_client::aws_cli::{AwsCli, Call};
use towline_client::stack::{self, Place, STACK, Stack};
use towline_console::outcome::{Outcome, refused};
use towline_console::output::Output;

/// What CloudFormation may make: roles, and what the SAM transform makes of functions.
const CAPABILITIES: [&str; 2] = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"];
/// Longest name of a stack: functions and rules are called after it, and may have 64 characters.
const LONGEST_NAME: usize = 29;
/// The template's parameter for invocations that are set aside for functions.
const RESERVE: &str = "ReserveConcurrency";
/// How many invocations Lambda keeps for functions that have none set aside (Lambda developer
/// guide, "Configuring reserved concurrency").
const UNRESERVED: u64 = 100;
/// The template's parameter for repositories that may push.
const REPOSITORIES: &str = "Repositories";
/// The template's parameter for the processors of functions.
const ARCHITECTURE: &str = "Architecture";
/// The template's parameter for who is told of alarms.
const ALARM_EMAIL: &str = "AlarmEmail";

/// The outputs that a person needs; the others are for programs.
const SHOWN: [&str; 2] = ["ApiUrl", "WebhookUrl"];

/// Settings of `deploy` itself.
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
    /// Where alarms are mailed to
    #[arg(long, value_name = "ADDRESS")]
    alarm_email: Option<String>,
    /// A further parameter of infra/template.yaml; can be given several times
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parameter)]
    parameters: Vec<(String, String)>,
    /// Processors of builds that get `towline` for the preset pack from the stack's bucket: x86_64 or arm64; can
    /// be given several times; else those the stack has, at first x86_64
    #[arg(
        long = "tool",
        value_name = "ARCH",
        value_enum,
        hide_possible_values = true
    )]
    tools: Vec<Arch>,
    /// Leave `towline` for builds as it is, and do not build it
    #[arg(long, conflicts_with = "tools")]
    no_tool: bool,
    /// Functions built before, as DIR/NAME/bootstrap.zip, and `towline` as DIR/tools/ARCH/towline/bootstrap
    #[arg(long, value_name = "DIR")]
    functions: Option<PathBuf>,
    /// The checkout to build from; else the one this is run in
    #[arg(long, value_name = "DIR", conflicts_with = "functions")]
    source: Option<PathBuf>,
    /// Bucket to upload to; else towline-ACCOUNT-REGION, made where it is missing
    #[arg(long, value_name = "NAME", value_parser = stack::label)]
    bucket: Option<String>,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    place: Place,
}

/// Who is signed in to AWS.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Caller {
    /// The account's number.
    pub account: String,
    /// Who in it.
    pub arn: String,
}

impl Caller {
    /// Asks AWS.
    ///
    /// # Errors
    /// When nobody is signed in.
    pub async fn find(aws: &AwsCli) -> Outcome<Self> {
        Ok(aws.call("sts", "get-caller-identity").json().await?)
    }
}

/// Everything that is known before anything is changed.
struct Deployment {
    aws: AwsCli,
    region: String,
    caller: Caller,
    stack: String,
    before: Option<Stack>,
    functions: Functions,
    tools: Vec<Arch>,
    template: String,
    bucket: Bucket,
    bucket_exists: bool,
    given: BTreeMap<String, String>,
    notes: Vec<String>,
}

/// Deploys.
///
/// # Errors
/// Refused when a person or AWS says no; impossible when something it needs is missing.
pub async fn run(args: Control, output: Output) -> Outcome {
    let wanted = Wanted::from(args.consent);
    let deployment = Deployment::prepare(args).await?;
    let names = templates::names(&deployment.template);
    let mut plan = deployment.plan(&names);
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

impl Deployment {
    async fn prepare(args: Control) -> Outcome<Self> {
        let (aws, region) = args.place.located().await?;
        let caller = Caller::find(&aws).await?;
        let before = Stack::find(&aws, &args.stack).await?;
        let status = before.as_ref().map(|stack| stack.status.as_str());
        if let Some(advice) = status.and_then(|status| follow::advice(&aws, &args.stack, status)) {
            return refused(advice);
        }
        let asked: Vec<String> = args.parameters.iter().map(|it| it.0.clone()).collect();
        let mut given: BTreeMap<String, String> = args.parameters.into_iter().collect();
        let kept = before.as_ref().map(Stack::parameters).unwrap_or_default();
        let kept_arch = kept.get(ARCHITECTURE).copied();
        let arch = args.arch.unwrap_or(match kept_arch {
            Some("x86_64") => Arch::X86,
            Some(_) | None => Arch::Arm64,
        });
        if args.arch.is_some() {
            given.insert(ARCHITECTURE.into(), arch.name().into());
        }
        given.extend(args.repositories.map(|list| (REPOSITORIES.into(), list)));
        given.extend(
            args.alarm_email
                .map(|address| (ALARM_EMAIL.into(), address)),
        );
        if !given.contains_key(REPOSITORIES) && !kept.contains_key(REPOSITORIES) {
            return refused(
                "which repositories may push? name them with --repositories, such as --repositories 'acme/shop,acme/*'",
            );
        }
        let functions = Functions::find(args.functions.as_deref(), args.source.as_deref(), arch)?;
        let template = functions.template()?;
        let mut tools = match args.no_tool {
            true => Vec::new(),
            false => tool::wanted(&args.tools, &kept),
        };
        if matches!(functions, Functions::Built(_)) {
            let is_there = |arch: &Arch| functions.tool(*arch).is_file();
            if let Some(missing) = args.tools.iter().find(|arch| !is_there(arch)) {
                return refused(format!(
                    "there is no towline for {}: it is to be {}",
                    missing.name(),
                    functions.tool(*missing).display()
                ));
            }
            tools.retain(is_there);
        }
        // CloudFormation's own command line would leave it out and say nothing.
        if let Some(reason) = templates::unknown_parameter(&template, asked.iter()) {
            return refused(reason);
        }
        let mut notes = Vec::new();
        let is_open = !given.contains_key(RESERVE) && !kept.contains_key(RESERVE);
        if is_open && let Some((value, note)) = reserve(&aws, &template).await? {
            given.extend(value.map(|value| (RESERVE.to_owned(), value.to_owned())));
            notes.push(note);
        }
        let bucket = Bucket::of(args.bucket, &caller.account, &region);
        let bucket_exists = match bucket.exists(&aws).await {
            Err(error) if error.is_denied() => {
                return refused(format!(
                    "the bucket {} is not to be used: it belongs to somebody else, or {} may not see it; name another with --bucket",
                    bucket.name, caller.arn
                ));
            }
            exists => exists?,
        };
        Ok(Self {
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

    fn plan(&self, names: &[&str]) -> Plan {
        let mut plan = Plan::default();
        plan.fact(
            "account",
            format!("{} as {}", self.caller.account, self.caller.arn),
        );
        plan.fact("region", &self.region);
        plan.fact(
            "stack",
            match &self.before {
                None => format!("{} (new)", self.stack),
                Some(before) => format!("{} (update; it is {} now)", self.stack, before.status),
            },
        );
        plan.fact("functions", self.functions.described());
        plan.fact("bucket", self.bucket.described(self.bucket_exists));
        for (name, value) in &self.given {
            plan.fact("parameters", format!("{name} = {value}"));
        }
        let kept = self
            .before
            .as_ref()
            .map(Stack::parameters)
            .unwrap_or_default();
        let kept = kept
            .into_iter()
            .filter(|(name, _)| !self.given.contains_key(*name));
        for (name, value) in kept {
            plan.fact("parameters", format!("{name} = {value} (kept)"));
        }
        for arch in &self.tools {
            plan.fact("tools", format!("towline for builds on {}", arch.name()));
        }
        if let Some(command) = self.functions.command(names) {
            plan.command(build::shown(&command));
        }
        for arch in &self.tools {
            if let Some(command) = self.functions.tool_command(*arch) {
                plan.command(build::shown(&command));
            }
        }
        for call in self.bucket.calls(&self.aws, self.bucket_exists) {
            plan.command(call.shown());
        }
        plan.command(self.package("infra/template.yaml", "packaged.yaml").shown());
        let mut given = self.given.clone();
        if self.own_bucket().is_none() && !self.tools.is_empty() {
            plan.command(self.deploy("packaged.yaml", &given).shown());
        }
        for arch in &self.tools {
            let account = &self.caller.account;
            plan.command(tool::shown(
                &self.aws,
                *arch,
                account,
                &self.functions.tool(*arch),
            ));
            given.insert(tool::parameter(*arch).into(), tool::placeholder(*arch));
        }
        plan.command(self.deploy("packaged.yaml", &given).shown());
        for note in &self.notes {
            plan.warn(note);
        }
        plan
    }

    fn package(&self, template: &str, packaged: &str) -> Call {
        self.aws
            .call("cloudformation", "package")
            .option("--template-file", template)
            .option("--s3-bucket", &self.bucket.name)
            .option("--s3-prefix", &self.stack)
            .option("--output-template-file", packaged)
    }

    /// The stack's own bucket, once there is one.
    fn own_bucket(&self) -> Option<&str> {
        self.before.as_ref()?.output(tool::BUCKET)
    }

    fn deploy(&self, packaged: &str, given: &BTreeMap<String, String>) -> Call {
        let call = self
            .aws
            .call("cloudformation", "deploy")
            .option("--template-file", packaged)
            .option("--stack-name", &self.stack)
            .option("--s3-bucket", &self.bucket.name)
            .option("--s3-prefix", &self.stack)
            .list("--capabilities", CAPABILITIES.map(str::to_owned))
            .word("--no-fail-on-empty-changeset");
        overriding(call, given)
    }

    async fn carry_out(&self, output: Output) -> Outcome {
        self.functions
            .build(&templates::names(&self.template), output)
            .await?;
        let mut tools = Vec::new();
        for arch in &self.tools {
            self.functions.build_tool(*arch, output).await?;
            tools.push(Tool::read(*arch, self.functions.tool(*arch))?);
        }
        let folder = self.functions.lay_out(&self.template)?;
        for call in self.bucket.calls(&self.aws, self.bucket_exists) {
            call.text().await?;
        }
        output.progress(&format!("Uploading the functions to {}.", self.bucket.name));
        let template = folder.path().join(templates::CONTROL_PATH);
        let packaged = folder.path().join("packaged.yaml");
        let packaged = packaged.display().to_string();
        let package = self.package(&template.display().to_string(), &packaged);
        package.text().await?;
        let patience = match &self.before {
            None => "; the first time takes some minutes",
            Some(_) => "",
        };
        output.progress(&format!("Deploying {}{patience}.", self.stack));
        let follow = Follow {
            aws: &self.aws,
            stack: &self.stack,
            output,
        };
        let mut changed = false;
        let mut own = self.own_bucket().map(str::to_owned);
        if own.is_none() && !tools.is_empty() {
            // The bucket comes with the stack, and what is in it has to be there before it is named.
            changed = follow.through(self.deploy(&packaged, &self.given)).await?;
            let stack = Stack::existing(&self.aws, &self.stack).await?;
            own = stack.output(tool::BUCKET).map(str::to_owned);
        }
        let mut given = self.given.clone();
        for tool in &tools {
            let bucket = own.as_deref().context("the stack tells no bucket")?;
            let account = &self.caller.account;
            tool.bring(&self.aws, bucket, account, output).await?;
            given.extend([tool.parameter()]);
        }
        changed |= follow.through(self.deploy(&packaged, &given)).await?;
        let stack = Stack::existing(&self.aws, &self.stack).await?;
        self.finish(&stack, changed, output)
    }

    fn finish(&self, stack: &Stack, changed: bool, output: Output) -> Outcome {
        let outputs = stack.outputs();
        if output.is_json() {
            return output.value(&json!({
                "stack": self.stack, "region": self.region, "changed": changed, "outputs": outputs,
            }));
        }
        let what = if changed {
            "is deployed"
        } else {
            "was as it should be; nothing has changed"
        };
        let mut text = format!("{} {what}.\n\n", paint(Style::Good, &self.stack));
        for name in SHOWN {
            let value = outputs.get(name).copied().unwrap_or("–");
            text += &format!("  {name:<10}  {value}\n");
        }
        text += &self.next(stack);
        output.text(&text)
    }

    /// What is left for a person to do.
    fn next(&self, stack: &Stack) -> String {
        let mut place = format!(" --stack {}", self.stack);
        place += &format!(" --region {}", self.region);
        if self.before.is_some() {
            return format!("\nNext: towline doctor{place}\n");
        }
        let webhook = stack.output("WebhookUrl").unwrap_or("the webhook's URL");
        format!(
            "
{next}
  1. towline secret set webhook --generate{place}
     prints the secret that GitHub signs with; keep it for step 3.
  2. towline secret set github{place}
     takes a token or a GitHub App's key, for reading definitions and writing statuses.
  3. On GitHub, in each repository: Settings, Webhooks, Add webhook
       Payload URL   {webhook}
       Content type  application/json
       Secret        what step 1 printed
       Events        just the push event
  4. towline people add YOU --group '*'{place}
     prints your token; put it into TOWLINE_TOKEN.
  5. towline deploy components --region {region}
     in each repository, beside its .towline.yml.
  6. towline doctor{place}
     says what is missing.
",
            next = paint(Style::Strong, "Next"),
            region = self.region
        )
    }
}

/// Whether the account lets as many invocations be set aside as the template asks for; if not, the
/// value to give instead, and what to tell.
async fn reserve(aws: &AwsCli, template: &str) -> Outcome<Option<(Option<&'static str>, String)>> {
    let reserved = reserved(template);
    if reserved == 0 {
        return Ok(None);
    }
    let answer = aws.call("lambda", "get-account-settings").json::<Value>();
    let settings = match answer.await {
        Ok(settings) => settings,
        Err(error) if error.is_denied() => {
            return Ok(Some((
                None,
                format!(
                    "whether {reserved} invocations of Lambda can be set aside could not be seen ({error}); if that fails, say --parameter {RESERVE}=false"
                ),
            )));
        }
        Err(error) => return Err(error.into()),
    };
    let number = |name: &str| settings["AccountLimit"][name].as_u64();
    let Some(limit) = number("ConcurrentExecutions") else {
        return Ok(None);
    };
    let free = number("UnreservedConcurrentExecutions").unwrap_or(limit);
    let needed = reserved + UNRESERVED;
    if free >= needed {
        return Ok(None);
    }
    let quota = limit + needed - free;
    Ok(Some((
        Some("false"),
        format!(
            "the account may run {limit} functions at once and {free} are not set aside yet, too few for Towline's {reserved}; so {RESERVE}=false, and a busy function elsewhere can slow Towline down. Have Lambda's \"Concurrent executions\" raised to {quota} under Service Quotas, then say --parameter {RESERVE}=true"
        ),
    )))
}

/// How many invocations a template sets aside together.
fn reserved(template: &str) -> u64 {
    let marked = template.split("ReservedConcurrentExecutions: !If [Reserving, ");
    let numbers = marked.skip(1).filter_map(|rest| rest.split(',').next());
    numbers.filter_map(|text| text.parse::<u64>().ok()).sum()
}

/// A name for a stack that functions and rules are called after.
fn control_name(text: &str) -> Result<String, String> {
    let name = stack::stack_name(text)?;
    if name.len() > LONGEST_NAME {
        return Err(format!(
            "at most {LONGEST_NAME} characters: functions and rules are called after it"
        ));
    }
    Ok(name)
}

/// A call with parameters that differ from what the stack has.
#[must_use]
pub fn overriding(call: Call, given: &BTreeMap<String, String>) -> Call {
    if given.is_empty() {
        return call;
    }
    let pairs = given.iter().map(|(name, value)| format!("{name}={value}"));
    call.list("--parameter-overrides", pairs)
}

/// `NAME=VALUE`.
///
/// # Errors
/// When it is not of that shape.
pub fn parameter(text: &str) -> Result<(String, String), String> {
    let Some((name, value)) = text.split_once('=') else {
        return Err("write NAME=VALUE".into());
    };
    if name.is_empty()
        || !name
            .chars()
            .all(|character| character.is_ascii_alphanumeric())
    {
        return Err("a parameter's name has letters and digits only".into());
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// `OWNER/NAME` or `OWNER/*`, separated by commas.
fn repositories(text: &str) -> Result<String, String> {
    let list: Vec<&str> = text.split(',').map(str::trim).collect();
    for name in &list {
        let whole = name.strip_suffix("/*").map(|owner| format!("{owner}/any"));
        let whole = whole.unwrap_or_else(|| (*name).to_owned());
        whole
            .parse::<towline_domain::names::RepositoryName>()
            .map_err(|_| format!("{name:?} is no OWNER/NAME and no OWNER/*"))?;
    }
    Ok(list.join(","))
}

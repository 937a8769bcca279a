//! The steps of a deployment: the plan shows them, and the deployment runs them.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::json;
use tempfile::TempDir;
use towline_client::aws_cli::{AwsCli, Call};
use towline_client::stack::Stack;
use towline_console::outcome::Outcome;
use towline_console::output::Output;
use towline_console::style::{Style, paint};

use super::bucket::Bucket;
use super::build::{self, Arch, Functions};
use super::call::{self, Caller};
use super::follow::Follow;
use super::plan::Plan;
use super::tool::{self, Tool};
use crate::templates;

/// What CloudFormation may create: roles, and the resources that the SAM transform creates.
const CAPABILITIES: [&str; 2] = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"];
/// The outputs that a person needs; all others are for programs.
const SHOWN: [&str; 2] = ["ApiUrl", "WebhookUrl"];

/// Everything that is known before anything is changed.
pub struct Deployment {
    pub aws: AwsCli,
    pub region: String,
    pub caller: Caller,
    pub stack: String,
    pub before: Option<Stack>,
    pub functions: Functions,
    pub tools: Vec<Arch>,
    pub template: String,
    pub bucket: Bucket,
    pub bucket_exists: bool,
    pub given: BTreeMap<String, String>,
    pub notes: Vec<String>,
}

enum Step {
    BuildFunctions,
    BuildTool(Arch),
    /// Creates the bucket, or corrects its settings.
    Bucket(Call),
    Package,
    /// Deploys the stack, with the tools that have been uploaded by then.
    Deploy,
    Upload(Arch),
}

/// The results of the steps so far.
struct Done {
    folder: TempDir,
    /// The stack's own bucket, once there is one.
    own_bucket: Option<String>,
    given: BTreeMap<String, String>,
    changed: bool,
}

impl Deployment {
    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        if let Functions::Checkout { .. } = self.functions {
            steps.push(Step::BuildFunctions);
            steps.extend(self.tools.iter().copied().map(Step::BuildTool));
        }
        let bucket = self.bucket.calls(&self.aws, self.bucket_exists);
        steps.extend(bucket.into_iter().map(Step::Bucket));
        steps.push(Step::Package);
        if self.own_bucket().is_none() && !self.tools.is_empty() {
            // The stack creates its bucket, and tools must be in it before a parameter names them.
            steps.push(Step::Deploy);
        }
        steps.extend(self.tools.iter().copied().map(Step::Upload));
        steps.push(Step::Deploy);
        steps
    }

    pub fn plan(&self) -> Plan {
        let mut plan = Plan::default();
        let Caller { account, arn } = &self.caller;
        plan.fact("account", format!("{account} as {arn}"));
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
        let kept = self.before.as_ref().map(Stack::parameters);
        for (name, value) in kept.unwrap_or_default() {
            if !self.given.contains_key(name) {
                plan.fact("parameters", format!("{name} = {value} (kept)"));
            }
        }
        for arch in &self.tools {
            plan.fact("tools", format!("towline for builds on {}", arch.name()));
        }
        let mut given = self.given.clone();
        for step in self.steps() {
            plan.command(self.shown(&step, &mut given));
        }
        for note in &self.notes {
            plan.warn(note);
        }
        plan
    }

    /// The command of a step, with placeholders for what is not known yet.
    fn shown(&self, step: &Step, given: &mut BTreeMap<String, String>) -> String {
        match step {
            Step::BuildFunctions => {
                build::shown(&self.functions.command(&templates::names(&self.template)))
            }
            Step::BuildTool(arch) => build::shown(&self.functions.tool_command(*arch)),
            Step::Bucket(call) => call.shown(),
            Step::Package => self
                .package(templates::CONTROL_PATH, "packaged.yaml")
                .shown(),
            Step::Deploy => self.deploy("packaged.yaml", given).shown(),
            Step::Upload(arch) => {
                given.insert(tool::parameter(*arch).into(), tool::placeholder(*arch));
                let path = self.functions.tool(*arch);
                tool::shown(&self.aws, *arch, &self.caller.account, &path)
            }
        }
    }

    /// Runs the steps.
    ///
    /// # Errors
    /// When a step fails; running the same command again resumes.
    pub async fn carry_out(&self, output: Output) -> Outcome {
        let mut done = Done {
            folder: tempfile::tempdir().map_err(anyhow::Error::from)?,
            own_bucket: self.own_bucket().map(str::to_owned),
            given: self.given.clone(),
            changed: false,
        };
        for step in self.steps() {
            self.run(step, &mut done, output).await?;
        }
        let stack = Stack::existing(&self.aws, &self.stack).await?;
        self.finish(&stack, done.changed, output)
    }

    async fn run(&self, step: Step, done: &mut Done, output: Output) -> Outcome {
        let packaged = done.folder.path().join("packaged.yaml");
        let packaged = packaged.display().to_string();
        match step {
            Step::BuildFunctions => {
                let names = templates::names(&self.template);
                self.functions.build(&names, output).await?;
            }
            Step::BuildTool(arch) => self.functions.build_tool(arch, output).await?,
            Step::Bucket(call) => {
                call.text().await?;
            }
            Step::Package => {
                let template = self.functions.lay_out(&self.template, done.folder.path())?;
                output.progress(&format!("Uploading the functions to {}.", self.bucket.name));
                let package = self.package(&template.display().to_string(), &packaged);
                package.text().await?;
            }
            Step::Deploy => {
                let patience = match (&self.before, done.changed) {
                    (None, false) => "; the first time takes some minutes",
                    (Some(_), _) | (None, true) => "",
                };
                output.progress(&format!("Deploying {}{patience}.", self.stack));
                let follow = Follow {
                    aws: &self.aws,
                    stack: &self.stack,
                    output,
                };
                let deploy = self.deploy(&packaged, &done.given);
                done.changed |= follow.through(deploy).await?;
            }
            Step::Upload(arch) => {
                if done.own_bucket.is_none() {
                    let stack = Stack::existing(&self.aws, &self.stack).await?;
                    done.own_bucket = stack.output(templates::BUCKET).map(str::to_owned);
                }
                let bucket = done.own_bucket.as_deref();
                let bucket = bucket.context("the stack has no output for its bucket")?;
                let tool = Tool::read(arch, self.functions.tool(arch))?;
                let account = &self.caller.account;
                tool.upload(&self.aws, bucket, account, output).await?;
                done.given.extend([tool.parameter()]);
            }
        }
        Ok(())
    }

    fn package(&self, template: &str, packaged: &str) -> Call {
        self.aws
            .call("cloudformation", "package")
            .option("--template-file", template)
            .option("--s3-bucket", &self.bucket.name)
            .option("--s3-prefix", &self.stack)
            .option("--output-template-file", packaged)
    }

    fn own_bucket(&self) -> Option<&str> {
        self.before.as_ref()?.output(templates::BUCKET)
    }

    fn deploy(&self, packaged: &str, given: &BTreeMap<String, String>) -> Call {
        let bucket = Some(self.bucket.name.as_str());
        call::deploy(
            &self.aws,
            packaged,
            &self.stack,
            bucket,
            &CAPABILITIES,
            given,
        )
    }

    fn finish(&self, stack: &Stack, changed: bool, output: Output) -> Outcome {
        let outputs = stack.outputs();
        if output.is_json() {
            return output.value(&json!({
                "stack": self.stack, "region": self.region, "changed": changed, "outputs": outputs,
            }));
        }
        let what = match changed {
            true => "is deployed",
            false => "is up to date; nothing has changed",
        };
        let mut text = format!("{} {what}.\n\n", paint(Style::Good, &self.stack));
        for name in SHOWN {
            let value = outputs.get(name).copied().unwrap_or("–");
            text += &format!("  {name:<10}  {value}\n");
        }
        text += &self.next(stack);
        output.text(&text)
    }

    /// The remaining steps for a person.
    fn next(&self, stack: &Stack) -> String {
        let place = format!(" --stack {} --region {}", self.stack, self.region);
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
     takes a token or a GitHub App's key, to read definitions and write statuses.
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

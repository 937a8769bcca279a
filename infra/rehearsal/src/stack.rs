//! The stand-ins, and Towline deployed on them as a person would deploy it.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use futures::future::try_join_all;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::mpsc;
use towline_github::memory::{MemoryGitHub, Server};

use crate::build_service::{BuildService, Settings};
use crate::carrier::{Carrier, rules};
use crate::client::Client;
use crate::emulator::Emulator;
use crate::model::Models;
use crate::package::pack;
use crate::proxy::Proxy;
use crate::shop::Shop;
use crate::surroundings::Surroundings;

/// The name of the stack.
pub const STACK: &str = "towline";

pub use towline_bus::rules::FUNCTIONS;

/// The whole deployment. Fields end in this order.
pub struct Stack {
    /// Delivers events of AWS services.
    _carrier: Carrier,
    pub builds: Arc<BuildService>,
    pub emulator: Emulator,
    pub proxy: Proxy,
    pub github: Server,
    /// An operator's way to AWS.
    pub client: Client,
    /// The address of the API.
    pub api: String,
    /// The stack's outputs, by name.
    pub outputs: BTreeMap<String, String>,
    /// The sample repositories, by name.
    pub shops: HashMap<String, Shop>,
    around: Surroundings,
    folder: TempDir,
}

impl Stack {
    /// Starts the stand-ins and deploys for these repositories of this GitHub.
    ///
    /// # Errors
    /// When something does not start or deploy.
    pub async fn deploy(
        around: Surroundings,
        names: &[&str],
        github: MemoryGitHub,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("towline-rehearsal-")
            .tempdir()?;
        let (events, carried) = mpsc::unbounded_channel();
        let models = Models::read(&around.venv)?;
        let proxy = Proxy::start(models, events.clone()).await?;
        let emulator = Emulator::start(&around.venv, folder.path(), proxy.address()).await?;
        proxy.forward_to(emulator.address(), emulator.process());
        let client = Client::new(emulator.address())?;
        let github = github.serve(([127, 0, 0, 1], 0).into()).await?;
        let mut shops = HashMap::new();
        for name in names {
            shops.insert((*name).to_owned(), Shop::create(folder.path(), name).await?);
        }
        let clones = shops
            .iter()
            .map(|(name, shop)| (name.clone(), shop.path().to_owned()));
        let settings = Settings {
            folder: folder.path().join("builds"),
            towline: around.binaries.join("towline"),
            registry: proxy.address().to_string(),
            search_path: around.search_path.clone(),
            clones: clones.collect(),
        };
        let builds = BuildService::open(settings, client.clone(), events).await?;
        proxy.build_with(Arc::clone(&builds));
        let operator = Operator {
            around: &around,
            emulator: &emulator,
            folder: folder.path(),
        };
        operator.deploy_control(names, &github.url()).await?;
        operator.forget_tags_of_repositories().await?;
        operator.let_plain_http_in().await?;
        try_join_all(shops.values().map(|shop| operator.deploy_components(shop))).await?;
        let outputs = operator.outputs(STACK).await?;
        let api = api(&client, &outputs)?;
        let rules = rules(&client, "default").await?;
        Ok(Self {
            _carrier: Carrier::start(client.clone(), rules, carried),
            builds,
            proxy,
            emulator,
            github,
            client,
            api,
            outputs,
            shops,
            around,
            folder,
        })
    }

    /// One of the sample repositories.
    ///
    /// # Panics
    /// When it was not given at deployment.
    #[must_use]
    pub fn shop(&self, name: &str) -> &Shop {
        &self.shops[name]
    }

    /// A folder for temporary files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Every item of the table. Only a test may scan.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn table(&self) -> anyhow::Result<Vec<Value>> {
        let name = &self.outputs["TableName"];
        let (mut items, mut from) = (Vec::new(), Value::Null);
        loop {
            let mut asked = json!({"TableName": name, "ConsistentRead": true});
            if !from.is_null() {
                asked["ExclusiveStartKey"] = from;
            }
            let mut page = self
                .client
                .call("dynamodb", "DynamoDB_20120810.Scan", &asked)
                .await?;
            if let Value::Array(found) = page["Items"].take() {
                items.extend(found);
            }
            from = page["LastEvaluatedKey"].take();
            if from.is_null() {
                return Ok(items);
            }
        }
    }

    /// Runs `towline` as a person with this token.
    ///
    /// # Errors
    /// When it does not start. The caller checks how it ended.
    pub async fn towline(&self, arguments: &[&str], token: &str) -> anyhow::Result<Ended> {
        self.towline_with(arguments, &[("TOWLINE_TOKEN", token)])
            .await
    }

    /// Runs `towline` with these environment variables.
    ///
    /// # Errors
    /// When it does not start. The caller checks how it ended.
    pub async fn towline_with(
        &self,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> anyhow::Result<Ended> {
        let program = self.around.binaries.join("towline");
        self.operator()
            .start(program.as_os_str(), arguments, self.folder(), variables)
            .await
    }

    /// Runs the AWS command line.
    ///
    /// # Errors
    /// When it fails; the error contains its output.
    pub async fn aws(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let program = self.around.venv.join("bin/aws");
        self.operator()
            .run(program.as_os_str(), arguments, self.folder())
            .await
    }

    fn operator(&self) -> Operator<'_> {
        Operator {
            around: &self.around,
            emulator: &self.emulator,
            folder: self.folder.path(),
        }
    }

    /// The newest lines of the functions' logs.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn log(&self, function: &str) -> anyhow::Result<Vec<String>> {
        let group = format!("/aws/lambda/{STACK}-{function}");
        let (mut lines, mut next) = (Vec::new(), Value::Null);
        loop {
            let mut asked = json!({"logGroupName": group});
            if !next.is_null() {
                asked["nextToken"] = next;
            }
            let mut page = self
                .client
                .call("logs", "Logs_20140328.FilterLogEvents", &asked)
                .await?;
            let events = page["events"].as_array().into_iter().flatten();
            lines.extend(events.filter_map(|event| event["message"].as_str().map(str::to_owned)));
            next = page["nextToken"].take();
            if next.is_null() {
                return Ok(lines);
            }
        }
    }

    /// Ends running builds.
    pub async fn close(self) {
        self.builds.close().await;
    }
}

/// The API's address. The emulator's host name for it would need name resolution; the path does not.
fn api(client: &Client, outputs: &BTreeMap<String, String>) -> anyhow::Result<String> {
    let url = outputs.get("ApiUrl").context("the stack has no ApiUrl")?;
    let name = url
        .split("://")
        .nth(1)
        .and_then(|rest| rest.split('.').next());
    let name = name.ok_or_else(|| anyhow!("{url} is no address of an API"))?;
    let address = client.address();
    Ok(format!("http://{address}/_aws/execute-api/{name}/$default"))
}

/// Removes conditions on tags from permissions for images; returns whether there were any.
fn without_tags(document: &mut Value) -> bool {
    let mut found = false;
    for statement in document["Statement"].as_array_mut().into_iter().flatten() {
        let on_images = statement["Action"].to_string().contains("ecr:");
        if on_images
            && statement["Condition"]
                .to_string()
                .contains("aws:ResourceTag/")
            && let Some(statement) = statement.as_object_mut()
        {
            statement.remove("Condition");
            found = true;
        }
    }
    found
}

#[derive(Debug)]
pub struct Ended {
    /// What it was called with.
    pub called: String,
    pub status: ExitStatus,
    pub printed: String,
    /// Its standard error.
    pub complained: String,
}

impl Ended {
    /// Its output, if it succeeded.
    ///
    /// # Errors
    /// When it failed; the error contains all output.
    pub fn well(self) -> anyhow::Result<String> {
        if self.status.success() {
            return Ok(self.printed);
        }
        bail!(
            "{} ended with {}:\n{}{}",
            self.called,
            self.status,
            self.printed,
            self.complained
        )
    }
}

struct Operator<'a> {
    around: &'a Surroundings,
    emulator: &'a Emulator,
    folder: &'a Path,
}

impl Operator<'_> {
    async fn deploy_control(&self, names: &[&str], github: &str) -> anyhow::Result<()> {
        let functions = self.folder.join("functions");
        for function in FUNCTIONS {
            pack(&self.around.binaries, function, &functions)?;
        }
        let functions = functions.display().to_string();
        let (repositories, github) = (names.join(","), format!("GitHubApi={github}"));
        let arguments = [
            "deploy",
            "--stack",
            STACK,
            "--functions",
            &functions,
            "--arch",
            "x86_64",
            "--repositories",
            &repositories,
            "--parameter",
            &github,
            "--yes",
        ];
        self.towline(&arguments, self.folder).await.map(|_| ())
    }

    /// The emulator enforces the roles' policies, but does not know the tags of ECR repositories, so
    /// conditions on these tags are removed from the roles, and nothing else.
    async fn forget_tags_of_repositories(&self) -> anyhow::Result<()> {
        let aws = self.around.venv.join("bin/aws");
        let asked = ["iam", "get-account-authorization-details", "--output=json"];
        let text = self.run(aws.as_os_str(), &asked, self.folder).await?;
        let details: Value = serde_json::from_str(&text)?;
        for role in details["RoleDetailList"].as_array().into_iter().flatten() {
            for policy in role["RolePolicyList"].as_array().into_iter().flatten() {
                let mut document = policy["PolicyDocument"].clone();
                if !without_tags(&mut document) {
                    continue;
                }
                let (role, name) = (&role["RoleName"], &policy["PolicyName"]);
                let changed = [
                    "iam",
                    "put-role-policy",
                    "--role-name",
                    role.as_str().unwrap_or_default(),
                    "--policy-name",
                    name.as_str().unwrap_or_default(),
                    "--policy-document",
                    &document.to_string(),
                ];
                self.run(aws.as_os_str(), &changed, self.folder).await?;
            }
        }
        Ok(())
    }

    /// The emulator has no TLS, and enforces the bucket's policy against requests without it.
    async fn let_plain_http_in(&self) -> anyhow::Result<()> {
        let outputs = self.outputs(STACK).await?;
        let bucket = outputs
            .get("BucketName")
            .context("the stack has no bucket")?;
        let aws = self.around.venv.join("bin/aws");
        let asked = ["s3api", "delete-bucket-policy", "--bucket", bucket];
        self.run(aws.as_os_str(), &asked, self.folder).await?;
        Ok(())
    }

    async fn deploy_components(&self, shop: &Shop) -> anyhow::Result<()> {
        let name = shop.name().to_string();
        let arguments = ["deploy", "components", "--repository", &name, "--yes"];
        self.towline(&arguments, shop.path()).await.map(|_| ())
    }

    async fn towline(&self, arguments: &[&str], folder: &Path) -> anyhow::Result<String> {
        let program = self.around.binaries.join("towline");
        self.run(program.as_os_str(), arguments, folder).await
    }

    async fn outputs(&self, stack: &str) -> anyhow::Result<BTreeMap<String, String>> {
        let arguments = [
            "cloudformation",
            "describe-stacks",
            "--stack-name",
            stack,
            "--query",
            "Stacks[0].Outputs",
            "--output",
            "json",
        ];
        let text = self.run("aws".as_ref(), &arguments, self.folder).await?;
        let outputs: Vec<Value> = serde_json::from_str(&text)?;
        let pair = |output: &Value| {
            let name = output["OutputKey"].as_str()?;
            Some((name.to_owned(), output["OutputValue"].as_str()?.to_owned()))
        };
        Ok(outputs.iter().filter_map(pair).collect())
    }

    async fn run(
        &self,
        program: &OsStr,
        arguments: &[&str],
        folder: &Path,
    ) -> anyhow::Result<String> {
        let ended = self.start(program, arguments, folder, &[]).await?;
        ended.well()
    }

    async fn start(
        &self,
        program: &OsStr,
        arguments: &[&str],
        folder: &Path,
        variables: &[(&str, &str)],
    ) -> anyhow::Result<Ended> {
        let mut path = self.around.venv.join("bin").into_os_string();
        path.push(":");
        path.push(&self.around.search_path);
        let output = Command::new(program)
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.folder)
            .envs(self.emulator.environment())
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .output()
            .await
            .with_context(|| format!("running {}", program.display()))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Ended {
            called: format!("{} {}", program.display(), arguments.join(" ")),
            status: output.status,
            printed: text(&output.stdout),
            complained: text(&output.stderr),
        })
    }
}

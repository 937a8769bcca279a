//! Drives a deployed stack from outside: pushes, questions and actions over HTTP.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, bail};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use serde_json::Value;
use sha2::Sha256;
use towline_domain::names::{CommitSha, GitRef, RepositoryId};
use towline_github::memory::{MemoryGitHub, Repository, Token};
use towline_rehearsal::client::{http, until};
use towline_rehearsal::clock::RealClock;
use towline_rehearsal::shop::Shop;
use towline_rehearsal::stack::{STACK, Stack};
use towline_wire::github::compose::{Account, Commit, Sketch, push_payload};
use towline_wire::signature::{HEADER, Secret, sign};

/// The sample repositories, one for each story that would interfere with another.
pub const REPOSITORIES: &[&str] = &[
    "acme/shop",
    "acme/broken",
    "acme/lost",
    "acme/busy",
    "acme/mortal",
    "acme/doomed",
    "acme/slow",
    "acme/long",
];

/// How long something undisturbed may take.
pub const SOON: Duration = Duration::from_secs(60);

/// How long something may take that only the sweep can repair: it checks after a minute, and each further
/// attempt waits longer.
pub const HEALED: Duration = Duration::from_secs(240);

/// The first webhook secret.
pub const WEBHOOK_SECRET: &str = "a secret of thirty-two characters";

pub const SLACK_SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";

/// The GitHub id of the first repository; the others follow.
const FIRST_ID: u64 = 731_004_501;

/// The id of a sample repository.
pub fn id_of(name: &str) -> u64 {
    let place = REPOSITORIES.iter().position(|known| *known == name);
    FIRST_ID + place.expect("a sample repository") as u64
}

/// GitHub with the empty sample repositories.
pub fn github() -> MemoryGitHub {
    let mut github = MemoryGitHub::new(Arc::new(RealClock));
    for name in REPOSITORIES {
        let name_there = name.parse().expect("a repository name");
        github
            .repositories
            .push(Repository::new(id_of(name), name_there));
    }
    github
        .tokens
        .insert(GITHUB_TOKEN.into(), Token::of_everything());
    github
}

#[derive(Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

/// A commit that was pushed.
#[derive(Debug, Clone)]
pub struct Pushed {
    pub repository: String,
    pub commit: CommitSha,
    pub body: String,
}

/// The people and GitHub outside the stack.
pub struct Driver<'a> {
    pub stack: &'a Stack,
    /// The token of Kim, who pushes.
    pub kim: String,
    /// The token of Lee, who approves.
    pub lee: String,
    http: reqwest::Client,
}

impl<'a> Driver<'a> {
    /// Adds the people, and Towline's credentials for GitHub.
    pub async fn new(stack: &'a Stack) -> anyhow::Result<Self> {
        let mut driver = Self {
            stack,
            kim: String::new(),
            lee: String::new(),
            http: http()?,
        };
        driver.kim = driver.add("kim").await?;
        driver.lee = driver.add("lee").await?;
        driver.set_secret("github", GITHUB_TOKEN, &[]).await?;
        Ok(driver)
    }

    /// Adds a person; returns the token.
    async fn add(&self, login: &str) -> anyhow::Result<String> {
        let email = format!("{login}@acme.example");
        let slack = format!("T1/U{}", login.to_uppercase());
        let arguments = [
            "people",
            "add",
            login,
            "--email",
            &email,
            "--group",
            "release-managers",
            "--slack",
            &slack,
            "--token",
            "--stack",
            STACK,
        ];
        let added = self.towline("", &arguments).await?;
        let token = added["token"].as_str();
        Ok(token.context("nobody was given a token")?.to_owned())
    }

    /// Adds a person with an AWS key only; returns the key as environment variables.
    pub async fn add_signer(&self, login: &str) -> anyhow::Result<[(&'static str, String); 2]> {
        let user = ["--user-name", login];
        let made = self
            .aws(&[&["iam", "create-user"][..], &user].concat())
            .await?;
        let arn = made["User"]["Arn"].as_str().context("no user was made")?;
        let arguments = [
            "people", "add", login, "--arn", arn, "--group", "*", "--stack", STACK,
        ];
        self.towline("", &arguments).await?;
        let may = r#"{"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*"}]}"#;
        let policy = ["--policy-name", "towline", "--policy-document", may];
        let put = [&["iam", "put-user-policy"][..], &user, &policy].concat();
        self.stack.aws(&put).await?;
        let made = self
            .aws(&[&["iam", "create-access-key"][..], &user].concat())
            .await?;
        let key = |name: &str| made["AccessKey"][name].as_str().unwrap_or_default().into();
        Ok([
            ("AWS_ACCESS_KEY_ID", key("AccessKeyId")),
            ("AWS_SECRET_ACCESS_KEY", key("SecretAccessKey")),
        ])
    }

    /// Sets a secret to the content of a file.
    pub async fn set_secret(&self, name: &str, text: &str, more: &[&str]) -> anyhow::Result<()> {
        let path = self.stack.folder().join(format!("{name}.txt"));
        tokio::fs::write(&path, format!("{text}\n")).await?;
        let path = path.display().to_string();
        let arguments = ["secret", "set", name, "--stack", STACK, "--from", &path];
        self.towline("", &[&arguments, more].concat()).await?;
        Ok(())
    }

    /// The output of `towline --json` for a person.
    pub async fn towline(&self, token: &str, arguments: &[&str]) -> anyhow::Result<Value> {
        let all = [arguments, &["--json", "--url", &self.stack.api]].concat();
        let text = self.stack.towline(&all, token).await?.well()?;
        serde_json::from_str(&text).with_context(|| format!("{all:?} printed {text:?}"))
    }

    pub fn shop(&self, name: &str) -> &Shop {
        self.stack.shop(name)
    }

    /// Commits, pushes to GitHub, and sends GitHub's webhook.
    pub async fn push(&self, name: &str, title: &str, page: &str) -> anyhow::Result<Pushed> {
        let shop = self.shop(name);
        let before = shop.head().await?;
        shop.write("index.html", page).await?;
        let commit = shop.commit(title).await?;
        {
            let mut github = self.stack.github.github();
            github.repository_mut(id_of(name)).import(shop.path())?;
        }
        let body = payload(shop, before.as_ref(), &commit, title).to_string();
        Ok(Pushed {
            repository: name.into(),
            commit,
            body,
        })
    }

    /// Delivers a webhook signed with this secret.
    pub async fn deliver(
        &self,
        body: &str,
        secret: &str,
        delivery: &str,
    ) -> anyhow::Result<Answer> {
        let signature = sign(&Secret::new(secret)?, body.as_bytes());
        self.deliver_signed(body, &signature, delivery).await
    }

    /// Delivers a webhook with this signature.
    pub async fn deliver_signed(
        &self,
        body: &str,
        signature: &str,
        delivery: &str,
    ) -> anyhow::Result<Answer> {
        let request = self
            .http
            .post(format!("{}/webhooks/github", self.stack.api))
            .header("content-type", "application/json")
            .header("x-github-event", "push")
            .header("x-github-delivery", delivery)
            .header(HEADER, signature)
            .body(body.to_owned());
        answer(request).await
    }

    /// Pushes, and checks that the push is accepted.
    pub async fn ship(&self, name: &str, title: &str, page: &str) -> anyhow::Result<Pushed> {
        let pushed = self.push(name, title, page).await?;
        let delivery = format!("delivery-{}", pushed.commit);
        let answer = self
            .deliver(&pushed.body, WEBHOOK_SECRET, &delivery)
            .await?;
        if answer.status != 202 {
            bail!("the push was answered with {answer:?}");
        }
        Ok(pushed)
    }

    pub async fn ask(
        &self,
        token: Option<&str>,
        word: &str,
        fields: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        let url = format!("{}/v1/{word}", self.stack.api);
        let url = reqwest::Url::parse_with_params(&url, fields)?;
        let mut request = self.http.get(url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        answer(request).await
    }

    /// Sends a command like Slack.
    pub async fn slack(&self, text: &str, secret: &str) -> anyhow::Result<Answer> {
        let fields = [
            ("command", "/towline"),
            ("text", text),
            ("user_id", "UKIM"),
            ("user_name", "kim"),
            ("team_id", "T1"),
            ("channel_id", "C1"),
        ];
        let body = reqwest::Url::parse_with_params("http://unused/", fields)?;
        let body = body.query().unwrap_or_default().to_owned();
        let at = Timestamp::now().as_second().to_string();
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
        mac.update(format!("v0:{at}:{body}").as_bytes());
        let signature = format!("v0={}", hex::encode(mac.finalize().into_bytes()));
        let request = self
            .http
            .post(format!("{}/slack/commands", self.stack.api))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("x-slack-request-timestamp", at)
            .header("x-slack-signature", signature)
            .body(body);
        answer(request).await
    }

    /// The build of a commit, once it is in one of these states.
    pub async fn until_build(
        &self,
        pushed: &Pushed,
        states: &[&str],
        patience: Duration,
    ) -> anyhow::Result<Value> {
        let commit = pushed.commit.to_string();
        let what = format!(
            "a build of {} that is {}",
            pushed.repository,
            states.join(" or ")
        );
        let last = Mutex::new(Answer::default());
        until(&what, patience, || async {
            let answer = self
                .ask(Some(&self.kim), "commit", &[("commit", &commit)])
                .await?;
            let builds = answer.body["runs"][0]["builds"].as_array();
            let build = builds.and_then(|builds| builds.first());
            let state = build.and_then(|build| build["state"].as_str());
            let there = state.is_some_and(|state| states.contains(&state));
            let found = build.filter(|_| there).cloned();
            *last.lock().expect("nobody panics with it") = answer;
            Ok(found)
        })
        .await
        .with_context(|| format!("the last answer was {last:?}"))
    }

    /// Waits until a digest is live in a stage.
    pub async fn until_live(
        &self,
        pushed: &Pushed,
        stage: &str,
        digest: &str,
        patience: Duration,
    ) -> anyhow::Result<Value> {
        let what = format!("{digest} of {} in {stage}", pushed.repository);
        until(&what, patience, || async {
            let line = self.now(&pushed.repository, stage).await?;
            Ok(line.filter(|line| line["image"]["digest"] == digest))
        })
        .await
    }

    /// Waits until a promotion of a digest needs approval; returns its number.
    pub async fn until_waiting(
        &self,
        pushed: &Pushed,
        stage: &str,
        digest: &str,
    ) -> anyhow::Result<u64> {
        let what = format!(
            "a promotion of {} that waits for {stage}",
            pushed.repository
        );
        until(&what, SOON, || async {
            let line = self
                .now(&pushed.repository, stage)
                .await?
                .unwrap_or_default();
            let waiting = line["waiting"].as_array().into_iter().flatten();
            let mut ours = waiting.filter(|promotion| promotion["digest"] == digest);
            Ok(ours.next().and_then(|ours| ours["promotion"].as_u64()))
        })
        .await
    }

    /// The answer of `now` about a repository's stage.
    async fn now(&self, repository: &str, stage: &str) -> anyhow::Result<Option<Value>> {
        let fields = [("component", "web"), ("stage", stage)];
        let answer = self.ask(Some(&self.kim), "now", &fields).await?;
        let live = answer.body["live"].as_array().into_iter().flatten();
        let mut ours = live.filter(|line| line["repository"] == repository);
        Ok(ours.next().cloned())
    }

    /// Moves a pushed commit to production: built, in staging, approved by Lee, in prod.
    pub async fn carry(&self, pushed: &Pushed, patience: Duration) -> anyhow::Result<String> {
        let states = ["succeeded", "failed", "cancelled", "held"];
        let build = self.until_build(pushed, &states, patience).await?;
        if build["state"] != "succeeded" {
            let log = self.stack.builds.log(&project(&pushed.repository)).await?;
            bail!("the build ended so: {build}\n{log}");
        }
        let digest = build["digest"].as_str().context("no digest")?.to_owned();
        self.until_live(pushed, "staging", &digest, patience)
            .await?;
        let promotion = self.until_waiting(pushed, "prod", &digest).await?;
        let promotion = promotion.to_string();
        let arguments = ["approve", &promotion, "--repository", &pushed.repository];
        self.towline(&self.lee, &arguments).await?;
        self.until_live(pushed, "prod", &digest, patience).await?;
        Ok(digest)
    }

    /// The statuses of a commit on GitHub: the last of each context.
    pub fn statuses(&self, pushed: &Pushed) -> Vec<(String, String)> {
        let github = self.stack.github.github();
        let repository = github.repository(id_of(&pushed.repository));
        let mut latest = std::collections::BTreeMap::new();
        for status in &repository.statuses {
            if status.commit == pushed.commit.as_str() {
                latest.insert(status.context.clone(), status.state.clone());
            }
        }
        latest.into_iter().collect()
    }

    /// The answer of the AWS command line.
    pub async fn aws(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let mut all = arguments.to_vec();
        all.push("--output=json");
        let text = self.stack.aws(&all).await?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Prints the functions' last log lines, for diagnosing a failed story.
    pub async fn show_logs(&self) {
        for function in towline_rehearsal::stack::FUNCTIONS {
            let lines = self.stack.log(function).await.unwrap_or_default();
            let telling = |line: &&String| {
                let plain = ["START ", "END ", "REPORT ", "INIT_START"];
                !plain.iter().any(|word| line.contains(word))
            };
            let telling: Vec<&String> = lines.iter().filter(telling).collect();
            println!("--- {function}: {} lines", lines.len());
            for line in telling.iter().rev().take(12).rev() {
                println!("{}", line.chars().take(600).collect::<String>());
            }
        }
    }
}

/// The functions' token for GitHub.
const GITHUB_TOKEN: &str = "ghs_token-of-the-rehearsal";

/// The CodeBuild project of a sample repository.
pub fn project(repository: &str) -> String {
    format!("towline-{}-web", repository.replace('/', "-"))
}

async fn answer(request: reqwest::RequestBuilder) -> anyhow::Result<Answer> {
    let response = request.send().await?;
    let status = response.status().as_u16();
    let text = response.text().await?;
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Ok(Answer { status, body })
}

/// The webhook for a push to `main`.
fn payload(shop: &Shop, before: Option<&CommitSha>, commit: &CommitSha, title: &str) -> Value {
    let kim = Account {
        name: "kim".into(),
        email: "kim@acme.example".into(),
        login: Some("kim".into()),
    };
    let now = Timestamp::now();
    let head = Commit {
        id: commit.clone(),
        tree: commit.to_string(),
        message: title.into(),
        at: now,
        author: kim.clone(),
        committer: kim.clone(),
        added: Vec::new(),
        removed: Vec::new(),
        modified: vec!["index.html".into()],
    };
    push_payload(&Sketch {
        repository: RepositoryId(id_of(shop.name().as_str())),
        repository_name: shop.name(),
        default_branch: "main",
        git_ref: &GitRef::Branch("main".into()),
        before,
        after: Some(commit),
        head: Some(&head),
        commits: std::slice::from_ref(&head),
        forced: false,
        pusher: &kim,
        at: now,
    })
}

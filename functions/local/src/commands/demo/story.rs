//! The steps of the demo; each waits for the state it shows.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use reqwest::Url;
use serde_json::json;
use tokio::time::{Instant, sleep};
use towline_answers::answers::{Answer, BuildAnswer, BuildState, Live};
use towline_answers::{Command, Query, command, query};
use towline_domain::Timestamp;
use towline_domain::names::{CommitSha, ComponentName, Digest, GitRef, StageName};
use towline_ports::Clock as _;
use towline_wire::github::compose::{Account, Commit, Sketch, push_payload};
use towline_wire::signature::{HEADER, Secret, sign};

use super::sample::Sample;
use crate::answer;
use towline_client::client::Client;
use towline_console::outcome::{Failure, Outcome};
use towline_console::output::Output;
use towline_ports::system::{SystemClock, random_bytes};

/// How long a step may take; docker builds pull nothing, so this is generous.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often a state is checked.
const GLANCE: Duration = Duration::from_millis(40);

/// The people, and the machine they use.
pub(super) struct Story {
    pub(super) url: Url,
    pub(super) secret: Secret,
    pub(super) repository: Sample,
    pub(super) kim: String,
    pub(super) lee: String,
    pub(super) output: Output,
}

/// An image that was built, and what the demo knows about it.
struct Built {
    build: u64,
    digest: Digest,
    tag: String,
}

impl Story {
    /// Runs all steps.
    pub(super) async fn tell(&self) -> Outcome {
        let began = now();
        self.say(
            "towline demo",
            &format!(
                "serving acme/shop on {}, preset {}",
                self.url,
                self.repository.preset.word()
            ),
        )?;
        self.repository
            .write("index.html", "<h1>Shop</h1>\n")
            .await?;
        let first = self.repository.commit("kim", "Open the shop").await?;
        let opened = self.ship(None, &first, "Open the shop").await?;
        self.repository
            .write("index.html", "<h1>Shop</h1><p>Now with a cart</p>\n")
            .await?;
        let second = self.repository.commit("kim", "Add a cart").await?;
        self.ship(Some(&first), &second, "Add a cart").await?;
        let answer = self
            .client(&self.lee)?
            .tell(&Command::Rollback(command::Rollback {
                component: web(),
                stage: prod(),
                to: None,
                reason: Some("cart loses items".into()),
                repository: None,
            }))
            .await?;
        self.say("rollback", &message(&answer))?;
        self.until_live(&prod(), &opened.digest).await?;
        self.say(
            "live",
            &format!(
                "prod is back on {}, and held until a person resumes it",
                first.short()
            ),
        )?;
        self.finish(began).await
    }

    /// Takes one commit from a push to production.
    async fn ship(
        &self,
        before: Option<&CommitSha>,
        commit: &CommitSha,
        title: &str,
    ) -> Outcome<Built> {
        let status = self.push(before, commit, title).await?;
        self.say(
            "push",
            &format!(
                "{} {title:?} by @kim: signed webhook, answered {status}",
                commit.short()
            ),
        )?;
        let built = self.until_built(commit).await?;
        self.say(
            "build",
            &format!("build#{} SUCCEEDED from a generated buildspec", built.build),
        )?;
        self.say(
            "image",
            &format!("{} pushed as :{}", built.digest.short(), built.tag),
        )?;
        self.until_live(&staging(), &built.digest).await?;
        self.say(
            "staging",
            &format!(
                "{} promoted automatically: the same digest under tag :staging",
                built.digest.short()
            ),
        )?;
        let promotion = self.until_waiting(&built.digest).await?;
        match self.approve(&self.kim, promotion).await {
            Err(Failure::Refused(reason)) => {
                self.say("approval", &format!("by @kim refused: {reason}"))?;
            }
            Ok(_) => return Err(anyhow!("the author's own approval was accepted").into()),
            Err(failure) => return Err(failure),
        }
        let answer = self.approve(&self.lee, promotion).await?;
        self.say("approval", &format!("by @lee: {}", message(&answer)))?;
        self.until_live(&prod(), &built.digest).await?;
        self.say(
            "prod",
            &format!(
                "{} is live: the same digest under tag :prod",
                built.digest.short()
            ),
        )?;
        Ok(built)
    }

    async fn approve(&self, token: &str, promotion: u64) -> Outcome<Answer> {
        let approve = Command::Approve(command::Approve {
            promotion,
            comment: None,
            repository: None,
        });
        self.client(token)?.tell(&approve).await
    }

    /// Sends a push as GitHub would.
    async fn push(
        &self,
        before: Option<&CommitSha>,
        commit: &CommitSha,
        title: &str,
    ) -> Outcome<String> {
        let kim = Account {
            name: "kim".into(),
            email: "kim@acme.example".into(),
            login: Some("kim".into()),
        };
        let head = Commit {
            id: commit.clone(),
            tree: commit.to_string(),
            message: title.into(),
            at: now(),
            author: kim.clone(),
            committer: kim.clone(),
            added: Vec::new(),
            removed: Vec::new(),
            modified: vec!["index.html".into()],
        };
        let payload = push_payload(&Sketch {
            repository: towline_source::local_id(self.repository.path())
                .context("reading the sample repository")?,
            repository_name: &self.repository.name(),
            default_branch: "main",
            git_ref: &GitRef::Branch("main".into()),
            before,
            after: Some(commit),
            head: Some(&head),
            commits: std::slice::from_ref(&head),
            forced: false,
            pusher: &kim,
            at: now(),
        });
        let body = payload.to_string();
        let headers = [
            ("content-type", "application/json".into()),
            ("x-github-event", "push".into()),
            ("x-github-delivery", hex::encode(random_bytes::<16>())),
            (HEADER, sign(&self.secret, body.as_bytes())),
        ];
        let delivered = self
            .client(&self.kim)?
            .deliver(&headers, body.into_bytes())
            .await?;
        Ok(delivered.status.to_string())
    }

    async fn until_built(&self, commit: &CommitSha) -> Outcome<Built> {
        let query = Query::Commit(query::Commit {
            commit: commit.to_string(),
        });
        let found = self
            .until("the build", &query, |answer| {
                let Answer::Commit { runs, .. } = answer else {
                    return None;
                };
                let mut builds = runs.iter().flat_map(|run| &run.builds);
                builds
                    .find(|build| !matches!(build.state, BuildState::Due | BuildState::Building))
                    .cloned()
            })
            .await?;
        match (found.state, &found.digest, found.tags.first()) {
            (BuildState::Succeeded, Some(digest), Some(tag)) => Ok(Built {
                build: found.build,
                digest: digest.clone(),
                tag: tag.to_string(),
            }),
            _ => self.show_failure(&found).await,
        }
    }

    async fn show_failure(&self, build: &BuildAnswer) -> Outcome<Built> {
        let log = self
            .client(&self.kim)?
            .ask(&Query::Log(query::Log {
                build: build.build,
                from: None,
                repository: None,
            }))
            .await?;
        let Answer::Log { text: log, .. } = log else {
            return Err(anyhow!("{}", build.why).into());
        };
        Err(anyhow!("{}\n\nThe log of build#{}:\n{log}", build.why, build.build).into())
    }

    async fn until_live(&self, stage: &StageName, digest: &Digest) -> Outcome {
        let query = Query::Now(query::Now {
            stage: Some(stage.clone()),
            component: Some(web()),
            at: None,
            repository: None,
        });
        let live = |line: &Live| {
            line.image
                .as_ref()
                .is_some_and(|image| image.digest == *digest)
        };
        self.until(&format!("{stage}"), &query, |answer| {
            let Answer::Now { live: lines, .. } = answer else {
                return None;
            };
            lines.iter().any(live).then_some(())
        })
        .await
    }

    async fn until_waiting(&self, digest: &Digest) -> Outcome<u64> {
        let query = Query::Now(query::Now {
            stage: Some(prod()),
            component: Some(web()),
            at: None,
            repository: None,
        });
        self.until("the promotion to prod", &query, |answer| {
            let Answer::Now { live, .. } = answer else {
                return None;
            };
            let mut waiting = live.iter().flat_map(|line| &line.waiting);
            waiting
                .find(|waiting| waiting.digest == *digest)
                .map(|waiting| waiting.promotion)
        })
        .await
    }

    /// Asks until the answer has the expected state. A refusal means "not yet".
    async fn until<T>(
        &self,
        what: &str,
        query: &Query,
        found: impl Fn(&Answer) -> Option<T>,
    ) -> Outcome<T> {
        let client = self.client(&self.kim)?;
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            match client.ask(query).await {
                Ok(answer) => {
                    if let Some(found) = found(&answer) {
                        return Ok(found);
                    }
                }
                Err(Failure::Refused(_)) => {}
                Err(failure) => return Err(failure),
            }
            sleep(GLANCE).await;
        }
        Err(anyhow!(
            "timed out after {} seconds waiting for {what}",
            PATIENCE.as_secs()
        )
        .into())
    }

    fn client(&self, token: &str) -> Outcome<Client> {
        Client::with_token(self.url.clone(), token.into())
    }

    fn say(&self, step: &str, what: &str) -> Outcome {
        if self.output.is_json() {
            return Ok(());
        }
        self.output.text(&format!("{step:>10}  {what}\n"))
    }

    async fn finish(&self, began: Timestamp) -> Outcome {
        let client = self.client(&self.kim)?;
        let history = client
            .ask(&Query::History(query::History {
                component: web(),
                stage: prod(),
                limit: None,
                repository: None,
            }))
            .await?;
        let tags = client
            .ask(&Query::Tags(query::Tags {
                component: web(),
                branch: None,
                limit: None,
                repository: None,
            }))
            .await?;
        let seconds = now().duration_since(began).as_secs_f64();
        if self.output.is_json() {
            return self
                .output
                .value(&json!({ "seconds": seconds, "tags": tags, "history": history }));
        }
        self.output.text("\n$ towline tags web\n")?;
        answer::print(self.output, &tags)?;
        self.output.text("\n$ towline history web prod\n")?;
        answer::print(self.output, &history)?;
        self.output.text(&format!(
            "\nDone in {seconds:.1} s. Next:\n  towline generate definition      a first .towline.yml for your repository\n  towline serve --repo PATH        run Towline for your repository, with its data in one folder\n  towline --help                   everything else\n"
        ))
    }
}

fn now() -> Timestamp {
    SystemClock.now()
}

fn web() -> ComponentName {
    "web".parse().expect("a component name")
}

fn staging() -> StageName {
    "staging".parse().expect("a stage name")
}

fn prod() -> StageName {
    "prod".parse().expect("a stage name")
}

fn message(answer: &Answer) -> String {
    let Answer::Done { message, .. } = answer else {
        return String::new();
    };
    message.clone()
}

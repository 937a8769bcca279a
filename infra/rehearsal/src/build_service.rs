//! A stand-in for CodeBuild on the local runner: its API with all overrides and idempotency tokens, its
//! events, and injected failures.

mod answers;

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use towline_domain::names::{BuildId, CommitSha, RepositoryId, RepositoryName};
use towline_domain::turns::Room;
use towline_ports::{Builds as _, PortError, RepositoryRef, StartBuild, StartError, Trust};
use towline_runner::{Checkout, Config, Machine, OnePassword, Runner};

use crate::client::Client;
use crate::{ACCOUNT, REGION};

/// How long a token returns the same build (CodeBuild API, `StartBuild`).
const TOKEN_LASTS: Duration = Duration::from_secs(5 * 60);

/// The most characters of a buildspec in a request.
const LONGEST_BUILDSPEC: usize = 25_600;

/// The supported fields of `StartBuild`. Other fields are refused, so that nothing we send is silently
/// ignored.
const UNDERSTOOD: &[&str] = &[
    "projectName",
    "sourceVersion",
    "sourceTypeOverride",
    "sourceLocationOverride",
    "gitCloneDepthOverride",
    "buildspecOverride",
    "environmentVariablesOverride",
    "imageOverride",
    "cacheOverride",
    "imagePullCredentialsTypeOverride",
    "privilegedModeOverride",
    "timeoutInMinutesOverride",
    "queuedTimeoutInMinutesOverride",
    "reportBuildStatusOverride",
    "autoRetryLimitOverride",
    "idempotencyToken",
];

/// An injected failure of `StartBuild`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadDay {
    /// Too many requests: `ThrottlingException`.
    Throttled,
    /// Too many builds: `AccountLimitExceededException`.
    Full,
}

impl BadDay {
    fn error(self) -> Refusal {
        match self {
            Self::Throttled => Refusal("ThrottlingException", "Rate exceeded".into()),
            Self::Full => Refusal(
                "AccountLimitExceededException",
                "Cannot have more than 1 builds in queue for the account".into(),
            ),
        }
    }
}

pub struct Settings {
    /// The folder for its data.
    pub folder: PathBuf,
    /// The program `towline` in builds.
    pub towline: PathBuf,
    /// The host and port that builds push to, regardless of the registry's name, as name resolution in
    /// their network would do.
    pub registry: String,
    pub search_path: std::ffi::OsString,
    /// The folder of each repository's clone, by its name.
    pub clones: HashMap<String, PathBuf>,
}

pub struct BuildService {
    runner: Runner,
    registry: String,
    projects: Client,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    builds: Vec<Started>,
    tokens: HashMap<String, Token>,
    bad_days: HashMap<String, VecDeque<BadDay>>,
    silent: HashSet<String>,
}

/// A started build and its parameters.
#[derive(Clone)]
struct Started {
    id: BuildId,
    project: String,
    asked: Value,
    environment: Vec<(String, String)>,
    at: Timestamp,
}

struct Token {
    asked: Value,
    build: BuildId,
    at: Timestamp,
}

/// An error's code and message.
struct Refusal(&'static str, String);

impl Refusal {
    fn invalid(reason: impl Into<String>) -> Self {
        Self("InvalidInputException", reason.into())
    }
}

impl From<PortError> for Refusal {
    fn from(error: PortError) -> Self {
        Self("InternalFailure", error.to_string())
    }
}

impl BuildService {
    /// Opens it. `projects` lists the projects, and `events` receives what CodeBuild would publish on the
    /// default bus.
    ///
    /// # Errors
    /// When the runner does not open.
    pub async fn open(
        settings: Settings,
        projects: Client,
        events: mpsc::UnboundedSender<Value>,
    ) -> anyhow::Result<Arc<Self>> {
        let runner = Runner::open(Config {
            dir: settings.folder,
            concurrency: 4,
            room: Room::default(),
            keep: Config::KEEP,
            // The builds of the rehearsal need no secrets and no other user.
            secrets: "secrets.json".into(),
            awaits_secrets: false,
            common: std::env::temp_dir(),
            build_user: None,
            machine: Machine {
                search_path: settings.search_path,
                home: None,
                lang: None,
                docker_host: None,
            },
            now: Arc::new(Timestamp::now),
            towline_binary: settings.towline,
            // The emulator's registry needs no password.
            registry_address: None,
            registry: Arc::new(OnePassword("anything".into())),
            checkout: Arc::new(Clones(settings.clones)),
            region: REGION.into(),
            account: ACCOUNT.into(),
        });
        let service = Arc::new(Self {
            runner: runner.await?,
            registry: settings.registry,
            projects,
            state: Mutex::default(),
        });
        tokio::spawn(tell(Arc::downgrade(&service), events));
        Ok(service)
    }

    /// Refuses the next `StartBuild`s of a project.
    pub fn refuse(&self, project: &str, days: impl IntoIterator<Item = BadDay>) {
        self.state()
            .bad_days
            .entry(project.into())
            .or_default()
            .extend(days);
    }

    /// Stops sending events of a project's builds.
    pub fn lose_events(&self, project: &str) {
        self.state().silent.insert(project.into());
    }

    /// The number of started builds of a project.
    #[must_use]
    pub fn started(&self, project: &str) -> usize {
        let state = self.state();
        let of_project = state.builds.iter();
        of_project.filter(|build| build.project == project).count()
    }

    /// The log of a project's newest build, for diagnosing failures.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn log(&self, project: &str) -> anyhow::Result<String> {
        let newest = {
            let state = self.state();
            let mut builds = state.builds.iter().rev();
            builds.find(|build| build.project == project).cloned()
        };
        let Some(newest) = newest else {
            return Ok(String::new());
        };
        let log = self.runner.log(&newest.id, 0).await?;
        Ok(String::from_utf8_lossy(&log.unwrap_or_default()).into_owned())
    }

    pub async fn close(&self) {
        self.runner.close().await;
    }

    /// Stores the log of an ended build in the project's log group. CodeBuild does so line by line.
    async fn write_log(&self, id: &str) -> anyhow::Result<()> {
        let build = self
            .known(id)
            .with_context(|| format!("{id} is no build"))?;
        let log = self.runner.log(&build.id, 0).await?.unwrap_or_default();
        let at = Timestamp::now().as_millisecond();
        let lines: Vec<Value> = String::from_utf8_lossy(&log)
            .lines()
            .filter(|line| !line.is_empty())
            .map(|line| json!({"timestamp": at, "message": format!("{line}\n")}))
            .collect();
        let (group, stream) = answers::log_place(&build);
        let mut asked = json!({"logGroupName": group, "logStreamName": stream});
        let logs = &self.projects;
        logs.call("logs", "Logs_20140328.CreateLogStream", &asked)
            .await?;
        asked["logEvents"] = lines.into();
        logs.call("logs", "Logs_20140328.PutLogEvents", &asked)
            .await?;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The status and body for one operation of CodeBuild's API.
    pub async fn answer(&self, operation: &str, asked: &Value) -> (u16, Value) {
        let answer = match operation {
            "StartBuild" => self.start_build(asked).await,
            "BatchGetBuilds" => self.batch_get_builds(asked).await,
            "ListBuildsForProject" => self.list_builds(asked),
            "StopBuild" => self.stop_build(asked).await,
            other => Err(Refusal::invalid(format!("{other} is not played here"))),
        };
        match answer {
            Ok(answer) => (200, answer),
            Err(Refusal(kind, message)) => (400, json!({"__type": kind, "message": message})),
        }
    }

    async fn start_build(&self, asked: &Value) -> Result<Value, Refusal> {
        let project = asked["projectName"].as_str().unwrap_or_default();
        let unknown = asked.as_object().into_iter().flatten();
        let mut unknown = unknown.filter(|(name, _)| !UNDERSTOOD.contains(&name.as_str()));
        if let Some((name, _)) = unknown.next() {
            return Err(Refusal::invalid(format!("{name} is not played here")));
        }
        if let Some(day) = self.bad_day(project) {
            return Err(day.error());
        }
        if let Some(build) = self.same_token(asked)? {
            return Ok(json!({"build": self.describe(&build).await?}));
        }
        let told = self.project(project).await?;
        let buildspec = self.buildspec(&told, asked).await?;
        let (request, environment) = self.request(project, &told, asked, buildspec)?;
        let id = self
            .runner
            .start(request)
            .await
            .map_err(|error| match error {
                StartError::Busy(reason) => Refusal("AccountLimitExceededException", reason),
                StartError::Refused(reason) => Refusal::invalid(reason),
                StartError::Port(error) => error.into(),
            })?;
        let at = Timestamp::now();
        let started = Started {
            id: id.clone(),
            project: project.into(),
            asked: asked.clone(),
            environment,
            at,
        };
        {
            let mut state = self.state();
            if let Some(token) = asked["idempotencyToken"].as_str() {
                let token = (
                    token.to_owned(),
                    Token {
                        asked: asked.clone(),
                        build: id,
                        at,
                    },
                );
                state.tokens.extend([token]);
            }
            state.builds.push(started.clone());
        }
        Ok(json!({"build": self.describe(&started).await?}))
    }

    fn bad_day(&self, project: &str) -> Option<BadDay> {
        self.state().bad_days.get_mut(project)?.pop_front()
    }

    /// The build that was recently started with this token.
    fn same_token(&self, asked: &Value) -> Result<Option<Started>, Refusal> {
        let state = self.state();
        let token = asked["idempotencyToken"].as_str();
        let Some(known) = token.and_then(|token| state.tokens.get(token)) else {
            return Ok(None);
        };
        let age = Timestamp::now().duration_since(known.at);
        if age.unsigned_abs() > TOKEN_LASTS {
            return Ok(None);
        }
        if known.asked != *asked {
            return Err(Refusal::invalid(
                "The idempotency token was used with other parameters: parameter mismatch error",
            ));
        }
        let mut builds = state.builds.iter();
        Ok(builds.find(|build| build.id == known.build).cloned())
    }

    /// The project that CloudFormation created.
    async fn project(&self, name: &str) -> Result<Value, Refusal> {
        let asked = json!({"names": [name]});
        let answer = self
            .projects
            .call("codebuild", "CodeBuild_20161006.BatchGetProjects", &asked)
            .await
            .map_err(|error| Refusal("InternalFailure", error.to_string()))?;
        let project = answer["projects"][0].clone();
        if project.is_null() {
            let arn = format!("arn:aws:codebuild:{REGION}:{ACCOUNT}:project/{name}");
            let text = format!("Project cannot be found: {arn}");
            return Err(Refusal("ResourceNotFoundException", text));
        }
        Ok(project)
    }

    /// The buildspec: from the request, if short, or from a bucket.
    async fn buildspec(&self, told: &Value, asked: &Value) -> Result<String, Refusal> {
        let given = asked["buildspecOverride"].as_str();
        let given = given.or(told["source"]["buildspec"].as_str());
        let given = given.unwrap_or_default();
        if given.starts_with("arn:") {
            let read = self.projects.object(given).await;
            return read.map_err(|error| Refusal::invalid(format!("{error:#}")));
        }
        let length = given.chars().count();
        if length > LONGEST_BUILDSPEC {
            return Err(Refusal::invalid(format!(
                "a buildspec of {length} characters is too long"
            )));
        }
        Ok(given.to_owned())
    }

    /// The runner's task and environment; the request overrides the project.
    fn request(
        &self,
        project: &str,
        told: &Value,
        asked: &Value,
        buildspec: String,
    ) -> Result<(StartBuild, Vec<(String, String)>), Refusal> {
        let mut environment: Vec<(String, String)> = Vec::new();
        let of_project = &told["environment"]["environmentVariables"];
        let overriding = &asked["environmentVariablesOverride"];
        let all = [of_project, overriding].into_iter();
        for variable in all.filter_map(Value::as_array).flatten() {
            let name = variable["name"].as_str().unwrap_or_default();
            let value = variable["value"].as_str().unwrap_or_default();
            environment.retain(|(known, _)| known != name);
            environment.push((name.into(), value.into()));
        }
        let variable = |name: &str| {
            let found = environment.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.as_str()).unwrap_or_default()
        };
        let either = |ours: &str, theirs: &Value| {
            let ours = asked[ours].as_str();
            ours.or(theirs.as_str()).unwrap_or_default().to_owned()
        };
        let location = either("sourceLocationOverride", &told["source"]["location"]);
        let component = parsed("TOWLINE_COMPONENT", variable("TOWLINE_COMPONENT"))?;
        let name: RepositoryName = parsed("the location of the source", repository(&location))?;
        if StartBuild::project(&name, &component) != project {
            return Err(Refusal::invalid(format!(
                "{project} is not the project of {component} in {name}"
            )));
        }
        let minutes = asked["timeoutInMinutesOverride"].as_u64();
        let minutes = minutes.or(told["timeoutInMinutes"].as_u64()).unwrap_or(60);
        let privileged = asked["privilegedModeOverride"].as_bool();
        let privileged = privileged.or(told["environment"]["privilegedMode"].as_bool());
        // Where CodeBuild has no cache, the runner has one that no build of higher trust reads.
        let cache = &asked["cacheOverride"];
        let trust = if cache.is_null() {
            Trust::DefaultBranch
        } else if *cache == json!({"type": "NO_CACHE"}) {
            Trust::Other
        } else {
            return Err(Refusal::invalid(format!("no cache is like {cache}")));
        };
        let version = asked["sourceVersion"].as_str().unwrap_or_default();
        let there: Vec<(String, String)> = environment
            .iter()
            .map(|(name, value)| match name.as_str() {
                "ECR_REGISTRY" => (name.clone(), self.registry.clone()),
                _ => (name.clone(), value.clone()),
            })
            .collect();
        let request = StartBuild {
            attempt: parsed("an id", &fresh_id())?,
            component,
            repository: RepositoryRef {
                id: RepositoryId(0), // CodeBuild knows no such thing
                name,
            },
            commit: parsed("sourceVersion", version)?,
            git_ref: parsed("GIT_REF", variable("GIT_REF"))?,
            trust,
            image_repository: parsed("IMAGE_REPO", variable("IMAGE_REPO"))?,
            image: either("imageOverride", &told["environment"]["image"]),
            architecture: None,
            privileged: privileged.unwrap_or_default(),
            buildspec,
            environment: there,
            timeout: Duration::from_secs(minutes * 60),
        };
        Ok((request, environment))
    }

    async fn batch_get_builds(&self, asked: &Value) -> Result<Value, Refusal> {
        let (mut builds, mut missing) = (Vec::new(), Vec::new());
        for id in asked["ids"].as_array().into_iter().flatten() {
            match self.known(id.as_str().unwrap_or_default()) {
                Some(build) => builds.push(self.describe(&build).await?),
                None => missing.push(id.clone()),
            }
        }
        Ok(json!({"builds": builds, "buildsNotFound": missing}))
    }

    fn list_builds(&self, asked: &Value) -> Result<Value, Refusal> {
        let state = self.state();
        let of_project = state.builds.iter();
        let of_project = of_project.filter(|build| build.project == asked["projectName"]);
        let mut ids: Vec<&str> = of_project.map(|build| build.id.as_str()).collect();
        if asked["sortOrder"] != "ASCENDING" {
            ids.reverse();
        }
        Ok(json!({"ids": ids}))
    }

    async fn stop_build(&self, asked: &Value) -> Result<Value, Refusal> {
        let id = asked["id"].as_str().unwrap_or_default();
        let Some(build) = self.known(id) else {
            let text = format!("Build {id} not found");
            return Err(Refusal("ResourceNotFoundException", text));
        };
        self.runner.stop(&build.id).await?;
        Ok(json!({"build": self.describe(&build).await?}))
    }

    /// A build by its id or ARN.
    fn known(&self, id: &str) -> Option<Started> {
        let id = id.rsplit_once("build/").map_or(id, |(_, id)| id);
        let state = self.state();
        let mut builds = state.builds.iter();
        builds.find(|build| build.id.as_str() == id).cloned()
    }

    async fn describe(&self, build: &Started) -> Result<Value, Refusal> {
        let report = self.runner.get(&build.id).await?;
        let report = report.ok_or_else(|| Refusal::invalid("the runner forgot the build"))?;
        let exported = self.runner.exported_variables(&build.id).await?;
        Ok(answers::build(
            build,
            &report,
            &exported.unwrap_or_default(),
        ))
    }
}

/// Forwards the runner's events.
async fn tell(
    service: std::sync::Weak<BuildService>,
    events: mpsc::UnboundedSender<Value>,
) -> anyhow::Result<()> {
    loop {
        let service = service.upgrade().context("nobody builds any more")?;
        for change in service.runner.next_events(0, 100).await? {
            let detail = &change.document["detail"];
            let project = detail["project-name"].as_str().unwrap_or_default();
            if detail["build-status"] != "IN_PROGRESS" {
                let id = detail["build-id"].as_str().unwrap_or_default();
                if let Err(error) = service.write_log(id).await {
                    eprintln!("the log of {id} is lost: {error:#}");
                }
            }
            if !service.state().silent.contains(project) {
                events
                    .send(change.document)
                    .map_err(|_| anyhow!("nobody listens"))?;
            }
            service.runner.forget_events(change.id).await?;
        }
        // Released in between, so that the service can end.
        let changed = service.runner.changed().notified();
        let _either = tokio::time::timeout(Duration::from_secs(1), changed).await;
    }
}

/// `owner/name` of a GitHub address.
fn repository(location: &str) -> &str {
    let path = location.strip_prefix("https://github.com/");
    let path = path.unwrap_or_default();
    path.strip_suffix(".git").unwrap_or(path)
}

fn parsed<T: std::str::FromStr>(what: &str, text: &str) -> Result<T, Refusal>
where
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|error: T::Err| Refusal::invalid(format!("{what}: {error}")))
}

/// A unique id in UUID form.
fn fresh_id() -> String {
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let now = Timestamp::now().as_nanosecond();
    let hex = hex::encode(Sha256::digest(format!("{now} {count}")));
    let (one, two, three) = (&hex[..8], &hex[8..12], &hex[12..16]);
    format!("{one}-{two}-{three}-{}-{}", &hex[16..20], &hex[20..32])
}

/// The clones that builds check out from.
struct Clones(HashMap<String, PathBuf>);

#[async_trait]
impl Checkout for Clones {
    async fn mirror(
        &self,
        repository: &RepositoryRef,
        _commit: &CommitSha,
    ) -> Result<Option<PathBuf>, PortError> {
        Ok(self.0.get(&repository.name.to_string()).cloned())
    }
}

//! Builds that really run, in real shells, from real repositories.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod artifacts;
mod cache;
mod contract;
mod ends;
mod kept;
mod on_failure;
mod oracle;
mod phases;
mod queue;
mod run_as;
mod secrets;
mod shell;
mod upload;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tempfile::TempDir;
use tokio::time::timeout;
use towline_domain::names::{AttemptId, BuildId, CommitSha, GitRef, RepositoryId};
use towline_domain::run::{BuildReport, BuildStatus};
use towline_domain::turns::Room;
use towline_ports::{Builds, PortError, RepositoryRef, StartBuild, Trust};

use crate::database;
use crate::{Checkout, Config, Machine, OnePassword, Runner};

/// What every clock in these tests says.
const NOW: &str = "2026-01-02T03:04:05Z";

const PASSWORD: &str = "hunter2-hunter2";

/// Longest that anything here may take.
const LONG: Duration = Duration::from_secs(60);

/// A folder with a repository and a runner.
struct World {
    dir: TempDir,
    commit: CommitSha,
    runner: Runner,
}

/// A repository in a folder.
struct Fixed(PathBuf);

#[async_trait]
impl Checkout for Fixed {
    async fn mirror(
        &self,
        _repository: &RepositoryRef,
        commit: &CommitSha,
    ) -> Result<Option<PathBuf>, PortError> {
        let known = !commit.as_str().starts_with("ffff");
        Ok(known.then(|| self.0.clone()))
    }
}

fn config(dir: &Path, concurrency: usize) -> Config {
    Config {
        dir: dir.join("data"),
        concurrency,
        room: Room::default(),
        keep: Config::KEEP,
        secrets: dir.join("secrets.json"),
        awaits_secrets: false,
        common: "/tmp".into(),
        build_user: None,
        machine: Machine {
            search_path: env!("PATH").into(),
            home: None,
            lang: Some("C.UTF-8".into()),
            docker_host: None,
        },
        now: Arc::new(|| NOW.parse().unwrap()),
        towline_binary: "/bin/true".into(),
        registry_address: None,
        registry: Arc::new(OnePassword(PASSWORD.into())),
        checkout: Arc::new(Fixed(dir.join("origin"))),
        region: "eu-central-1".into(),
        account: "000000000000".into(),
    }
}

/// Makes a repository with one commit.
fn origin(dir: &Path) -> CommitSha {
    let origin = dir.join("origin");
    fs::create_dir(&origin).unwrap();
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .current_dir(&origin)
            .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com"])
            .env_clear()
            .env("PATH", env!("PATH"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "-q"]);
    fs::write(origin.join("hello.txt"), "hello\n").unwrap();
    fs::create_dir_all(origin.join("docs/deep")).unwrap();
    fs::write(origin.join("docs/deep/page.md"), "page\n").unwrap();
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "first"]);
    git(&["rev-parse", "HEAD"]).parse().unwrap()
}

fn attempt(number: u32) -> AttemptId {
    format!("00000000-0000-0000-0000-{number:012}")
        .parse()
        .unwrap()
}

/// A build of the component `web`.
fn request(number: u32, commit: &CommitSha, buildspec: &str) -> StartBuild {
    StartBuild {
        attempt: attempt(number),
        component: "web".parse().unwrap(),
        repository: RepositoryRef {
            id: RepositoryId(7),
            name: "acme/shop".parse().unwrap(),
        },
        commit: commit.clone(),
        git_ref: "refs/heads/main".parse().unwrap(),
        trust: Trust::DefaultBranch,
        image_repository: "acme/web".parse().unwrap(),
        image: "aws/codebuild/standard:7.0".into(),
        architecture: None,
        privileged: false,
        buildspec: buildspec.into(),
        environment: Vec::new(),
        timeout: LONG,
    }
}

impl World {
    async fn new(concurrency: usize) -> Self {
        Self::with(concurrency, |_, _| ()).await
    }

    /// One whose configuration is changed, knowing the folder.
    async fn with(concurrency: usize, change: impl FnOnce(&mut Config, &Path)) -> Self {
        let dir = TempDir::new().unwrap();
        let commit = origin(dir.path());
        let mut config = config(dir.path(), concurrency);
        change(&mut config, dir.path());
        let runner = Runner::open(config).await.unwrap();
        Self {
            dir,
            commit,
            runner,
        }
    }

    /// The folder opened again, once the runner before has let it go.
    async fn reopened(dir: TempDir, commit: CommitSha, change: impl Fn(&mut Config)) -> Self {
        let open = async {
            loop {
                let mut config = config(dir.path(), 1);
                change(&mut config);
                match Runner::open(config).await {
                    Ok(runner) => return runner,
                    Err(crate::OpenError::InUse(_)) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error}"),
                }
            }
        };
        let runner = timeout(LONG, open).await.unwrap();
        Self {
            dir,
            commit,
            runner,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn request(&self, number: u32, buildspec: &str) -> StartBuild {
        request(number, &self.commit, buildspec)
    }

    async fn start(&self, number: u32, buildspec: &str) -> BuildId {
        let request = self.request(number, buildspec);
        self.runner.start(request).await.unwrap()
    }

    /// Waits until a build has ended.
    async fn end(&self, build: &BuildId) -> BuildReport {
        let ended = async {
            loop {
                let report = self.runner.get(build).await.unwrap().unwrap();
                if report.status != BuildStatus::InProgress {
                    return report;
                }
                self.runner.changed().notified().await;
            }
        };
        timeout(LONG, ended).await.expect("the build ends")
    }

    async fn log(&self, build: &BuildId) -> String {
        let log = self.runner.log(build, 0).await.unwrap().unwrap();
        String::from_utf8(log).unwrap()
    }

    /// The phases that ran, those that did not succeed with their status.
    async fn phases(&self, build: &BuildId) -> String {
        let build = build.clone();
        let database = &self.runner.inner.database;
        let record = database
            .call("reading", move |transaction| {
                database::get(transaction, &build)
            })
            .await
            .unwrap()
            .unwrap();
        let phases = record.phases.iter().map(|phase| {
            let word = phase.kind.word();
            match phase.status.map(crate::record::PhaseStatus::word) {
                None | Some("SUCCEEDED") => word.to_owned(),
                Some(status) => format!("{word}={status}"),
            }
        });
        phases.collect::<Vec<_>>().join(" ")
    }

    /// Runs a build to its end; its status and its log from the first phase with commands on.
    async fn run(&self, number: u32, buildspec: &str) -> (BuildStatus, String) {
        let build = self.start(number, buildspec).await;
        let report = self.end(&build).await;
        (report.status, self.log(&build).await)
    }

    /// The same, of a ref; the default branch is `main`.
    async fn run_of(&self, git_ref: &str, number: u32, buildspec: &str) -> String {
        let git_ref: GitRef = git_ref.parse().unwrap();
        let request = StartBuild {
            trust: Trust::of(&git_ref, Some("main")),
            git_ref,
            ..self.request(number, buildspec)
        };
        let build = self.runner.start(request).await.unwrap();
        self.end(&build).await;
        self.log(&build).await
    }
}

/// Waits until there is something in a file.
async fn appears(path: &Path) -> String {
    let there = async {
        loop {
            match fs::read_to_string(path) {
                Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    timeout(LONG, there).await.expect("the file appears")
}

fn lives(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

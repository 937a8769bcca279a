//! The sample repository: a small shop, its definition, and commits by two people.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail};
use tokio::fs;
use tokio::process::Command;
use towline_domain::names::{CommitSha, RepositoryName};
use towline_host::around::of_builds;
use towline_source::Surroundings;

use towline_console::surroundings;

/// How the sample is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Preset {
    /// Assembled from files, without a Docker daemon.
    Pack,
    /// `docker build`.
    Docker,
}

impl Preset {
    /// The name of the preset.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Pack => "pack",
            Self::Docker => "docker",
        }
    }

    fn build(self) -> &'static str {
        match self {
            Self::Pack => {
                "      preset: pack
      run: [mkdir -p dist, cp index.html dist/]
      test: [grep -q Shop index.html]
      root: dist"
            }
            Self::Docker => {
                "      preset: docker
      test: [grep -q Shop index.html]"
            }
        }
    }
}

/// The sample repository on disk.
pub(super) struct Sample {
    path: PathBuf,
    search_path: std::ffi::OsString,
    pub(super) preset: Preset,
}

/// Fails, with advice, if no Docker daemon answers in the environment that builds get.
pub(super) async fn look_for_docker() -> anyhow::Result<()> {
    let seen = of_builds(surroundings::variable);
    let mut command = Command::new("docker");
    command
        .args(["version", "--format", "{{.Server.Version}}"])
        .stdin(Stdio::null());
    command
        .env_clear()
        .env("PATH", seen.search_path)
        .envs(seen.docker_host.map(|host| ("DOCKER_HOST", host)));
    match command.output().await {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => bail!(
            "no Docker daemon answers; start one, name it with DOCKER_HOST (`docker context inspect` shows yours), or run the demo without --docker\n{}",
            String::from_utf8_lossy(&output.stderr).trim()
        ),
        Err(_) => {
            bail!("there is no docker command; install Docker, or run the demo without --docker")
        }
    }
}

impl Sample {
    /// Creates the repository, without commits.
    pub(super) async fn create(
        path: &Path,
        preset: Preset,
        around: &Surroundings,
    ) -> anyhow::Result<Self> {
        if path.exists() {
            fs::remove_dir_all(path).await?;
        }
        fs::create_dir_all(path).await?;
        let sample = Self {
            path: path.to_owned(),
            search_path: around.search_path.clone(),
            preset,
        };
        sample
            .git("kim", &["init", "--quiet", "--initial-branch=main"])
            .await?;
        sample.write(".towline.yml", &definition(preset)).await?;
        sample
            .write("Dockerfile", "FROM scratch\nCOPY index.html /\n")
            .await?;
        Ok(sample)
    }

    /// Its name on GitHub.
    pub(super) fn name(&self) -> RepositoryName {
        "acme/shop".parse().expect("a repository name")
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file.
    pub(super) async fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        fs::write(self.path.join(name), text)
            .await
            .with_context(|| format!("writing {name} of the sample"))
    }

    /// Commits everything.
    pub(super) async fn commit(&self, author: &str, title: &str) -> anyhow::Result<CommitSha> {
        self.git(author, &["add", "--all"]).await?;
        self.git(author, &["commit", "--quiet", "-m", title])
            .await?;
        let head = self.git(author, &["rev-parse", "HEAD"]).await?;
        Ok(head.trim().parse()?)
    }

    async fn git(&self, author: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new("git");
        command
            .current_dir(&self.path)
            .env_clear()
            .env("PATH", &self.search_path)
            .stdin(Stdio::null());
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), author).env(
                format!("GIT_{role}_EMAIL"),
                format!("{author}@acme.example"),
            );
        }
        command.envs([
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ]);
        let output = command
            .args(arguments)
            .output()
            .await
            .context("the demo needs git; install it")?;
        if !output.status.success() {
            bail!(
                "git {} failed: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn definition(preset: Preset) -> String {
    format!(
        "version: 1
pipeline: shop
components:
  web:
    repository: acme/shop-web
    build:
{}
stages:
  - name: staging
    from: build
    promote: auto
  - name: prod
    from: staging
    gates:
      - approval: {{groups: [release-managers], self: deny}}
",
        preset.build()
    )
}

//! The sample repositories: a small shop each, and its commits.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail};
use tokio::process::Command;
use towline_domain::names::{CommitSha, RepositoryName};

pub struct Shop {
    path: PathBuf,
    name: RepositoryName,
}

impl Shop {
    /// Creates an empty repository.
    ///
    /// # Errors
    /// When git fails.
    pub async fn create(folder: &Path, name: &str) -> anyhow::Result<Self> {
        let path = folder.join(name.replace('/', "-"));
        tokio::fs::create_dir_all(&path).await?;
        let shop = Self {
            path,
            name: name.parse()?,
        };
        shop.git(&["init", "--quiet", "--initial-branch=main"])
            .await?;
        shop.write(".towline.yml", &definition(name)).await?;
        Ok(shop)
    }

    #[must_use]
    pub fn name(&self) -> &RepositoryName {
        &self.name
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The repository of its images.
    #[must_use]
    pub fn images(&self) -> String {
        format!("{}-web", self.name)
    }

    /// Writes a file, to be committed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn write(&self, path: &str, text: &str) -> anyhow::Result<()> {
        tokio::fs::write(self.path.join(path), text)
            .await
            .with_context(|| format!("writing {path} of {}", self.name))
    }

    /// Commits everything on the current branch.
    ///
    /// # Errors
    /// When git fails.
    pub async fn commit(&self, title: &str) -> anyhow::Result<CommitSha> {
        self.git(&["add", "--all"]).await?;
        self.git(&["commit", "--quiet", "--message", title]).await?;
        Ok(self.git(&["rev-parse", "HEAD"]).await?.trim().parse()?)
    }

    /// The commit of the branch; none before the first commit.
    ///
    /// # Errors
    /// When git fails.
    pub async fn head(&self) -> anyhow::Result<Option<CommitSha>> {
        let list = self.git(&["for-each-ref", "--format=%(objectname)", "refs/heads/main"]);
        let list = list.await?;
        let line = list.lines().next();
        Ok(line.map(str::parse).transpose()?)
    }

    async fn git(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new("git");
        command.current_dir(&self.path).stdin(Stdio::null());
        for role in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{role}_NAME"), "kim")
                .env(format!("GIT_{role}_EMAIL"), "kim@acme.example");
        }
        command.envs([
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ]);
        let output = command.args(arguments).output().await?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("git {} failed: {}", arguments.join(" "), said.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// The first definition; the last stage is `prod`.
#[must_use]
pub fn definition(name: &str) -> String {
    format!(
        "version: 1
pipeline: shop
components:
  web:
    repository: {name}-web
    build:
      preset: pack
      run:
        - mkdir -p dist
        - cp index.html dist/
        - if grep -q Slow index.html; then echo slowly; sleep 600; fi
      test: [grep -q Shop index.html]
      root: dist
stages:
  - name: staging
    from: build
    promote: auto
  - name: prod
    from: staging
    gates:
      - approval: {{groups: [release-managers], self: deny}}
"
    )
}

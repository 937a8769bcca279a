//! Mirrors of real repositories.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod processes;
mod reading;
mod registering;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use towline_domain::names::{CommitSha, GitRef, RepositoryId, RepositoryName};
use towline_ports::{RepositoryRef, Source as _};

use crate::*;

/// A folder with a repository `origin` in it.
struct World {
    dir: TempDir,
}

impl World {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let world = Self { dir };
        fs::create_dir(world.origin()).unwrap();
        world.git(&["init", "-q", "-b", "main"]);
        world
    }

    fn origin(&self) -> PathBuf {
        self.dir.path().join("origin")
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .current_dir(self.origin())
            .args(["-c", "user.name=Ada L", "-c", "user.email=ada@example.com"])
            .args(["-c", "commit.gpgSign=false", "-c", "tag.gpgSign=false"])
            .env_clear()
            .env("PATH", env!("PATH"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_COMMITTER_DATE", "2026-01-02T03:04:05Z")
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.origin().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn commit(&self, message: &str) -> CommitSha {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"]).parse().unwrap()
    }

    fn source(&self) -> GitSource {
        open(
            self.dir.path(),
            vec![registered("acme/shop", &self.origin())],
        )
        .unwrap()
    }

    fn repository(&self) -> RepositoryRef {
        RepositoryRef {
            id: local_id(&self.origin()).unwrap(),
            name: name("acme/shop"),
        }
    }
}

fn open(dir: &Path, repositories: Vec<Registered>) -> Result<GitSource, OpenError> {
    let surroundings = Surroundings {
        search_path: env!("PATH").into(),
        home: None,
    };
    GitSource::open(&dir.join("data"), &surroundings, repositories)
}

fn registered(text: &str, path: &Path) -> Registered {
    Registered {
        name: name(text),
        origin: Origin::Path(path.to_owned()),
    }
}

fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

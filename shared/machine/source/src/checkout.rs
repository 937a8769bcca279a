//! Reads a repository in a folder of this machine through the `git` command.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use towline_domain::untrusted::Untrusted;

/// A folder that `git` reads.
pub struct Git {
    folder: PathBuf,
}

/// Why `git` failed.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error("running git; is it installed and on the PATH?")]
    Start(#[source] std::io::Error),
    #[error("git {command} in {}: {said}", folder.display())]
    Refused {
        command: String,
        folder: PathBuf,
        /// Its message, safe to show.
        said: String,
    },
}

impl Git {
    /// For a folder; the first command shows whether it is a repository.
    #[must_use]
    pub fn at(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// The output of a command, without the final line break.
    ///
    /// # Errors
    /// When it does not run or fails.
    pub fn text<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Result<String, GitError> {
        let bytes = self.bytes(arguments)?;
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.trim_end_matches(['\n', '\r']).to_owned())
    }

    /// The output of a command, if it succeeds and prints something.
    #[must_use]
    pub fn maybe<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Option<String> {
        self.text(arguments).ok().filter(|text| !text.is_empty())
    }

    #[must_use]
    pub fn succeeds<A: AsRef<OsStr>>(&self, arguments: &[A]) -> bool {
        self.bytes(arguments).is_ok()
    }

    /// The output of a command.
    ///
    /// # Errors
    /// When it does not run or fails.
    pub fn bytes<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Result<Vec<u8>, GitError> {
        let output = Command::new("git")
            .arg("-C")
            .arg(&self.folder)
            .args(["-c", "core.fsmonitor=false"])
            .args(arguments)
            .env("LC_ALL", "C")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE")
            .stdin(Stdio::null())
            .output()
            .map_err(GitError::Start)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said: Vec<&str> = said
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        let first = arguments
            .first()
            .map(|argument| argument.as_ref().to_string_lossy().into_owned());
        Err(GitError::Refused {
            command: first.unwrap_or_default(),
            folder: self.folder.clone(),
            said: Untrusted::text(&said.join("; "), 500).display(),
        })
    }
}

//! One repository's bare mirror, and fetching missing commits.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;
use towline_domain::names::{CommitSha, RepositoryId, RepositoryName};
use towline_ports::PortError;

use crate::git::{self, Output, Patience, Surroundings};
use crate::origin::Origin;
use crate::orphans;

/// Enough for a list of ids or a message.
pub(crate) const FEW: usize = 64 * 1024;

/// How long to wait for another caller's fetch. Functions try three times.
const LONGEST_TURN: Duration = Duration::from_secs(3);

/// A registered repository with its mirror.
pub(crate) struct Mirror {
    pub(crate) name: RepositoryName,
    /// The id until a push gives it another; only local repositories have one.
    pub(crate) local_id: Option<RepositoryId>,
    pub(crate) folder: PathBuf,
    /// A canonical path or an address.
    pub(crate) location: String,
    pub(crate) surroundings: Surroundings,
    /// When its refs were last asked for.
    pub(crate) asked: std::sync::Mutex<Option<Instant>>,
    /// What was denied then, if anything.
    pub(crate) denied: std::sync::Mutex<Option<String>>,
    /// Held while fetching, so that a repository is fetched once at a time.
    pub(crate) fetching: Mutex<()>,
    /// How long to wait for that.
    pub(crate) patience: Duration,
}

impl Mirror {
    pub(crate) fn new(
        name: RepositoryName,
        origin: &Origin,
        mirrors: &Path,
        surroundings: Surroundings,
    ) -> io::Result<Self> {
        let (location, local_id) = match origin {
            Origin::Path(path) => {
                let canonical = path.canonicalize()?;
                let text = canonical.to_str().ok_or_else(|| {
                    io::Error::new(io::ErrorKind::InvalidInput, "the path is not UTF-8")
                })?;
                (text.to_owned(), Some(crate::origin::local_id(path)?))
            }
            Origin::Url(url) => (url.clone(), None),
        };
        let folder = mirrors.join(format!("{name}.git"));
        // A command that outlived our killed process may still write, and holds locks.
        for folder in [&folder, &unfinished(&folder)] {
            orphans::end(folder, git::GRACE)?;
        }
        remove_stale_locks(&folder)?;
        Ok(Self {
            name,
            local_id,
            folder,
            location,
            surroundings,
            asked: std::sync::Mutex::default(),
            denied: std::sync::Mutex::default(),
            fetching: Mutex::new(()),
            patience: LONGEST_TURN,
        })
    }

    /// Reads from the mirror.
    pub(crate) async fn look(&self, arguments: &[&str], most: usize) -> Result<Output, PortError> {
        git::run(
            &self.surroundings,
            &self.folder,
            arguments,
            Patience::Look,
            most,
        )
        .await
    }

    /// Whether the commit exists, after fetching if necessary; an error if the origin does not answer, or if
    /// another fetch takes long.
    pub(crate) async fn ensure(&self, commit: &CommitSha) -> Result<bool, PortError> {
        if self.has(commit).await? {
            return Ok(true);
        }
        let _turn = self.turn().await?;
        self.fetch(commit).await
    }

    /// As [`Self::ensure`], but waits for another fetch as long as it takes: a build blocks nobody else.
    pub(crate) async fn ensure_for_build(&self, commit: &CommitSha) -> Result<bool, PortError> {
        if self.has(commit).await? {
            return Ok(true);
        }
        let _turn = self.fetching.lock().await;
        self.fetch(commit).await
    }

    async fn fetch(&self, commit: &CommitSha) -> Result<bool, PortError> {
        if self.has(commit).await? {
            return Ok(true);
        }
        self.fetch_refs().await?;
        if self.has(commit).await? {
            return Ok(true);
        }
        // After a forced push no ref leads to the old commit, but it can still be requested.
        let only = [
            "fetch",
            "--quiet",
            "--no-tags",
            "--end-of-options",
            &self.location,
            commit.as_str(),
        ];
        let output = self.ask(&only).await?;
        if output.code == 0 {
            return self.has(commit).await;
        }
        // Servers word a refusal differently. If the server still answers, it was a refusal.
        let answers = [
            "ls-remote",
            "--quiet",
            "--end-of-options",
            &self.location,
            "HEAD",
        ];
        if self.ask(&answers).await?.code != 0 {
            return Err(output.error(format!("fetching {commit} of {}", self.name)));
        }
        tracing::debug!(repository = %self.name, %commit, "the origin does not have the commit");
        Ok(false)
    }

    /// Creates the mirror, if it does not exist yet.
    pub(crate) async fn prepare(&self) -> Result<(), PortError> {
        if self.folder.exists() {
            return Ok(());
        }
        let _turn = self.turn().await?;
        self.create().await
    }

    /// Fetches all current branches and tags.
    pub(crate) async fn refresh(&self) -> Result<(), PortError> {
        let _turn = self.turn().await?;
        self.fetch_refs().await
    }

    /// Waits a short time for another fetch to end. A caller that fails is retried, so it does not block a
    /// worker that other repositories need.
    async fn turn(&self) -> Result<MutexGuard<'_, ()>, PortError> {
        let turn = timeout(self.patience, self.fetching.lock()).await;
        turn.map_err(|_| {
            let doing = format!("fetching {}", self.name);
            PortError::new(doing, "another fetch is still running")
        })
    }

    async fn has(&self, commit: &CommitSha) -> Result<bool, PortError> {
        if !self.folder.exists() {
            return Ok(false);
        }
        let object = format!("{commit}^{{commit}}");
        let output = self.look(&["cat-file", "-e", &object], FEW).await?;
        Ok(output.code == 0)
    }

    async fn fetch_refs(&self) -> Result<(), PortError> {
        self.create().await?;
        let output = self
            .ask(&[
                "fetch",
                "--quiet",
                "--prune",
                "--no-tags",
                "--force",
                "--end-of-options",
                &self.location,
                "+refs/heads/*:refs/heads/*",
                "+refs/tags/*:refs/tags/*",
            ])
            .await?;
        if output.code == 0 {
            Ok(())
        } else {
            Err(output.error(format!("fetching {}", self.name)))
        }
    }

    async fn ask(&self, arguments: &[&str]) -> Result<Output, PortError> {
        git::run(
            &self.surroundings,
            &self.folder,
            arguments,
            Patience::Fetch,
            FEW,
        )
        .await
    }

    /// Creates the empty mirror under another name first, so that no incomplete mirror is used.
    async fn create(&self) -> Result<(), PortError> {
        if self.folder.exists() {
            return Ok(());
        }
        let doing = || format!("creating the mirror of {}", self.name);
        let new = unfinished(&self.folder);
        let prepare = || -> io::Result<()> {
            if new.exists() {
                fs::remove_dir_all(&new)?;
            }
            fs::create_dir_all(&new)
        };
        prepare().map_err(|cause| PortError::new(doing(), cause))?;
        for arguments in [
            &["init", "--quiet", "--bare", "--template="] as &[&str],
            &["config", "uploadpack.allowAnySHA1InWant", "true"],
        ] {
            let output = git::run(&self.surroundings, &new, arguments, Patience::Look, FEW).await?;
            if output.code != 0 {
                return Err(output.error(doing()));
            }
        }
        fs::rename(&new, &self.folder).map_err(|cause| PortError::new(doing(), cause))
    }
}

/// The name of a mirror during its creation.
fn unfinished(folder: &Path) -> PathBuf {
    folder.with_extension("git.new")
}

/// Removes the locks of killed commands; nothing else uses the mirror now.
fn remove_stale_locks(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if entry.file_name() != "objects" {
                remove_stale_locks(&path)?;
            }
        } else if path
            .extension()
            .is_some_and(|extension| extension == "lock")
        {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

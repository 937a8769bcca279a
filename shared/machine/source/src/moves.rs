//! Reads where the refs of an origin are, and which commits their moves brought.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use towline_domain::names::{CommitSha, GitRef};
use towline_domain::obstacle::Service;
use towline_domain::untrusted::co_authors;
use towline_ports::{Brought, PortError, Refs};

use crate::git::{self, Patience};
use crate::mirror::{FEW, Mirror};

/// How often an origin on another machine is asked for its refs.
const REMOTE: Duration = Duration::from_secs(30);

/// Bytes of a list of refs.
const MOST_REFS: usize = 16 * 1024 * 1024;

/// Commits of one move whose authors are read, as many as GitHub lists in a push.
const MOST_COMMITS: usize = 2_048;

/// Texts of one commit.
const FIELDS: usize = 5;

/// Bytes of their names, addresses and messages.
const MOST_SAID: usize = 16 * 1024 * 1024;

impl Mirror {
    /// The refs of the origin, which is asked without fetching; the mark is a hash of its answer.
    pub(crate) async fn refs(&self, mark: Option<&str>) -> Result<Refs, PortError> {
        if mark.is_some() && self.was_asked() {
            // It is not asked more often if it fails, and nobody may think that it has answered.
            return match self.denial() {
                Some(said) => Err(PortError::because(said).denied_by(Service::Git)),
                None => Ok(Refs::Unchanged),
            };
        }
        let arguments = [
            "ls-remote",
            "--quiet",
            "--refs",
            "--end-of-options",
            &self.location,
            "refs/heads/*",
            "refs/tags/*",
        ];
        let listing = git::run(
            &self.surroundings,
            &self.folder,
            &arguments,
            Patience::Ask,
            MOST_REFS,
        )
        .await?;
        if listing.code != 0 || listing.cut {
            let error = listing.error(format!("listing the refs of {}", self.name));
            self.remember(error.obstacle().map(|obstacle| obstacle.said));
            return Err(error);
        }
        self.remember(None);
        let hash = Sha256::digest(&listing.stdout);
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        if mark == Some(hash.as_str()) {
            return Ok(Refs::Unchanged);
        }
        let lines = listing.stdout.split(|byte| *byte == b'\n');
        // A ref that is neither a branch nor a tag is never built.
        let refs = lines.filter_map(|line| {
            let (object, name) = std::str::from_utf8(line).ok()?.split_once('\t')?;
            Some((name.parse().ok()?, object.parse().ok()?))
        });
        Ok(Refs::Now {
            refs: refs.collect(),
            mark: Some(hash),
        })
    }

    /// Where a branch of the origin is, which is asked without fetching: that may take long, and what is
    /// missing can be fetched later.
    pub(crate) async fn branch(&self, git_ref: &GitRef) -> Result<Option<CommitSha>, PortError> {
        self.prepare().await?;
        let full = git_ref.full();
        let arguments = [
            "ls-remote",
            "--quiet",
            "--refs",
            "--end-of-options",
            &self.location,
            &full,
        ];
        let patience = Patience::Ask;
        let listing = git::run(
            &self.surroundings,
            &self.folder,
            &arguments,
            patience,
            MOST_REFS,
        )
        .await?;
        if listing.code != 0 || listing.cut {
            return Err(listing.error(format!("reading a ref of {}", self.name)));
        }
        // The name is a pattern to git, which also fits the ends of longer names.
        let found = listing
            .stdout
            .split(|byte| *byte == b'\n')
            .find_map(|line| {
                let (object, name) = std::str::from_utf8(line).ok()?.split_once('\t')?;
                (name == full).then(|| object.parse().ok())?
            });
        Ok(found)
    }

    /// What was denied when the origin was last asked.
    fn denial(&self) -> Option<String> {
        let denied = self.denied.lock();
        denied.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, denial: Option<String>) {
        let denied = self.denied.lock();
        *denied.unwrap_or_else(PoisonError::into_inner) = denial;
    }

    /// Whether an origin on another machine was asked a moment ago; otherwise, it is asked now.
    fn was_asked(&self) -> bool {
        if self.local_id.is_some() {
            return false;
        }
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let was = asked.is_some_and(|at| at.elapsed() < REMOTE);
        if !was {
            *asked = Some(Instant::now());
        }
        was
    }

    /// What the move of a ref brought; none if the commit does not exist.
    pub(crate) async fn brought(
        &self,
        before: Option<&CommitSha>,
        commit: &CommitSha,
    ) -> Result<Option<Brought>, PortError> {
        if !self.ensure(commit).await? {
            return Ok(None);
        }
        let known = match before {
            Some(before) if self.ensure(before).await? => Some(before),
            Some(_) | None => None,
        };
        let range = match known {
            Some(before) => format!("{before}..{commit}"),
            None => format!("{commit}^!"),
        };
        let own = self.said(&["--max-count=1", commit.as_str()]).await?;
        let most = format!("--max-count={MOST_COMMITS}");
        let new = self.said(&[&most, &range]).await?;
        let Some(head) = own.first() else {
            return Ok(None);
        };
        let forced = match (before, known) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(_), Some(before)) => !self.is_ancestor(before, commit).await?,
        };
        let mut people: Vec<String> = Vec::new();
        for said in own.iter().chain(&new) {
            let named = said.people.iter().cloned();
            for person in named.chain(co_authors(&said.message)) {
                if !person.is_empty() && !people.contains(&person) {
                    people.push(person);
                }
            }
        }
        Ok(Some(Brought {
            forced,
            message: head.message.clone(),
            author: head.people.first().cloned().unwrap_or_default(),
            people,
            cut: new.len() == MOST_COMMITS,
        }))
    }

    /// Whether a commit is an ancestor of another, or the same.
    pub(crate) async fn is_ancestor(
        &self,
        older: &CommitSha,
        newer: &CommitSha,
    ) -> Result<bool, PortError> {
        let (older, newer) = (older.as_str(), newer.as_str());
        let arguments = ["merge-base", "--is-ancestor", older, newer];
        let output = self.look(&arguments, FEW).await?;
        match output.code {
            0 => Ok(true),
            1 => Ok(false),
            _ => Err(output.error(format!("relating commits of {}", self.name))),
        }
    }

    /// The authors and messages of commits.
    async fn said(&self, which: &[&str]) -> Result<Vec<Said>, PortError> {
        let format = "--format=%an%x00%ae%x00%cn%x00%ce%x00%B";
        let fixed = [
            "log",
            "-z",
            "--no-show-signature",
            "--no-notes",
            "--encoding=UTF-8",
            format,
        ];
        let arguments = [&fixed[..], which, &["--"]].concat();
        let output = self.look(&arguments, MOST_SAID).await?;
        if output.code != 0 && !output.cut {
            return Err(output.error(format!("reading commits of {}", self.name)));
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let parts: Vec<&str> = text.split('\0').collect();
        Ok(parts.chunks_exact(FIELDS).map(Said::of).collect())
    }
}

/// The authors and message of a commit.
struct Said {
    /// Names and addresses of its author and committer.
    people: Vec<String>,
    message: String,
}

impl Said {
    /// From [`FIELDS`] texts: names and addresses, then the message.
    fn of(fields: &[&str]) -> Self {
        let (message, people) = fields.split_last().unwrap_or((&"", &[]));
        Self {
            people: people.iter().map(ToString::to_string).collect(),
            message: message.trim_end().to_owned(),
        }
    }
}

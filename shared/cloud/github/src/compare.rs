//! How two commits differ and relate.

use std::collections::{BTreeSet, HashMap};

use hyper::StatusCode;
use serde::Deserialize;
use towline_domain::filter::ChangedFiles;
use towline_domain::names::CommitSha;
use towline_domain::reason::NotCompared;
use towline_ports::{PortError, Relation, RepositoryRef};

use crate::GitHub;
use crate::call::{Call, Purpose};
use crate::source::{Tree, found, is_absent};

/// The most files in a comparison; with exactly as many, some may be missing (GitHub REST API,
/// "Compare two commits").
const MOST_COMPARED: usize = 300;

/// The most changed files to list; above that, everything counts as changed.
const MOST_CHANGED: usize = 10_000;

#[derive(Deserialize)]
struct Comparison {
    status: Standing,
    #[serde(default)]
    files: Vec<Changed>,
}

/// How the head relates to the base.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Standing {
    Ahead,
    Behind,
    Diverged,
    Identical,
}

#[derive(Deserialize)]
struct Changed {
    filename: String,
    /// Its previous name, if it was renamed.
    #[serde(default)]
    previous_filename: Option<String>,
}

/// Mode and object of every file, by path.
type Files = HashMap<String, (String, String)>;

impl GitHub {
    /// The files that differ. GitHub compares the head with the last common commit, so its comparison is
    /// used only if that is the base.
    pub(crate) async fn changed(
        &self,
        repository: &RepositoryRef,
        base: &CommitSha,
        head: &CommitSha,
    ) -> Result<ChangedFiles, PortError> {
        let doing = &format!("comparing commits of {}", repository.name);
        // A comparison that is too large for GitHub fails each time; half of the time is left for the trees.
        let call = self.call(repository, Purpose::Read).hurried();
        match compared(&call, doing, base, head).await {
            Ok(Some(files)) => return Ok(known(files)),
            Ok(None) => {}
            Err(error) => tracing::info!(%error, "comparing the trees instead"),
        }
        let call = self.call(repository, Purpose::Read).hurried();
        let before = files_at(&call, doing, base).await?;
        let after = files_at(&call, doing, head).await?;
        let (before, after) = match (before, after) {
            (Listed::Files(before), Listed::Files(after)) => (before, after),
            (Listed::Unknown(reason), _) | (_, Listed::Unknown(reason)) => {
                return Ok(ChangedFiles::Unknown(reason));
            }
        };
        let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let changed = |path: &&String| before.get(*path) != after.get(*path);
        Ok(known(paths.into_iter().filter(changed).cloned().collect()))
    }

    pub(crate) async fn relate(
        &self,
        repository: &RepositoryRef,
        first: &CommitSha,
        second: &CommitSha,
    ) -> Result<Relation, PortError> {
        let doing = &format!("relating commits of {}", repository.name);
        let call = self.call(repository, Purpose::Read);
        // The files are on the first page only, and can be megabytes.
        let path = call.path().then("/compare").between(first, second);
        let answer = call.get(doing, &path.then("?per_page=1&page=2")).await?;
        if is_absent(&answer) {
            call.reach(doing).await?;
            return Ok(Relation::Diverged);
        }
        let comparison: Comparison = found(&answer, doing)?;
        Ok(match comparison.status {
            Standing::Identical => Relation::Same,
            Standing::Ahead => Relation::Behind,
            Standing::Behind => Relation::Ahead,
            Standing::Diverged => Relation::Diverged,
        })
    }
}

/// The changed files, with both names of a renamed one; none if GitHub's comparison is incomplete.
async fn compared(
    call: &Call<'_>,
    doing: &str,
    base: &CommitSha,
    head: &CommitSha,
) -> Result<Option<BTreeSet<String>>, PortError> {
    let path = call.path().then("/compare").between(base, head);
    // One commit is enough; all files are on the first page.
    let answer = call.get(doing, &path.then("?per_page=1")).await?;
    if answer.status != StatusCode::OK || answer.body.is_none() {
        return Ok(None);
    }
    let comparison: Comparison = answer.json(doing)?;
    let straight = matches!(comparison.status, Standing::Ahead | Standing::Identical);
    if !straight || comparison.files.len() >= MOST_COMPARED {
        return Ok(None);
    }
    let names = comparison.files.into_iter();
    let names = names.flat_map(|file| [Some(file.filename), file.previous_filename]);
    Ok(Some(names.flatten().collect()))
}

/// The files of a commit, as far as GitHub lists them.
enum Listed {
    Files(Files),
    /// Why they are unavailable.
    Unknown(NotCompared),
}

async fn files_at(call: &Call<'_>, doing: &str, commit: &CommitSha) -> Result<Listed, PortError> {
    let path = call.path().then("/git/trees").id(commit);
    let answer = call.get(doing, &path.then("?recursive=1")).await?;
    if is_absent(&answer) {
        call.reach(doing).await?;
        return Ok(Listed::Unknown(NotCompared::NoCommit(commit.clone())));
    }
    // GitHub returns at most 100,000 entries or 7 MB (GitHub REST API, "Get a tree").
    let too_many = || Ok(Listed::Unknown(NotCompared::NotListed(commit.clone())));
    if answer.status == StatusCode::OK && answer.body.is_none() {
        return too_many();
    }
    let tree: Tree = found(&answer, doing)?;
    if tree.truncated {
        return too_many();
    }
    // A folder is described by its files already.
    let files = tree.tree.into_iter().filter(|entry| !entry.is_folder());
    let files = files.map(|entry| (entry.path, (entry.mode, entry.sha)));
    Ok(Listed::Files(files.collect()))
}

fn known(files: BTreeSet<String>) -> ChangedFiles {
    if files.len() > MOST_CHANGED {
        return ChangedFiles::Unknown(NotCompared::TooManyChanged(MOST_CHANGED));
    }
    ChangedFiles::Known(files.into_iter().collect())
}

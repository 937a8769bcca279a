//! Files, refs and commits, over Git's objects as GitHub's API shows them.

use async_trait::async_trait;
use hyper::{Method, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use towline_domain::filter::ChangedFiles;
use towline_domain::names::{CommitSha, GitRef};
use towline_domain::untrusted::Untrusted;
use towline_ports::{CommitInfo, FileAt, PortError, Relation, RepositoryRef, Source};

use crate::GitHub;
use crate::call::{Call, Purpose};
use crate::http::{Answer, Ask, RAW};

/// Tags of tags that are followed.
const TAGS: usize = 5;

/// Most bytes of a refusal, where less was asked for.
const REFUSAL: usize = 64 * 1024;

/// A tree, whole or with the trees below it.
#[derive(Deserialize)]
pub(crate) struct Tree {
    pub(crate) tree: Vec<Entry>,
    #[serde(default)]
    pub(crate) truncated: bool,
}

/// What a tree holds.
#[derive(Deserialize)]
pub(crate) struct Entry {
    /// Its name, or its whole path.
    pub(crate) path: String,
    /// As Git has it, in octal digits.
    pub(crate) mode: String,
    pub(crate) sha: String,
    #[serde(default)]
    size: Option<u64>,
}

impl Entry {
    fn is_file(&self) -> bool {
        matches!(self.mode.as_str(), "100644" | "100755")
    }

    pub(crate) fn is_folder(&self) -> bool {
        matches!(self.mode.as_str(), "040000" | "40000")
    }
}

#[derive(Deserialize)]
struct Reference {
    #[serde(rename = "ref")]
    full: String,
    object: Object,
}

#[derive(Deserialize)]
struct AnnotatedTag {
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    #[serde(rename = "type")]
    kind: String,
    sha: CommitSha,
}

#[derive(Deserialize)]
struct GitCommit {
    author: Signature,
    committer: Signature,
    message: String,
}

#[derive(Deserialize)]
struct Signature {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    date: Option<Timestamp>,
}

/// Whether this is how GitHub says that there is no such object. 422 is for what looks like no
/// id to it, 409 for an empty repository (GitHub REST API, "Git database").
pub(crate) fn is_absent(answer: &Answer) -> bool {
    matches!(
        answer.status,
        StatusCode::NOT_FOUND | StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY
    )
}

/// Commits are found by id also where only a fork has them: GitHub keeps the objects of a
/// repository and its forks together.
#[async_trait]
impl Source for GitHub {
    /// Asks for the tree of each folder on the way and then for the file itself. The contents API
    /// would need one request less, but answers a symbolic link with the file that it leads to
    /// (GitHub REST API, "Get repository content"). Files of up to 100 MB can be had.
    async fn file(
        &self,
        repository: &RepositoryRef,
        commit: &CommitSha,
        path: &str,
        most: usize,
    ) -> Result<FileAt, PortError> {
        let name = &repository.name;
        let doing = &format!("reading a file of {name} at {}", commit.short());
        let call = self.call(repository, Purpose::Read);
        let Some(root) = tree(&call, doing, commit).await? else {
            let known = git_commit(&call, doing, commit).await?.is_some();
            // The tree of a commit that holds nothing.
            return Ok(if known {
                FileAt::Missing
            } else {
                FileAt::NoCommit
            });
        };
        let mut at = root;
        let mut rest = path;
        let file = loop {
            let (part, below) = match rest.split_once('/') {
                Some((part, below)) => (part, Some(below)),
                None => (rest, None),
            };
            let Some(entry) = at.tree.into_iter().find(|entry| entry.path == part) else {
                if at.truncated {
                    return Err(PortError::because(format!(
                        "{doing}: GitHub shows only part of its folder"
                    )));
                }
                return Ok(FileAt::Missing);
            };
            match below {
                None if entry.is_file() => break entry,
                Some(below) if entry.is_folder() => {
                    let id = object_id(doing, &entry.sha)?;
                    at = tree(&call, doing, &id).await?.ok_or_else(|| {
                        PortError::because(format!("{doing}: GitHub does not find its folder"))
                    })?;
                    rest = below;
                }
                _ => return Ok(FileAt::Missing),
            }
        };
        let bytes = file.size.unwrap_or_default();
        if bytes > most as u64 {
            return Ok(FileAt::TooLarge { bytes });
        }
        let ask = Ask {
            method: Method::GET,
            accept: RAW,
            body: None,
            most: most.max(REFUSAL),
        };
        let blob = call.path().then("/git/blobs");
        let blob = blob.id(&object_id(doing, &file.sha)?);
        let answer = call.ask(doing, &blob, &ask).await?;
        if answer.status != StatusCode::OK {
            return Err(answer.error(doing));
        }
        match answer.body {
            Some(content) if content.len() as u64 == bytes => Ok(FileAt::Found(content)),
            _ => Err(PortError::because(format!(
                "{doing}: GitHub's answer does not have the file's {bytes} bytes"
            ))),
        }
    }

    /// Asks for a comparison, and compares the whole trees where that is not enough.
    async fn changed_files(
        &self,
        repository: &RepositoryRef,
        base: &CommitSha,
        head: &CommitSha,
    ) -> Result<ChangedFiles, PortError> {
        self.changed(repository, base, head).await
    }

    async fn head(
        &self,
        repository: &RepositoryRef,
        git_ref: &GitRef,
    ) -> Result<Option<CommitSha>, PortError> {
        let doing = &format!("reading a ref of {}", repository.name);
        let call = self.call(repository, Purpose::Read);
        call.identify(doing).await?;
        let kind = match git_ref {
            GitRef::Branch(_) => "/git/ref/heads",
            GitRef::Tag(_) => "/git/ref/tags",
        };
        let Some(path) = call.path().then(kind).segments(git_ref.name()) else {
            return Ok(None);
        };
        let answer = call.get(doing, &path).await?;
        if is_absent(&answer) {
            call.reach(doing).await?;
            return Ok(None);
        }
        let reference: Reference = found(&answer, doing)?;
        if reference.full != git_ref.full() {
            return Ok(None);
        }
        let mut object = reference.object;
        for _ in 0..TAGS {
            match object.kind.as_str() {
                "commit" => return Ok(Some(object.sha)),
                "tag" => {}
                _ => return Ok(None),
            }
            let path = call.path().then("/git/tags").id(&object.sha);
            let tag: AnnotatedTag = found(&call.get(doing, &path).await?, doing)?;
            object = tag.object;
        }
        Ok((object.kind == "commit").then_some(object.sha))
    }

    async fn relation(
        &self,
        repository: &RepositoryRef,
        first: &CommitSha,
        second: &CommitSha,
    ) -> Result<Relation, PortError> {
        self.relate(repository, first, second).await
    }

    async fn commit(
        &self,
        repository: &RepositoryRef,
        commit: &CommitSha,
    ) -> Result<Option<CommitInfo>, PortError> {
        let name = &repository.name;
        let doing = &format!("reading the commit {} of {name}", commit.short());
        let call = self.call(repository, Purpose::Read);
        let commit = git_commit(&call, doing, commit).await?;
        Ok(commit.map(|commit| CommitInfo {
            title: Untrusted::first_line(&commit.message),
            author: Untrusted::first_line(&commit.author.name.unwrap_or_default()),
            at: commit.committer.date.unwrap_or(Timestamp::UNIX_EPOCH),
        }))
    }
}

/// The tree of a commit, or of a folder; none when there is none.
async fn tree(call: &Call<'_>, doing: &str, id: &CommitSha) -> Result<Option<Tree>, PortError> {
    let path = call.path().then("/git/trees").id(id);
    let answer = call.get(doing, &path).await?;
    if is_absent(&answer) {
        return Ok(None);
    }
    found(&answer, doing).map(Some)
}

/// A commit; none when the repository, which can be read, does not have it.
async fn git_commit(
    call: &Call<'_>,
    doing: &str,
    id: &CommitSha,
) -> Result<Option<GitCommit>, PortError> {
    let path = call.path().then("/git/commits").id(id);
    let answer = call.get(doing, &path).await?;
    if is_absent(&answer) {
        call.reach(doing).await?;
        return Ok(None);
    }
    found(&answer, doing).map(Some)
}

/// What was asked for, or an error with GitHub's words.
pub(crate) fn found<'a, T: Deserialize<'a>>(
    answer: &'a Answer,
    doing: &str,
) -> Result<T, PortError> {
    if answer.status != StatusCode::OK {
        return Err(answer.error(doing));
    }
    answer.json(doing)
}

/// An object's id looks like a commit's, and is checked like one before it enters an address.
fn object_id(doing: &str, text: &str) -> Result<CommitSha, PortError> {
    text.parse()
        .map_err(|cause| PortError::new(format!("{doing}: reading GitHub's answer"), cause))
}

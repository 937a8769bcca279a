//! Files, refs and commits, read as Git objects from GitHub's API.

use async_trait::async_trait;
use hyper::{Method, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use towline_domain::filter::ChangedFiles;
use towline_domain::names::{CommitSha, GitRef};
use towline_domain::untrusted::Untrusted;
use towline_ports::{
    Brought, CommitInfo, FileAt, PortError, Refs, Relation, RepositoryRef, Source,
};

use crate::GitHub;
use crate::call::{Call, Purpose};
use crate::http::{Answer, Ask, RAW};

/// How many tags of tags to follow.
const TAGS: usize = 5;

/// The most bytes of a refusal, if less was requested.
const REFUSAL: usize = 64 * 1024;

/// A tree, with or without the trees below it.
#[derive(Deserialize)]
pub(crate) struct Tree {
    pub(crate) tree: Vec<Entry>,
    #[serde(default)]
    pub(crate) truncated: bool,
}

#[derive(Deserialize)]
pub(crate) struct Entry {
    /// Its name or full path.
    pub(crate) path: String,
    /// In Git's octal digits.
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
pub(crate) struct Reference {
    #[serde(rename = "ref")]
    pub(crate) full: String,
    pub(crate) object: Object,
}

#[derive(Deserialize)]
struct AnnotatedTag {
    object: Object,
}

#[derive(Deserialize)]
pub(crate) struct Object {
    #[serde(rename = "type")]
    kind: String,
    pub(crate) sha: CommitSha,
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

/// Whether GitHub says that the object does not exist. 422 means that the text is not an id, 409 that
/// the repository is empty (GitHub REST API, "Git database").
pub(crate) fn is_absent(answer: &Answer) -> bool {
    matches!(
        answer.status,
        StatusCode::NOT_FOUND | StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY
    )
}

/// A commit's id is also found if only a fork has the commit: GitHub stores the objects of a
/// repository and its forks together.
#[async_trait]
impl Source for GitHub {
    /// Reads the tree of each folder on the path, then the file. The contents API would need one request
    /// less, but answers a symbolic link with its target (GitHub REST API, "Get repository content").
    /// Files may have up to 100 MB.
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
            // The tree of an empty commit.
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
                        PortError::because(format!("{doing}: GitHub did not find its folder"))
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
            unless: None,
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

    /// Requests a comparison, and compares whole trees if that is not enough.
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

    async fn refs(
        &self,
        repository: &RepositoryRef,
        mark: Option<&str>,
    ) -> Result<Refs, PortError> {
        self.list_refs(repository, mark).await
    }

    async fn brought(
        &self,
        repository: &RepositoryRef,
        before: Option<&CommitSha>,
        commit: &CommitSha,
    ) -> Result<Option<Brought>, PortError> {
        self.what_moved(repository, before, commit).await
    }
}

/// The tree of a commit or folder, if it exists.
async fn tree(call: &Call<'_>, doing: &str, id: &CommitSha) -> Result<Option<Tree>, PortError> {
    let path = call.path().then("/git/trees").id(id);
    let answer = call.get(doing, &path).await?;
    if is_absent(&answer) {
        return Ok(None);
    }
    found(&answer, doing).map(Some)
}

/// A commit; none if the repository is readable but does not have it.
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

/// The answer, or an error with GitHub's message.
pub(crate) fn found<'a, T: Deserialize<'a>>(
    answer: &'a Answer,
    doing: &str,
) -> Result<T, PortError> {
    if answer.status != StatusCode::OK {
        return Err(answer.error(doing));
    }
    answer.json(doing)
}

/// An object's id has the form of a commit's, and is checked before it is used in an address.
fn object_id(doing: &str, text: &str) -> Result<CommitSha, PortError> {
    text.parse()
        .map_err(|cause| PortError::new(format!("{doing}: reading GitHub's answer"), cause))
}

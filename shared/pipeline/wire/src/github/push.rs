//! GitHub's `push` event; only the needed fields are read.

use serde::Deserialize;
use towline_domain::Timestamp;
use towline_domain::intent::PushAccepted;
use towline_domain::names::{CommitSha, GitRef, NameError, RepositoryId, RepositoryName};
use towline_domain::untrusted::Untrusted;

use super::authors::{Author, Authors, shown};
use super::text::Text;
use super::{Event, GithubError};

/// The most commits that GitHub lists in one push (GitHub REST description, `webhook-push`).
pub const MOST_COMMITS: usize = 2_048;

/// Characters of the head commit's message that are kept.
const LONGEST_MESSAGE: usize = 4_096;

/// A branch or tag that was created or moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    pub repository: RepositoryId,
    /// Its name now.
    pub repository_name: RepositoryName,
    /// Its default branch now.
    pub default_branch: String,
    /// The ref that moved.
    pub git_ref: GitRef,
    /// Its previous commit; none if it was created.
    pub before: Option<CommitSha>,
    /// Its new object: a commit, or for an annotated tag the tag's own object.
    pub after: CommitSha,
    /// The commit to build.
    pub commit: CommitSha,
    /// Whether history was rewritten.
    pub forced: bool,
    /// Who pushed, by login.
    pub pusher: String,
    /// Who pushed it, or wrote or committed anything of it, co-authors included: logins, addresses
    /// and names.
    pub authors: Vec<String>,
    /// Whether there are more authors than these.
    pub authors_cut: bool,
    /// The head commit's message, at most 4,096 characters of it.
    pub message: String,
}

impl Push {
    /// The same text for the same push, however often and with whatever delivery id it arrives (A5).
    #[must_use]
    pub fn key(&self) -> String {
        key(
            self.repository,
            self.before.as_ref(),
            Some(&self.after),
            &self.git_ref,
        )
    }

    /// The accepted push, for the store.
    #[must_use]
    pub fn accepted(self, at: Timestamp) -> PushAccepted {
        PushAccepted {
            repository: self.repository,
            repository_name: self.repository_name,
            default_branch: self.default_branch,
            git_ref: self.git_ref,
            before: self.before,
            commit: self.commit,
            forced: self.forced,
            pusher: self.pusher,
            authors: self.authors,
            authors_cut: self.authors_cut,
            title: Untrusted::first_line(&self.message),
            message: Untrusted::text(&self.message, LONGEST_MESSAGE),
            at,
        }
    }
}

/// A branch or tag that was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    pub repository: RepositoryId,
    /// Its name now.
    pub repository_name: RepositoryName,
    pub git_ref: GitRef,
    /// Its last commit.
    pub before: CommitSha,
}

impl Deletion {
    /// Like [`Push::key`].
    #[must_use]
    pub fn key(&self) -> String {
        key(self.repository, Some(&self.before), None, &self.git_ref)
    }
}

/// The ref comes last, because only it may contain any character.
fn key(
    repository: RepositoryId,
    before: Option<&CommitSha>,
    after: Option<&CommitSha>,
    git_ref: &GitRef,
) -> String {
    let id = |commit: Option<&CommitSha>| commit.map_or("none".into(), CommitSha::to_string);
    format!(
        "push/{repository}/{}/{}/{}",
        id(before),
        id(after),
        git_ref.full()
    )
}

pub(super) fn decode(json: &str) -> Result<Event, GithubError> {
    let body: Body<'_> = serde_json::from_str(json).map_err(|source| GithubError::Shape {
        event: "push",
        source,
    })?;
    if body.commits.len() > MOST_COMMITS {
        return Err(GithubError::Value {
            field: "commits",
            reason: format!("{} are more than {MOST_COMMITS}", body.commits.len()),
        });
    }
    let git_ref: GitRef = match body.git_ref.parse() {
        Ok(git_ref) => git_ref,
        Err(error) if body.git_ref.starts_with("refs/") => {
            return Ok(Event::Ignored {
                reason: format!("the ref is not one that is built: {error}"),
            });
        }
        Err(error) => return Err(refused("ref", &error)),
    };
    match body.ends()? {
        Ends::Deleted { before } => Ok(Event::Deleted(Deletion {
            repository: RepositoryId(body.repository.id),
            repository_name: body.repository.name()?,
            git_ref,
            before,
        })),
        Ends::Moved { before, after } => body.moved(git_ref, before, after),
    }
}

/// The ref before and after the push.
enum Ends {
    Moved {
        before: Option<CommitSha>,
        after: CommitSha,
    },
    Deleted {
        before: CommitSha,
    },
}

/// The fields of a push that are read. The required ones are, together, in no other event (A6).
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(rename = "ref", borrow)]
    git_ref: Text<'a>,
    #[serde(borrow)]
    before: Text<'a>,
    #[serde(borrow)]
    after: Text<'a>,
    created: bool,
    deleted: bool,
    forced: bool,
    #[serde(borrow)]
    commits: Vec<Listed<'a>>,
    #[serde(deserialize_with = "written", borrow)]
    head_commit: Option<HeadCommit<'a>>,
    #[serde(borrow)]
    repository: Repository<'a>,
    #[serde(borrow)]
    pusher: Pusher<'a>,
    #[serde(borrow)]
    sender: Option<Sender<'a>>,
}

#[derive(Deserialize)]
struct HeadCommit<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(default, borrow)]
    message: Text<'a>,
    #[serde(borrow)]
    author: Option<Author<'a>>,
    #[serde(borrow)]
    committer: Option<Author<'a>>,
}

/// A commit of the push, of which only the authors are read.
#[derive(Deserialize)]
struct Listed<'a> {
    #[serde(default, borrow)]
    message: Text<'a>,
    #[serde(borrow)]
    author: Option<Author<'a>>,
    #[serde(borrow)]
    committer: Option<Author<'a>>,
}

/// `created_at` and `pushed_at` are numbers here and texts elsewhere, so they are not read.
#[derive(Deserialize)]
struct Repository<'a> {
    id: u64,
    #[serde(borrow)]
    full_name: Text<'a>,
    #[serde(borrow)]
    default_branch: Option<Text<'a>>,
    #[serde(borrow)]
    master_branch: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Pusher<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    email: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Sender<'a> {
    #[serde(borrow)]
    login: Text<'a>,
}

/// Reads a value that may be null but must exist; serde treats a missing `Option` as null.
fn written<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer)
}

impl Body<'_> {
    /// The ref before and after; zeros mean that it did not exist, and the flags must agree.
    fn ends(&self) -> Result<Ends, GithubError> {
        let before = object("before", &self.before)?;
        let after = object("after", &self.after)?;
        let contradiction = |what| Err(GithubError::Contradiction(what));
        if self.created != before.is_none() {
            return contradiction("`created` contradicts `before`");
        }
        if self.deleted != after.is_none() {
            return contradiction("`deleted` contradicts `after`");
        }
        match (before, after) {
            (None, None) => contradiction("`before` and `after` are both zero"),
            (Some(_), None) if self.head_commit.is_some() => {
                contradiction("the ref was deleted and has a `head_commit`")
            }
            (Some(before), None) => Ok(Ends::Deleted { before }),
            (before, Some(after)) => Ok(Ends::Moved { before, after }),
        }
    }

    fn moved(
        self,
        git_ref: GitRef,
        before: Option<CommitSha>,
        after: CommitSha,
    ) -> Result<Event, GithubError> {
        let Some(head) = &self.head_commit else {
            return Ok(Event::Ignored {
                reason: "the ref points to no commit".into(),
            });
        };
        let commit: CommitSha = head
            .id
            .parse()
            .map_err(|error| refused("head_commit.id", &error))?;
        if matches!(git_ref, GitRef::Branch(_)) && commit != after {
            return Err(GithubError::Contradiction(
                "`head_commit.id` is not where the branch stands, `after`",
            ));
        }
        let authors = self.authors(head);
        Ok(Event::Moved(Box::new(Push {
            repository: RepositoryId(self.repository.id),
            repository_name: self.repository.name()?,
            default_branch: self.repository.default_branch()?,
            git_ref,
            before,
            after,
            commit,
            forced: self.forced,
            pusher: self.login(),
            authors_cut: authors.cut,
            authors: authors.names,
            message: head.message.chars().take(LONGEST_MESSAGE).collect(),
        })))
    }

    /// The login of the pusher; `pusher.name` is one too, but only old payloads lack `sender`.
    fn login(&self) -> String {
        let sender = self.sender.as_ref().map(|sender| &sender.login);
        shown(sender.unwrap_or(&self.pusher.name))
    }

    /// Everyone who took part in the push.
    fn authors(&self, head: &HeadCommit<'_>) -> Authors {
        let mut authors = Authors::default();
        authors.add(&self.login());
        authors.add(&self.pusher.name);
        if let Some(email) = &self.pusher.email {
            authors.add_address(email);
        }
        authors.add_commit(head.author.as_ref(), head.committer.as_ref(), &head.message);
        for commit in &self.commits {
            authors.add_commit(
                commit.author.as_ref(),
                commit.committer.as_ref(),
                &commit.message,
            );
        }
        // GitHub lists no more, so others may have taken part.
        authors.cut |= self.commits.len() == MOST_COMMITS;
        authors
    }
}

impl Repository<'_> {
    fn name(&self) -> Result<RepositoryName, GithubError> {
        self.full_name
            .parse()
            .map_err(|error| refused("repository.full_name", &error))
    }

    fn default_branch(&self) -> Result<String, GithubError> {
        let known = self.default_branch.as_ref().or(self.master_branch.as_ref());
        let branch = known.map(|name| &**name).unwrap_or_default();
        match format!("refs/heads/{branch}").parse() {
            Ok(GitRef::Branch(name)) => Ok(name),
            Ok(GitRef::Tag(_)) | Err(_) => Err(GithubError::Value {
                field: "repository.default_branch",
                reason: "it is missing or not a branch name".into(),
            }),
        }
    }
}

/// The object in a field; 40 or 64 zeros mean none.
fn object(field: &'static str, text: &str) -> Result<Option<CommitSha>, GithubError> {
    if matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte == b'0') {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|error| refused(field, &error))
}

fn refused(field: &'static str, error: &NameError) -> GithubError {
    GithubError::Value {
        field,
        reason: error.to_string(),
    }
}

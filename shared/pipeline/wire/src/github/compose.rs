//! Composes a push as GitHub would send it, for `towline send push` and for tests.

use serde_json::{Value, json};
use towline_domain::Timestamp;
use towline_domain::names::{CommitSha, GitRef, RepositoryId, RepositoryName};

use super::MOST_COMMITS;

/// The data of a push to compose.
#[derive(Debug, Clone)]
pub struct Sketch<'a> {
    pub repository: RepositoryId,
    pub repository_name: &'a RepositoryName,
    pub default_branch: &'a str,
    /// The ref that moved.
    pub git_ref: &'a GitRef,
    /// Its previous commit; none if it is created.
    pub before: Option<&'a CommitSha>,
    /// Its new commit; none if it is deleted.
    pub after: Option<&'a CommitSha>,
    /// The commit it points to, if not `after`, as for an annotated tag.
    pub head: Option<&'a Commit>,
    /// The pushed commits, oldest first. The last one is the head if `head` is none.
    pub commits: &'a [Commit],
    /// Whether history was rewritten.
    pub forced: bool,
    pub pusher: &'a Account,
    pub at: Timestamp,
}

/// A commit as a push describes it.
#[derive(Debug, Clone)]
pub struct Commit {
    pub id: CommitSha,
    /// The id of its tree.
    pub tree: String,
    /// Its whole message.
    pub message: String,
    /// When it was written.
    pub at: Timestamp,
    /// Who wrote it.
    pub author: Account,
    pub committer: Account,
    /// Files it added.
    pub added: Vec<String>,
    /// Files it removed.
    pub removed: Vec<String>,
    /// Files it changed.
    pub modified: Vec<String>,
}

/// A person on GitHub, or known only to Git.
#[derive(Debug, Clone)]
pub struct Account {
    /// The name in commits.
    pub name: String,
    /// The address in commits.
    pub email: String,
    /// The login; none if GitHub does not know the address.
    pub login: Option<String>,
}

/// The body of a push with GitHub's fields. Like GitHub, it lists at most [`MOST_COMMITS`] commits.
#[must_use]
pub fn push_payload(push: &Sketch<'_>) -> Value {
    let listed = push.commits.iter().take(MOST_COMMITS);
    let head = push.head.or(push.commits.last());
    let head = head.filter(|_| push.after.is_some());
    let base = format!("https://github.com/{}", push.repository_name);
    json!({
        "ref": push.git_ref.full(),
        "before": object(push.before),
        "after": object(push.after),
        "created": push.before.is_none(),
        "deleted": push.after.is_none(),
        "forced": push.forced,
        "base_ref": null,
        "compare": compare(push, &base),
        "commits": listed.map(|known| commit(known, &base)).collect::<Vec<_>>(),
        "head_commit": head.map(|known| commit(known, &base)),
        "repository": repository(push, &base),
        "pusher": {"name": login(push.pusher), "email": push.pusher.email},
        "sender": account(push.pusher),
    })
}

fn object(commit: Option<&CommitSha>) -> String {
    commit.map_or("0".repeat(40), CommitSha::to_string)
}

fn compare(push: &Sketch<'_>, base: &str) -> String {
    match (push.before, push.after) {
        (Some(before), Some(after)) => {
            format!("{base}/compare/{}...{}", before.short(), after.short())
        }
        (None, Some(known)) | (Some(known), None) => format!("{base}/compare/{}", known.short()),
        (None, None) => base.to_owned(),
    }
}

fn commit(commit: &Commit, base: &str) -> Value {
    json!({
        "id": commit.id,
        "tree_id": commit.tree,
        "distinct": true,
        "message": commit.message,
        "timestamp": commit.at,
        "url": format!("{base}/commit/{}", commit.id),
        "author": author(&commit.author, commit.at),
        "committer": author(&commit.committer, commit.at),
        "added": commit.added,
        "removed": commit.removed,
        "modified": commit.modified,
    })
}

fn author(account: &Account, at: Timestamp) -> Value {
    let mut author = json!({"name": account.name, "email": account.email, "date": at});
    if let Some(login) = &account.login {
        author["username"] = json!(login);
    }
    author
}

/// Unlike in other events, `created_at` and `pushed_at` of a push are numbers.
fn repository(push: &Sketch<'_>, base: &str) -> Value {
    let full_name = push.repository_name.as_str();
    let (owner, name) = full_name.split_once('/').unwrap_or((full_name, ""));
    json!({
        "id": push.repository.0,
        "node_id": format!("R_{}", push.repository),
        "name": name,
        "full_name": full_name,
        "private": false,
        "owner": {
            "name": owner,
            "login": owner,
            "id": push.repository.0,
            "type": "Organization",
            "site_admin": false,
            "html_url": format!("https://github.com/{owner}"),
        },
        "html_url": base,
        "url": base,
        "clone_url": format!("{base}.git"),
        "git_url": format!("git://github.com/{full_name}.git"),
        "ssh_url": format!("git@github.com:{full_name}.git"),
        "description": null,
        "fork": false,
        "created_at": push.at.as_second(),
        "updated_at": push.at,
        "pushed_at": push.at.as_second(),
        "size": 0,
        "language": null,
        "archived": false,
        "disabled": false,
        "visibility": "public",
        "topics": [],
        "default_branch": push.default_branch,
        "master_branch": push.default_branch,
    })
}

fn login(account: &Account) -> &str {
    account.login.as_deref().unwrap_or(&account.name)
}

fn account(account: &Account) -> Value {
    let login = login(account);
    json!({
        "login": login,
        "id": 1,
        "type": "User",
        "site_admin": false,
        "html_url": format!("https://github.com/{login}"),
    })
}

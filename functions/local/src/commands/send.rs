//! `towline send`: sends a push as GitHub would, with GitHub's signature.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use towline_console::style::{Style, paint};
use towline_domain::names::{CommitSha, GitRef, RepositoryName};
use towline_domain::untrusted::Untrusted;
use towline_ports::Clock as _;
use towline_wire::github::compose::{Account, Commit, Sketch, push_payload};
use towline_wire::signature::{self, Secret};

use towline_client::client::{Client, Delivered, address_of};
use towline_client::context::Context;
use towline_client::credentials;
use towline_console::outcome::{Failure, Outcome, refused};
use towline_ports::system::{SystemClock, random_bytes};
use towline_source::checkout::Git;
use towline_source::described::{self, Described};

/// The most commits in a push, as on GitHub.
const MOST_COMMITS: usize = 2_048;
/// Fields of a commit that `git log` prints.
const FIELDS: usize = 8;

#[derive(Debug, Args)]
pub struct Send {
    #[command(subcommand)]
    what: What,
}

/// What is sent.
#[derive(Debug, Subcommand)]
enum What {
    /// Send a push of a repository on this machine, as GitHub would
    Push(Push),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towline send push                                  the newest commit of the repository here
  towline send push --repo ~/code/shop --commit 3f9c2ab
  towline send push --ref refs/tags/v1.2

The secret that signs it comes from TOWLINE_GITHUB_WEBHOOK_SECRET or the file that
TOWLINE_GITHUB_WEBHOOK_SECRET_FILE names; on this machine, else from .towline-data,
where `towline serve` keeps the one it generated.")]
struct Push {
    /// Folder of the repository
    #[arg(long, value_name = "PATH", default_value = ".")]
    repo: PathBuf,
    /// The commit that was pushed [default: the ref's commit]
    #[arg(long, value_name = "COMMIT")]
    commit: Option<String>,
    /// The branch, or refs/tags/NAME [default: the current branch]
    #[arg(long = "ref", value_name = "REF")]
    git_ref: Option<String>,
    /// The ref's commit before the push [default: the first parent]
    #[arg(long, value_name = "COMMIT")]
    before: Option<String>,
    /// The repository's name [default: that of its origin on GitHub, else local/FOLDER]
    #[arg(long, value_name = "OWNER/NAME")]
    name: Option<RepositoryName>,
    /// Where to send it [default: as --url]
    #[arg(long, value_name = "URL")]
    to: Option<String>,
}

/// Sends it and prints the answer.
pub async fn run(context: &Context, args: Send) -> Outcome {
    let What::Push(push) = args.what;
    let mut described = described::describe(&push.repo).map_err(anyhow::Error::new)?;
    if let Some(name) = &push.name {
        described.name = name.clone();
    }
    let address = address_of(push.to.as_deref().unwrap_or(context.url()))?;
    let secret = credentials::webhook_secret(&address)?.ok_or_else(|| {
        anyhow!("the push must be signed; set TOWLINE_GITHUB_WEBHOOK_SECRET, or TOWLINE_GITHUB_WEBHOOK_SECRET_FILE to the file that holds it (towline serve prints its path)")
    })?;
    let secret =
        Secret::new(secret.expose_secret()).context("the webhook secret cannot be used")?;
    let pushed = Pushed::read(&described, &push)?;
    if push.commit.is_none() && has_changes(&described) {
        let note = "note: the folder has uncommitted changes, which are not part of the push";
        context.output.progress(note);
    }
    let body = serde_json::to_vec(&pushed.payload(&described)).context("writing the push")?;
    let headers = headers(signature::sign(&secret, &body));
    let delivered = Client::anonymous(address)?.deliver(&headers, body).await?;
    report(context, &described, &pushed, &delivered)
}

fn has_changes(described: &Described) -> bool {
    let git = Git::at(&described.path);
    git.maybe(&["status", "--porcelain", "--untracked-files=no"])
        .is_some()
}

/// The headers GitHub sends with a push.
fn headers(signature: String) -> Vec<(&'static str, String)> {
    vec![
        ("Content-Type", "application/json".into()),
        ("User-Agent", "GitHub-Hookshot/towline".into()),
        ("X-GitHub-Event", "push".into()),
        ("X-GitHub-Delivery", delivery_id()),
        (signature::HEADER, signature),
    ]
}

/// A random id in UUID form.
fn delivery_id() -> String {
    let hex = hex::encode(random_bytes::<16>());
    format!(
        "{}-{}-4{}-8{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..]
    )
}

fn report(
    context: &Context,
    described: &Described,
    pushed: &Pushed,
    delivered: &Delivered,
) -> Outcome {
    let said = |field: &str| delivered.body[field].as_str().unwrap_or_default();
    let (status, reason) = (said("status"), said("reason"));
    if status.is_empty() {
        return Err(anyhow!(
            "the answer was {}, which is not an answer of Towline; check --to or --url",
            delivered.status
        )
        .into());
    }
    if delivered.status.is_server_error() {
        return Err(anyhow!("the push was not accepted: {reason}").into());
    }
    if !delivered.status.is_success() {
        return refused(format!(
            "the push was refused ({}): {reason}",
            delivered.status.as_u16()
        ));
    }
    if context.output.is_json() {
        context.output.value(&json!({
            "status": status, "reason": reason, "repository": described.name, "ref": pushed.git_ref,
            "before": pushed.before, "after": pushed.after, "commit": pushed.head.id,
        }))?;
    } else {
        context
            .output
            .text(&sentence(described, pushed, status, reason))?;
    }
    // The answer 200 can also mean that the push was ignored, which is a refusal for the sender.
    if status == "ignored" {
        Err(Failure::Found)
    } else {
        Ok(())
    }
}

fn sentence(described: &Described, pushed: &Pushed, status: &str, reason: &str) -> String {
    let style = if status == "ignored" {
        Style::Waiting
    } else {
        Style::Good
    };
    let commit = pushed.head.id.short();
    let title = Untrusted::first_line(&pushed.head.message).display();
    let name = Untrusted::first_line(pushed.git_ref.name()).display();
    let head = format!(
        "{}: {commit} \"{title}\" on {name} of {}\n",
        paint(style, status),
        described.name
    );
    match status {
        "accepted" => format!("{head}see its run with: towline commit {commit}\n"),
        _ => format!("{head}{}\n", Untrusted::first_line(reason).display()),
    }
}

/// The push as the repository describes it.
struct Pushed {
    git_ref: GitRef,
    before: Option<CommitSha>,
    after: CommitSha,
    head: Commit,
    commits: Vec<Commit>,
    forced: bool,
    pusher: Account,
}

impl Pushed {
    fn read(described: &Described, push: &Push) -> anyhow::Result<Self> {
        let git = Git::at(&described.path);
        let git_ref = git_ref(&git, push.git_ref.as_deref())?;
        let stands = git.maybe(&[
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            &git_ref.full(),
        ]);
        let (commit, after) = match (&push.commit, &stands) {
            (Some(text), _) => (commit(&git, text)?, None),
            (None, Some(object)) => (commit(&git, object)?, Some(object.parse()?)),
            (None, None) => {
                return Err(anyhow!(
                    "{git_ref} not found in {}; commit something, or name another with --ref",
                    described.path.display()
                ));
            }
        };
        let before = match &push.before {
            Some(text) => Some(self::commit(&git, text)?),
            None if matches!(git_ref, GitRef::Tag(_)) => None,
            None => git
                .maybe(&[
                    "rev-parse",
                    "--verify",
                    "--quiet",
                    "--end-of-options",
                    &format!("{commit}^1"),
                ])
                .map(|parent| parent.parse())
                .transpose()?,
        };
        let commits = match &before {
            Some(before) => commits(&git, &format!("{before}..{commit}"))?,
            None => Vec::new(),
        };
        let head = head(&git, &commit)?;
        let commits = if commits.is_empty() {
            vec![head.clone()]
        } else {
            commits
        };
        let forced = before.as_ref().is_some_and(|before| {
            !git.succeeds(&[
                "merge-base",
                "--is-ancestor",
                before.as_str(),
                commit.as_str(),
            ])
        });
        let pusher = pusher(&git).unwrap_or_else(|| head.committer.clone());
        // A tag can point to an object of its own; a branch points to a commit.
        let after = after.unwrap_or_else(|| commit.clone());
        Ok(Self {
            git_ref,
            before,
            after,
            head,
            commits,
            forced,
            pusher,
        })
    }

    fn payload(&self, described: &Described) -> Value {
        push_payload(&Sketch {
            repository: described.id,
            repository_name: &described.name,
            default_branch: &described.default_branch,
            git_ref: &self.git_ref,
            before: self.before.as_ref(),
            after: Some(&self.after),
            head: Some(&self.head),
            commits: &self.commits,
            forced: self.forced,
            pusher: &self.pusher,
            at: SystemClock.now(),
        })
    }
}

/// A ref as given, where a plain name is a branch; else the current branch.
fn git_ref(git: &Git, given: Option<&str>) -> anyhow::Result<GitRef> {
    let full = match given {
        Some(full) if full.starts_with("refs/") => full.to_owned(),
        Some(branch) => format!("refs/heads/{branch}"),
        None => git
            .maybe(&["symbolic-ref", "--quiet", "HEAD"])
            .context("no branch is checked out; name it with --ref")?,
    };
    Ok(full.parse()?)
}

fn commit(git: &Git, text: &str) -> anyhow::Result<CommitSha> {
    let asked = format!("{text}^{{commit}}");
    let found = git.maybe(&[
        "rev-parse",
        "--verify",
        "--quiet",
        "--end-of-options",
        &asked,
    ]);
    let found = found.with_context(|| format!("commit {text:?} not found in the repository"))?;
    Ok(found.parse()?)
}

fn pusher(git: &Git) -> Option<Account> {
    let name = git.maybe(&["config", "--get", "user.name"])?;
    let email = git.maybe(&["config", "--get", "user.email"])?;
    Some(Account {
        name,
        email,
        login: None,
    })
}

fn head(git: &Git, commit: &CommitSha) -> anyhow::Result<Commit> {
    let only = log(git, &["--max-count=1", commit.as_str()])?;
    only.into_iter()
        .next()
        .with_context(|| format!("commit {commit} not found"))
}

/// The newest commits of a range, oldest first.
fn commits(git: &Git, range: &str) -> anyhow::Result<Vec<Commit>> {
    let most = format!("--max-count={MOST_COMMITS}");
    log(git, &["--reverse", &most, range])
}

fn log(git: &Git, which: &[&str]) -> anyhow::Result<Vec<Commit>> {
    let mut arguments = vec![
        "log",
        "-z",
        "--no-show-signature",
        "--no-color",
        "--encoding=UTF-8",
        "--format=tformat:%H%x00%T%x00%cI%x00%an%x00%ae%x00%cn%x00%ce%x00%B",
    ];
    arguments.extend(which);
    arguments.push("--");
    let bytes = git.bytes(&arguments)?;
    let text = String::from_utf8_lossy(&bytes);
    let fields: Vec<&str> = text.split('\0').collect();
    fields
        .chunks_exact(FIELDS)
        .map(|fields| described(git, fields))
        .collect()
}

fn described(git: &Git, fields: &[&str]) -> anyhow::Result<Commit> {
    let [
        id,
        tree,
        at,
        author,
        author_email,
        committer,
        committer_email,
        message,
    ] = fields
    else {
        return Err(anyhow!("git printed a commit in an unknown format"));
    };
    let account = |name: &str, email: &str| Account {
        name: name.to_owned(),
        email: email.to_owned(),
        login: None,
    };
    let mut commit = Commit {
        id: id.parse()?,
        tree: (*tree).to_owned(),
        message: message.trim_end().to_owned(),
        at: at.parse()?,
        author: account(author, author_email),
        committer: account(committer, committer_email),
        added: Vec::new(),
        removed: Vec::new(),
        modified: Vec::new(),
    };
    let changes = git.bytes(&[
        "diff-tree",
        "-r",
        "-z",
        "-m",
        "--first-parent",
        "--root",
        "--no-renames",
        "--no-commit-id",
        "--name-status",
        id,
    ])?;
    let changes = String::from_utf8_lossy(&changes);
    let mut words = changes.split('\0');
    while let (Some(status), Some(path)) = (words.next(), words.next()) {
        let list = match status {
            "A" => &mut commit.added,
            "D" => &mut commit.removed,
            _ => &mut commit.modified,
        };
        list.push(path.to_owned());
    }
    Ok(commit)
}

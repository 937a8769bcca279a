//! Developers, and GitHub, which sends a webhook for each push.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use towline_domain::names::{CommitSha, GitRef, RepositoryId};
use towline_ports::Key;
use towline_ports::memory::MemoryCommit;
use towline_wire::github::compose::{self, Account, Commit, Sketch};
use towline_wire::http::{Headers, Request};
use towline_wire::signature;

use crate::job::Job;
use crate::mechanism::Mechanism;
use crate::ports::secret;
use crate::shop;
use crate::weather::Fault;
use crate::world::{Happening, World};

impl World {
    /// Commits a change of files on a branch, without pushing it.
    pub fn commit(&mut self, branch: &str, title: &str, files: &[(&str, &str)]) -> CommitSha {
        let git_ref = GitRef::Branch(branch.into());
        let now = self.now();
        let source = &self.ports.source.inner;
        let (parents, mut content) = source.change(self.at, |repository| {
            let main = GitRef::Branch("main".into());
            let head = repository
                .refs
                .get(&git_ref)
                .or_else(|| repository.refs.get(&main));
            match head {
                Some(head) => (vec![head.clone()], repository.commits[head].files.clone()),
                None => (
                    Vec::new(),
                    shop::first_files(&shop::definition_of(self.at, &self.definition)),
                ),
            }
        });
        for (path, text) in files {
            content.insert((*path).into(), text.as_bytes().to_vec());
        }
        let commit = MemoryCommit {
            parents,
            title: title.into(),
            author: self.who.clone(),
            at: now,
            files: content,
        };
        let commit = source.push(self.at, &git_ref, commit);
        self.ref_moved(&git_ref);
        commit
    }

    /// Tells the watch what a ref contains now.
    fn ref_moved(&self, git_ref: &GitRef) {
        let source = &self.ports.source.inner;
        let (at, now) = (self.at, self.now());
        source.change(at, |repository| {
            self.watch.ref_moved((at, git_ref), repository, now);
        });
    }

    /// Commits and pushes: GitHub delivers a signed webhook.
    pub fn push(&mut self, branch: &str, title: &str, files: &[&str]) -> CommitSha {
        let files: Vec<(&str, &str)> = files.iter().map(|path| (*path, title)).collect();
        self.push_files(branch, title, &files)
    }

    /// Like [`World::push`], with the content of the files.
    pub fn push_files(&mut self, branch: &str, title: &str, files: &[(&str, &str)]) -> CommitSha {
        let before = self.head(branch);
        let commit = self.commit(branch, title, files);
        self.chance.tell(|| {
            let paths: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
            let (at, short, who) = (shop::name_of(self.at), commit.short(), &self.who);
            format!(
                "{who} pushes “{title}” ({short}) to {branch} of {at}: {}",
                paths.join(", ")
            )
        });
        let request = self.webhook(branch, before.as_ref(), &commit, title);
        self.deliver(request);
        commit
    }

    #[must_use]
    pub fn head(&self, branch: &str) -> Option<CommitSha> {
        self.head_of(&GitRef::Branch(branch.into()))
    }

    pub(crate) fn head_of(&self, git_ref: &GitRef) -> Option<CommitSha> {
        let source = &self.ports.source.inner;
        source.change(self.at, |repository| repository.refs.get(git_ref).cloned())
    }

    /// Moves a branch to an existing commit, as a forced push does, without a webhook.
    pub fn move_ref(&mut self, branch: &str, commit: &CommitSha) {
        self.put_ref(&GitRef::Branch(branch.into()), commit);
    }

    fn put_ref(&mut self, git_ref: &GitRef, commit: &CommitSha) {
        let source = &self.ports.source.inner;
        source.change(self.at, |repository| {
            repository.refs.insert(git_ref.clone(), commit.clone())
        });
        self.ref_moved(git_ref);
    }

    /// Moves a branch to an existing commit, or creates it there: GitHub delivers a signed webhook.
    pub fn push_existing(&mut self, branch: &str, commit: &CommitSha, title: &str) {
        self.push_existing_ref(&GitRef::Branch(branch.into()), commit, title);
    }

    /// The same for any ref.
    pub fn push_existing_ref(&mut self, git_ref: &GitRef, commit: &CommitSha, title: &str) {
        let before = self.head_of(git_ref);
        if before.as_ref() == Some(commit) {
            return; // GitHub has nothing to say
        }
        self.put_ref(git_ref, commit);
        self.told_of(
            git_ref,
            &format!("moves {} to {}", git_ref.name(), commit.short()),
        );
        let request = self.delivery(git_ref, before.as_ref(), Some(commit), title);
        self.deliver(request);
    }

    fn told_of(&self, git_ref: &GitRef, what: &str) {
        let (at, name) = (shop::name_of(self.at), git_ref.name());
        let who = &self.who;
        self.chance.tell(|| format!("{who} {what} ({at} {name})"));
    }

    /// Deletes a branch: GitHub delivers a signed webhook.
    pub fn delete(&mut self, branch: &str) {
        let before = self.head(branch);
        let git_ref = GitRef::Branch(branch.into());
        let source = &self.ports.source.inner;
        source.change(self.at, |repository| {
            repository.refs.remove(&git_ref);
        });
        self.ref_moved(&git_ref);
        self.deleted.insert((self.at, git_ref.clone()));
        self.told_of(&git_ref, "deletes it");
        let request = self.delivery(&git_ref, before.as_ref(), None, "");
        self.deliver(request);
    }

    /// Delivers a signed webhook: at once, or late, or twice.
    pub fn deliver(&mut self, request: Request) {
        let profile = self.chance.profile();
        let twice = || "the webhook comes twice".into();
        if let Some(how) = self.chance.struck(Fault::Duplicate, twice) {
            let most = u64::try_from(profile.delay.as_millis()).unwrap_or(u64::MAX);
            let wait = Duration::from_millis(how % (10 * most + 1));
            let again = with_header(
                request.clone(),
                "X-GitHub-Delivery",
                &format!("again-{}", self.deliveries),
            );
            self.later(wait, Happening::Job(Arc::new(Job::Webhook(again))));
        }
        let watched = self.is_watched(&request);
        let lost = || match watched {
            true => "the webhook is lost".into(),
            false => "the webhook is lost, and delivered again ten minutes later".into(),
        };
        let lost = self.chance.strikes(Fault::Lose, lost) || self.withheld.webhooks;
        if lost && watched {
            return;
        }
        let mut wait = self
            .chance
            .late(profile.delay, || "the webhook is late".into());
        if lost {
            wait += Duration::from_secs(600); // by hand
        }
        self.later(wait, Happening::Job(Arc::new(Job::Webhook(request))));
    }

    /// Whether the ref of a webhook is one whose moves are found without it.
    fn is_watched(&self, request: &Request) -> bool {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let git_ref = body["ref"].as_str().and_then(|full| full.parse().ok());
        self.watch.look(|known| {
            let heads = known.heads.get(&self.at).zip(git_ref.as_ref());
            heads.is_some_and(|(heads, git_ref)| heads.rules.admit(git_ref))
        })
    }

    /// Whether a push of a repository was ever accepted.
    pub(crate) fn has_pushed(&self, id: RepositoryId) -> bool {
        let key = Key::new("REPOSITORIES", id.to_string());
        self.ports.store.inner.look(&key, |item| item.is_some())
    }

    /// Whether the last comparison of heads saw every ref where it is, and left nothing open.
    pub(crate) fn has_compared(&self) -> bool {
        if self.chance.lacks(Mechanism::Comparison) {
            return true;
        }
        let refs = self.refs();
        self.watch.look(|known| {
            known.heads.iter().all(|(repository, heads)| {
                let mut watched = refs
                    .iter()
                    .filter(|(id, git_ref, _)| id == repository && heads.rules.admit(git_ref));
                heads.open.is_empty()
                    && watched.all(|(_, git_ref, at)| heads.refs.get(git_ref) == Some(at))
            })
        })
    }

    /// Where every ref is.
    pub(crate) fn refs(&self) -> Vec<(RepositoryId, GitRef, CommitSha)> {
        let source = &self.ports.source.inner;
        let repositories = [shop::REPOSITORY, shop::OTHER].into_iter();
        let refs = repositories.flat_map(|id| {
            let refs = source.change(id, |repository| repository.refs.clone());
            refs.into_iter()
                .map(move |(git_ref, head)| (id, git_ref, head))
        });
        refs.collect()
    }

    /// The webhook of a push.
    #[must_use]
    pub fn webhook(
        &self,
        branch: &str,
        before: Option<&CommitSha>,
        after: &CommitSha,
        message: &str,
    ) -> Request {
        let git_ref = GitRef::Branch(branch.into());
        self.delivery(&git_ref, before, Some(after), message)
    }

    fn author_of(&self, commit: &CommitSha) -> Account {
        let source = &self.ports.source.inner;
        source.change(self.at, |repository| {
            let known = repository.commits.get(commit);
            account(known.map_or(&self.who, |known| &known.author))
        })
    }

    fn delivery(
        &self,
        git_ref: &GitRef,
        before: Option<&CommitSha>,
        after: Option<&CommitSha>,
        message: &str,
    ) -> Request {
        let pusher = account(&self.who);
        let author = after.map_or_else(|| pusher.clone(), |after| self.author_of(after));
        let commit = after.map(|after| Commit {
            id: after.clone(),
            tree: "f".repeat(40),
            message: message.into(),
            at: self.now(),
            author: author.clone(),
            committer: author.clone(),
            added: Vec::new(),
            removed: Vec::new(),
            modified: Vec::new(),
        });
        let body = compose::push_payload(&Sketch {
            repository: self.at,
            repository_name: &shop::name_of(self.at),
            default_branch: "main",
            git_ref,
            before,
            after,
            head: None,
            commits: commit.as_slice(),
            forced: false,
            pusher: &pusher,
            at: self.now(),
        });
        let name = after.or(before).map_or("none", CommitSha::short);
        signed(&body, &format!("delivery-{name}"))
    }
}

/// A developer's account on GitHub.
fn account(login: &str) -> Account {
    Account {
        name: login.into(),
        email: format!("{login}@acme.example"),
        login: Some(login.into()),
    }
}

/// A webhook as GitHub signs it.
#[must_use]
pub fn signed(body: &Value, delivery: &str) -> Request {
    let body = body.to_string().into_bytes();
    let signature = signature::sign(&secret(), &body);
    let headers = [
        ("Content-Type", "application/json"),
        ("X-GitHub-Event", "push"),
        ("X-GitHub-Delivery", delivery),
        ("X-Hub-Signature-256", &signature),
    ];
    Request {
        method: "POST".into(),
        path: "/webhooks/github".into(),
        query: String::new(),
        headers: headers.into_iter().collect(),
        body,
    }
}

/// The request with another value for a header.
#[must_use]
pub fn with_header(request: Request, name: &str, value: &str) -> Request {
    let kept = request.headers.iter();
    let kept = kept.filter(|(known, _)| !known.eq_ignore_ascii_case(name));
    let mut headers: Headers = kept.collect();
    headers.push(name, value);
    Request { headers, ..request }
}

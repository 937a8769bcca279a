//! Everyone else in the world: developers, CodeBuild, ECR, EventBridge, and outsiders who push images.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;
use towline_answers::Command;
use towline_domain::names::{BuildId, CommitSha, Digest, GitRef, ImageRepository, Tag};
use towline_domain::run::BuildStatus;
use towline_ports::StartBuild;
use towline_ports::memory::MemoryCommit;
use towline_wire::codebuild::{self, Phase, StateChange, Status};
use towline_wire::ecr::{self, Action, ImageAction};
use towline_wire::eventbridge;
use towline_wire::github::compose::{self, Account, Commit, Sketch};
use towline_wire::http::{Headers, Request};
use towline_wire::signature;

use crate::faulty::BuildNews;
use crate::shop;
use crate::world::{BuildPlan, Happening, Job, Pushes, World};

impl World {
    /// Commits a change of files on a branch, without pushing it.
    pub fn commit(&mut self, branch: &str, title: &str, files: &[(&str, &str)]) -> CommitSha {
        let git_ref = GitRef::Branch(branch.into());
        let now = self.now();
        let source = &self.ports.source.inner;
        let (parents, mut content) = source.change(shop::REPOSITORY, |repository| {
            let main = GitRef::Branch("main".into());
            let head = repository
                .refs
                .get(&git_ref)
                .or_else(|| repository.refs.get(&main));
            match head {
                Some(head) => (vec![head.clone()], repository.commits[head].files.clone()),
                None => (Vec::new(), shop::first_files(&self.definition)),
            }
        });
        for (path, text) in files {
            content.insert((*path).into(), text.as_bytes().to_vec());
        }
        let commit = MemoryCommit {
            parents,
            title: title.into(),
            author: "dana".into(),
            at: now,
            files: content,
        };
        source.push(shop::REPOSITORY, &git_ref, commit)
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
        let request = self.webhook(branch, before.as_ref(), &commit, title);
        self.deliver(request);
        commit
    }

    #[must_use]
    pub fn head(&self, branch: &str) -> Option<CommitSha> {
        let git_ref = GitRef::Branch(branch.into());
        let source = &self.ports.source.inner;
        source.change(shop::REPOSITORY, |repository| {
            repository.refs.get(&git_ref).cloned()
        })
    }

    /// Moves a branch to an existing commit, as a forced push does, without a webhook.
    pub fn move_ref(&mut self, branch: &str, commit: &CommitSha) {
        let git_ref = GitRef::Branch(branch.into());
        let source = &self.ports.source.inner;
        source.change(shop::REPOSITORY, |repository| {
            repository.refs.insert(git_ref, commit.clone())
        });
    }

    /// Moves a branch to an existing commit, or creates it there: GitHub delivers a signed webhook.
    pub fn push_existing(&mut self, branch: &str, commit: &CommitSha, title: &str) {
        let before = self.head(branch);
        self.move_ref(branch, commit);
        let request = self.webhook(branch, before.as_ref(), commit, title);
        self.deliver(request);
    }

    /// Deletes a branch: GitHub delivers a signed webhook.
    pub fn delete(&mut self, branch: &str) {
        let before = self.head(branch);
        let git_ref = GitRef::Branch(branch.into());
        let source = &self.ports.source.inner;
        source.change(shop::REPOSITORY, |repository| {
            repository.refs.remove(&git_ref);
        });
        let request = self.delivery(branch, before.as_ref(), None, "");
        self.deliver(request);
    }

    /// Delivers a signed webhook: at once, or late, or twice.
    pub fn deliver(&mut self, request: Request) {
        let profile = self.chance.profile();
        if self.chance.happens(profile.duplicate) {
            let wait = self.chance.up_to(profile.delay * 10);
            let again = with_header(
                request.clone(),
                "X-GitHub-Delivery",
                &format!("again-{}", self.deliveries),
            );
            self.later(wait, Happening::Job(Job::Webhook(again)));
        }
        let lost = self.withheld.webhooks || self.chance.happens(profile.lose);
        if lost && self.is_watched(&request) {
            return;
        }
        let wait = self.chance.up_to(profile.delay);
        self.later(wait, Happening::Job(Job::Webhook(request)));
    }

    /// Whether the ref of a webhook is one whose moves are found without it.
    fn is_watched(&self, request: &Request) -> bool {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let git_ref = body["ref"].as_str().and_then(|full| full.parse().ok());
        self.watch.look(|known| {
            let heads = known.heads.as_ref().zip(git_ref.as_ref());
            heads.is_some_and(|(heads, git_ref)| heads.rules.admit(git_ref))
        })
    }

    /// Whether the last comparison of heads saw every ref where it is, and left nothing open.
    pub(crate) fn has_compared(&self) -> bool {
        let source = &self.ports.source;
        let refs = source
            .inner
            .change(shop::REPOSITORY, |repository| repository.refs.clone());
        source.blind.load(Ordering::Relaxed)
            || self.watch.look(|known| {
                known.heads.as_ref().is_none_or(|heads| {
                    let mut watched = refs
                        .iter()
                        .filter(|(git_ref, _)| heads.rules.admit(git_ref));
                    heads.open.is_empty()
                        && watched.all(|(git_ref, at)| heads.refs.get(git_ref) == Some(at))
                })
            })
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
        self.delivery(branch, before, Some(after), message)
    }

    fn delivery(
        &self,
        branch: &str,
        before: Option<&CommitSha>,
        after: Option<&CommitSha>,
        message: &str,
    ) -> Request {
        let dana = Account {
            name: "Dana".into(),
            email: "dana@acme.example".into(),
            login: Some("dana".into()),
        };
        let commit = after.map(|after| Commit {
            id: after.clone(),
            tree: "f".repeat(40),
            message: message.into(),
            at: self.now(),
            author: dana.clone(),
            committer: dana.clone(),
            added: Vec::new(),
            removed: Vec::new(),
            modified: Vec::new(),
        });
        let body = compose::push_payload(&Sketch {
            repository: shop::REPOSITORY,
            repository_name: &shop::repository_name(),
            default_branch: "main",
            git_ref: &GitRef::Branch(branch.into()),
            before,
            after,
            head: None,
            commits: commit.as_slice(),
            forced: false,
            pusher: &dana,
            at: self.now(),
        });
        let name = after.or(before).map_or("none", CommitSha::short);
        signed(&body, &format!("delivery-{name}"))
    }

    /// A person sends a command.
    pub fn ask(&mut self, login: &str, command: Command) {
        self.invoke(Job::Person(shop::person(login), command));
    }

    /// Handles the effects of handlers.
    pub(crate) fn hear(&mut self) {
        for announcement in self.ports.bus.inner.take() {
            if announcement.detail_type == eventbridge::PROMOTED {
                let promoted = serde_json::from_value(announcement.detail.clone());
                self.promoted
                    .push(promoted.expect("it says what it should"));
            }
            if self.withheld.announcements {
                continue;
            }
            let event = eventbridge::own(
                &announcement.id,
                &announcement.detail_type,
                &announcement.detail,
                announcement.at,
            );
            self.emit(&event);
        }
        for news in self.ports.builds.take_news() {
            match news {
                BuildNews::Started(id, start) => {
                    self.build_event(&id, &start, BuildStatus::InProgress);
                    let plan = self.next_plan();
                    let stopped = Happening::BuildEnds(id, start, plan);
                    self.later(plan.takes, stopped);
                }
                BuildNews::Stopped(id) => self.watch.build_ended(&id, BuildStatus::Stopped),
            }
        }
        for (repository, tag, digest) in self.ports.images.take_news() {
            self.image_event(&repository, &tag, &digest);
        }
    }

    fn next_plan(&mut self) -> BuildPlan {
        if let Some(plan) = self.next_builds.pop_front() {
            return plan;
        }
        if !self.by_chance {
            return BuildPlan::default();
        }
        let ends = match self.chance.below(100) {
            0..10 => BuildStatus::Failed,
            10..15 => BuildStatus::Fault,
            15..17 => BuildStatus::TimedOut,
            _ => BuildStatus::Succeeded,
        };
        let pushes = match self.chance.below(100) {
            0..3 => Pushes::Nothing,
            3..5 => Pushes::Twice,
            5..15 => Pushes::SameImage,
            _ => Pushes::Image,
        };
        BuildPlan {
            takes: Duration::from_secs(20) + self.chance.up_to(Duration::from_secs(580)),
            ends,
            pushes,
        }
    }

    /// A build pushes its image and ends, unless it was stopped before.
    pub(crate) fn build_ends(&mut self, id: &BuildId, start: &StartBuild, plan: BuildPlan) {
        let stopped = self
            .watch
            .look(|known| known.builds.get(id).copied().flatten())
            .is_some();
        if !stopped && plan.pushes != Pushes::Nothing {
            let own = match plan.pushes {
                Pushes::SameImage => start.component.to_string(),
                Pushes::Image | Pushes::Nothing | Pushes::Twice => id.to_string(),
            };
            self.push_image(start, &own);
            if plan.pushes == Pushes::Twice {
                self.push_image(start, &format!("{own} again"));
            }
        }
        let report = self.ports.builds.inner.finish(id, plan.ends);
        self.watch.build_ended(id, report.status);
        self.build_event(id, start, report.status);
    }

    fn push_image(&mut self, start: &StartBuild, manifest: &str) {
        let tags = variable(start, "IMAGE_TAGS").split(' ');
        let tags: Vec<Tag> = tags.filter_map(|tag| tag.parse().ok()).collect();
        for tag in tags {
            self.image_lands(&start.image_repository, &tag, manifest);
        }
    }

    /// Pushes an image that no build of ours made, with ECR's event.
    pub fn put_image(&mut self, repository: &ImageRepository, tag: &Tag, manifest: &str) -> Digest {
        self.watch.meddled(tag);
        self.image_lands(repository, tag, manifest)
    }

    fn image_lands(&mut self, repository: &ImageRepository, tag: &Tag, manifest: &str) -> Digest {
        let images = &self.ports.images.inner;
        let digest = images
            .push(repository, tag, manifest.as_bytes())
            .expect("no tag of the shop is immutable");
        self.watch.pushed(repository, tag, &digest);
        self.image_event(repository, tag, &digest);
        digest
    }

    fn image_event(&mut self, repository: &ImageRepository, tag: &Tag, digest: &Digest) {
        if !self.withheld.images {
            let event = self.image_pushed(repository, tag, digest);
            self.emit(&event);
        }
    }

    /// ECR's event of a push.
    #[must_use]
    pub fn image_pushed(&self, repository: &ImageRepository, tag: &Tag, digest: &Digest) -> Value {
        ecr::event(&ImageAction {
            id: format!("ecr-{tag}"),
            at: self.now(),
            account: eventbridge::NO_ACCOUNT.into(),
            region: "eu-central-1".into(),
            repository: repository.clone(),
            action: Action::Push,
            succeeded: true,
            digest: Some(digest.clone()),
            tag: Some(tag.clone()),
            media_type: None,
        })
    }

    fn build_event(&mut self, id: &BuildId, start: &StartBuild, status: BuildStatus) {
        if !self.withheld.builds {
            let event = self.build_changed(id, start, Status::Known(status));
            self.emit(&event);
        }
    }

    /// CodeBuild's event of a build that has started or ended.
    #[must_use]
    pub fn build_changed(&self, id: &BuildId, start: &StartBuild, status: Status) -> Value {
        let phase = Phase {
            name: "BUILD".into(),
            status: Some("FAILED".into()),
            started_at: None,
            ended_at: None,
            context: vec!["COMMAND_EXECUTION_ERROR: exit status 1".into()],
        };
        let failed = matches!(status, Status::Known(BuildStatus::Failed));
        codebuild::event(&StateChange {
            id: format!("codebuild-{id}"),
            at: self.now(),
            account: eventbridge::NO_ACCOUNT.into(),
            region: "eu-central-1".into(),
            build: id.clone(),
            status,
            project: StartBuild::project(&start.repository.name, &start.component),
            commit: Some(start.commit.clone()),
            started_at: None,
            environment: start.environment.clone(),
            phases: if failed { vec![phase] } else { Vec::new() },
        })
    }
}

/// A variable of a build's environment.
#[must_use]
pub fn variable<'a>(start: &'a StartBuild, name: &str) -> &'a str {
    let environment: BTreeMap<&str, &str> = start
        .environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    environment.get(name).copied().unwrap_or_default()
}

/// A webhook as GitHub signs it.
#[must_use]
pub fn signed(body: &Value, delivery: &str) -> Request {
    let body = body.to_string().into_bytes();
    let signature = signature::sign(&World::secret(), &body);
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

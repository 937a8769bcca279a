//! Everyone else in the world: developers, CodeBuild, ECR, EventBridge, and outsiders who push images.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use towline_answers::Command;
use towline_domain::names::{
    BuildId, CommitSha, Digest, GitRef, ImageRepository, RepositoryId, Tag,
};
use towline_domain::run::BuildStatus;
use towline_ports::memory::MemoryCommit;
use towline_ports::memory::SplitMix64;
use towline_ports::{Key, StartBuild};
use towline_wire::codebuild::{self, Phase, StateChange, Status};
use towline_wire::ecr::{self, Action, ImageAction};
use towline_wire::eventbridge;
use towline_wire::github::compose::{self, Account, Commit, Sketch};
use towline_wire::http::{Headers, Request};
use towline_wire::signature;

use crate::ablation::Mechanism;
use crate::faulty::BuildNews;
use crate::shop;
use crate::weather::Fault;
use crate::world::{BuildPlan, Happening, Job, Pushes, World};

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
            author: "dana".into(),
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
            let (at, short) = (shop::name_of(self.at), commit.short());
            format!(
                "dana pushes “{title}” ({short}) to {branch} of {at}: {}",
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
        self.chance.tell(|| format!("dana {what} ({at} {name})"));
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

    fn delivery(
        &self,
        git_ref: &GitRef,
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
            repository: self.at,
            repository_name: &shop::name_of(self.at),
            default_branch: "main",
            git_ref,
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
        self.chance.tell(|| format!("{login} asks for {command:?}"));
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
            self.emit(event);
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
        let usual = BuildPlan {
            takes: Duration::from_secs(20) + self.chance.up_to(Duration::from_secs(580)),
            ..BuildPlan::default()
        };
        let told = || "a build goes wrong".into();
        let Some(how) = self.chance.struck(Fault::BadBuild, told) else {
            return usual;
        };
        let mut lots = SplitMix64::new(how);
        let ends = match lots.draw() % 100 {
            0..30 => BuildStatus::Failed,
            30..45 => BuildStatus::Fault,
            45..50 => BuildStatus::TimedOut,
            _ => BuildStatus::Succeeded,
        };
        let pushes = match lots.draw() % 100 {
            0..10 => Pushes::Nothing,
            10..20 => Pushes::Twice,
            20..50 => Pushes::SameImage,
            _ => Pushes::Image,
        };
        BuildPlan {
            ends,
            pushes,
            ..usual
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
            self.emit(event);
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
            self.emit(event);
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

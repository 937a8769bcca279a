//! Pushes from their webhook to their run, with problems in the source.

use std::pin::pin;
use std::task::{self, Poll, Waker};
use std::time::Duration;

use serde_json::Value;
use towline_definition::FILE;
use towline_domain::Timestamp;
use towline_domain::image::Claim;
use towline_domain::names::{CommitSha, GitRef, RepositoryId};
use towline_domain::run::{Run, RunKey};
use towline_ports::admission;
use towline_ports::memory::{
    MemoryBus, MemoryClock, MemoryCommit, MemoryRepository, MemorySource, MemoryStore,
};
use towline_state::records::Repository;
use towline_state::{Change, keys};
use towline_wire::eventbridge;
use towline_wire::github::compose::{Account, Commit, Sketch, push_payload};
use towline_wire::http::{Headers, Request};
use towline_wire::signature::{self, Secret, Secrets};

use super::*;
use crate::receive_github;

/// Nothing ever waits if the whole world is in memory.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut task::Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

const DEFINITION: &str = "
version: 1
pipeline: shop
components:
  web: {repository: acme/web, build: {preset: buildspec, buildspec: build.yml}}
";

/// The id it is stored under.
fn canonical() -> RepositoryId {
    admission::local(1)
}

/// A machine that serves acme/shop and first received a push from a clone.
struct World {
    store: MemoryStore,
    bus: MemoryBus,
    clock: MemoryClock,
    source: MemorySource,
}

impl World {
    fn new() -> Self {
        let source = MemorySource::new();
        let name = "acme/shop".parse().expect("a name");
        source.add(canonical(), MemoryRepository::new(name));
        Self {
            store: MemoryStore::new(),
            bus: MemoryBus::new(),
            clock: MemoryClock::new(Timestamp::UNIX_EPOCH, 1),
            source,
        }
    }

    fn context(&self) -> Context<'_> {
        Context {
            store: &self.store,
            bus: &self.bus,
            clock: &self.clock,
        }
    }

    /// A push to main that says it is of this repository; the answer's status and sentence.
    fn deliver(&self, id: RepositoryId, commit: &CommitSha) -> (u16, String) {
        let secret = || Secret::new(&"s".repeat(32)).expect("a secret");
        let ada = Account {
            name: "Ada".into(),
            email: "ada@acme.example".into(),
            login: Some("ada".into()),
        };
        let head = Commit {
            id: commit.clone(),
            tree: commit.to_string(),
            message: "Fix the cart".into(),
            at: Timestamp::UNIX_EPOCH,
            author: ada.clone(),
            committer: ada.clone(),
            added: Vec::new(),
            removed: Vec::new(),
            modified: Vec::new(),
        };
        let payload = push_payload(&Sketch {
            repository: id,
            repository_name: &"acme/shop".parse().expect("a name"),
            default_branch: "main",
            git_ref: &GitRef::Branch("main".into()),
            before: None,
            after: Some(commit),
            head: Some(&head),
            commits: std::slice::from_ref(&head),
            forced: false,
            pusher: &ada,
            at: Timestamp::UNIX_EPOCH,
        });
        let body = payload.to_string().into_bytes();
        let mut headers = Headers::default();
        headers.push("content-type", "application/json");
        headers.push("x-github-event", "push");
        headers.push("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958");
        headers.push(signature::HEADER, signature::sign(&secret(), &body));
        let response = now(receive_github::handle(
            self.context(),
            &self.source,
            &Secrets::new(secret(), None),
            Request {
                method: "POST".into(),
                path: "/webhooks/github".into(),
                query: String::new(),
                headers,
                body,
            },
        ));
        let body: Value = serde_json::from_slice(&response.body).expect("JSON");
        let reason = body["reason"].as_str().expect("a reason");
        (response.status, reason.to_owned())
    }

    fn announced(&self) -> Envelope {
        let announcement = self.bus.take().pop().expect("something is announced");
        let event = eventbridge::own(
            &announcement.id,
            &announcement.detail_type,
            &announcement.detail,
            announcement.at,
        );
        eventbridge::read(event).expect("an event")
    }

    /// Plans, and returns why the run of this commit was refused or its component not built; none
    /// if there is no run yet.
    fn plan(&self, event: &Envelope, commit: &CommitSha) -> Option<String> {
        now(handle(
            self.context(),
            &self.source,
            &Settings::default(),
            event,
        ))
        .expect("it is planned or postponed");
        ["unnamed", "shop"].iter().find_map(|pipeline| {
            let key = RunKey {
                repository: canonical(),
                git_ref: GitRef::Branch("main".into()),
                commit: commit.clone(),
                pipeline: pipeline.parse().expect("a label"),
                again: 0,
            };
            let run = now(self.context().read::<Run>(&keys::run(&key.id())));
            let run = run.expect("the store answers")?.value;
            let skipped = run.skipped.into_values().next();
            let refused = run.refused.map(|why| why.to_string());
            let why = refused.or(skipped.map(|why| why.to_string()));
            Some(why.unwrap_or_else(|| "planned".into()))
        })
    }
}

fn commit(files: &[(&str, &str)]) -> MemoryCommit {
    MemoryCommit {
        parents: Vec::new(),
        title: "Fix the cart".into(),
        author: "Ada".into(),
        at: Timestamp::UNIX_EPOCH,
        files: files
            .iter()
            .map(|(path, text)| ((*path).into(), (*text).into()))
            .collect(),
    }
}

#[test]
fn a8_f1_a_clone_and_a_webhook_push_the_same_repository() {
    let world = World::new();
    let sha = commit(&[]).sha();
    let known = "this push was already received".to_owned();
    let (status, _) = world.deliver(RepositoryId(7), &sha);
    assert_eq!(status, 202);
    assert_eq!(world.deliver(canonical(), &sha), (200, known.clone()));
    assert_eq!(world.deliver(admission::local(2), &sha), (200, known));
    let sentence = "acme/shop is registered as repository 7, but this push is from 8; if 8 is right, \
                    stop Towline, remove acme/shop from memory, and start it again";
    assert_eq!(
        world.deliver(RepositoryId(8), &sha),
        (200, sentence.to_owned())
    );
}

#[test]
fn what_is_wrong_with_a_file_is_said_in_the_run() {
    let large = "#".repeat(70_000);
    for (files, expected) in [
        (&[] as &[_], "there is no .towline.yml at {sha}"),
        (
            &[(FILE, large.as_str())],
            ".towline.yml at {sha} has 70000 bytes; the limit is 65536",
        ),
        (
            &[(FILE, DEFINITION)],
            "refused: there is no build.yml at {sha}",
        ),
        (
            &[(FILE, DEFINITION), ("build.yml", large.as_str())],
            "refused: build.yml at {sha} has 70000 bytes; the limit is 65536",
        ),
    ] {
        let world = World::new();
        let main = GitRef::Branch("main".into());
        let sha = world.source.push(canonical(), &main, commit(files));
        world.deliver(canonical(), &sha);
        let expected = expected.replace("{sha}", sha.short());
        let found = world.plan(&world.announced(), &sha);
        assert_eq!(found, Some(expected));
    }
}

#[test]
fn a_project_that_builds_another_component_already_is_named_and_left_alone() {
    let refused = |component: &str| {
        format!(
            "refused: CodeBuild project towline-acme-shop-web already builds component {component} of \
             repository 9; rename this component"
        )
    };
    for (component, named, expected) in [
        ("shop-web", None, refused("shop-web")),
        ("web", Some("Acme/Shop"), "planned".into()), // it was renamed: the name is ours now
        ("web", Some("acme/shop.old"), "planned".into()), // it was renamed, and has pushed since
    ] {
        let world = World::new();
        let main = GitRef::Branch("main".into());
        let buildspec = "version: 0.2\nphases: {build: {commands: [make]}}\n";
        let files = [(FILE, DEFINITION), ("build.yml", buildspec)];
        let sha = world.source.push(canonical(), &main, commit(&files));
        let id = RepositoryId(9);
        let owner = Claim {
            repository: id,
            component: component.parse().expect("a component"),
            images: "acme/other".parse().expect("an image repository"),
            released: false,
        };
        let mut change = Change::default();
        change.create(keys::project("towline-acme-shop-web"), &owner);
        if let Some(name) = named {
            let known = Repository {
                id,
                name: name.parse().expect("a name"),
                default_branch: "main".into(),
            };
            change.create(keys::repository(id), &known);
        }
        let committed = now(world.context().commit(change, &mut Rounds::default()));
        assert!(committed.expect("the store answers"));
        world.deliver(canonical(), &sha);
        let found = world.plan(&world.announced(), &sha);
        assert_eq!(found, Some(expected), "{component} of {named:?}");
    }
}

#[test]
fn a_commit_may_come_after_its_push_but_not_for_ever() {
    let late = commit(&[(FILE, DEFINITION)]);
    let sha = late.sha();
    let gone = format!(
        "commit {} is not in the repository; was it pushed there?",
        sha.short()
    );
    let there = format!("refused: there is no build.yml at {}", sha.short());
    for (seconds, comes, expected) in [
        (299, false, None),
        (299, true, Some(there)),
        (300, false, Some(gone)),
    ] {
        let world = World::new();
        world.deliver(canonical(), &sha);
        let event = world.announced();
        assert_eq!(world.plan(&event, &sha), None);
        world.clock.advance(Duration::from_secs(seconds));
        if comes {
            let main = GitRef::Branch("main".into());
            world.source.push(canonical(), &main, late.clone());
        }
        assert_eq!(world.plan(&event, &sha), expected, "{seconds}");
        let mut reads = Reads::from(world.context());
        let owed = now(reads.owed(&event)).expect("the store answers");
        assert_eq!(owed.is_none(), expected.is_some(), "{seconds}");
    }
}

#[test]
fn a_push_starts_forty_builds_at_most() {
    let refused =
        "refused: a push starts at most 40 builds, one for each platform; split the pipeline";
    for (components, expected) in [(5, "planned"), (6, refused)] {
        let world = World::new();
        let platforms = "[linux/amd64, linux/arm64, linux/arm/v6, linux/arm/v7, linux/386, linux/s390x, linux/ppc64le, linux/riscv64]";
        let components: String = (0..components)
            .map(|number| {
                format!(
                    "  c{number}: {{repository: acme/c{number}, build: {{preset: pack, root: dist, image: own, platforms: {platforms}}}}}\n"
                )
            })
            .collect();
        let definition = format!("version: 1\npipeline: shop\ncomponents:\n{components}");
        let main = GitRef::Branch("main".into());
        let files = [(FILE, definition.as_str())];
        let sha = world.source.push(canonical(), &main, commit(&files));
        world.deliver(canonical(), &sha);
        let event = world.announced();
        assert_eq!(world.plan(&event, &sha).as_deref(), Some(expected));
        let mut due = world.bus.take();
        due.retain(|announced| announced.detail_type == "Build Due");
        assert_eq!(due.len(), 40);
    }
}

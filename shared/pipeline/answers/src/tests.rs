//! A small shop in memory that people can ask about: one component, two stages, one push.

use std::pin::pin;
use std::sync::Arc;
use std::task::{self, Poll, Waker};
use std::time::Duration;

use towline_domain::Timestamp;
use towline_domain::names::{GitRef, RepositoryId, Tag};
use towline_domain::person::Person;
use towline_domain::run::BuildStatus;
use towline_ports::memory::{
    MemoryBuilds, MemoryBus, MemoryClock, MemoryCommit, MemoryImages, MemoryRepository,
    MemorySource, MemoryStore,
};
use towline_ports::{RepositoryRef, Source as _};
use towline_wire::eventbridge;
use towline_wire::github::compose::{Account, Commit, Sketch, push_payload};
use towline_wire::http::Request;
use towline_wire::people::{Known, People, hash};
use towline_wire::signature::{self, Secret, Secrets};

use super::{Answer, ChatError, Command, Door, Query, ask, tell, text};
use towline_handlers::{
    advance_stages, plan_runs, promote_images, receive_github, record_images, start_builds, sweep,
};
use towline_state::Context;

/// Lee's token.
pub(super) const TOKEN: &str = "the token of lee";
/// Kim's ARN.
pub(super) const ROLE: &str = "arn:aws:iam::111122223333:role/Deployers";
/// Slack's signing secret, and the previous one.
pub(super) const SLACK: [&str; 2] = [
    "8f742231b10e8888abcd99yyyzzz85a5",
    "an older secret of thirty-two characters",
];

const SHOP: RepositoryId = RepositoryId(7);
const DEFINITION: &str = "
version: 1
pipeline: shop
components:
  web:
    repository: acme/web
    build: {preset: docker, context: ., tags: [\"{sha7}-{build}\"]}
stages:
  - {name: staging, from: build}
  - {name: prod, from: staging, gates: [approval: {groups: [managers], min: 2}]}
";

/// Nothing ever waits if the whole world is in memory.
pub(super) fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut task::Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

fn secret(text: &str) -> Secret {
    Secret::new(text).expect("a secret")
}

/// A person who manages releases.
fn known(login: &str) -> Known {
    Known {
        person: Person {
            login: login.into(),
            groups: vec!["managers".into()],
            ..Person::default()
        },
        token_sha256: None,
        arn: None,
        slack: Vec::new(),
    }
}

/// Everything behind a door.
pub(super) struct World {
    store: MemoryStore,
    bus: MemoryBus,
    pub(super) clock: Arc<MemoryClock>,
    builds: MemoryBuilds,
    source: MemorySource,
    images: MemoryImages,
    people: People,
    slack: Option<Secrets>,
}

impl World {
    /// Nothing has happened yet.
    pub(super) fn new() -> Self {
        let start = "2026-03-02T09:00:00Z".parse().expect("a moment");
        let clock = Arc::new(MemoryClock::new(start, 1));
        let source = MemorySource::new();
        let name = "acme/shop".parse().expect("a name");
        source.add(SHOP, MemoryRepository::new(name));
        let lee = Known {
            token_sha256: Some(hash(TOKEN)),
            slack: vec!["T0001/U2147483697".parse().expect("a user")],
            ..known("lee")
        };
        let kim = Known {
            arn: Some(ROLE.into()),
            ..known("kim")
        };
        let [current, previous] = SLACK.map(secret);
        Self {
            store: MemoryStore::new(),
            bus: MemoryBus::new(),
            builds: MemoryBuilds::new(Arc::clone(&clock), 9),
            clock,
            source,
            images: MemoryImages::new(),
            people: People(vec![lee, kim]),
            slack: Some(Secrets::new(current, Some(previous))),
        }
    }

    /// After a push of main whose image is in staging and waits for prod.
    pub(super) fn with_a_push(title: &str) -> Self {
        let world = Self::new();
        world.push(title);
        world.settle();
        world
    }

    /// Without a Slack app.
    pub(super) fn without_slack(mut self) -> Self {
        self.slack = None;
        self
    }

    fn context(&self) -> Context<'_> {
        Context {
            store: &self.store,
            bus: &self.bus,
            clock: self.clock.as_ref(),
        }
    }

    pub(super) fn door(&self) -> Door<'_> {
        Door {
            context: self.context(),
            builds: &self.builds,
            people: &self.people,
            slack: self.slack.as_ref(),
        }
    }

    /// The answer to a command of lee.
    pub(super) fn tell(&self, command: Command) -> String {
        let lee = known("lee").person;
        match now(tell(self.context(), &lee, command)) {
            Ok(Answer::Done { message, .. }) => message,
            Ok(other) => panic!("{other:?}"),
            Err(ChatError::Refused(refusal)) => format!("refused: {refusal}"),
            Err(ChatError::Failed(error)) => panic!("{error}"),
        }
    }

    pub(super) fn store(&self) -> &MemoryStore {
        &self.store
    }

    /// The answer to a question.
    pub(super) fn answer(&self, query: Query) -> Result<Answer, ChatError> {
        now(ask(self.context(), &self.builds, query))
    }

    /// The lines of an answer.
    pub(super) fn ask(&self, query: Query) -> String {
        match self.answer(query) {
            Ok(answer) => {
                let lines = text::lines(&answer, self.context().now());
                lines.iter().map(|line| format!("{line}\n")).collect()
            }
            Err(ChatError::Refused(refusal)) => format!("refused: {refusal}"),
            Err(ChatError::Failed(error)) => panic!("{error}"),
        }
    }

    /// dana pushes a commit with this title to main.
    pub(super) fn push(&self, title: &str) {
        self.push_defined(title, DEFINITION);
    }

    /// dana pushes a commit with this title and definition to main.
    pub(super) fn push_defined(&self, title: &str, definition: &str) {
        let at = Timestamp::UNIX_EPOCH;
        let main = GitRef::Branch("main".into());
        let files = [
            (".towline.yml", definition),
            ("Dockerfile", "FROM scratch\n"),
        ];
        let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
        let shop = RepositoryRef {
            id: SHOP,
            name: "acme/shop".parse().expect("a name"),
        };
        let before = now(self.source.head(&shop, &main)).expect("it answers");
        let after = MemoryCommit {
            parents: before.into_iter().collect(),
            title: title.into(),
            author: "dana".into(),
            at,
            files: files.into_iter().collect(),
        };
        let after = self.source.push(SHOP, &main, after);
        let dana = Account {
            name: "dana".into(),
            email: "dana@acme.example".into(),
            login: Some("dana".into()),
        };
        let head = Commit {
            id: after.clone(),
            tree: after.to_string(),
            message: title.into(),
            at,
            author: dana.clone(),
            committer: dana.clone(),
            added: Vec::new(),
            removed: Vec::new(),
            modified: Vec::new(),
        };
        let payload = push_payload(&Sketch {
            repository: SHOP,
            repository_name: &"acme/shop".parse().expect("a name"),
            default_branch: "main",
            git_ref: &main,
            before: None,
            after: Some(&after),
            head: Some(&head),
            commits: std::slice::from_ref(&head),
            forced: false,
            pusher: &dana,
            at,
        });
        let body = payload.to_string().into_bytes();
        let key = || secret(SLACK[1]);
        let headers = [
            ("content-type", "application/json".to_owned()),
            ("x-github-event", "push".to_owned()),
            ("x-github-delivery", after.to_string()),
            (signature::HEADER, signature::sign(&key(), &body)),
        ];
        let response = now(receive_github::handle(
            self.context(),
            &self.source,
            &Secrets::new(key(), None),
            Request {
                method: "POST".into(),
                path: "/webhooks/github".into(),
                query: String::new(),
                headers: headers.into_iter().collect(),
                body,
            },
        ));
        assert_eq!(response.status, 202);
    }

    /// Lets minutes pass: everything that is announced is done, and every build succeeds. No event
    /// of CodeBuild or ECR arrives: the sweep finds out.
    pub(super) fn settle(&self) {
        self.settle_with(b"{}");
    }

    /// Like [`Self::settle`], with this content in the images of builds.
    pub(super) fn settle_with(&self, content: &[u8]) {
        for _ in 0..5 {
            self.act();
            for (build, start) in self.builds.started() {
                let tags = start
                    .environment
                    .iter()
                    .find(|(name, _)| name == "IMAGE_TAGS");
                for tag in tags.expect("tags").1.split(' ') {
                    let tag: Tag = tag.parse().expect("a tag");
                    let pushed = self.images.push(&start.image_repository, &tag, content);
                    pushed.expect("the tag is free");
                }
                self.builds.finish(&build, BuildStatus::Succeeded);
            }
            self.clock.advance(Duration::from_secs(90));
            now(sweep::handle(self.context(), &self.builds)).expect("it sweeps");
        }
    }

    /// Does what is announced.
    pub(super) fn act(&self) {
        let (context, images) = (self.context(), &self.images);
        let settings = start_builds::Settings {
            registry: "registry.example".into(),
        };
        loop {
            let announced = self.bus.take();
            if announced.is_empty() {
                return;
            }
            for one in announced {
                let event = eventbridge::own(&one.id, &one.detail_type, &one.detail, one.at);
                let event = eventbridge::read(event).expect("an event");
                for done in [
                    now(plan_runs::handle(
                        context,
                        &self.source,
                        &plan_runs::Settings::default(),
                        &event,
                    )),
                    now(start_builds::handle(
                        context,
                        &self.builds,
                        &settings,
                        &event,
                    )),
                    now(record_images::handle(context, images, &event)),
                    now(advance_stages::handle(context, &self.builds, &event)),
                    now(promote_images::handle(
                        context,
                        images,
                        &self.source,
                        "writer",
                        &event,
                    )),
                ] {
                    done.expect("the world answers");
                }
            }
        }
    }
}

/// A request without a body.
pub(super) fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> Request {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Request {
        method: method.into(),
        path: path.into(),
        query: query.into(),
        headers: headers.iter().copied().collect(),
        body: Vec::new(),
    }
}

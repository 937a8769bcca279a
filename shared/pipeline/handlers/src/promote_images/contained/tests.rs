//! A promotion that is due, against sources whose refs have moved, and one that does not answer.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{self, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use expect_test::{Expect, expect};
use towline_domain::Timestamp;
use towline_domain::authors::Contributions;
use towline_domain::definition::Glob;
use towline_domain::definition::{
    Concurrency, Definition, Drift, Origin, Promote, Source as Admits, StageRule,
};
use towline_domain::explain;
use towline_domain::filter::ChangedFiles;
use towline_domain::intent::StageKey;
use towline_domain::ledger::What;
use towline_domain::names::RepositoryId;
use towline_domain::person::Person;
use towline_domain::rights::Rights;
use towline_ports::memory::{
    MemoryBus, MemoryClock, MemoryCommit, MemoryImages, MemoryRepository, MemorySource, MemoryStore,
};
use towline_ports::{Brought, CommitInfo, FileAt};
use towline_state::{Change, Context, Rounds, history};
use towline_wire::eventbridge;

use super::*;
use crate::promote_images;

const SHOP: RepositoryId = RepositoryId(7);

/// Counts what it is asked, and may not answer.
struct Asked {
    inner: MemorySource,
    asked: Mutex<Vec<&'static str>>,
    is_silent: AtomicBool,
}

impl Asked {
    fn note(&self, what: &'static str) -> Result<(), PortError> {
        self.asked.lock().expect("nobody panicked").push(what);
        match self.is_silent.load(Ordering::Relaxed) {
            true => Err(PortError::new("asking GitHub", "502 Bad Gateway")),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Source for Asked {
    async fn file(
        &self,
        _: &RepositoryRef,
        _: &CommitSha,
        _: &str,
        _: usize,
    ) -> Result<FileAt, PortError> {
        panic!("no file is needed")
    }

    async fn changed_files(
        &self,
        _: &RepositoryRef,
        _: &CommitSha,
        _: &CommitSha,
    ) -> Result<ChangedFiles, PortError> {
        panic!("no files are needed")
    }

    async fn head(
        &self,
        repository: &RepositoryRef,
        git_ref: &GitRef,
    ) -> Result<Option<CommitSha>, PortError> {
        self.note("head")?;
        self.inner.head(repository, git_ref).await
    }

    async fn relation(
        &self,
        repository: &RepositoryRef,
        first: &CommitSha,
        second: &CommitSha,
    ) -> Result<Relation, PortError> {
        self.note("compare")?;
        self.inner.relation(repository, first, second).await
    }

    async fn commit(
        &self,
        _: &RepositoryRef,
        _: &CommitSha,
    ) -> Result<Option<CommitInfo>, PortError> {
        panic!("no description is needed")
    }

    async fn refs(
        &self,
        repository: &RepositoryRef,
        mark: Option<&str>,
    ) -> Result<Refs, PortError> {
        self.note("list")?;
        self.inner.refs(repository, mark).await
    }

    async fn brought(
        &self,
        _: &RepositoryRef,
        _: Option<&CommitSha>,
        _: &CommitSha,
    ) -> Result<Option<Brought>, PortError> {
        panic!("no move is needed")
    }
}

/// A stage with an image of the commit `b`, of a history `a`, `b`, `c` with `d` beside `b`.
struct World {
    store: MemoryStore,
    bus: MemoryBus,
    clock: MemoryClock,
    images: MemoryImages,
    source: Asked,
    commits: BTreeMap<&'static str, CommitSha>,
}

/// Nothing ever waits if the whole world is in memory.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut task::Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("something waits"),
    }
}

fn good<T: std::str::FromStr>(text: &str) -> T {
    let parsed = text.parse();
    parsed.unwrap_or_else(|_| panic!("{text:?} is not what it should be"))
}

/// A branch, or with `tag:` a tag.
fn ref_of(text: &str) -> GitRef {
    match text.strip_prefix("tag:") {
        Some(tag) => GitRef::Tag(tag.into()),
        None => GitRef::Branch(text.into()),
    }
}

fn globs(text: &[&str]) -> Vec<Glob> {
    text.iter()
        .map(|text| Glob::new(text).expect("a pattern"))
        .collect()
}

fn key() -> StageKey {
    StageKey {
        repository: SHOP,
        component: good("web"),
        stage: good("prod"),
    }
}

impl World {
    /// `admits` are patterns, `refs` are as `main=c release/1=b tag:v1=b`.
    fn new(admits: &str, refs: &str) -> Self {
        let inner = MemorySource::new();
        inner.add(SHOP, MemoryRepository::new(good("acme/shop")));
        let mut commits: BTreeMap<&'static str, CommitSha> = BTreeMap::new();
        for (name, parent) in [
            ("a", None),
            ("b", Some("a")),
            ("c", Some("b")),
            ("d", Some("a")),
        ] {
            let commit = MemoryCommit {
                parents: parent
                    .map(|it: &str| commits[it].clone())
                    .into_iter()
                    .collect(),
                title: name.into(),
                author: "dana".into(),
                at: Timestamp::UNIX_EPOCH,
                files: BTreeMap::new(),
            };
            let sha = inner.push(SHOP, &ref_of(name), commit);
            commits.insert(name, sha);
        }
        let world = Self {
            store: MemoryStore::new(),
            bus: MemoryBus::new(),
            clock: MemoryClock::new(Timestamp::UNIX_EPOCH, 1),
            images: MemoryImages::new(),
            source: Asked {
                inner,
                asked: Mutex::default(),
                is_silent: AtomicBool::new(false),
            },
            commits,
        };
        world.moves(refs);
        let patterns: Vec<&str> = admits.split_whitespace().collect();
        let (tags, branches): (Vec<&str>, Vec<&str>) =
            patterns.into_iter().partition(|it| it.starts_with("tag:"));
        let tags: Vec<&str> = tags
            .iter()
            .filter_map(|it| it.strip_prefix("tag:"))
            .collect();
        let rule = StageRule {
            name: good("prod"),
            from: Origin::Build,
            promote: Promote::Auto,
            concurrency: Concurrency::Queue,
            approval: None,
            tags: vec![good("prod")],
            hold_after_rollback: true,
            drift: Drift::Restore,
            deploy: None,
            parameters: Vec::new(),
        };
        let trusted = Trusted {
            definition: Definition {
                pipeline: good("shop"),
                source: Admits {
                    branches: globs(&branches),
                    tags: globs(&tags),
                    ..Admits::default()
                },
                components: Vec::new(),
                stages: vec![rule],
                rights: Rights {
                    operate: Vec::new(),
                    overrule: vec!["owners".into()],
                },
                not_executed: Vec::new(),
            },
            commit: world.commits["a"].clone(),
            order: 1,
            branch: "main".into(),
            older: Vec::new(),
        };
        let mut change = Change::default();
        change.create(keys::trusted_definition(SHOP), &trusted);
        let known = Repository {
            id: SHOP,
            name: good("acme/shop"),
            default_branch: "main".into(),
        };
        change.create(keys::repository(SHOP), &known);
        let committed = now(world.context().commit(change, &mut Rounds::default()));
        assert!(committed.expect("the store answers"));
        world
    }

    fn context(&self) -> Context<'_> {
        Context {
            store: &self.store,
            bus: &self.bus,
            clock: &self.clock,
        }
    }

    /// Puts the refs somewhere else.
    fn moves(&self, refs: &str) {
        self.source.inner.change(SHOP, |repository| {
            repository.refs = refs
                .split_whitespace()
                .map(|text| {
                    let (name, at) = text.split_once('=').expect("a ref and a commit");
                    (ref_of(name), self.commits[at].clone())
                })
                .collect();
        });
    }

    /// An image of the commit `b`, pushed to a ref.
    fn candidate(&self, own: &str) -> Candidate {
        let repository = good("acme/web");
        let pushed = self.images.push(&repository, &good("b-1"), b"b");
        Candidate {
            digest: pushed.expect("the tag is free"),
            commit: self.commits["b"].clone(),
            git_ref: ref_of(own),
            run: good("00112233aabbccdd"),
            order: 2,
            repository,
            build_number: 1,
            authors: Vec::new(),
            contributions: Contributions::default(),
            shown_in: None,
        }
    }

    fn tell(&self, fact: &Fact) {
        let told = now(apply::to_stage(self.context(), &key(), fact, None));
        assert!(matches!(
            told.expect("the store answers"),
            Applied::Taken(_)
        ));
    }

    fn offer(&self, own: &str) {
        self.tell(&Fact::Offered(self.candidate(own)));
    }

    /// Handles what is announced; returns the errors.
    fn act(&self) -> String {
        let mut said = Vec::new();
        loop {
            let announced = self.bus.take();
            if announced.is_empty() {
                return said.join("; ");
            }
            for one in announced {
                let event = eventbridge::own(&one.id, &one.detail_type, &one.detail, one.at);
                let event = eventbridge::read(event).expect("an event");
                let done = promote_images::handle(
                    self.context(),
                    &self.images,
                    &self.source,
                    "writer",
                    &event,
                );
                said.extend(now(done).err().map(|error| error.to_string()));
            }
        }
    }

    /// Announces again what is owed, half an hour later.
    fn later(&self) {
        self.clock.advance(Duration::from_secs(1_800));
        now(crate::sweep::announce_all(self.context())).expect("the store answers");
    }

    /// What was asked, and what became of the stage.
    fn view(&self) -> String {
        let context = self.context();
        let read = now(context.read::<Stage>(&keys::stage(&key())));
        let stage = read.expect("the store answers").expect("the stage").value;
        let trusted = now(context.read::<Trusted>(&keys::trusted_definition(SHOP)));
        let trusted = trusted
            .expect("the store answers")
            .expect("it is there")
            .value;
        let rows = now(history::ledger(context, &stage, 9)).expect("the store answers");
        let said = |row: &towline_domain::ledger::Row| match &row.what {
            What::Ended { promotion, how } => Some(explain::ending(*promotion, how, None)),
            What::Overridden { reason, .. } => Some(format!("override: {reason}")),
            What::Moved { promotion, .. } => Some(format!("promotion #{promotion} went live")),
            What::Requested { .. }
            | What::Approved { .. }
            | What::Denied { .. }
            | What::Held { .. }
            | What::Resumed
            | What::Drifted { .. } => None,
        };
        let ended = rows.iter().rev().filter_map(said);
        let waiting = stage.waiting.iter().map(|promotion| {
            let rule = &trusted.definition.stages[0];
            let why = explain::waiting(&stage, promotion, rule, self.context().now());
            format!("promotion #{} {why}", promotion.number)
        });
        let asked = std::mem::take(&mut *self.source.asked.lock().expect("nobody panicked"));
        let mut said: Vec<String> = vec![asked.join(", ")];
        said.extend(ended);
        said.extend(waiting);
        let commit = self.commits["b"].short();
        said.join("\n").replace(commit, "b") + "\n"
    }
}

fn check(admits: &str, own: &str, refs: &str, expect: &Expect) {
    let world = World::new(admits, refs);
    world.offer(own);
    assert_eq!(world.act(), "");
    expect.assert_eq(&world.view());
    let owed = now(crate::sweep::announce_all(world.context()));
    assert_eq!(owed.expect("the store answers"), 0, "nothing is owed");
}

#[test]
fn f26_s12_a_commit_is_promoted_if_an_admitted_ref_contains_it() {
    check(
        "",
        "main",
        "main=b",
        &expect![[r#"
        head
        promotion #1 went live
    "#]],
    );
    check(
        "",
        "main",
        "main=c",
        &expect![[r#"
        head, compare
        promotion #1 went live
    "#]],
    );
    check(
        "main release/1",
        "main",
        "main=d release/1=c",
        &expect![[r#"
            head, compare, head, compare
            promotion #1 went live
        "#]],
    );
    check(
        "main release/*",
        "main",
        "main=d release/1=b",
        &expect![[r#"
            head, compare, list
            promotion #1 went live
        "#]],
    );
    check(
        "main release/*",
        "release/2",
        "main=c release/1=a",
        &expect![[r#"
            head, list, compare, compare
            promotion #1 went live
        "#]],
    );
    check(
        "main tag:v*",
        "main",
        "main=d tag:v1=b",
        &expect![[r#"
        head, compare, list
        promotion #1 went live
    "#]],
    );
    check(
        "main tag:v*",
        "tag:v1",
        "main=a tag:v1=b",
        &expect![[r#"
        head
        promotion #1 went live
    "#]],
    );
}

#[test]
fn f26_s12_a_commit_is_not_promoted_if_none_contains_it() {
    check(
        "",
        "main",
        "main=d",
        &expect![[r#"
        head, compare
        promotion #1 was refused: b is no longer on main; promote it again once it is back, or with --override
    "#]],
    );
    check(
        "",
        "main",
        "main=d topic=b tag:v1=b",
        &expect![[r#"
        head, compare
        promotion #1 was refused: b is no longer on main; promote it again once it is back, or with --override
    "#]],
    );
    check(
        "",
        "main",
        "topic=b",
        &expect![[r#"
        head
        promotion #1 was refused: b is no longer on main; promote it again once it is back, or with --override
    "#]],
    );
    check(
        "main release/*",
        "release/1",
        "main=a topic=c",
        &expect![[r#"
            head, list, compare
            promotion #1 was refused: b is no longer on release/1 or main; promote it again once it is back, or with --override
        "#]],
    );
    check(
        "main release/*",
        "main",
        "main=d release/1=a release/2=d other=c",
        &expect![[r#"
            head, compare, list, compare, compare
            promotion #1 was refused: b is no longer on main, release/1 or release/2; promote it again once it is back, or with --override
        "#]],
    );
}

#[test]
fn f26_s12_more_refs_than_can_be_looked_at_are_counted() {
    let many: Vec<String> = (10..40).map(|number| format!("r{number}=d")).collect();
    let refs = format!("main=d {}", many.join(" "));
    check(
        "main r*",
        "main",
        &refs,
        &expect![[r#"
        head, compare, list, compare, compare, compare, compare, compare, compare, compare, compare, compare, compare, compare, compare, compare, compare, compare, compare, compare, compare, compare
        promotion #1 was refused: b is no longer on main, r10, r11 or 17 more refs (11 further refs were not looked at); promote it again once it is back, or with --override
    "#]],
    );
    // One that is at the commit itself is found all the same.
    check(
        "main r*",
        "main",
        &format!("{refs} r39=b"),
        &expect![[r#"
        head, compare, list
        promotion #1 went live
    "#]],
    );
}

#[test]
fn f26_while_the_source_is_silent_nothing_is_promoted_and_nothing_lost() {
    let world = World::new("", "main=b");
    world.source.is_silent.store(true, Ordering::Relaxed);
    world.offer("main");
    assert_eq!(world.act(), "asking GitHub");
    expect![[r#"
        head
        promotion #1 waits: cannot check whether its commit is still on a ref: asking GitHub: 502 Bad Gateway
    "#]].assert_eq(&world.view());
    // The commit is removed and comes back meanwhile: only what is so in the end counts.
    world.moves("main=d");
    world.later();
    assert_eq!(world.act(), "asking GitHub");
    world.moves("main=b");
    world.source.is_silent.store(false, Ordering::Relaxed);
    world.later();
    assert_eq!(world.act(), "");
    expect![[r#"
        head, head, head
        promotion #1 went live
    "#]]
    .assert_eq(&world.view());
}

#[test]
fn f26_s12_an_override_and_a_rollback_do_not_ask_the_source() {
    let world = World::new("", "main=b");
    let olga = Person {
        login: "olga".into(),
        groups: vec!["owners".into()],
        ..Person::default()
    };
    world.offer("main");
    assert_eq!(world.act(), "");
    let first = world.candidate("main");
    let second = Candidate {
        order: 3,
        digest: world
            .images
            .push(&first.repository, &good("b-2"), b"again")
            .expect("the tag is free"),
        ..first.clone()
    };
    drop(world.view());
    world.moves("main=d");
    world.source.is_silent.store(true, Ordering::Relaxed);
    world.tell(&Fact::OverrideRequested {
        candidate: second,
        by: olga.clone(),
        reason: "the shop is down".into(),
    });
    assert_eq!(world.act(), "");
    world.tell(&Fact::RollbackRequested {
        candidate: first,
        by: olga,
        reason: None,
    });
    assert_eq!(world.act(), "");
    expect![[r#"

        promotion #1 went live
        override: the shop is down
        promotion #2 went live
        promotion #3 went live
    "#]]
    .assert_eq(&world.view());
}

//! The world: a virtual clock, events in flight, running invocations, and everyone's next action.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use towline_answers::Command;
use towline_bus::Router;
use towline_bus::rules::RULES;
use towline_domain::names::{BuildId, CommitSha, GitRef, RepositoryId};
use towline_ports::memory::MemoryClock;
use towline_ports::{Clock as _, StartBuild};
use towline_wire::eventbridge::Promoted;

use crate::build::BuildPlan;
use crate::chance::Chance;
use crate::invocation::Invocation;
use crate::job::Job;
use crate::kept::Kept;
use crate::places::Places;
use crate::plan::Act;
use crate::ports::Ports;
use crate::shop;
use crate::watch::Watch;
use crate::weather::Profile;

/// Something that will happen at some time.
#[derive(Debug, Clone)]
pub(crate) enum Happening {
    /// A handler is invoked.
    Job(Arc<Job>),
    BuildEnds(BuildId, Box<StartBuild>, BuildPlan),
    /// Somebody does something.
    Act(Act),
    /// From now on, the registry denies setting tags, or not.
    Denies(bool),
    /// A branch comes back where it was.
    Recreate(RepositoryId, String, CommitSha, String),
}

/// What is lost permanently, in stories that say so.
#[derive(Debug, Clone, Copy, Default)]
pub struct Withheld {
    /// CodeBuild's events.
    pub builds: bool,
    /// ECR's events.
    pub images: bool,
    /// Announcements of ours.
    pub announcements: bool,
    /// The minute's sweep.
    pub sweeps: bool,
    /// GitHub's webhooks.
    pub webhooks: bool,
}

pub struct World {
    /// The ports of the handlers.
    pub ports: Arc<Ports>,
    /// The faults.
    pub chance: Arc<Chance>,
    /// The invariants.
    pub watch: Arc<Watch>,
    /// What is lost permanently.
    pub withheld: Withheld,
    /// The definition in the first commit.
    pub definition: String,
    /// The places where builds run.
    pub(crate) places: Places,
    /// What builds keep for later ones.
    pub(crate) kept: Kept,
    /// The developer who pushes.
    pub who: String,
    /// Whether nothing fails any more.
    pub(crate) is_peaceful: bool,
    /// The plans of the next builds; afterwards the default, or a random one.
    pub next_builds: VecDeque<BuildPlan>,
    /// Every answer to a webhook or person, newest last.
    pub answers: Vec<String>,
    /// The I/O step at which an invocation dies, counted from 1.
    pub crash_at: Option<u64>,
    /// Whether the next invocation that starts a build dies before it learns that.
    pub(crate) crash_after_start: bool,
    /// Whether every event arrives twice.
    pub everything_twice: bool,
    /// Whether failed events are retried twice, as on Lambda.
    pub retries: bool,
    /// Whether builds, and the order of actions, are random.
    pub(crate) by_chance: bool,
    /// Every `Image Promoted` that was announced, oldest first.
    pub promoted: Vec<Promoted>,
    /// Deliveries so far.
    pub deliveries: u64,
    pub(crate) router: Arc<Router>,
    /// The repository that developers push to.
    pub at: RepositoryId,
    /// The commit that main was at before it last moved back or forth.
    pub(crate) left: BTreeMap<RepositoryId, CommitSha>,
    /// When the last comparison of a repository's stage tags began, of those that were not cut off.
    pub(crate) tags_compared: BTreeMap<RepositoryId, Timestamp>,
    /// Refs that were ever deleted.
    pub(crate) deleted: BTreeSet<(RepositoryId, GitRef)>,
    /// Earlier webhooks and events.
    pub(crate) earlier: VecDeque<Arc<Job>>,
    pub(crate) queue: BTreeMap<(Timestamp, u64), Happening>,
    pub(crate) sequence: u64,
    pub(crate) active: Vec<Invocation>,
}

impl World {
    /// A world for stories: nothing goes wrong unless the story says so.
    #[must_use]
    pub fn quiet() -> Self {
        Self::new(0, Profile::QUIET, &router())
    }

    /// A world in which the seed decides the faults.
    #[must_use]
    pub fn new(seed: u64, profile: Profile, router: &Arc<Router>) -> Self {
        let start: Timestamp = "2026-03-02T09:00:00Z".parse().expect("a time");
        let clock = Arc::new(MemoryClock::new(start, seed));
        let chance = Arc::new(Chance::new(seed, profile, Arc::clone(&clock)));
        let watch = Arc::new(Watch::default());
        let ports = Ports::new(clock, &chance, &watch);
        let mut world = Self {
            ports: Arc::new(ports),
            chance,
            watch,
            withheld: Withheld::default(),
            definition: shop::DEFINITION.into(),
            places: Places::default(),
            kept: Kept::default(),
            who: "dana".into(),
            is_peaceful: false,
            next_builds: VecDeque::new(),
            answers: Vec::new(),
            crash_at: None,
            crash_after_start: false,
            everything_twice: false,
            retries: false,
            by_chance: false,
            promoted: Vec::new(),
            deliveries: 0,
            router: Arc::clone(router),
            at: shop::REPOSITORY,
            left: BTreeMap::new(),
            tags_compared: BTreeMap::new(),
            deleted: BTreeSet::new(),
            earlier: VecDeque::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            active: Vec::new(),
        };
        world.later(
            Duration::from_secs(60),
            Happening::Job(Arc::new(Job::Sweep)),
        );
        world
    }

    /// The next invocation that starts a build dies before it learns that (F10).
    pub fn crash_after_start(&mut self) {
        self.crash_after_start = true;
    }

    /// Whether the registry denies setting any tag from now on.
    pub fn deny_tags(&mut self, denies: bool) {
        self.ports.images.denies.store(denies, Ordering::Relaxed);
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }

    pub(crate) fn later(&mut self, wait: Duration, happening: Happening) {
        self.sequence += 1;
        let key = (self.now() + wait, self.sequence);
        self.queue.insert(key, happening);
    }

    /// Starts a job now.
    pub fn invoke(&mut self, job: Job) {
        self.later(Duration::ZERO, Happening::Job(Arc::new(job)));
    }

    /// A person sends a command.
    pub fn ask(&mut self, login: &str, command: Command) {
        self.chance.tell(|| format!("{login} asks for {command:?}"));
        self.invoke(Job::Person(shop::person(login), command));
    }
}

/// The compiled rules.
///
/// # Panics
/// When a rule file is broken.
#[must_use]
pub fn router() -> Arc<Router> {
    Arc::new(Router::new(RULES).expect("the rules of events/rules"))
}

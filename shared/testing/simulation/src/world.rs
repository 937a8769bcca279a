//! The world: a virtual clock, events in flight, running invocations, and everyone's next action.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{self, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use towline_answers::{ChatError, Command};
use towline_bus::Router;
use towline_bus::rules::RULES;
use towline_domain::names::{BuildId, CommitSha, GitRef, RepositoryId};
use towline_domain::person::Person;
use towline_domain::run::BuildStatus;
use towline_handlers::start_builds::Settings;
use towline_handlers::{
    Context, advance_stages, deploy_images, plan_runs, promote_images, receive_github,
    record_images, report_status, start_builds, sweep,
};
use towline_ports::memory::{
    MemoryBuilds, MemoryBus, MemoryClock, MemoryImages, MemoryRepository, MemorySource,
    MemoryStatuses, MemoryStore,
};
use towline_ports::{Clock, StartBuild};
use towline_wire::eventbridge::{self, Promoted};
use towline_wire::http::Request;
use towline_wire::signature::{Secret, Secrets};

use crate::ablation::Mechanism;
use crate::chance::Chance;
use crate::faulty::{
    FaultyBuilds, FaultyBus, FaultyImages, FaultySource, FaultyStatuses, FaultyStore,
};
use crate::plan::Act;
use crate::shop;
use crate::watch::Watch;
use crate::weather::{Fault, Profile};

/// How long an invocation may run; then Lambda ends it.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The longest that an invocation stands still, in milliseconds; less than it may run.
const LONGEST_STALL: u64 = 28_000;

/// How wrong a clock can be, either way.
const MOST_SKEW: SignedDuration = SignedDuration::from_secs(5 * 60);

/// The secret that GitHub and the shop share.
const SECRET: &str = "a secret of thirty-two characters, or more";

/// Work for a handler.
#[derive(Debug, Clone)]
pub enum Job {
    /// A webhook arrives.
    Webhook(Request),
    /// An event for a function, and the number of earlier tries.
    Event(String, Arc<Value>, u32),
    /// A minute has passed.
    Sweep,
    /// A person sends a command.
    Person(Person, Command),
}

impl Job {
    /// The function for the job.
    pub(crate) fn function(&self) -> &str {
        match self {
            Self::Webhook(_) => "receive-github",
            Self::Event(function, ..) => function,
            Self::Sweep => "sweep",
            Self::Person(..) => "answer-chat",
        }
    }

    /// The repository whose stage tags are to be compared with the registry.
    fn compares(&self) -> Option<RepositoryId> {
        let Self::Event(_, event, _) = self else {
            return None;
        };
        let is_due = event["detail-type"] == eventbridge::STAGE_TAGS;
        let id = event["detail"]["repository"].as_u64();
        id.filter(|_| is_due).map(RepositoryId)
    }

    /// The commit of the push that is to be planned.
    fn pushed(&self) -> Option<CommitSha> {
        let Self::Event(_, event, _) = self else {
            return None;
        };
        if event["detail-type"] != "Push Accepted" {
            return None;
        }
        event["detail"]["intent"]["commit"].as_str()?.parse().ok()
    }
}

/// The clock of one invocation, which may be wrong.
struct Skewed {
    clock: Arc<MemoryClock>,
    by: SignedDuration,
}

#[async_trait]
impl Clock for Skewed {
    fn now(&self) -> Timestamp {
        self.clock.now() + self.by
    }

    async fn sleep(&self, time: Duration) {
        self.clock.sleep(time).await;
    }

    fn random(&self) -> u64 {
        self.clock.random()
    }
}

/// Something that will happen at some time.
#[derive(Debug, Clone)]
pub(crate) enum Happening {
    /// A handler is invoked.
    Job(Arc<Job>),
    BuildEnds(BuildId, Box<StartBuild>, BuildPlan),
    /// Somebody does something.
    Act(Act),
    /// A branch comes back where it was.
    Recreate(RepositoryId, String, CommitSha, String),
}

#[derive(Debug, Clone, Copy)]
pub struct BuildPlan {
    /// How long it takes.
    pub takes: Duration,
    /// How it ends.
    pub ends: BuildStatus,
    /// What it pushes before it ends.
    pub pushes: Pushes,
}

/// What a build pushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushes {
    /// An image of its own.
    Image,
    /// The same image as every other build of its component with this plan.
    SameImage,
    /// Nothing, regardless of its result.
    Nothing,
    /// An image, and then another under the same tags (A26).
    Twice,
}

impl Default for BuildPlan {
    fn default() -> Self {
        Self {
            takes: Duration::from_secs(120),
            ends: BuildStatus::Succeeded,
            pushes: Pushes::Image,
        }
    }
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

/// The ports of the handlers.
pub struct Ports {
    pub store: FaultyStore,
    pub bus: FaultyBus,
    pub clock: Arc<MemoryClock>,
    /// CodeBuild.
    pub builds: FaultyBuilds,
    /// ECR.
    pub images: FaultyImages,
    /// GitHub.
    pub source: FaultySource,
    /// The statuses beside commits.
    pub statuses: FaultyStatuses,
    secrets: Secrets,
    settings: Settings,
}

type Work = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// A running handler.
struct Invocation {
    job: Arc<Job>,
    since: Timestamp,
    /// Until when it stands still.
    until: Timestamp,
    work: Work,
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
    /// The plans of the next builds; afterwards the default, or a random one.
    pub next_builds: VecDeque<BuildPlan>,
    /// Every answer to a webhook or person, newest last.
    pub answers: Vec<String>,
    /// The I/O step at which an invocation dies, counted from 1.
    pub crash_at: Option<u64>,
    /// Whether the next invocation that starts a build dies before it learns that.
    crash_after_start: bool,
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
    pub(crate) kept: VecDeque<Arc<Job>>,
    queue: BTreeMap<(Timestamp, u64), Happening>,
    sequence: u64,
    active: Vec<Invocation>,
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
        let source = MemorySource::new();
        for id in [shop::REPOSITORY, shop::OTHER] {
            source.add(id, MemoryRepository::new(shop::name_of(id)));
        }
        let secret = Secret::new(SECRET).expect("a secret that is long enough");
        let ports = Ports {
            store: FaultyStore {
                inner: MemoryStore::new(),
                chance: Arc::clone(&chance),
                watch: Arc::clone(&watch),
                late: Mutex::default(),
            },
            bus: FaultyBus {
                inner: MemoryBus::new(),
                chance: Arc::clone(&chance),
            },
            builds: FaultyBuilds {
                inner: MemoryBuilds::new(Arc::clone(&clock), 20),
                chance: Arc::clone(&chance),
                watch: Arc::clone(&watch),
                news: Default::default(),
            },
            images: FaultyImages {
                inner: MemoryImages::new(),
                chance: Arc::clone(&chance),
                watch: Arc::clone(&watch),
                news: Default::default(),
                denies: Default::default(),
                denied: Default::default(),
            },
            source: FaultySource {
                inner: source,
                pushed: Mutex::default(),
                chance: Arc::clone(&chance),
            },
            statuses: FaultyStatuses {
                inner: MemoryStatuses::new(),
                failing: Mutex::new(None),
                chance: Arc::clone(&chance),
                watch: Arc::clone(&watch),
            },
            clock,
            secrets: Secrets::new(secret, None),
            settings: Settings {
                registry: "registry.example".into(),
            },
        };
        let mut world = Self {
            ports: Arc::new(ports),
            chance,
            watch,
            withheld: Withheld::default(),
            definition: shop::DEFINITION.into(),
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
            kept: VecDeque::new(),
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

    /// GitHub's signing key.
    pub(crate) fn secret() -> Secret {
        Secret::new(SECRET).expect("a secret that is long enough")
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

    /// Lets this much time pass, with everything that happens in it.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now() + time;
        while let Some(((at, _), _)) = self.queue.first_key_value()
            && (*at <= end || !self.active.is_empty())
        {
            self.step();
        }
        if self.now() < end {
            self.ports.clock.set(end);
        }
    }

    /// Lets time pass until only sweeps are left to run and only watches are owed.
    ///
    /// # Panics
    /// When that takes more than a day (I14).
    pub fn settle(&mut self) {
        let end = self.now() + Duration::from_secs(24 * 3600);
        while !self.is_settled() {
            assert!(
                self.now() < end,
                "I14: {:#?} is never done:\n{}",
                self.owed(),
                self.view()
            );
            self.step();
        }
    }

    fn is_settled(&self) -> bool {
        let under_way = |happening: &Happening| match happening {
            Happening::Job(job) => !matches!(**job, Job::Sweep),
            Happening::BuildEnds(..) | Happening::Act(_) | Happening::Recreate(..) => true,
        };
        self.active.is_empty()
            && !self.queue.values().any(under_way)
            && self.owes_nothing()
            && self.has_compared()
    }

    /// Does the next thing, and checks the invariants.
    pub fn step(&mut self) {
        let room = self.active.len() < self.chance.profile().concurrency;
        let due = self
            .queue
            .first_key_value()
            .is_some_and(|((at, _), _)| *at <= self.now());
        let start = room && (self.active.is_empty() || (due && self.chance.below(2) == 0))
            || (room
                && !due
                && self.chance.profile().concurrency > 1
                && self.chance.happens(self.chance.profile().jump));
        if start && let Some(((at, _), happening)) = self.queue.pop_first() {
            if at > self.now() {
                self.ports.clock.set(at);
            }
            self.happen(happening);
        }
        let now = self.now();
        let goes_on = |one: &usize| self.active[*one].until <= now;
        let ready: Vec<usize> = (0..self.active.len()).filter(goes_on).collect();
        match ready.as_slice() {
            [] => self.wait(room),
            [one] => self.go_on(*one),
            several => {
                let one = usize::try_from(self.chance.below(several.len() as u64));
                self.go_on(several[one.unwrap_or(0)]);
            }
        }
        if !self.crash_after_start || self.active.is_empty() {
            self.hear();
        }
        // The view locks the watch too, so this lock must be released.
        if !self.watch.look(|known| known.violations.is_empty()) {
            let violations = self.watch.look(|known| known.violations.join("\n"));
            panic!("{violations}\nat {}\n{}", self.now(), self.view());
        }
    }

    /// While every invocation stands still, time passes until one goes on or something else happens.
    fn wait(&mut self, room: bool) {
        let next = self.queue.first_key_value().map(|((at, _), _)| *at);
        let goes_on = self.active.iter().map(|active| active.until).min();
        let until = goes_on.into_iter().chain(next.filter(|_| room)).min();
        if let Some(until) = until.filter(|until| goes_on.is_some() && *until > self.now()) {
            self.ports.clock.set(until);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Job(job) => {
                if matches!(*job, Job::Sweep) {
                    self.later(Duration::from_secs(60), Happening::Job(Arc::clone(&job)));
                    let none = || "a sweep does not take place".into();
                    if self.chance.strikes(Fault::NoSweep, none) || self.withheld.sweeps {
                        return;
                    }
                }
                self.deliveries += 1;
                self.keep(&job);
                let work = self.work(Arc::clone(&job));
                let now = self.now();
                self.active.push(Invocation {
                    job,
                    since: now,
                    until: now,
                    work,
                });
            }
            Happening::BuildEnds(id, start, plan) => self.build_ends(&id, &start, plan),
            Happening::Act(act) => self.act(&act),
            Happening::Recreate(at, branch, commit, title) => {
                let before = std::mem::replace(&mut self.at, at);
                if self.head(&branch).is_none() {
                    self.push_existing(&branch, &commit, &title);
                }
                self.at = before;
            }
        }
    }

    /// Lets one invocation take a step, or die.
    fn go_on(&mut self, one: usize) {
        let wait = if self.by_chance {
            self.chance.up_to(Duration::from_millis(40))
        } else {
            Duration::from_millis(1)
        };
        self.ports.clock.advance(wait);
        let stands = || format!("{} stands still", self.active[one].job.function());
        if let Some(how) = self.chance.struck(Fault::Stall, stands) {
            let how = Duration::from_millis(how % LONGEST_STALL);
            self.active[one].until = self.now() + how;
            return;
        }
        let late = self.active[one].since + TIMEOUT < self.now();
        if late {
            let function = self.active[one].job.function();
            self.chance.tell(|| format!("{function} runs out of time"));
        }
        let started = self.crash_after_start && self.ports.builds.has_news();
        self.crash_after_start &= !started;
        let dies = late
            || started
            || self.crash_at == Some(self.chance.steps() + 1)
            || self.chance.strikes(Fault::Crash, || {
                format!("{} dies", self.active[one].job.function())
            });
        if dies {
            if self.crash_at == Some(self.chance.steps() + 1) {
                self.crash_at = None;
            }
            let invocation = self.active.swap_remove(one);
            self.ended(invocation.job, Err("it died".into()));
            return;
        }
        self.chance.let_act(self.active[one].job.function());
        if let Some(pushed) = self.active[one].job.pushed() {
            let known = &self.ports.source.pushed;
            *known.lock().unwrap_or_else(PoisonError::into_inner) = Some(pushed);
        }
        let mut context = task::Context::from_waker(Waker::noop());
        if let Poll::Ready(result) = self.active[one].work.as_mut().poll(&mut context) {
            let invocation = self.active.swap_remove(one);
            if let Some(id) = invocation.job.compares().filter(|_| result.is_ok()) {
                self.tags_compared.insert(id, invocation.since);
            }
            self.ended(invocation.job, result);
        }
    }

    /// Handles the result of a job.
    fn ended(&mut self, job: Arc<Job>, result: Result<String, String>) {
        let (Ok(said) | Err(said)) = &result;
        self.chance.trace(said);
        self.chance.tell_in_full(|| match &*job {
            Job::Event(function, event, _) => {
                let (kind, detail) = (&event["detail-type"], &event["detail"]);
                format!("{function}: {said} ({kind} {detail})")
            }
            Job::Webhook(_) | Job::Sweep | Job::Person(..) => {
                format!("{}: {said}", job.function())
            }
        });
        match (&*job, result) {
            (Job::Webhook(_) | Job::Person(..), Ok(answer)) => self.answers.push(answer),
            // A caller without an answer asks again.
            (Job::Webhook(_) | Job::Person(..), Err(_)) => {
                let wait = Duration::from_secs(60) + self.chance.up_to(Duration::from_secs(240));
                self.later(wait, Happening::Job(job));
            }
            // Lambda retries an event twice, after one and two minutes, or not at all.
            (Job::Event(function, event, tries), Err(_))
                if *tries < 2
                    && (self.retries || (self.by_chance && self.chance.below(2) == 0)) =>
            {
                let wait = Duration::from_secs(60 * u64::from(tries + 1));
                let job = Job::Event(function.clone(), Arc::clone(event), tries + 1);
                self.later(wait, Happening::Job(Arc::new(job)));
            }
            (Job::Event(..) | Job::Sweep, _) => {}
        }
    }

    fn work(&mut self, job: Arc<Job>) -> Work {
        let ports = Arc::clone(&self.ports);
        let holder = match self.chance.lacks(Mechanism::Fence) {
            true => "the writer".to_owned(),
            false => format!("writer-{}", self.deliveries),
        };
        let wrong = || format!("the clock of {} is wrong", job.function());
        let skew = self.chance.struck(Fault::Skew, wrong);
        let clock = Skewed {
            clock: Arc::clone(&ports.clock),
            by: skew.map_or(SignedDuration::ZERO, wrong_by),
        };
        Box::pin(async move {
            let context = Context {
                store: &ports.store,
                bus: &ports.bus,
                clock: &clock,
            };
            let told = |error: &dyn std::error::Error| error.to_string();
            match &*job {
                Job::Webhook(request) => {
                    let (secrets, request) = (&ports.secrets, request.clone());
                    let response =
                        receive_github::handle(context, &ports.source, secrets, request).await;
                    let text = String::from_utf8_lossy(&response.body).into_owned();
                    let body: Value = serde_json::from_str(&text).unwrap_or_default();
                    let word = body["status"].as_str().unwrap_or("?").to_owned();
                    match response.status {
                        503 => Err("503".into()),
                        status => Ok(format!("{status} {word}")),
                    }
                }
                Job::Event(function, event, _) => {
                    let event =
                        eventbridge::read(Value::clone(event)).map_err(|error| told(&error))?;
                    let done = match function.as_str() {
                        "plan-runs" => {
                            plan_runs::handle(
                                context,
                                &ports.source,
                                &plan_runs::Settings::default(),
                                &event,
                            )
                            .await
                        }
                        "start-builds" => {
                            start_builds::handle(context, &ports.builds, &ports.settings, &event)
                                .await
                        }
                        "record-images" => {
                            record_images::handle(context, &ports.images, &event).await
                        }
                        "advance-stages" => {
                            advance_stages::handle(context, &ports.builds, &event).await
                        }
                        "promote-images" => {
                            let (images, source) = (&ports.images, &ports.source);
                            promote_images::handle(context, images, source, &holder, &event).await
                        }
                        "report-status" => {
                            let settings = report_status::Settings::default();
                            report_status::handle(context, &ports.statuses, &settings, &event).await
                        }
                        "deploy-images" => deploy_images::handle(context, &event).await,
                        other => panic!("there is no function {other}"),
                    };
                    done.map(|()| "done".into()).map_err(|error| told(&error))
                }
                Job::Sweep => {
                    let swept = sweep::handle(context, &ports.builds).await;
                    let compared = match sweep::compares_tags(ports.clock.now()) {
                        true => sweep::compare_tags(context).await,
                        false => Ok(()),
                    };
                    let swept = compared.and(swept);
                    let swept = swept.map_err(|error| told(&error))?;
                    let round = sweep::Round {
                        number: 0,
                        patience: Duration::from_secs(120),
                    };
                    let source = &ports.source;
                    let compared = sweep::compare_heads(context, source, source, &round).await;
                    let compared = compared.map_err(|error| told(&error))?;
                    Ok(format!("{swept:?} {}", compared.found))
                }
                Job::Person(person, command) => {
                    match towline_answers::tell(context, person, command.clone()).await {
                        Ok(towline_answers::Answer::Done { message, .. }) => Ok(message),
                        Ok(other) => Ok(format!("{other:?}")),
                        Err(ChatError::Refused(why)) => Ok(format!("refused: {why}")),
                        Err(ChatError::Failed(error)) => Err(told(&error)),
                    }
                }
            }
        })
    }

    /// Puts an event on the bus, which may lose it, duplicate it or delay it.
    pub fn emit(&mut self, event: Value) {
        let event = Arc::new(event);
        let profile = self.chance.profile();
        let kind = event["detail-type"].as_str().unwrap_or_default();
        for function in self.router.functions(&event) {
            let told = |what: &str| format!("{kind} for {function} {what}");
            let twice = self.everything_twice
                || self
                    .chance
                    .strikes(Fault::Duplicate, || told("comes twice"));
            let times = 1 + u32::from(twice);
            for _ in 0..times {
                if self.chance.strikes(Fault::Lose, || told("is lost")) {
                    continue;
                }
                let wait = self.chance.late(profile.delay, || told("is late"));
                let job = Job::Event(function.clone(), Arc::clone(&event), 0);
                self.later(wait, Happening::Job(Arc::new(job)));
            }
        }
    }
}

/// How wrong a clock is: at most five minutes, so that two differ by at most ten.
fn wrong_by(how: u64) -> SignedDuration {
    let most = MOST_SKEW.as_millis().unsigned_abs();
    let most = u64::try_from(most).unwrap_or(u64::MAX);
    let by = i64::try_from(how % (2 * most + 1)).unwrap_or(0);
    SignedDuration::from_millis(by) - MOST_SKEW
}

/// The compiled rules.
///
/// # Panics
/// When a rule file is broken.
#[must_use]
pub fn router() -> Arc<Router> {
    Arc::new(Router::new(RULES).expect("the rules of events/rules"))
}

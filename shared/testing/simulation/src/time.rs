//! Lets time pass: one thing after another happens, and running handlers take their steps.

use std::sync::{Arc, PoisonError};
use std::task::{self, Poll, Waker};
use std::time::Duration;

use crate::invocation::Invocation;
use crate::job::Job;
use crate::mechanism::Mechanism;
use crate::weather::Fault;
use crate::world::{Happening, World};

/// How long an invocation may run; then Lambda ends it.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The longest that an invocation stands still, in milliseconds; less than it may run.
const LONGEST_STALL: u64 = 28_000;

impl World {
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
            Happening::BuildEnds(..)
            | Happening::Act(_)
            | Happening::Denies(_)
            | Happening::Recreate(..) => true,
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
                self.start(job);
            }
            Happening::BuildEnds(id, start, plan) => self.build_ends(&id, &start, plan),
            Happening::Act(act) => self.act(&act),
            Happening::Denies(denies) => {
                self.chance.tell(|| match denies {
                    true => "from now on, the registry denies setting tags".into(),
                    false => "the registry allows setting tags again".into(),
                });
                self.deny_tags(denies);
            }
            Happening::Recreate(at, branch, commit, title) => {
                let before = std::mem::replace(&mut self.at, at);
                if self.head(&branch).is_none() {
                    self.push_existing(&branch, &commit, &title);
                }
                self.at = before;
            }
        }
    }

    /// Starts the handler of a job.
    fn start(&mut self, job: Arc<Job>) {
        let holder = match self.chance.lacks(Mechanism::Fence) {
            true => "the writer".to_owned(),
            false => format!("writer-{}", self.deliveries),
        };
        let wrong = || format!("the clock of {} is wrong", job.function());
        let skew = self.chance.struck(Fault::Skew, wrong);
        let ports = Arc::clone(&self.ports);
        let invocation = Invocation::new(job, ports, holder, skew);
        self.active.push(invocation);
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
            let swept = matches!(*invocation.job, Job::Sweep) && result.is_ok();
            if swept && self.is_peaceful {
                self.watch.swept(invocation.since);
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
}

//! Decides what follows from a fact that concerns a run.

mod parts;
mod step;

use super::{
    Attempt, AttemptState, ComponentRun, Decision, Fact, NewAttempt, NotRetried, Note, Refusal,
    Request, Run, Said,
};
use crate::Timestamp;
use crate::intent::{AttemptRef, Intent};
use crate::ledger::{OfBuild, WhatOfBuild};
use crate::names::{AttemptId, ComponentName};
use crate::person::{Actor, Person};

use step::Step;

/// Decides what follows from a fact. The same fact twice changes nothing the second time (I11).
#[must_use]
pub fn advance(run: Run, fact: &Fact, now: Timestamp) -> Decision {
    let mut decision = Decision {
        run,
        changed: false,
        intents: Vec::new(),
        refused: None,
        said: None,
    };
    match fact {
        Fact::BuildBound(attempt, build) => decision.on(attempt, now, |step| step.bind(build)),
        Fact::BuildRefused(attempt, why) => decision.on(attempt, now, |step| step.refuse(why)),
        Fact::BuildDelayed(attempt, why) => decision.on(attempt, now, |step| step.delay(why)),
        Fact::BuildReported(attempt, report) => {
            decision.on(attempt, now, |step| step.report(report));
        }
        Fact::ImageRead {
            attempt,
            digest,
            contradicts,
        } => decision.on(attempt, now, |step| {
            step.read_image(digest, contradicts.as_ref());
        }),
        Fact::ImageMissing(attempt) => decision.on(attempt, now, |step| {
            step.miss_image();
        }),
        Fact::IndexPut {
            attempt,
            index,
            found,
        } => decision.on(attempt, now, |step| step.take_index(index, found)),
        Fact::IndexRefused(attempt, why) => {
            decision.on(attempt, now, |step| step.refuse_index(why));
        }
        Fact::DeadlinePassed(attempt) => decision.on(attempt, now, |step| {
            step.give_up();
        }),
        Fact::Superseded(component, by) => {
            let (by, crowded) = (by.clone(), None);
            decision.stop(component, &AttemptState::Superseded { by, crowded }, now);
        }
        Fact::CancelRequested {
            component,
            build,
            by,
        } => decision.cancel(component, *build, by, now),
        Fact::RetryRequested {
            component,
            after,
            by,
            next,
        } => decision.retry(component, *after, by.as_ref(), next, now),
        Fact::Denied {
            component,
            build,
            by,
            request,
            reason,
        } => decision.deny((component, *build), by, *request, reason.clone()),
        Fact::RetryRefused {
            component,
            after,
            why,
        } => decision.refuse_retry(component, *after, why),
    }
    decision
}

impl Decision {
    /// Changes one attempt, or a part of one; an attempt of another run is ignored.
    fn on(&mut self, attempt: &AttemptId, now: Timestamp, take: impl FnOnce(&mut Step<'_>)) {
        let found = self
            .run
            .components
            .iter_mut()
            .find_map(|(name, component)| {
                let mut attempts = component.attempts.iter_mut();
                attempts
                    .find(|known| known.all().any(|part| part.id == *attempt))
                    .map(|known| (name, &component.repository, known))
            });
        let Some((component, repository, whole)) = found else {
            return;
        };
        let before = whole.clone();
        let commit = &self.run.key.commit;
        let of = AttemptRef {
            run: self.run.id.clone(),
            component: component.clone(),
            attempt: attempt.clone(),
        };
        let mut step = Step {
            of,
            commit,
            repository,
            attempt: whole,
            intents: &mut self.intents,
            notes: Vec::new(),
            now,
        };
        if step.attempt.id == *attempt {
            take(&mut step);
        } else {
            step.part(take);
        }
        let notes = std::mem::take(&mut step.notes);
        self.changed |= *step.attempt != before;
        for note in notes {
            if !self.run.notes.contains(&note) {
                self.run.notes.push(note);
                self.changed = true;
            }
        }
    }

    /// Stops the component's latest attempt if it still runs; returns whether it did.
    fn stop(&mut self, component: &ComponentName, state: &AttemptState, now: Timestamp) -> bool {
        let Some(latest) = self.run.components.get(component).map(ComponentRun::latest) else {
            return false;
        };
        if latest.state.is_terminal() {
            return false;
        }
        let id = latest.id.clone();
        self.on(&id, now, |step| step.end(state));
        true
    }

    fn cancel(&mut self, component: &ComponentName, build: u64, by: &Person, now: Timestamp) {
        let latest = self.run.components.get(component).map(ComponentRun::latest);
        let newest = latest.map_or(build, |latest| latest.build_number);
        let denial = if newest != build {
            Some(Refusal::FollowedBy { build, newest })
        } else if self.stop(component, &AttemptState::Cancelled { by: by.into() }, now) {
            None
        } else {
            let (component, commit) = (component.clone(), self.run.key.commit.clone());
            Some(Refusal::NotRunning { component, commit })
        };
        match denial {
            Some(reason) => self.deny((component, build), by, Request::Cancel, reason),
            None => self.say((component, build), by, WhatOfBuild::Cancelled),
        }
    }

    /// Refuses a person's request, and records that.
    fn deny(&mut self, of: (&ComponentName, u64), by: &Person, request: Request, reason: Refusal) {
        self.refused = Some(reason.clone());
        self.say(of, by, WhatOfBuild::Denied { request, reason });
    }

    fn say(&mut self, (component, build): (&ComponentName, u64), by: &Person, what: WhatOfBuild) {
        self.said = Some(Said {
            by: by.clone(),
            what: OfBuild {
                component: component.clone(),
                build,
                commit: self.run.key.commit.clone(),
                what,
            },
        });
    }

    fn retry(
        &mut self,
        component: &ComponentName,
        after: u32,
        by: Option<&Person>,
        next: &NewAttempt,
        now: Timestamp,
    ) {
        let build = self.build_of(component, after);
        match (self.not_repeatable(component, after), by) {
            (None, _) => self.repeat(component, after, by, next, now),
            // Asked twice by a machine: the attempt is there already.
            (Some(Refusal::FollowedBy { .. }), None) => {}
            (Some(reason), None) => self.refused = Some(reason),
            (Some(reason), Some(by)) => {
                self.deny((component, build), by, Request::Retry, reason);
            }
        }
    }

    /// The build's number of an attempt; 0 if there is no such attempt.
    fn build_of(&self, component: &ComponentName, number: u32) -> u64 {
        let attempts = self.run.components.get(component).into_iter();
        let mut attempts = attempts.flat_map(|known| &known.attempts);
        let found = attempts.find(|attempt| attempt.number == number);
        found.map_or(0, |found| found.build_number)
    }

    /// Why attempt `after` of a component cannot be repeated.
    fn not_repeatable(&self, component: &ComponentName, after: u32) -> Option<Refusal> {
        let Some(known) = self.run.components.get(component) else {
            let (component, run) = (component.clone(), self.run.id.clone());
            return Some(Refusal::NotBuilt { component, run });
        };
        let (build, latest) = (self.build_of(component, after), known.latest());
        let component = component.clone();
        if latest.number != after {
            let newest = latest.build_number;
            Some(Refusal::FollowedBy { build, newest })
        } else if !latest.state.is_terminal() {
            Some(Refusal::NotEnded { component, build })
        } else if latest.state == AttemptState::Succeeded {
            Some(Refusal::Succeeded { component, build })
        } else {
            None
        }
    }

    /// Adds another attempt, which repeats attempt `after`.
    fn repeat(
        &mut self,
        component: &ComponentName,
        after: u32,
        by: Option<&Person>,
        next: &NewAttempt,
        now: Timestamp,
    ) {
        let run = self.run.id.clone();
        let Some(known) = self.run.components.get_mut(component) else {
            return;
        };
        let repeated = known.latest().build_number;
        let interrupted = known.latest().interruptions();
        self.run.notes.push(Note::TriedAgain {
            component: component.clone(),
            build: repeated,
            again: next.build_number,
            by: by.map_or(Actor::System, Actor::from),
        });
        let number = after + 1;
        let id = Attempt::id(&run, component, number);
        let attempt = Attempt {
            interrupted,
            ..Attempt::due(id, number, next.clone(), now)
        };
        for part in attempt.builds() {
            self.intents.push(Intent::BuildDue(AttemptRef {
                run: run.clone(),
                component: component.clone(),
                attempt: part.id.clone(),
            }));
        }
        known.attempts.push(attempt);
        known.not_retried = None;
        self.changed = true;
        if let Some(by) = by {
            let next = next.build_number;
            self.say((component, repeated), by, WhatOfBuild::Retried { next });
        }
    }

    /// Notes that a retry that should happen cannot, unless there has been one meanwhile.
    fn refuse_retry(&mut self, component: &ComponentName, after: u32, why: &NotRetried) {
        let Some(known) = self.run.components.get_mut(component) else {
            return;
        };
        let latest = known.latest();
        if latest.number == after
            && matches!(latest.state, AttemptState::Failed { .. })
            && known.not_retried.is_none()
        {
            known.not_retried = Some(why.clone());
            self.changed = true;
        }
    }
}

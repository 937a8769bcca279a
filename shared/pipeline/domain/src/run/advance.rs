//! Decides what follows from a fact that concerns a run.

mod parts;
mod step;

use super::{
    Attempt, AttemptState, ComponentRun, Decision, Fact, NewAttempt, NotRetried, Refusal, Run,
};
use crate::Timestamp;
use crate::intent::{AttemptRef, Intent};
use crate::names::{AttemptId, ComponentName};
use crate::person::Actor;

use step::Step;

/// Decides what follows from a fact. The same fact twice changes nothing the second time (I11).
#[must_use]
pub fn advance(run: Run, fact: &Fact, now: Timestamp) -> Decision {
    let mut decision = Decision {
        run,
        changed: false,
        intents: Vec::new(),
        refused: None,
    };
    match fact {
        Fact::BuildBound(attempt, build) => decision.on(attempt, now, |step| step.bind(build)),
        Fact::BuildRefused(attempt, why) => decision.on(attempt, now, |step| step.refuse(why)),
        Fact::BuildDelayed(attempt, reason) => decision.on(attempt, now, |step| step.delay(reason)),
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
        Fact::CancelRequested(component, by) => decision.cancel(component, by, now),
        Fact::RetryRequested {
            component,
            after,
            by,
            next,
        } => decision.retry(component, *after, by, next, now),
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

    fn cancel(&mut self, component: &ComponentName, by: &Actor, now: Timestamp) {
        let stopped = self.stop(component, &AttemptState::Cancelled { by: by.clone() }, now);
        if !stopped {
            let (component, commit) = (component.clone(), self.run.key.commit.clone());
            self.refused = Some(Refusal::NotRunning { component, commit });
        }
    }

    fn retry(
        &mut self,
        component: &ComponentName,
        after: u32,
        by: &Actor,
        next: &NewAttempt,
        now: Timestamp,
    ) {
        let run = self.run.id.clone();
        let Some(known) = self.run.components.get_mut(component) else {
            let component = component.clone();
            self.refused = Some(Refusal::NotBuilt { component, run });
            return;
        };
        let latest = known.latest();
        if latest.number != after {
            return; // asked twice: the attempt is there already
        }
        if !latest.state.is_terminal() || latest.state == AttemptState::Succeeded {
            let (component, build) = (component.clone(), latest.build_number);
            self.refused = Some(match latest.state.is_terminal() {
                true => Refusal::Succeeded { component, build },
                false => Refusal::NotEnded { component, build },
            });
            return;
        }
        self.run.notes.push(format!(
            "build#{} of {component} is tried again as build#{} by {by}",
            latest.build_number, next.build_number
        ));
        let number = after + 1;
        let attempt = Attempt::due(
            Attempt::id(&run, component, number),
            number,
            next.clone(),
            now,
        );
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

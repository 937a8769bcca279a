//! Decides what follows from a fact that concerns a run.

use super::{
    Attempt, AttemptState, BuildReport, BuildStatus, ComponentRun, Contradiction, Decision, Fact,
    Failure, MOST_ATTEMPTS, NewAttempt, NoIndex, NotRetried, NotStarted, Refusal, Run,
};
use crate::Timestamp;
use crate::intent::{AttemptRef, Intent};
use crate::names::{AttemptId, BuildId, CommitSha, ComponentName, Digest, ImageRepository};
use crate::person::Actor;

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
        Fact::BuildRefused(attempt, why) => {
            decision.on(attempt, now, |step| step.refuse(why, now));
        }
        Fact::BuildDelayed(attempt, reason) => decision.on(attempt, now, |step| step.delay(reason)),
        Fact::BuildReported(attempt, report) => {
            decision.on(attempt, now, |step| step.report(report, now));
        }
        Fact::ImageRead {
            attempt,
            digest,
            contradicts,
        } => {
            decision.on(attempt, now, |step| {
                step.read_image(digest, contradicts.as_ref(), now);
            });
        }
        Fact::ImageMissing(attempt) => decision.on(attempt, now, |step| step.miss_image(now)),
        Fact::IndexPut {
            attempt,
            index,
            found,
        } => decision.on(attempt, now, |step| step.take_index(index, found, now)),
        Fact::IndexRefused(attempt, why) => {
            decision.on(attempt, now, |step| step.refuse_index(why, now));
        }
        Fact::DeadlinePassed(attempt) => decision.on(attempt, now, |step| step.give_up(now)),
        Fact::Superseded(component, by) => {
            decision.stop(component, &AttemptState::Superseded { by: by.clone() }, now);
        }
        Fact::CancelRequested(component, by) => {
            let stopped =
                decision.stop(component, &AttemptState::Cancelled { by: by.clone() }, now);
            if !stopped {
                let (component, commit) = (component.clone(), decision.run.key.commit.clone());
                decision.refused = Some(Refusal::NotRunning { component, commit });
            }
        }
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
        };
        if step.attempt.id == *attempt {
            take(&mut step);
        } else {
            step.part(take, now);
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
        self.on(&id, now, |step| step.end(state, now));
        true
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

/// One attempt, or a part of one, during a change.
struct Step<'a> {
    of: AttemptRef,
    /// The commit that was pushed.
    commit: &'a CommitSha,
    repository: &'a ImageRepository,
    attempt: &'a mut Attempt,
    intents: &'a mut Vec<Intent>,
    notes: Vec<String>,
}

impl Step<'_> {
    /// Changes the named part, and then the whole attempt as a consequence.
    fn part(&mut self, take: impl FnOnce(&mut Step<'_>), now: Timestamp) {
        let was_complete = self.attempt.index().is_some();
        let mut legs = std::mem::take(&mut self.attempt.legs);
        if let Some(leg) = legs.iter_mut().find(|leg| leg.id == self.of.attempt) {
            let mut step = Step {
                of: self.of.clone(),
                commit: self.commit,
                repository: self.repository,
                attempt: leg,
                intents: self.intents,
                notes: Vec::new(),
            };
            take(&mut step);
            self.notes.append(&mut step.notes);
        }
        self.attempt.legs = legs;
        self.of.attempt = self.attempt.id.clone();
        if !self.attempt.state.is_terminal() {
            self.follow_parts(was_complete, now);
        }
    }

    /// If one part ends without success, the others end too; once all have succeeded, their index is owed.
    fn follow_parts(&mut self, was_complete: bool, now: Timestamp) {
        let legs = &self.attempt.legs;
        let failed = legs
            .iter()
            .find(|leg| leg.state.is_terminal() && leg.state != AttemptState::Succeeded);
        if let Some(leg) = failed {
            let state = leg.state.clone();
            self.attempt.ended_at = leg.ended_at;
            self.end(&state, now);
            self.try_again();
            return;
        }
        self.attempt.started_at = legs.iter().filter_map(|leg| leg.started_at).min();
        if legs.iter().all(|leg| leg.state == AttemptState::Due) {
            self.attempt.waiting = legs.iter().find_map(|leg| {
                let (platform, reason) = leg.platform.as_ref().zip(leg.waiting.as_ref())?;
                Some(format!("{platform}: {reason}"))
            });
            return;
        }
        let complete = self.attempt.index().is_some();
        self.attempt.waiting = None;
        self.attempt.state = AttemptState::Building;
        if complete && !was_complete {
            self.intents.push(Intent::IndexDue(self.of.clone()));
        }
    }

    /// Records that the index of all parts was put: the registry was read back, so this is both
    /// halves of the evidence (I6). Anything else under the unique tag was not ours (A26).
    fn take_index(&mut self, index: &Digest, found: &Digest, now: Timestamp) {
        if self.attempt.state.is_terminal() || self.attempt.index().is_none() {
            return;
        }
        let seen = self.attempt.image.clone().unwrap_or_else(|| index.clone());
        if let Some(other) = [&seen, found].into_iter().find(|seen| *seen != index) {
            let why = Contradiction::NotTheIndex {
                tag: self.attempt.unique_tag.clone(),
                index: index.clone(),
                other: other.clone(),
            };
            self.end(&AttemptState::Held { why }, now);
            return;
        }
        let legs = &mut self.attempt.legs;
        self.attempt.ended_at = legs.iter().filter_map(|leg| leg.ended_at).max();
        // Kept once: if several parts have an output of the same name, the first platform's.
        let left = legs.iter_mut().map(|leg| std::mem::take(&mut leg.outputs));
        for (name, value) in left.flatten() {
            self.attempt.outputs.entry(name).or_insert(value);
        }
        self.attempt.image = Some(index.clone());
        self.attempt.build_succeeded = true;
        self.settle();
    }

    fn refuse_index(&mut self, why: &NoIndex, now: Timestamp) {
        if self.attempt.index().is_some() {
            self.end_failed(Failure::NoIndex { why: why.clone() }, now);
        }
    }

    /// Binds the first build that is reported; all others are stopped (I5, F15).
    fn bind(&mut self, build: &BuildId) {
        match &self.attempt.build {
            Some(bound) if bound == build => {}
            None if self.may_bind() => {
                self.attempt.build = Some(build.clone());
                self.attempt.waiting = None;
                self.attempt.state = AttemptState::Building;
                self.intents.push(Intent::BuildWatchDue(self.of.clone()));
                self.settle();
            }
            Some(_) | None => self.intents.push(Intent::BuildStopDue {
                build: build.clone(),
            }),
        }
    }

    /// An attempt with parts has no build of its own.
    fn may_bind(&self) -> bool {
        !self.attempt.state.is_terminal() && self.attempt.legs.is_empty()
    }

    fn refuse(&mut self, why: &NotStarted, now: Timestamp) {
        if self.attempt.state == AttemptState::Due {
            self.end_failed(Failure::NotStarted { why: why.clone() }, now);
        }
    }

    fn delay(&mut self, reason: &str) {
        if self.attempt.state == AttemptState::Due {
            self.attempt.waiting = Some(reason.into());
        }
    }

    /// Applies a report on the bound build, and binds it if it is the first one (F4).
    fn report(&mut self, report: &BuildReport, now: Timestamp) {
        if self.attempt.build.is_none() && self.may_bind() {
            self.bind(&report.build);
        }
        if self.attempt.build.as_ref() != Some(&report.build) {
            if report.status == BuildStatus::InProgress {
                self.intents.push(Intent::BuildStopDue {
                    build: report.build.clone(),
                });
            }
            return;
        }
        if self.attempt.state.is_terminal() || self.attempt.build_succeeded {
            return;
        }
        if let Some(built) = report.commit.as_ref().filter(|built| *built != self.commit) {
            let why = Contradiction::OtherCommit {
                built: built.clone(),
                pushed: self.commit.clone(),
            };
            self.end(&AttemptState::Held { why }, now);
            return;
        }
        match report.status {
            BuildStatus::InProgress => {
                self.attempt.started_at = self.attempt.started_at.or(report.started_at);
            }
            BuildStatus::Succeeded => {
                self.take_times(report);
                self.attempt.build_succeeded = true;
                self.attempt.outputs.clone_from(&report.outputs);
                self.settle();
                if !self.attempt.state.is_terminal() {
                    self.intents.push(Intent::ImageDue {
                        of: self.of.clone(),
                        repository: self.repository.clone(),
                        tag: self.attempt.unique_tag.clone(),
                    });
                }
            }
            BuildStatus::Failed
            | BuildStatus::Fault
            | BuildStatus::Stopped
            | BuildStatus::TimedOut => {
                self.take_times(report);
                self.fail(report);
            }
        }
    }

    fn take_times(&mut self, report: &BuildReport) {
        self.attempt.started_at = report.started_at;
        self.attempt.ended_at = report.ended_at;
    }

    fn fail(&mut self, report: &BuildReport) {
        self.attempt.image = None;
        self.attempt.state = AttemptState::Failed {
            platform: self.attempt.platform.clone(),
            why: Failure::Build {
                status: report.status,
                said: report.reason.clone(),
            },
        };
        self.try_again();
    }

    /// Retries, with all parts, an attempt that failed through no fault of the repository.
    fn try_again(&mut self) {
        let is_fault = self.attempt.state.is_fault();
        let is_whole = self.attempt.platform.is_none();
        if is_fault && is_whole && self.attempt.number < MOST_ATTEMPTS {
            self.intents.push(Intent::BuildRetryDue {
                run: self.of.run.clone(),
                component: self.of.component.clone(),
                after: self.attempt.number,
            });
        }
    }

    /// Records the digest under the unique tag; the first one counts (A26, A27).
    fn read_image(&mut self, digest: &Digest, contradicts: Option<&Digest>, now: Timestamp) {
        let tag = self.attempt.unique_tag.clone();
        let known = self.attempt.image.clone().filter(|known| known != digest);
        let said = contradicts.filter(|said| *said != digest);
        let contradiction = match (known, said) {
            (Some(was), _) => Some(Contradiction::PushedTwice {
                tag,
                was,
                is: digest.clone(),
            }),
            (None, Some(said)) => Some(Contradiction::EventDiffers {
                tag,
                said: said.clone(),
                held: digest.clone(),
            }),
            (None, None) => None,
        };
        match contradiction {
            Some(why) if self.attempt.state.is_terminal() => {
                if self.attempt.state == AttemptState::Succeeded {
                    self.notes.push(why.to_string());
                }
            }
            Some(why) => self.end(&AttemptState::Held { why }, now),
            None if self.attempt.state.is_terminal() => {}
            None => {
                self.attempt.image = Some(digest.clone());
                self.settle();
            }
        }
    }

    fn miss_image(&mut self, now: Timestamp) {
        if !self.attempt.state.is_terminal()
            && self.attempt.build_succeeded
            && self.attempt.image.is_none()
        {
            let why = Failure::NothingPushed {
                repository: self.repository.clone(),
                tag: self.attempt.unique_tag.clone(),
            };
            self.end_failed(why, now);
        }
    }

    fn give_up(&mut self, now: Timestamp) {
        if !self.attempt.state.is_terminal() && now >= self.attempt.deadline {
            let deadline = self.attempt.deadline;
            self.end_failed(Failure::NoResult { deadline }, now);
        }
    }

    /// Success needs both halves of the evidence, in any order (F5, I6).
    fn settle(&mut self) {
        if self.attempt.state == AttemptState::Building
            && self.attempt.build_succeeded
            && self.attempt.image.is_some()
        {
            self.attempt.state = AttemptState::Succeeded;
        }
    }

    /// Ends it as failed, unless it has ended.
    fn end_failed(&mut self, why: Failure, now: Timestamp) {
        let platform = self.attempt.platform.clone();
        self.end(&AttemptState::Failed { platform, why }, now);
    }

    /// Ends it, unless it has ended.
    fn end(&mut self, state: &AttemptState, now: Timestamp) {
        end(self.attempt, state, now, self.intents);
    }
}

/// Ends an attempt that has not ended, with its parts; its build, if it runs, is stopped.
fn end(attempt: &mut Attempt, state: &AttemptState, now: Timestamp, intents: &mut Vec<Intent>) {
    if attempt.state.is_terminal() {
        return;
    }
    for leg in &mut attempt.legs {
        end(leg, state, now, intents);
    }
    if let (Some(build), false) = (&attempt.build, attempt.build_succeeded) {
        intents.push(Intent::BuildStopDue {
            build: build.clone(),
        });
    }
    attempt.ended_at = attempt.ended_at.or(Some(now));
    attempt.waiting = None;
    attempt.state = state.clone();
}

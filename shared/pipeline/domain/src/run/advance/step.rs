//! Applies a fact to an attempt, or to a part of one.

use crate::Timestamp;
use crate::intent::{AttemptRef, Intent};
use crate::names::{BuildId, CommitSha, Digest, ImageRepository};
use crate::run::{
    Attempt, AttemptState, BuildReport, BuildStatus, Contradiction, Delay, Failure, MOST_ATTEMPTS,
    MOST_INTERRUPTIONS, NotStarted, Note,
};

/// One attempt, or a part of one, during a change.
pub(super) struct Step<'a> {
    pub(super) of: AttemptRef,
    /// The commit that was pushed.
    pub(super) commit: &'a CommitSha,
    pub(super) repository: &'a ImageRepository,
    pub(super) attempt: &'a mut Attempt,
    pub(super) intents: &'a mut Vec<Intent>,
    /// What a person should know about the run.
    pub(super) notes: Vec<Note>,
    pub(super) now: Timestamp,
}

impl Step<'_> {
    /// Binds the first build that is reported; all others are stopped (I5, F15).
    pub(super) fn bind(&mut self, build: &BuildId) {
        match &self.attempt.build {
            Some(bound) if bound == build => {}
            None if self.may_bind() => {
                self.attempt.build = Some(build.clone());
                if let Some(Delay::Denied(_)) = self.attempt.waiting.take() {
                    // It has waited for a person; its own time begins now.
                    let time = self.attempt.deadline.duration_since(self.attempt.due_at);
                    self.attempt.deadline = self.now + time.unsigned_abs();
                }
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
        !self.attempt.state.is_terminal() && self.attempt.parts.is_empty()
    }

    pub(super) fn refuse(&mut self, why: &NotStarted) {
        if self.attempt.state == AttemptState::Due {
            self.end_failed(Failure::NotStarted { why: why.clone() });
        }
    }

    pub(super) fn delay(&mut self, why: &Delay) {
        let is_index_owed = self.attempt.index().is_some() && !self.attempt.state.is_terminal();
        if self.attempt.state == AttemptState::Due || is_index_owed {
            self.attempt.waiting = Some(why.clone());
        }
    }

    /// Applies a report on the bound build, and binds it if it is the first one (F4).
    pub(super) fn report(&mut self, report: &BuildReport) {
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
            self.end(&AttemptState::Held { why });
            return;
        }
        if let Some(gave_way) = &report.gave_way {
            let (by, crowded) = (gave_way.to.clone(), Some(gave_way.why));
            self.end(&AttemptState::Superseded { by, crowded });
            return;
        }
        match report.status {
            BuildStatus::InProgress => {
                self.attempt.started_at = self.attempt.started_at.or(report.started_at);
            }
            BuildStatus::Succeeded => self.succeed(report),
            BuildStatus::Failed
            | BuildStatus::Fault
            | BuildStatus::Stopped
            | BuildStatus::TimedOut => self.fail(report),
        }
    }

    /// Records that the build succeeded. Until its image is found, that is only half of the evidence.
    fn succeed(&mut self, report: &BuildReport) {
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

    fn fail(&mut self, report: &BuildReport) {
        self.take_times(report);
        self.attempt.image = None;
        self.attempt.state = AttemptState::Failed {
            platform: self.attempt.platform.clone(),
            why: Failure::Build {
                status: report.status,
                said: report.reason.clone(),
                interrupted: report.interrupted,
            },
        };
        self.try_again();
    }

    fn take_times(&mut self, report: &BuildReport) {
        self.attempt.started_at = report.started_at;
        self.attempt.ended_at = report.ended_at;
    }

    /// Retries, with all parts, an attempt that failed through no fault of the repository. A restart
    /// of Towline uses up none of its tries.
    pub(super) fn try_again(&mut self) {
        let is_fault = self.attempt.state.is_fault();
        let is_whole = self.attempt.platform.is_none();
        let interruptions = self.attempt.interruptions();
        let tries = self.attempt.number.saturating_sub(interruptions);
        let may = tries < MOST_ATTEMPTS && interruptions <= MOST_INTERRUPTIONS;
        if is_fault && is_whole && may {
            self.intents.push(Intent::BuildRetryDue {
                run: self.of.run.clone(),
                component: self.of.component.clone(),
                after: self.attempt.number,
            });
        }
    }

    /// Records the digest under the unique tag; the first one counts (A26, A27).
    pub(super) fn read_image(&mut self, digest: &Digest, contradicts: Option<&Digest>) {
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
                    self.notes.push(Note::Contradicted(why));
                }
            }
            Some(why) => self.end(&AttemptState::Held { why }),
            None if self.attempt.state.is_terminal() => {}
            None => {
                self.attempt.image = Some(digest.clone());
                self.settle();
            }
        }
    }

    pub(super) fn miss_image(&mut self) {
        if !self.attempt.state.is_terminal()
            && self.attempt.build_succeeded
            && self.attempt.image.is_none()
        {
            let why = Failure::NothingPushed {
                repository: self.repository.clone(),
                tag: self.attempt.unique_tag.clone(),
            };
            self.end_failed(why);
        }
    }

    /// Ends an attempt without a result in time. A build that is known to have succeeded has one: its
    /// image is looked for until it is found or known to be missing.
    pub(super) fn give_up(&mut self) {
        let is_open = !self.attempt.state.is_terminal() && !self.attempt.build_succeeded;
        if is_open && self.now >= self.attempt.deadline {
            let deadline = self.attempt.deadline;
            self.end_failed(Failure::NoResult { deadline });
        }
    }

    /// Success needs both halves of the evidence, in any order (F5, I6).
    pub(super) fn settle(&mut self) {
        if self.attempt.state == AttemptState::Building
            && self.attempt.build_succeeded
            && self.attempt.image.is_some()
        {
            self.attempt.state = AttemptState::Succeeded;
        }
    }

    /// Ends it as failed, unless it has ended.
    pub(super) fn end_failed(&mut self, why: Failure) {
        let platform = self.attempt.platform.clone();
        self.end(&AttemptState::Failed { platform, why });
    }

    /// Ends it, unless it has ended.
    pub(super) fn end(&mut self, state: &AttemptState) {
        end(self.attempt, state, self.now, self.intents);
    }
}

/// Ends an attempt that has not ended, with its parts; its build, if it runs, is stopped.
fn end(attempt: &mut Attempt, state: &AttemptState, now: Timestamp, intents: &mut Vec<Intent>) {
    if attempt.state.is_terminal() {
        return;
    }
    for part in &mut attempt.parts {
        end(part, state, now, intents);
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

//! Checks each change of a run.

use std::sync::Arc;

use towline_domain::names::ImageRepository;
use towline_domain::run::{Attempt, AttemptState, BuildStatus, Failure, Run};

use super::Known;

impl Known {
    pub(super) fn run(&mut self, after: Arc<Run>) {
        self.must(after.id == after.key.id(), || {
            format!("I1: run {} is not that of its key", after.id)
        });
        match self.runs.remove(&after.id) {
            None => self.takes_over(&after),
            Some(before) => {
                self.must(
                    (&before.key, before.order) == (&after.key, after.order),
                    || format!("I1: run {} is another one", after.id),
                );
                for (name, component) in &before.components {
                    for (position, attempt) in component.attempts.iter().enumerate() {
                        let later = after
                            .components
                            .get(name)
                            .and_then(|component| component.attempts.get(position));
                        self.attempt(attempt, later);
                    }
                }
            }
        }
        for component in after.components.values() {
            for (number, attempt) in (1..).zip(&component.attempts) {
                self.must(attempt.number == number, || {
                    format!("I2: attempt {} has number {}", attempt.id, attempt.number)
                });
                self.evidence(&component.repository, attempt);
            }
            let running = component.attempts.iter().rev().skip(1);
            let over = running
                .filter(|attempt| !attempt.state.is_terminal())
                .count()
                == 0;
            self.must(over, || {
                format!("I10: two attempts of run {} at once", after.id)
            });
        }
        self.runs.insert(after.id.clone(), after);
    }

    /// A new run must end the builds of older ones of its ref, component by component.
    fn takes_over(&mut self, new: &Run) {
        let older = self.runs.values().filter(|run| {
            (run.key.repository, &run.key.git_ref) == (new.key.repository, &new.key.git_ref)
                && run.order < new.order
        });
        let mut forgotten = Vec::new();
        for run in older {
            for name in new.components.keys() {
                let runs = run
                    .components
                    .get(name)
                    .is_some_and(|component| !component.latest().state.is_terminal());
                let ends = (run.id.clone(), name.clone());
                if runs && !self.allowed.superseded.contains(&ends) {
                    forgotten.push(format!(
                        "I10: run {} builds {name} beside the newer run {}, and nobody ends that",
                        run.id, new.id
                    ));
                }
            }
        }
        self.violations.extend(forgotten);
    }

    fn attempt(&mut self, before: &Attempt, after: Option<&Attempt>) {
        let Some(after) = after.filter(|after| after.id == before.id) else {
            self.violations
                .push(format!("I2: attempt {} is gone", before.id));
            return;
        };
        if before.state.is_terminal() {
            let same = (&before.state, &before.build, &before.image)
                == (&after.state, &after.build, &after.image);
            self.must(same, || format!("I2: {before:?} became {after:?}"));
        }
        if !before.state.is_terminal() {
            self.looked_up(after);
        }
        let back = before.state == AttemptState::Building && after.state == AttemptState::Due;
        self.must(!back, || format!("I2: {} went back to due", before.id));
        let kept = before.build.is_none() || before.build == after.build;
        self.must(kept, || format!("I5: {} changed its build", before.id));
        for (position, part) in before.parts.iter().enumerate() {
            self.attempt(part, after.parts.get(position));
        }
        let runs = after.parts.iter().any(|part| !part.state.is_terminal());
        self.must(!(runs && after.state.is_terminal()), || {
            format!("I14: {} ended without its parts", after.id)
        });
    }

    /// An attempt is not given up while the result of its build can be looked up.
    fn looked_up(&mut self, attempt: &Attempt) {
        let AttemptState::Failed {
            why: Failure::NoResult { .. },
            ..
        } = &attempt.state
        else {
            return;
        };
        let build = attempt.build.as_ref();
        let ended = build.and_then(|build| self.builds.get(build).copied().flatten());
        self.must(ended.is_none(), || {
            format!(
                "I6: {} was given up although its build ended {ended:?}",
                attempt.id
            )
        });
    }

    fn evidence(&mut self, repository: &ImageRepository, attempt: &Attempt) {
        for part in &attempt.parts {
            self.evidence(repository, part);
        }
        if attempt.state != AttemptState::Succeeded {
            return;
        }
        let reported = attempt
            .build
            .as_ref()
            .and_then(|build| self.builds.get(build).copied().flatten());
        let built = reported == Some(BuildStatus::Succeeded) || attempt.index().is_some();
        self.must(built, || {
            format!("I6: {} succeeded and its build {reported:?}", attempt.id)
        });
        let pushed = attempt.image.as_ref().is_some_and(|digest| {
            let push = (
                repository.clone(),
                attempt.unique_tag.clone(),
                digest.clone(),
            );
            self.pushed.contains(&push)
        });
        self.must(pushed, || {
            format!("I6: {} succeeded without its image", attempt.id)
        });
    }
}

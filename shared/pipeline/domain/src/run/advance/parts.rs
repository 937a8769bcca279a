//! Updates an attempt in parts when one of its parts changes.

use super::step::Step;
use crate::intent::Intent;
use crate::names::Digest;
use crate::run::{AttemptState, Contradiction, Failure, NoIndex};

impl Step<'_> {
    /// Changes the named part, and then the whole attempt as a consequence.
    pub(super) fn part(&mut self, take: impl FnOnce(&mut Step<'_>)) {
        let was_complete = self.attempt.index().is_some();
        let mut parts = std::mem::take(&mut self.attempt.parts);
        if let Some(part) = parts.iter_mut().find(|part| part.id == self.of.attempt) {
            let mut step = Step {
                of: self.of.clone(),
                commit: self.commit,
                repository: self.repository,
                attempt: part,
                intents: self.intents,
                notes: Vec::new(),
                now: self.now,
            };
            take(&mut step);
            self.notes.append(&mut step.notes);
        }
        self.attempt.parts = parts;
        self.of.attempt = self.attempt.id.clone();
        if !self.attempt.state.is_terminal() {
            self.follow_parts(was_complete);
        }
    }

    /// If one part ends without success, the others end too; once all have succeeded, their index is owed.
    fn follow_parts(&mut self, was_complete: bool) {
        let parts = &self.attempt.parts;
        let failed = parts
            .iter()
            .find(|part| part.state.is_terminal() && part.state != AttemptState::Succeeded);
        if let Some(part) = failed {
            let state = part.state.clone();
            self.attempt.ended_at = part.ended_at;
            self.end(&state);
            self.try_again();
            return;
        }
        self.attempt.started_at = parts.iter().filter_map(|part| part.started_at).min();
        if parts.iter().all(|part| part.state == AttemptState::Due) {
            return;
        }
        let complete = self.attempt.index().is_some();
        self.attempt.state = AttemptState::Building;
        if complete && !was_complete {
            self.intents.push(Intent::IndexDue(self.of.clone()));
        }
    }

    /// Records that the index of all parts was put: the registry was read back, so this is both
    /// halves of the evidence (I6). Anything else under the unique tag was not ours (A26).
    pub(super) fn take_index(&mut self, index: &Digest, found: &Digest) {
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
            self.end(&AttemptState::Held { why });
            return;
        }
        let parts = &mut self.attempt.parts;
        self.attempt.ended_at = parts.iter().filter_map(|part| part.ended_at).max();
        // Kept once: if several parts have an output of the same name, the first platform's.
        let left = parts
            .iter_mut()
            .map(|part| std::mem::take(&mut part.outputs));
        for (name, value) in left.flatten() {
            self.attempt.outputs.entry(name).or_insert(value);
        }
        self.attempt.image = Some(index.clone());
        self.attempt.build_succeeded = true;
        self.settle();
    }

    pub(super) fn refuse_index(&mut self, why: &NoIndex) {
        if self.attempt.index().is_some() {
            self.end_failed(Failure::NoIndex { why: why.clone() });
        }
    }
}

//! Updates an attempt in parts when one of its parts changes.

use super::step::Step;
use crate::intent::Intent;
use crate::names::Digest;
use crate::run::{AttemptState, Contradiction, Failure, NoIndex};

impl Step<'_> {
    /// Changes the named part, and then the whole attempt as a consequence.
    pub(super) fn part(&mut self, take: impl FnOnce(&mut Step<'_>)) {
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
                now: self.now,
            };
            take(&mut step);
            self.notes.append(&mut step.notes);
        }
        self.attempt.legs = legs;
        self.of.attempt = self.attempt.id.clone();
        if !self.attempt.state.is_terminal() {
            self.follow_parts(was_complete);
        }
    }

    /// If one part ends without success, the others end too; once all have succeeded, their index is owed.
    fn follow_parts(&mut self, was_complete: bool) {
        let legs = &self.attempt.legs;
        let failed = legs
            .iter()
            .find(|leg| leg.state.is_terminal() && leg.state != AttemptState::Succeeded);
        if let Some(leg) = failed {
            let state = leg.state.clone();
            self.attempt.ended_at = leg.ended_at;
            self.end(&state);
            self.try_again();
            return;
        }
        self.attempt.started_at = legs.iter().filter_map(|leg| leg.started_at).min();
        if legs.iter().all(|leg| leg.state == AttemptState::Due) {
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

    pub(super) fn refuse_index(&mut self, why: &NoIndex) {
        if self.attempt.index().is_some() {
            self.end_failed(Failure::NoIndex { why: why.clone() });
        }
    }
}

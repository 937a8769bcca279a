//! What can happen in a state of the small scope, and where it leads.

use towline_domain::stage::{self, Lease, Stage};

use super::model::{Build, State, attempt};
use super::note::{Note, put, small, take};
use super::rules::{Hashed, Rules};

/// Something that can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Push,
    Deliver(Note),
    DeliverTwice(Note),
    Lose(Note),
    /// The invocation dies after its effect and before its commit.
    Die(Note),
    BuildEnds(u8),
    /// The sweep announces again what is owed, or looks up a build.
    Sweep(Note),
    /// A writer goes on: it sets the tag, or commits.
    Write(usize),
    WriterDies(usize),
    /// The lease of a writer that is gone ends.
    LeaseEnds,
    Approve(u8),
    RollBack(u8),
}

impl State {
    /// Everything that can happen now.
    pub(super) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.head != Some(1) {
            steps.push(Step::Push);
        }
        for note in self.coming.iter().copied() {
            steps.push(Step::Deliver(note));
            if self.budget.duplicate {
                steps.push(Step::DeliverTwice(note));
            }
            if self.budget.loss {
                steps.push(Step::Lose(note));
            }
            if self.budget.crash {
                steps.push(Step::Die(note));
            }
        }
        for (of, build) in (0u8..).zip(self.builds) {
            if build == Build::Running {
                steps.push(Step::BuildEnds(of));
            }
        }
        let is_lost = |note: &Note| !self.coming.contains(note);
        steps.extend(self.owed.iter().copied().filter(is_lost).map(Step::Sweep));
        for writer in 0..self.writers.len() {
            steps.push(Step::Write(writer));
            if self.budget.crash {
                steps.push(Step::WriterDies(writer));
            }
        }
        let lease = self.stage.0.lease.as_ref();
        let alive = |lease: &&Lease| {
            let mut writers = self.writers.iter();
            writers.any(|writer| lease.holder == writer.holder.to_string())
        };
        if lease
            .filter(|lease| !alive(lease) && lease.until != jiff::Timestamp::UNIX_EPOCH)
            .is_some()
        {
            steps.push(Step::LeaseEnds);
        }
        if self.budget.approvals > 0 {
            let waiting = self.stage.0.waiting.iter();
            let waiting = waiting.filter(|promotion| !promotion.acting);
            steps.extend(waiting.map(|promotion| Step::Approve(small(promotion.number))));
        }
        if self.budget.rollback && self.stage.0.pointer.is_some() {
            let lived = (0u8..).zip(self.lived).filter(|(_, lived)| *lived);
            steps.extend(lived.map(|(image, _)| Step::RollBack(image)));
        }
        steps
    }

    /// The state after a step; or the invariant that it violates.
    pub(super) fn after(&self, step: Step, rules: &Rules) -> Result<Self, String> {
        let mut next = self.clone();
        match step {
            Step::Push => {
                let push = self.head.map_or(0, |head| head + 1);
                next.head = Some(push);
                next.owe(Note::PushAccepted(push));
            }
            Step::Deliver(note) => {
                take(&mut next.coming, note);
                next.handle(note, rules)?;
            }
            Step::DeliverTwice(note) => {
                next.budget.duplicate = false;
                next.handle(note, rules)?;
            }
            Step::Lose(note) => {
                next.budget.loss = false;
                take(&mut next.coming, note);
            }
            Step::Die(note) => {
                next.budget.crash = false;
                take(&mut next.coming, note);
                next.has_effect(note);
            }
            Step::BuildEnds(of) => {
                let at = usize::from(of);
                next.builds[at] = Build::Succeeded;
                next.pushed[at] = true;
                put(&mut next.coming, Note::ImagePushed(of));
                put(&mut next.coming, Note::BuildEnded(of));
            }
            Step::Sweep(Note::Watch(of)) => next.look_up(of, rules)?,
            Step::Sweep(note) => put(&mut next.coming, note),
            Step::Write(writer) => next.write(writer, rules)?,
            Step::WriterDies(writer) => {
                next.budget.crash = false;
                next.writers.remove(writer);
            }
            Step::LeaseEnds => {
                let mut stage = Stage::clone(&next.stage.0);
                if let Some(lease) = &mut stage.lease {
                    lease.until = jiff::Timestamp::UNIX_EPOCH;
                }
                next.stage = Hashed::new(stage);
            }
            Step::Approve(promotion) => next.approve(promotion, rules)?,
            Step::RollBack(image) => next.roll_back(image, rules)?,
        }
        Ok(next)
    }
    /// The sweep looks up a build.
    fn look_up(&mut self, of: u8, rules: &Rules) -> Result<(), String> {
        let at = usize::from(of);
        if matches!(self.builds[at], Build::Succeeded | Build::Stopped) {
            self.report(of, rules)?;
        }
        let run = self.runs[at].as_ref();
        if run.is_some_and(|run| attempt(&run.0).state.is_terminal()) {
            take(&mut self.owed, Note::Watch(of));
        }
        Ok(())
    }

    fn approve(&mut self, promotion: u8, rules: &Rules) -> Result<(), String> {
        let who = usize::from(2 - self.budget.approvals);
        self.budget.approvals -= 1;
        let fact = stage::Fact::Approved {
            promotion: promotion.into(),
            by: rules.people[who].clone(),
            comment: None,
        };
        self.stage_fact(&fact, rules)
    }

    fn roll_back(&mut self, image: u8, rules: &Rules) -> Result<(), String> {
        self.budget.rollback = false;
        let run = self.runs[usize::from(image)].as_ref();
        let run = run.ok_or("I8: an image without a run was live")?;
        let candidate = run.0.candidate(&rules.component, attempt(&run.0));
        let fact = stage::Fact::RollbackRequested {
            candidate: candidate.ok_or("I6: an image without evidence was live")?,
            by: rules.people[0].clone(),
            reason: None,
        };
        self.stage_fact(&fact, rules)
    }
}

//! A state of the small scope, and what must hold once nothing happens any more.

use towline_domain::plan::Branch;
use towline_domain::run::{self, AttemptState, Run};
use towline_domain::stage::Stage;

use super::note::{Note, small};
use super::rules::{Hashed, Rules};

/// A build as `CodeBuild` knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Build {
    None,
    Running,
    Succeeded,
    Stopped,
}

/// A running `promote-images`, which has the lease, and perhaps has set the tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Writer {
    pub(super) holder: u8,
    pub(super) promotion: u8,
    pub(super) image: u8,
    pub(super) tagged: bool,
}

/// What may still happen, once each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    pub(super) duplicate: bool,
    pub(super) loss: bool,
    pub(super) crash: bool,
    pub(super) rollback: bool,
    pub(super) approvals: u8,
}

#[derive(Debug, Clone, Hash)]
pub(super) struct State {
    pub(super) head: Option<u8>,
    pub(super) runs: [Option<Hashed<Run>>; 2],
    pub(super) branch: Option<Hashed<Branch>>,
    pub(super) stage: Hashed<Stage>,
    pub(super) orders: u8,
    pub(super) promotions: u8,
    pub(super) owed: Vec<Note>,
    pub(super) coming: Vec<Note>,
    pub(super) builds: [Build; 2],
    pub(super) pushed: [bool; 2],
    pub(super) tag: Option<u8>,
    pub(super) lived: [bool; 2],
    pub(super) writers: Vec<Writer>,
    pub(super) holders: u8,
    pub(super) budget: Budget,
}

impl State {
    pub(super) fn new(rules: &Rules) -> Self {
        Self {
            head: None,
            runs: [None, None],
            branch: None,
            stage: Hashed::new(Stage::new(rules.stage.clone())),
            orders: 0,
            promotions: 0,
            owed: Vec::new(),
            coming: Vec::new(),
            builds: [Build::None; 2],
            pushed: [false; 2],
            tag: None,
            lived: [false; 2],
            writers: Vec::new(),
            holders: 0,
            budget: Budget {
                duplicate: true,
                loss: true,
                crash: true,
                rollback: true,
                approvals: 2,
            },
        }
    }

    /// Whether nothing happens any more unless a person acts.
    pub(super) fn is_at_rest(&self) -> bool {
        self.head == Some(1)
            && self.coming.is_empty()
            && self.owed.is_empty()
            && self.writers.is_empty()
            && !self.builds.contains(&Build::Running)
    }

    /// What must hold once nothing happens any more.
    pub(super) fn at_rest(&self, rules: &Rules) -> Result<(), String> {
        if !self.is_at_rest() {
            return Ok(());
        }
        let head = self.runs[1].as_ref().ok_or("I10: the head has no run")?;
        for run in self.runs.iter().flatten() {
            let refused = run.0.refused.is_some();
            if !refused && !attempt(&run.0).state.is_terminal() {
                return Err(format!("I14: an attempt stays {:?}", attempt(&run.0).state));
            }
        }
        let newest = &attempt(&head.0).state;
        if *newest != AttemptState::Succeeded {
            return Err(format!("I10: the head's build is {newest:?}"));
        }
        if self
            .stage
            .0
            .waiting
            .iter()
            .any(|promotion| promotion.acting)
        {
            return Err("I14: a promotion never ends".into());
        }
        let live = self.stage.0.pointer.as_ref();
        let live = live.map(|live| small(rules.image_of(&live.candidate.digest) as u64));
        match live == self.tag {
            true => Ok(()),
            false => Err(format!(
                "I9: the tag is on {:?}, the pointer on {live:?}",
                self.tag
            )),
        }
    }
}

/// The one attempt of a run; no build fails here, so there is no second.
pub(super) fn attempt(run: &Run) -> &run::Attempt {
    let component = run.components.values().next();
    component.expect("a run of one component").latest()
}

//! The places where builds run, and the builds that wait for one: whose turn it is.

use std::collections::BTreeMap;

use towline_domain::names::{BuildId, RepositoryId};
use towline_domain::turns::{Line, Turns};
use towline_ports::StartBuild;

use crate::build::BuildPlan;

/// More places than any story needs.
const PLENTY: usize = 100;

/// Places for builds, which are given out as on one machine.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) most: usize,
    running: Vec<(BuildId, Line)>,
    /// Oldest request first.
    waiting: Vec<(Waiting, Line)>,
    turns: Turns,
    /// How often a build of another repository began although one of these waited, whose repository had
    /// no more builds running.
    overtaken: BTreeMap<RepositoryId, usize>,
}

/// A build that waits for a place.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) id: BuildId,
    pub(crate) start: Box<StartBuild>,
    pub(crate) plan: BuildPlan,
}

/// A build that begins.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) build: Waiting,
    /// Who waits too long because of it, if anybody does.
    pub(crate) unfair: Option<String>,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            most: PLENTY,
            running: Vec::new(),
            waiting: Vec::new(),
            turns: Turns::default(),
            overtaken: BTreeMap::new(),
        }
    }
}

impl Places {
    pub(crate) fn join(&mut self, build: Waiting) {
        let line = Line {
            repository: build.start.repository.id,
            git_ref: build.start.git_ref.clone(),
        };
        self.waiting.push((build, line));
    }

    /// Begins the build whose turn it is, if a place is free; without fairness, the oldest one.
    pub(crate) fn begin(&mut self, is_fair: bool) -> Option<Begun> {
        if self.running.len() >= self.most {
            return None;
        }
        let lines = |line: &Line| line.clone();
        let running: Vec<Line> = self.running.iter().map(|(_, line)| lines(line)).collect();
        let waiting: Vec<Line> = self.waiting.iter().map(|(_, line)| lines(line)).collect();
        self.turns.keep(&running, &waiting);
        let next = match is_fair {
            true => self.turns.next(running.iter(), &waiting)?,
            false => 0,
        };
        if next >= self.waiting.len() {
            return None;
        }
        let (build, line) = self.waiting.remove(next);
        self.turns.begin(&line);
        let unfair = self.overtakes(&line, &running);
        self.running.push((build.id.clone(), line));
        Some(Begun { build, unfair })
    }

    /// Notes who is overtaken by a build that begins. A repository that waits, and has no more builds
    /// running than another, lets each other one go first at most once.
    fn overtakes(&mut self, begun: &Line, running: &[Line]) -> Option<String> {
        let many = |id: RepositoryId| running.iter().filter(|it| it.repository == id).count();
        let waits = |id: RepositoryId| self.waiting.iter().any(|(_, it)| it.repository == id);
        self.overtaken
            .retain(|id, _| *id != begun.repository && waits(*id));
        let mut others: Vec<RepositoryId> =
            self.waiting.iter().map(|(_, it)| it.repository).collect();
        others.sort_unstable();
        others.dedup();
        let known = others.len();
        others.retain(|id| *id != begun.repository && many(*id) <= many(begun.repository));
        for other in others {
            let times = self.overtaken.entry(other).or_default();
            *times += 1;
            if *times > known.max(1) {
                return Some(format!(
                    "A34: a build of repository {} begins, the {times}th while one of {other} waits",
                    begun.repository
                ));
            }
        }
        None
    }

    /// A build has ended or was stopped; returns it if it had not begun.
    pub(crate) fn leave(&mut self, id: &BuildId) -> Option<Waiting> {
        self.running.retain(|(known, _)| known != id);
        let place = self.waiting.iter().position(|(build, _)| build.id == *id)?;
        Some(self.waiting.remove(place).0)
    }
}

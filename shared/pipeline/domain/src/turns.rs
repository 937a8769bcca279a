//! Which build starts next when several wait for a place, and which build gives way when too many wait.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::names::{CommitSha, GitRef, RepositoryId};

/// The queue that a build waits in: the queue of its ref, within the queue of its repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    pub repository: RepositoryId,
    pub git_ref: GitRef,
}

/// A build that waits for a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub line: Line,
    pub commit: CommitSha,
    /// Whether it is a build of the default branch.
    pub is_trusted: bool,
}

/// How many builds may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub per_repository: usize,
    pub per_ref: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            per_repository: 100,
            per_ref: 20,
        }
    }
}

/// Whose builds are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Crowd {
    Repository,
    Ref,
}

impl Crowd {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Repository => "repository",
            Self::Ref => "ref",
        }
    }
}

/// When each repository and ref had its last turn. The repository whose turn is the longest ago comes
/// first, and likewise among its refs.
#[derive(Debug, Clone, Default)]
pub struct Turns {
    begun: u64,
    repositories: BTreeMap<RepositoryId, u64>,
    refs: BTreeMap<Line, u64>,
}

impl Turns {
    /// The index of the build that starts next. `waiting` is in the order of requests.
    ///
    /// The repository with the fewest running builds comes first; among equals, the one whose turn is
    /// the longest ago. The same order applies to its refs. Within a ref, the build that has waited the
    /// longest starts.
    #[must_use]
    pub fn next<'a>(
        &self,
        running: impl Iterator<Item = &'a Line> + Clone,
        waiting: &[Line],
    ) -> Option<usize> {
        let mut of_repository: BTreeMap<RepositoryId, usize> = BTreeMap::new();
        let mut of_ref: BTreeMap<&Line, usize> = BTreeMap::new();
        for line in running {
            *of_repository.entry(line.repository).or_default() += 1;
            *of_ref.entry(line).or_default() += 1;
        }
        let repository = first(waiting.iter().map(|line| {
            let repository = &line.repository;
            let turn = self.repositories.get(repository).copied();
            (of_repository.get(repository).copied(), turn)
        }))?;
        let repository = waiting.get(repository)?.repository;
        let refs = waiting.iter().map(|line| {
            let turn = self.refs.get(line).copied();
            let order = (of_ref.get(line).copied(), turn);
            (line.repository != repository, order)
        });
        first(refs)
    }

    /// A build of this line has begun.
    pub fn begin(&mut self, line: &Line) {
        self.begun += 1;
        self.repositories.insert(line.repository, self.begun);
        self.refs.insert(line.clone(), self.begun);
    }

    /// Forgets the turns of all other lines, which come first when they return.
    pub fn keep(&mut self, running: &[Line], waiting: &[Line]) {
        let lines = || running.iter().chain(waiting);
        self.repositories
            .retain(|known, _| lines().any(|line| line.repository == *known));
        self.refs
            .retain(|known, _| lines().any(|line| line == known));
    }

    /// The indices of `waiting` in the order in which they start, if builds end in the order in which
    /// they began and no other is requested.
    #[must_use]
    pub fn order(&self, running: &[Line], waiting: &[Line]) -> Vec<usize> {
        let mut turns = self.clone();
        let mut running: VecDeque<Line> = running.iter().cloned().collect();
        let mut left: Vec<(usize, Line)> = waiting.iter().cloned().enumerate().collect();
        let mut order = Vec::new();
        loop {
            running.pop_front();
            let lines: Vec<Line> = left.iter().map(|(_, line)| line.clone()).collect();
            let Some(next) = turns.next(running.iter(), &lines) else {
                return order;
            };
            let (index, line) = left.remove(next);
            turns.begin(&line);
            running.push_back(line);
            order.push(index);
        }
    }
}

/// The index of the smallest; among equals, of the first.
fn first<T: Ord>(all: impl Iterator<Item = T>) -> Option<usize> {
    let smallest = all
        .enumerate()
        .min_by(|(_, one), (_, other)| one.cmp(other));
    smallest.map(|(index, _)| index)
}

/// The build that gives way to the newest one, if too many wait: the index of an older build, and
/// whether its repository or its ref has too many. `waiting` is in the order of requests and ends with
/// the new one.
///
/// Builds of one commit of one ref do not give way to each other. In a repository, builds of the default
/// branch give way last, and those of the ref with the most first.
#[must_use]
pub fn gives_way(waiting: &[Waiting], room: Room) -> Option<(usize, Crowd)> {
    let new = waiting.last()?;
    let is_older = |other: &Waiting| (&other.line, &other.commit) != (&new.line, &new.commit);
    let in_ref = |line: &Line| waiting.iter().filter(|it| it.line == *line).count();
    if in_ref(&new.line) > room.per_ref {
        let mut older = waiting.iter();
        let oldest = older.position(|it| it.line == new.line && is_older(it));
        if let Some(oldest) = oldest {
            return Some((oldest, Crowd::Ref));
        }
    }
    let of_repository = |it: &&Waiting| it.line.repository == new.line.repository;
    if waiting.iter().filter(of_repository).count() <= room.per_repository {
        return None;
    }
    let older = waiting.iter().enumerate();
    let older = older.filter(|(_, it)| of_repository(it) && is_older(it));
    let first = older.min_by_key(|(index, it)| {
        let most = std::cmp::Reverse(in_ref(&it.line));
        (it.is_trusted, most, *index)
    });
    first.map(|(index, _)| (index, Crowd::Repository))
}

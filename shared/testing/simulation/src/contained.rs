//! Which commits the refs contain, and until when they did: what is live is compared with this truth (F26).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use towline_domain::names::{CommitSha, GitRef, RepositoryId};
use towline_ports::memory::MemoryRepository;

/// Every commit that a ref ever contained; with a time, if it does so no longer.
#[derive(Debug, Default, Clone)]
pub struct Contained(BTreeMap<(RepositoryId, GitRef), BTreeMap<CommitSha, Option<Timestamp>>>);

impl Contained {
    /// A ref has moved, or was deleted.
    pub(crate) fn moved(
        &mut self,
        (id, git_ref): (RepositoryId, &GitRef),
        repository: &MemoryRepository,
        now: Timestamp,
    ) {
        let commits = self.0.entry((id, git_ref.clone())).or_default();
        let reached = reached(repository, git_ref);
        for (commit, until) in &mut *commits {
            if !reached.contains(commit) {
                until.get_or_insert(now);
            }
        }
        commits.extend(reached.into_iter().map(|commit| (commit, None)));
    }

    /// Whether any of the refs has contained a commit since that time.
    pub(crate) fn was_since(
        &self,
        (id, commit): (RepositoryId, &CommitSha),
        admits: impl Fn(&GitRef) -> bool,
        since: Timestamp,
    ) -> bool {
        let refs = self.0.iter();
        let mut refs = refs.filter(|((of, git_ref), _)| *of == id && admits(git_ref));
        refs.any(|(_, commits)| {
            let until = commits.get(commit);
            until.is_some_and(|until| until.is_none_or(|until| until >= since))
        })
    }
}

fn reached(repository: &MemoryRepository, git_ref: &GitRef) -> BTreeSet<CommitSha> {
    let mut reached = BTreeSet::new();
    let mut open = Vec::from_iter(repository.refs.get(git_ref));
    while let Some(commit) = open.pop() {
        if reached.insert(commit.clone()) {
            let known = repository.commits.get(commit);
            open.extend(known.into_iter().flat_map(|known| &known.parents));
        }
    }
    reached
}

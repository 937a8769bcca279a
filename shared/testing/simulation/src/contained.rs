//! Which commits the refs contain, and until when they did: what is live is compared with this truth (F26).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use towline_domain::names::{CommitSha, GitRef, RepositoryId};
use towline_ports::memory::MemoryRepository;

/// What the refs contain and contained.
#[derive(Debug, Default, Clone)]
pub struct Contained {
    /// Every commit that a ref ever contained; with a time, if it does so no longer.
    refs: BTreeMap<(RepositoryId, GitRef), BTreeMap<CommitSha, Option<Timestamp>>>,
    /// The author and the parents of each of these commits.
    history: BTreeMap<CommitSha, (String, Vec<CommitSha>)>,
}

impl Contained {
    /// A ref has moved, or was deleted.
    pub(crate) fn moved(
        &mut self,
        (id, git_ref): (RepositoryId, &GitRef),
        repository: &MemoryRepository,
        now: Timestamp,
    ) {
        let commits = self.refs.entry((id, git_ref.clone())).or_default();
        let reached = reached(repository, git_ref);
        for (commit, until) in &mut *commits {
            if !reached.contains(commit) {
                until.get_or_insert(now);
            }
        }
        for commit in &reached {
            if let Some(known) = repository.commits.get(commit) {
                let known = (known.author.clone(), known.parents.clone());
                self.history.entry(commit.clone()).or_insert(known);
            }
        }
        commits.extend(reached.into_iter().map(|commit| (commit, None)));
    }

    /// Whether somebody wrote a commit that counts, and that one commit contains and the other does not.
    pub(crate) fn wrote(
        &self,
        login: &str,
        (live, commit): (Option<&CommitSha>, &CommitSha),
        counts: impl Fn(&CommitSha) -> bool,
    ) -> bool {
        let before = live.map(|live| self.before(live)).unwrap_or_default();
        let since = self.before(commit);
        let mut since = since.difference(&before);
        since.any(|commit| {
            let known = self.history.get(*commit);
            known.is_some_and(|(author, _)| author == login) && counts(commit)
        })
    }

    /// A commit, and all commits before it.
    fn before<'a>(&'a self, commit: &'a CommitSha) -> BTreeSet<&'a CommitSha> {
        let mut found = BTreeSet::new();
        let mut open = vec![commit];
        while let Some(commit) = open.pop() {
            if found.insert(commit) {
                let known = self.history.get(commit);
                open.extend(known.into_iter().flat_map(|(_, parents)| parents));
            }
        }
        found
    }

    /// Whether any of the refs has contained a commit since that time.
    pub(crate) fn was_since(
        &self,
        (id, commit): (RepositoryId, &CommitSha),
        admits: impl Fn(&GitRef) -> bool,
        since: Timestamp,
    ) -> bool {
        let refs = self.refs.iter();
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

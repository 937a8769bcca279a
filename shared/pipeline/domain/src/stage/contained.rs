//! Decides what becomes of a promotion whose commit a ref may no longer contain (F26).
//!
//! The source is asked just before the tags are set, so it does not matter when somebody approved.

use super::advance::Step;
use super::{Failure, Promotion, Refusal, Stage};
use crate::Timestamp;
use crate::glob::Glob;
use crate::image::NotTagged;
use crate::ledger::Ending;
use crate::loosened;
use crate::names::{CommitSha, GitRef};
use crate::person::Actor;
use crate::trusted::Trusted;

/// What the source says about a candidate's commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnRefs {
    /// A ref that the stage admits contains it.
    Contained,
    /// None does.
    Removed {
        /// The refs that were looked at.
        refs: Vec<GitRef>,
        /// Further admitted refs, which are too many to look at.
        more: usize,
    },
    /// The source did not answer.
    Unknown {
        /// Why not.
        said: String,
    },
}

/// Other refs to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Others {
    /// Each with its object, if that is known: a commit, or for an annotated tag the tag's own.
    pub refs: Vec<(GitRef, Option<CommitSha>)>,
    /// Further ones, which are too many.
    pub more: usize,
}

/// The refs that the definition admits by name; none if it has patterns, so that they must be listed.
#[must_use]
pub fn named(trusted: &Trusted) -> Option<Vec<GitRef>> {
    let source = &trusted.definition.source;
    let names = |globs: &[Glob]| -> Option<Vec<String>> {
        let names = globs.iter().map(|glob| glob.as_name().map(str::to_owned));
        names.collect()
    };
    let branches = match source.branches.as_slice() {
        [] => vec![trusted.branch.clone()],
        globs => names(globs)?,
    };
    let branches = branches.into_iter().map(GitRef::Branch);
    Some(
        branches
            .chain(names(&source.tags)?.into_iter().map(GitRef::Tag))
            .collect(),
    )
}

impl Stage {
    /// Whether it admits images of a ref, by the rules of now and the older ones that still hold.
    #[must_use]
    pub fn admits(&self, trusted: &Trusted, git_ref: &GitRef) -> bool {
        let mut older = loosened::in_force(trusted, &self.key.stage, self.accepted);
        trusted.not_admitted(git_ref).is_none()
            && older.all(|older| older.not_admitted(git_ref).is_none())
    }

    /// The admitted ones of these refs, at most this many: first those that are at the commit, then the
    /// default branch.
    #[must_use]
    pub fn admitted(
        &self,
        trusted: &Trusted,
        commit: &CommitSha,
        all: impl Iterator<Item = (GitRef, Option<CommitSha>)>,
        most: usize,
    ) -> Others {
        let mut refs: Vec<_> = all
            .filter(|(git_ref, _)| self.admits(trusted, git_ref))
            .collect();
        let default_branch = GitRef::Branch(trusted.branch.clone());
        refs.sort_by_key(|(git_ref, at)| (at.as_ref() != Some(commit), *git_ref != default_branch));
        let more = refs.len().saturating_sub(most);
        refs.truncate(most);
        Others { refs, more }
    }
}

impl Step<'_> {
    /// Lets a promotion wait or continue, or ends it, depending on what the source says about its commit.
    pub(super) fn looked_up(&mut self, number: u64, found: &OnRefs) {
        let known = self.decision.stage.promotion(number);
        let is_asked_for = |known: &&Promotion| {
            known.needs_its_commit()
                && (known.acting || known.unchecked.is_some() || known.obstacle.is_some())
        };
        let Some(promotion) = known.filter(is_asked_for).cloned() else {
            return;
        };
        // The holder of the lease has already asked, and may be setting the tags.
        if promotion.acting && self.decision.stage.lease.is_some() {
            self.decision.refused = Some(Refusal::LeaseTaken { promotion: number });
            return;
        }
        match found {
            OnRefs::Contained => self.wait_for_source(&promotion, promotion.acting, None),
            OnRefs::Unknown { said } => self.wait_for_source(&promotion, false, Some(said)),
            OnRefs::Removed { refs, more } => {
                let how = Ending::CommitRemoved {
                    commit: promotion.candidate.commit,
                    refs: refs.clone(),
                    more: *more,
                };
                self.end(number, Actor::System, how);
            }
        }
    }

    /// While a promotion waits for the source it is not in progress, so that a rollback and the tags that
    /// somebody moved need not wait for it.
    fn wait_for_source(&mut self, before: &Promotion, acting: bool, said: Option<&String>) {
        let mut waiting = self.stage().waiting.iter_mut();
        let Some(known) = waiting.find(|known| known.number == before.number) else {
            return;
        };
        known.acting = acting;
        known.unchecked = said.cloned();
        let changed = *known != *before;
        self.decision.changed |= changed;
        if before.acting && !acting {
            self.watch_again(before);
        }
    }

    /// Ends a promotion for which everything failed that was tried.
    pub(super) fn given_up(&mut self, number: u64, tries: u32, since: Timestamp) {
        let promotion = self.decision.stage.promotion(number);
        let unchecked = promotion.and_then(|known| known.unchecked.clone());
        match unchecked {
            Some(said) => {
                let why = Failure::Source { said, tries, since };
                self.end(number, Actor::System, Ending::Failed { why });
            }
            None => {
                let why = NotTagged::GivenUp { tries, since };
                self.give_up(number, Failure::Tag { why });
            }
        }
    }
}

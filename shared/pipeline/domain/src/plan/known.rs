//! The inputs of a plan: what has been read so far, and what must still be read.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::authors::Contributions;
use crate::definition::Definition;
use crate::filter::ChangedFiles;
use crate::image::Claim;
use crate::names::{
    self, CommitSha, ComponentName, GitRef, ImageRepository, RepositoryId, RepositoryName, RunId,
};
use crate::reason::{Owner, Refusal, Unbuildable};
use crate::run::Run;
use crate::trusted::Trusted;

/// A resource that belongs to only one component.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Claimed {
    Images(ImageRepository),
    /// The `CodeBuild` project of that name.
    Project(String),
}

impl Claimed {
    /// The project that builds a component.
    pub(super) fn project(repository: &RepositoryName, component: &ComponentName) -> Self {
        Self::Project(names::project(repository, component))
    }

    /// Why a component cannot be built, if this resource belongs to another one.
    pub(super) fn taken(&self, by: &Claim) -> Unbuildable {
        let owner = Owner {
            repository: by.repository,
            component: by.component.clone(),
        };
        match self {
            Self::Images(images) => Unbuildable::ImagesTaken {
                images: images.clone(),
                owner,
            },
            Self::Project(project) => Unbuildable::ProjectTaken {
                project: project.clone(),
                owner,
            },
        }
    }
}

/// A ref of a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branch {
    /// The newest commit that was planned.
    pub head: Option<CommitSha>,
    pub order: u64,
    /// The newest run that builds each component.
    pub building: BTreeMap<ComponentName, RunId>,
    /// Whether the ref was deleted since then. Images that it still builds are offered to no stage
    /// (F27).
    pub deleted: bool,
    /// Who took part in its pushes, built or not, because a later commit contains their changes (A23).
    #[serde(default, skip_serializing_if = "Contributions::is_empty")]
    pub contributions: Contributions,
}

impl Branch {
    /// Whether the ref exists and its newest planned commit is this one.
    #[must_use]
    pub fn is_at(&self, commit: &CommitSha) -> bool {
        !self.deleted && self.head.as_ref() == Some(commit)
    }
}

/// The commit a component was last built at on a ref.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    pub commit: CommitSha,
    /// Its order number; an older build that ends late never replaces it.
    pub order: u64,
    /// The run that built it.
    pub run: RunId,
    /// The name of the buildspec it was built with.
    pub buildspec: String,
}

/// The definition at a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AtCommit {
    /// A definition.
    Good {
        definition: Box<Definition>,
        /// Its name in the store.
        name: String,
    },
    /// It is unusable.
    Bad(Refusal),
    /// The source does not have the commit, or does not have it yet.
    NoCommit,
}

/// The buildspec of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Buildspec {
    Good {
        /// Its name in the store.
        name: String,
    },
    /// None, and why.
    Bad(Unbuildable),
    /// The source does not have the commit, or does not have it yet.
    NoCommit,
}

/// Numbers handed out to one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drawn {
    /// Its order number in its repository.
    pub order: u64,
    /// The number of its first build.
    pub build: u64,
    /// How many builds it has numbers for.
    pub builds: u64,
}

/// Something to look up before a push can be planned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Want {
    Run(RunId),
    /// The last build of the component on the pushed ref.
    Base(ComponentName),
    /// The owner of this resource.
    Claim(Claimed),
    /// The latest name of another repository.
    Name(RepositoryId),
    Definition(CommitSha),
    /// The current commit of a ref.
    Head(GitRef),
    /// Whether the pushed commit is an ancestor of this one.
    IsBehind(CommitSha),
    /// The files that differ between this commit and the pushed one.
    Changed(CommitSha),
    /// The buildspec of a component at the pushed commit.
    Buildspec(ComponentName),
    /// Numbers for a run with this many builds.
    Numbers {
        builds: u64,
    },
}

/// What else must be looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wants(pub Vec<Want>);

impl Want {
    fn alone(self) -> Wants {
        Wants(vec![self])
    }
}

/// What is known. Each map has the results, with `None` for things that do not exist.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Whether states can be shown beside a commit.
    pub shown: bool,
    /// The pushed ref.
    pub branch: Option<Branch>,
    /// The default branch, if the push created another ref.
    pub default_branch: Option<Branch>,
    /// The definition that applies to the repository's stages.
    pub trusted: Option<Trusted>,
    pub runs: BTreeMap<RunId, Option<Run>>,
    /// See [`Want::Base`].
    pub bases: BTreeMap<ComponentName, Option<Base>>,
    /// See [`Want::Claim`].
    pub claims: BTreeMap<Claimed, Option<Claim>>,
    /// See [`Want::Name`].
    pub names: BTreeMap<RepositoryId, Option<RepositoryName>>,
    /// See [`Want::Definition`].
    pub definitions: BTreeMap<CommitSha, AtCommit>,
    /// See [`Want::Head`].
    pub heads: BTreeMap<GitRef, Option<CommitSha>>,
    /// See [`Want::IsBehind`].
    pub behind: BTreeMap<CommitSha, bool>,
    /// See [`Want::Changed`].
    pub changed: BTreeMap<CommitSha, ChangedFiles>,
    /// See [`Want::Buildspec`].
    pub buildspecs: BTreeMap<ComponentName, Buildspec>,
    /// See [`Want::Numbers`].
    pub numbers: Option<Drawn>,
}

impl Known {
    /// The part that nobody can change: the content of commits, and the drawn numbers.
    #[must_use]
    pub fn lasting(self) -> Self {
        Self {
            shown: self.shown,
            definitions: self.definitions,
            changed: self.changed,
            buildspecs: self.buildspecs,
            numbers: self.numbers,
            ..Self::default()
        }
    }

    /// Wants those that are not known.
    pub(super) fn has(&self, wants: Vec<Want>) -> Result<(), Wants> {
        let missing: BTreeSet<Want> = wants.into_iter().filter(|want| !self.knows(want)).collect();
        match missing.is_empty() {
            true => Ok(()),
            false => Err(Wants(missing.into_iter().collect())),
        }
    }

    fn knows(&self, want: &Want) -> bool {
        match want {
            Want::Run(id) => self.runs.contains_key(id),
            Want::Base(component) => self.bases.contains_key(component),
            Want::Claim(claimed) => self.claims.contains_key(claimed),
            Want::Name(repository) => self.names.contains_key(repository),
            Want::Definition(commit) => self.definitions.contains_key(commit),
            Want::Head(git_ref) => self.heads.contains_key(git_ref),
            Want::IsBehind(commit) => self.behind.contains_key(commit),
            Want::Changed(commit) => self.changed.contains_key(commit),
            Want::Buildspec(component) => self.buildspecs.contains_key(component),
            Want::Numbers { builds } => self.numbers.is_some_and(|drawn| drawn.builds >= *builds),
        }
    }

    pub(super) fn definition(&self, commit: &CommitSha) -> Result<&AtCommit, Wants> {
        let known = self.definitions.get(commit);
        known.ok_or_else(|| Want::Definition(commit.clone()).alone())
    }

    pub(super) fn run(&self, id: &RunId) -> Result<Option<&Run>, Wants> {
        let known = self.runs.get(id).map(Option::as_ref);
        known.ok_or_else(|| Want::Run(id.clone()).alone())
    }

    pub(super) fn base(&self, component: &ComponentName) -> Result<Option<&Base>, Wants> {
        let known = self.bases.get(component).map(Option::as_ref);
        known.ok_or_else(|| Want::Base(component.clone()).alone())
    }

    pub(super) fn claim(&self, claimed: &Claimed) -> Result<Option<&Claim>, Wants> {
        let known = self.claims.get(claimed).map(Option::as_ref);
        known.ok_or_else(|| Want::Claim(claimed.clone()).alone())
    }

    pub(super) fn name(&self, id: RepositoryId) -> Result<Option<&RepositoryName>, Wants> {
        let known = self.names.get(&id).map(Option::as_ref);
        known.ok_or_else(|| Want::Name(id).alone())
    }

    pub(super) fn head(&self, git_ref: &GitRef) -> Result<Option<&CommitSha>, Wants> {
        let known = self.heads.get(git_ref).map(Option::as_ref);
        known.ok_or_else(|| Want::Head(git_ref.clone()).alone())
    }

    pub(super) fn is_behind(&self, commit: &CommitSha) -> Result<bool, Wants> {
        let known = self.behind.get(commit).copied();
        known.ok_or_else(|| Want::IsBehind(commit.clone()).alone())
    }

    pub(super) fn changed_since(&self, commit: &CommitSha) -> Result<&ChangedFiles, Wants> {
        let known = self.changed.get(commit);
        known.ok_or_else(|| Want::Changed(commit.clone()).alone())
    }

    pub(super) fn buildspec(&self, component: &ComponentName) -> Result<&Buildspec, Wants> {
        let known = self.buildspecs.get(component);
        known.ok_or_else(|| Want::Buildspec(component.clone()).alone())
    }

    /// Whether the commit disappeared before its buildspecs were read.
    pub(super) fn lacks_the_commit(&self, definition: &Definition) -> bool {
        let mut components = definition.components.iter();
        components.any(|it| self.buildspecs.get(&it.name) == Some(&Buildspec::NoCommit))
    }
}

//! Why a question or a command is refused, and what to do instead: each case worded in one place.

use std::fmt;

use towline_domain::Timestamp;
use towline_domain::explain;
use towline_domain::ledger::Ending;
use towline_domain::names::{
    BuildId, CommitSha, ComponentName, Digest, ImageRepository, RepositoryName, StageName,
};
use towline_domain::obstacle::Obstacle;
use towline_domain::person::Actor;
use towline_domain::run::{self, Attempt};
use towline_domain::stage;
use towline_state::keys::PREFIX_DIGITS;

/// The longest reason or comment, in characters.
pub(crate) const LONGEST_TEXT: usize = 500;

/// A thing with a name or number in each repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Thing {
    Component(ComponentName),
    Build(u64),
    Promotion(u64),
}

impl fmt::Display for Thing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Component(name) => write!(formatter, "component {name}"),
            Self::Build(number) => write!(formatter, "build#{number}"),
            Self::Promotion(number) => write!(formatter, "promotion #{number}"),
        }
    }
}

/// Why something is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No repository has the thing.
    #[error("{thing} not found{}", within(repository.as_ref()))]
    NotFound {
        thing: Thing,
        /// The repository that was searched, if one was named.
        repository: Option<RepositoryName>,
    },
    /// No repository has the component.
    #[error("component {component} not found{}", there_are("components", known))]
    NoComponent {
        component: ComponentName,
        /// The existing components.
        known: Vec<ComponentName>,
    },
    /// The component is defined, and has no build yet.
    #[error("component {0} has no build yet; to see why, run: towline runs")]
    NeverBuilt(ComponentName),
    /// The component is no longer in the definition of the default branch.
    #[error(
        "component {component} is no longer in the definition of {repository}{}; to see what was live, run: towline history {component} STAGE",
        there_are("stages", stages)
    )]
    ComponentGone {
        component: ComponentName,
        /// The repository that had it.
        repository: RepositoryName,
        /// The stages of that repository.
        stages: Vec<StageName>,
    },
    /// Several repositories have the thing.
    #[error(
        "{thing} is in several repositories; choose one with --repository: {}",
        listed(repositories)
    )]
    InSeveral {
        thing: Thing,
        /// The repositories that have it.
        repositories: Vec<RepositoryName>,
    },
    /// No push of the repository was accepted.
    #[error(
        "no push of {repository} was accepted{}",
        there_are("repositories", known)
    )]
    NoPush {
        repository: RepositoryName,
        /// The repositories that have pushed.
        known: Vec<RepositoryName>,
    },
    /// The default branch has no valid definition.
    #[error("the default branch of {0} has no valid .towline.yml yet; push one")]
    NoDefinition(RepositoryName),
    /// The definition has no such stage.
    #[error("stage {stage} not found{}", there_are("stages", known))]
    NoStage {
        stage: StageName,
        /// The existing stages.
        known: Vec<StageName>,
    },
    /// Not the number of a build.
    #[error("{0:?} is not a build; write it as build#142")]
    NotABuild(String),
    /// Not the first digits of a digest.
    #[error("{0:?} is not a digest; write sha256: and at least {PREFIX_DIGITS} hexadecimal digits")]
    NotADigest(String),
    /// Not the first digits of a commit.
    #[error("{0:?} is not a commit; write at least {PREFIX_DIGITS} of its hexadecimal digits")]
    NotACommit(String),
    /// Not a reference to an image.
    #[error("{0:?} is not a commit, tag, digest or build")]
    NotAReference(String),
    /// No accepted push has such a commit.
    #[error("no accepted push has a commit that begins with {0}")]
    NoCommit(String),
    /// The push was accepted and its builds are not decided yet.
    #[error("the push of {} was accepted at {} and is not planned yet; {}", commit.short(), minute(*at), until(obstacle.as_ref()))]
    NotPlanned {
        commit: CommitSha,
        /// When it was accepted.
        at: Timestamp,
        /// What a person must put right first.
        obstacle: Option<Obstacle>,
    },
    /// Several commits begin with the digits.
    #[error(
        "{prefix} matches several commits; write more digits: {}",
        prefixes(commits)
    )]
    SeveralCommits {
        /// The digits.
        prefix: String,
        commits: Vec<CommitSha>,
    },
    /// No image matches the reference.
    #[error("image {reference} not found{}; name a commit, a tag, a digest (sha256:…) or a build (build#142)", within(repository.as_ref()))]
    NoImage {
        reference: String,
        /// The repository that was searched.
        repository: Option<ImageRepository>,
    },
    /// Several images match the reference.
    #[error("{reference} matches several images; choose one: {}", short(digests))]
    SeveralImages {
        reference: String,
        /// The images.
        digests: Vec<Digest>,
    },
    /// Towline did not build the image.
    #[error("image {0} was not built by Towline")]
    NotBuilt(String),
    /// The log of a build is no longer kept.
    #[error("the log of {0} is no longer available")]
    LogGone(BuildId),
    /// The attempt ended before its build wrote anything.
    #[error("{}", explain::attempt(.0))]
    NoLog(Box<Attempt>),
    /// A reason or comment is too long.
    #[error("the text is longer than {LONGEST_TEXT} characters; shorten it")]
    TooLong,
    /// A reason or comment has line breaks or control characters.
    #[error("the text has line breaks or control characters; write it on one line")]
    ControlCharacters,
    /// A reason is missing.
    #[error("the reason is empty; say why")]
    NoReason,
    /// Only the owner may do it.
    #[error("only the owner may {what}; use the owner's token")]
    NotOwner {
        /// What, after "may".
        what: &'static str,
    },
    /// No component has claimed the image repository.
    #[error("no component has claimed {images}; see all claims with: towline claims")]
    NoClaim { images: ImageRepository },
    /// The moment is in the future.
    #[error("that time is in the future; leave it out to see what is live now")]
    InTheFuture,
    /// The promotion moved the stage already.
    #[error("promotion #{promotion} was completed at {}", minute(*at))]
    CarriedOut {
        /// Its number.
        promotion: u64,
        /// When.
        at: Timestamp,
    },
    /// Not a place where an audit can continue.
    #[error("{0:?} is not the `next` of an earlier answer; leave it out to start at the beginning")]
    NotAPlace(String),
    /// The promotion has ended.
    #[error("{}", explain::ending(*promotion, how, Some(by)))]
    Ended {
        /// Its number.
        promotion: u64,
        how: Box<Ending>,
        /// Who ended it.
        by: Actor,
    },
    /// A rule of stages denies it. The ledger records the denial too.
    #[error(transparent)]
    Stage(#[from] stage::Refusal),
    /// A rule of runs denies it. The ledger records the denial too.
    #[error(transparent)]
    Run(#[from] run::Refusal),
}

impl Refusal {
    /// Whether it denies a person's decision. A denial is in the ledger, unless it concerns no stage or
    /// build. All other refusals mean that something could not be understood or found.
    #[must_use]
    pub fn is_denial(&self) -> bool {
        matches!(
            self,
            Self::Stage(_)
                | Self::Run(_)
                | Self::Ended { .. }
                | Self::CarriedOut { .. }
                | Self::NotOwner { .. }
        )
    }
}

/// What a push that is not planned waits for.
fn until(obstacle: Option<&Obstacle>) -> String {
    match obstacle {
        None => "try again in a moment".into(),
        Some(obstacle) => obstacle.to_string(),
    }
}

fn minute(at: Timestamp) -> String {
    explain::minute(at)
}

fn listed<T: ToString>(known: &[T]) -> String {
    let known: Vec<String> = known.iter().map(ToString::to_string).collect();
    known.join(", ")
}

/// The existing things, to follow a sentence that one was not found.
fn there_are<T: ToString>(what: &str, known: &[T]) -> String {
    match known {
        [] => format!("; there are no {what} yet"),
        _ => format!("; {what}: {}", listed(known)),
    }
}

fn within<T: fmt::Display>(place: Option<&T>) -> String {
    place
        .map(|place| format!(" in {place}"))
        .unwrap_or_default()
}

fn prefixes(commits: &[CommitSha]) -> String {
    let commits: Vec<&str> = commits
        .iter()
        .map(|commit| &commit.as_str()[..12])
        .collect();
    commits.join(", ")
}

fn short(digests: &[Digest]) -> String {
    let digests: Vec<&str> = digests.iter().map(Digest::short).collect();
    digests.join(", ")
}

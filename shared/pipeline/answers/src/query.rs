//! The questions of people, with the words that the terminal, chat and the API share.

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use towline_domain::names::{ComponentName, RepositoryName, StageName};

use super::moment::Moment;
use super::words::{lines, reference};

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Subcommand)]
#[serde(tag = "query", rename_all = "snake_case")]
pub enum Query {
    /// Show what is live, now or at an earlier time, by component and stage
    Now(Now),
    /// Show where a commit's images are, and what keeps them from the next stage
    Where(Where),
    /// Show why a commit was built or not
    Why(Why),
    /// List the newest runs
    Runs(Runs),
    /// Show running builds, and what each waiting build waits for
    Queue(Queue),
    /// Show the builds and images of a commit
    Commit(Commit),
    /// List a component's images and tags, newest first
    Tags(Tags),
    /// Show everything known about an image
    Image(Image),
    /// List the images that were live in a stage, newest first
    History(History),
    /// Which component each image repository belongs to; in the terminal, `claims` can do more.
    #[command(skip)]
    Claims(Claims),
    /// A part of a build's log.
    #[command(skip)]
    Log(Log),
    /// A part of the ledgers.
    #[command(skip)]
    Audit(Audit),
    /// Whether the ledgers are complete and unchanged.
    #[command(skip)]
    Verify(Verify),
}

impl Query {
    /// Their names in the API, in the order above.
    pub const NAMES: &[&str] = &[
        "now", "where", "why", "runs", "queue", "commit", "tags", "image", "history", "claims",
        "log", "audit", "verify",
    ];

    /// The requested number of lines, for questions that have one.
    #[must_use]
    pub fn limit(&self) -> Option<usize> {
        match self {
            Self::Tags(Tags { limit, .. })
            | Self::History(History { limit, .. })
            | Self::Runs(Runs { limit, .. }) => *limit,
            Self::Now(_)
            | Self::Where(_)
            | Self::Why(_)
            | Self::Commit(_)
            | Self::Image(_)
            | Self::Queue(_)
            | Self::Claims(_)
            | Self::Log(_)
            | Self::Audit(_)
            | Self::Verify(_) => None,
        }
    }
}

/// Which images of a component are listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields)]
#[command(after_help = "\
Examples:
  towline tags backend
  towline tags backend --branch main --limit 20")]
pub struct Tags {
    /// The component
    pub component: ComponentName,
    /// Only images built from this branch
    #[arg(long)]
    pub branch: Option<String>,
    /// How many lines to show, 1 to 500 [default: 10]
    #[arg(long, value_name = "N", value_parser = lines())]
    pub limit: Option<usize>,
    /// The repository, if several have a component of that name
    #[arg(long, value_name = "OWNER/NAME")]
    pub repository: Option<RepositoryName>,
}

/// Which commit is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields)]
#[command(after_help = "\
Example:
  towline commit 3f9c2ab")]
pub struct Commit {
    /// The first digits of the commit, at least four
    #[arg(value_parser = reference)]
    pub commit: String,
}

/// Which image is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields)]
#[command(after_help = "\
Examples:
  towline image sha256:858e0a1b     by the first digits of its digest
  towline image 3f9c2ab             by its commit
  towline image :prod               by a tag
  towline image build#142           by its build")]
pub struct Image {
    /// A digest, commit, tag or build (build#142)
    #[arg(value_name = "REF", value_parser = reference)]
    pub image: String,
    /// Only images of this component
    #[arg(long)]
    pub component: Option<ComponentName>,
    /// The repository, if several have a component or build of that name
    #[arg(long, value_name = "OWNER/NAME")]
    pub repository: Option<RepositoryName>,
}

/// The stage whose history is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields)]
#[command(after_help = "\
Example:
  towline history backend prod")]
pub struct History {
    /// The component
    pub component: ComponentName,
    /// The stage
    pub stage: StageName,
    /// How many lines to show, 1 to 500 [default: 10]
    #[arg(long, value_name = "N", value_parser = lines())]
    pub limit: Option<usize>,
    /// The repository, if several have a component of that name
    #[arg(long, value_name = "OWNER/NAME")]
    pub repository: Option<RepositoryName>,
}

/// Which stages are shown, and as of when.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields)]
#[command(after_help = "\
Examples:
  towline now
  towline now prod
  towline now prod --at 2026-02-27T12:00
  towline now --component backend --at '2h ago'")]
pub struct Now {
    /// Only this stage
    pub stage: Option<StageName>,
    /// Only this component
    #[arg(long)]
    pub component: Option<ComponentName>,
    /// Show what was live then: 2026-02-27T12:00 (UTC unless an offset follows) or '2h ago'
    #[arg(long, value_name = "TIME")]
    pub at: Option<Moment>,
    /// Only this repository
    #[arg(long, value_name = "OWNER/NAME")]
    pub repository: Option<RepositoryName>,
}

/// The commit to find in the stages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields)]
#[command(after_help = "\
Example:
  towline where 3f9c2ab")]
pub struct Where {
    /// A commit, tag, digest or build (build#142)
    #[arg(value_name = "REF", value_parser = reference)]
    pub reference: String,
    /// The repository, if several have a build of that number
    #[arg(long, value_name = "OWNER/NAME")]
    pub repository: Option<RepositoryName>,
}

/// The commit whose builds are explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields)]
#[command(after_help = "\
Examples:
  towline why 3f9c2ab
  towline why 3f9c2ab todo")]
pub struct Why {
    /// A commit, tag, digest or build (build#142)
    #[arg(value_name = "REF", value_parser = reference)]
    pub reference: String,
    /// Only this component
    pub component: Option<ComponentName>,
    /// The repository, if several have a build of that number
    #[arg(long, value_name = "OWNER/NAME")]
    pub repository: Option<RepositoryName>,
}

/// Which runs are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields)]
#[command(after_help = "\
Example:
  towline runs --limit 30")]
pub struct Runs {
    /// How many lines to show, 1 to 500 [default: 10]
    #[arg(long, value_name = "N", value_parser = lines())]
    pub limit: Option<usize>,
    /// Only this repository
    #[arg(long, value_name = "OWNER/NAME")]
    pub repository: Option<RepositoryName>,
}

/// Whose builds are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields)]
#[command(after_help = "\
Example:
  towline queue")]
pub struct Queue {
    /// Only this repository
    #[arg(long, value_name = "OWNER/NAME")]
    pub repository: Option<RepositoryName>,
}

/// All claims.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {}

/// The part of a log to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// The build's number.
    pub build: u64,
    /// Bytes to skip.
    pub from: Option<u64>,
    /// The repository, if several have a build of that number.
    pub repository: Option<RepositoryName>,
}

/// Which rows of the ledgers are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Only this component
    #[arg(long)]
    pub component: Option<ComponentName>,
    /// Only this stage
    #[arg(long)]
    pub stage: Option<StageName>,
    /// Only what this person decided, by login
    #[arg(long, value_name = "LOGIN")]
    pub person: Option<String>,
    /// Only rows since this time: 2026-02-27T12:00 (UTC unless an offset follows) or '2h ago'
    #[arg(long, value_name = "TIME")]
    pub since: Option<Moment>,
    /// Only this repository
    #[arg(long, value_name = "OWNER/NAME")]
    pub repository: Option<RepositoryName>,
    /// The `next` of the answer before, to continue there.
    #[arg(skip)]
    pub after: Option<String>,
}

/// Which ledgers are checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// Only this repository
    #[arg(long, value_name = "OWNER/NAME")]
    pub repository: Option<RepositoryName>,
    /// The `next` of the answer before, to continue there.
    #[arg(skip)]
    pub after: Option<String>,
}

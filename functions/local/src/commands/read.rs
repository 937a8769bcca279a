//! The commands that ask: `tags`, `commit`, `image`, `history`, `now`, `where`, `why`, `runs`.

use anyhow::anyhow;
use clap::Args;
use towline_domain::names::{ComponentName, RepositoryName, StageName};
use towline_handlers::answer_chat::moment::Moment;
use towline_handlers::answer_chat::{Answer, Query};
use towline_ports::Clock as _;

use crate::answer;
use towline_client::context::Context;
use towline_console::outcome::Outcome;
use towline_ports::system::SystemClock;

/// Which repository is meant.
#[derive(Debug, Args)]
pub struct In {
    /// The repository, if several have such a component or number
    #[arg(long, value_name = "OWNER/NAME")]
    pub repository: Option<RepositoryName>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towline tags backend
  towline tags backend --branch main --limit 50")]
pub struct Tags {
    /// The component
    component: ComponentName,
    /// Only images built from this branch
    #[arg(long)]
    branch: Option<String>,
    #[command(flatten)]
    limit: Limit,
    #[command(flatten)]
    place: In,
}

/// How many lines.
#[derive(Debug, Args)]
pub struct Limit {
    /// How many lines at most, 1 to 500
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=500))]
    limit: u16,
}

impl Limit {
    fn count(&self) -> Option<usize> {
        Some(usize::from(self.limit))
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  towline commit 3f9c2ab")]
pub struct Commit {
    /// Commit prefix, at least four digits
    #[arg(value_parser = reference)]
    commit: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towline image sha256:858e0a1b     by the first digits of its digest
  towline image 3f9c2ab             by its commit
  towline image :prod               by a tag
  towline image build#142           by its build")]
pub struct Image {
    /// A digest, commit, tag or build#N
    #[arg(value_name = "REF", value_parser = reference)]
    image: String,
    /// Only images of this component
    #[arg(long)]
    component: Option<ComponentName>,
    #[command(flatten)]
    place: In,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  towline history backend prod")]
pub struct History {
    /// The component
    component: ComponentName,
    /// The stage
    stage: StageName,
    #[command(flatten)]
    limit: Limit,
    #[command(flatten)]
    place: In,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towline now
  towline now prod
  towline now prod --at 2026-02-27T12:00
  towline now --component backend --at '2h ago'")]
pub struct Now {
    /// Only this stage
    stage: Option<StageName>,
    /// Only this component
    #[arg(long)]
    component: Option<ComponentName>,
    /// What was live then: 2026-02-27T12:00 (UTC unless an offset follows) or '2h ago'
    #[arg(long, value_name = "TIME")]
    at: Option<Moment>,
    /// Only this repository
    #[arg(long, value_name = "OWNER/NAME")]
    repository: Option<RepositoryName>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  towline where 3f9c2ab")]
pub struct Where {
    /// A commit, tag, digest or build#N
    #[arg(value_name = "REF", value_parser = reference)]
    reference: String,
    #[command(flatten)]
    place: In,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towline why 3f9c2ab
  towline why 3f9c2ab todo")]
pub struct Why {
    /// A commit, tag, digest or build#N
    #[arg(value_name = "REF", value_parser = reference)]
    reference: String,
    /// Only this component
    component: Option<ComponentName>,
    #[command(flatten)]
    place: In,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  towline runs --limit 30")]
pub struct Runs {
    #[command(flatten)]
    limit: Limit,
    /// Only this repository
    #[arg(long, value_name = "OWNER/NAME")]
    repository: Option<RepositoryName>,
}

impl From<Tags> for Query {
    fn from(args: Tags) -> Self {
        Self::Tags {
            component: args.component,
            branch: args.branch,
            limit: args.limit.count(),
            repository: args.place.repository,
        }
    }
}

impl From<Commit> for Query {
    fn from(args: Commit) -> Self {
        Self::Commit {
            commit: args.commit,
        }
    }
}

impl From<Image> for Query {
    fn from(args: Image) -> Self {
        Self::Image {
            image: args.image,
            component: args.component,
            repository: args.place.repository,
        }
    }
}

impl From<History> for Query {
    fn from(args: History) -> Self {
        Self::History {
            component: args.component,
            stage: args.stage,
            limit: args.limit.count(),
            repository: args.place.repository,
        }
    }
}

impl From<Where> for Query {
    fn from(args: Where) -> Self {
        Self::Where {
            reference: args.reference,
            repository: args.place.repository,
        }
    }
}

impl From<Why> for Query {
    fn from(args: Why) -> Self {
        Self::Why {
            reference: args.reference,
            component: args.component,
            repository: args.place.repository,
        }
    }
}

impl From<Runs> for Query {
    fn from(args: Runs) -> Self {
        Self::Runs {
            limit: args.limit.count(),
            repository: args.repository,
        }
    }
}

/// Asks and prints the answer.
pub async fn run(context: &Context, query: impl Into<Query>) -> Outcome {
    let answer = context.client().await?.ask(&query.into()).await?;
    answer::print(context.output, &answer)
}

/// What is or was live.
pub async fn now(context: &Context, args: Now) -> Outcome {
    let at = match args.at {
        None => None,
        Some(moment) => match moment.before(SystemClock.now()) {
            Some(at) => Some(at),
            None => {
                return Err(
                    anyhow!("--at is in the future; leave it out for what is live now").into(),
                );
            }
        },
    };
    let query = Query::Now {
        stage: args.stage,
        component: args.component,
        at,
    };
    let mut answer = context.client().await?.ask(&query).await?;
    if let (Answer::Now { live, .. }, Some(only)) = (&mut answer, &args.repository) {
        live.retain(|line| line.repository.as_str().eq_ignore_ascii_case(only.as_str()));
    }
    answer::print(context.output, &answer)
}

/// Takes a reference as it is printed, with the `…` that stands for further digits.
pub fn reference(text: &str) -> Result<String, std::convert::Infallible> {
    Ok(text.trim_end_matches('…').to_owned())
}

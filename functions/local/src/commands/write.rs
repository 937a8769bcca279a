//! The commands that have something done: `promote`, `approve`, `reject`, `hold`, `resume`,
//! `cancel`, `retry`.

use clap::Args;
use towline_domain::names::{ComponentName, StageName};
use towline_handlers::answer_chat::{Answer, Command};

use super::read::{In, reference};
use super::wait;
use crate::answer;
use towline_client::context::Context;
use towline_console::outcome::Outcome;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towline promote backend 3f9c2ab staging
  towline promote backend sha256:858e0a1b prod --reason 'release 12' --wait")]
pub struct Promote {
    /// The component
    component: ComponentName,
    /// The image: a commit, tag, digest or build#N
    #[arg(value_name = "REF", value_parser = reference)]
    image: String,
    /// The stage to promote to
    stage: StageName,
    /// Reason
    #[arg(long)]
    reason: Option<String>,
    /// Wait until the promotion ends
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    place: In,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towline approve 58
  towline approve 58 'checked on staging' --wait")]
pub struct Approve {
    /// The promotion's number
    #[arg(value_name = "N", value_parser = promotion)]
    promotion: u64,
    /// Comment
    comment: Option<String>,
    /// Wait until the promotion ends
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    place: In,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  towline reject 58 'breaks the checkout'")]
pub struct Reject {
    /// The promotion's number
    #[arg(value_name = "N", value_parser = promotion)]
    promotion: u64,
    /// Reason
    reason: String,
    #[command(flatten)]
    place: In,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  towline hold backend prod 'incident 4711'")]
pub struct Hold {
    /// The component
    component: ComponentName,
    /// The stage
    stage: StageName,
    /// Reason
    reason: String,
    #[command(flatten)]
    place: In,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  towline resume backend prod")]
pub struct Resume {
    /// The component
    component: ComponentName,
    /// The stage
    stage: StageName,
    #[command(flatten)]
    place: In,
}

#[derive(Debug, Args)]
pub struct OfBuild {
    /// The build's number, as 142 or build#142
    #[arg(value_name = "BUILD", value_parser = build)]
    build: u64,
    #[command(flatten)]
    place: In,
}

impl From<Reject> for Command {
    fn from(args: Reject) -> Self {
        Self::Reject {
            promotion: args.promotion,
            reason: args.reason,
            repository: args.place.repository,
        }
    }
}

impl From<Hold> for Command {
    fn from(args: Hold) -> Self {
        Self::Hold {
            component: args.component,
            stage: args.stage,
            reason: args.reason,
            repository: args.place.repository,
        }
    }
}

impl From<Resume> for Command {
    fn from(args: Resume) -> Self {
        Self::Resume {
            component: args.component,
            stage: args.stage,
            repository: args.place.repository,
        }
    }
}

impl OfBuild {
    /// Stop it.
    pub fn cancel(self) -> Command {
        Command::Cancel {
            build: self.build,
            repository: self.place.repository,
        }
    }

    /// Build it again.
    pub fn retry(self) -> Command {
        Command::Retry {
            build: self.build,
            repository: self.place.repository,
        }
    }
}

/// Has it done and prints what was.
pub async fn run(context: &Context, command: impl Into<Command>) -> Outcome {
    let answer = context.client().await?.tell(&command.into()).await?;
    answer::print(context.output, &answer)
}

/// Moves an image into a stage.
pub async fn promote(context: &Context, args: Promote) -> Outcome {
    let client = context.client().await?;
    let place = wait::Place {
        component: args.component.clone(),
        stage: args.stage.clone(),
        repository: args.place.repository.clone(),
    };
    let command = Command::Promote {
        component: args.component,
        image: args.image,
        stage: args.stage,
        reason: args.reason,
        repository: args.place.repository,
    };
    let answer = client.tell(&command).await?;
    wait::finish(context, &client, &answer, args.wait.then_some(place)).await
}

/// Says yes to a promotion.
pub async fn approve(context: &Context, args: Approve) -> Outcome {
    let client = context.client().await?;
    let repository = args.place.repository;
    // Once it is approved it may be gone from where it is found.
    let place = match args.wait {
        true => wait::place_of(&client, args.promotion, repository.as_ref()).await?,
        false => None,
    };
    let command = Command::Approve {
        promotion: args.promotion,
        comment: args.comment,
        repository,
    };
    let answer: Answer = client.tell(&command).await?;
    wait::finish(context, &client, &answer, place).await
}

/// `58` or `#58`.
fn promotion(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix('#').unwrap_or(text);
    digits
        .parse()
        .map_err(|_| "write a promotion's number, such as 58".into())
}

/// `142`, `#142` or `build#142`.
pub fn build(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix("build").unwrap_or(text);
    let digits = digits.strip_prefix('#').unwrap_or(digits);
    digits
        .parse()
        .map_err(|_| "write a build's number, such as 142 or build#142".into())
}

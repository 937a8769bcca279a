//! The commands that change something.

use clap::Args;
use towline_answers::{Answer, Command, command};

use super::wait;
use crate::answer;
use towline_client::context::Context;
use towline_console::outcome::Outcome;

/// Settings of `promote`.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Promote {
    #[command(flatten)]
    command: command::Promote,
    /// Wait until the promotion has ended
    #[arg(long)]
    wait: bool,
}

/// Settings of `approve`.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Approve {
    #[command(flatten)]
    command: command::Approve,
    /// Wait until the promotion has ended
    #[arg(long)]
    wait: bool,
}

/// Runs the command and prints the answer.
///
/// # Errors
/// When it is denied or fails, or the answer cannot be printed.
pub async fn run(context: &Context, command: Command) -> Outcome {
    let answer = context.client().await?.tell(&command).await?;
    answer::print(context.output, &answer)
}

/// Promotes an image to a stage.
///
/// # Errors
/// As [`run`]; when waiting, also if the promotion ends without moving the stage.
pub async fn promote(context: &Context, args: Promote) -> Outcome {
    let client = context.client().await?;
    let command = args.command;
    let place = wait::Place {
        component: command.component.clone(),
        stage: command.stage.clone(),
        repository: command.repository.clone(),
    };
    let answer = client.tell(&Command::Promote(command)).await?;
    wait::finish(context, &client, &answer, args.wait.then_some(place)).await
}

/// Approves a promotion.
///
/// # Errors
/// As [`promote`].
pub async fn approve(context: &Context, args: Approve) -> Outcome {
    let client = context.client().await?;
    let command = args.command;
    // Once it is approved, it may no longer be in the list of waiting promotions.
    let place = match args.wait {
        true => wait::place_of(&client, command.promotion, command.repository.as_ref()).await?,
        false => None,
    };
    let answer: Answer = client.tell(&Command::Approve(command)).await?;
    wait::finish(context, &client, &answer, place).await
}

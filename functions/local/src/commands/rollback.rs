//! `towline rollback`: returns to an image that was live, after showing which.

use clap::Args;
use towline_answers::answers::Move;
use towline_answers::{Answer, Command, Query, command, query};
use towline_domain::names::Digest;

use super::wait;
use towline_client::client::Client;
use towline_client::context::Context;
use towline_console::outcome::{Outcome, refused};
use towline_console::output;

/// Moves of the stage that are searched.
const MOVES: usize = 500;

#[derive(Debug, Args)]
#[group(skip)]
pub struct Rollback {
    #[command(flatten)]
    command: command::Rollback,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    /// Wait until the rollback ends
    #[arg(long)]
    wait: bool,
}

/// Rolls back.
pub async fn run(context: &Context, args: Rollback) -> Outcome {
    let client = context.client().await?;
    let mut command = args.command;
    if !args.yes {
        if !output::is_interactive() || context.output.is_json() {
            return refused(
                "a rollback asks for confirmation, and there is no terminal to ask on; use --yes",
            );
        }
        let Some(target) = target(&client, &command).await? else {
            return refused(format!(
                "no earlier image was live in {} of {}, so there is nothing to roll back to",
                command.stage, command.component
            ));
        };
        let question = question(&command, &target);
        if !context.output.confirm(&question)? {
            return refused("nothing has been changed");
        }
        // Exactly the image that was confirmed, even if another went live in the meantime.
        command.to = Some(target.image.to_string());
    }
    let place = wait::Place {
        component: command.component.clone(),
        stage: command.stage.clone(),
        repository: command.repository.clone(),
    };
    let answer = client.tell(&Command::Rollback(command)).await?;
    wait::finish(context, &client, &answer, args.wait.then_some(place)).await
}

/// The image that would be live afterwards.
struct Target {
    live: Move,
    image: Digest,
    was: Option<Move>,
}

fn question(args: &command::Rollback, target: &Target) -> String {
    let (commit, since) = match &target.was {
        Some(was) => (
            was.to.short().to_owned(),
            format!(" (was live from {} UTC)", was.at.strftime("%Y-%m-%d %H:%M")),
        ),
        None => (target.image.short().to_owned(), String::new()),
    };
    let (stage, component, from) = (&args.stage, &args.component, target.live.to.short());
    format!("{stage} of {component}: {from} → {commit}{since}. Roll back?")
}

async fn target(client: &Client, args: &command::Rollback) -> Outcome<Option<Target>> {
    let query = Query::History(query::History {
        component: args.component.clone(),
        stage: args.stage.clone(),
        limit: Some(MOVES),
        repository: args.repository.clone(),
    });
    let Answer::History { moves, .. } = client.ask(&query).await? else {
        return Ok(None);
    };
    let Some(live) = moves.first().cloned() else {
        return Ok(None);
    };
    let image = match &args.to {
        Some(reference) => Some(named(client, args, reference).await?),
        None => before(&moves).map(|step| step.digest.clone()),
    };
    Ok(image.map(|image| {
        let was = moves.iter().find(|step| step.digest == image).cloned();
        Target { live, image, was }
    }))
}

/// The only image that a reference names.
async fn named(client: &Client, args: &command::Rollback, reference: &str) -> Outcome<Digest> {
    let query = Query::Image(query::Image {
        image: reference.to_owned(),
        component: Some(args.component.clone()),
        repository: args.repository.clone(),
    });
    let Answer::Image { images } = client.ask(&query).await? else {
        return refused(format!("image {reference} not found"));
    };
    match images.as_slice() {
        [image] => Ok(image.digest.clone()),
        several => {
            let digests: Vec<&str> = several.iter().map(|image| image.digest.short()).collect();
            refused(format!(
                "{reference} matches several images; use one of: {}",
                digests.join(", ")
            ))
        }
    }
}

/// The newest move to an image that first became live before the one that is live now. Images that
/// a rollback left are skipped.
fn before(moves: &[Move]) -> Option<&Move> {
    let first_seen = |step: &Move| moves.iter().rposition(|other| other.digest == step.digest);
    let live = first_seen(moves.first()?)?;
    moves
        .iter()
        .find(|step| first_seen(step).is_some_and(|position| position > live))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    /// Images by letter, newest move first.
    fn check(moves: &str, expected: &str) {
        let step = |letter: char| {
            let digits = u32::from(letter).to_string().repeat(32);
            Move {
                at: jiff::Timestamp::UNIX_EPOCH,
                tag: "prod".parse().unwrap(),
                from: None,
                to: digits[..40].parse().unwrap(),
                digest: format!("sha256:{}", &digits[..64]).parse().unwrap(),
                by: letter.to_string(),
                why: String::new(),
                promotion: 1,
                rollback: false,
            }
        };
        let moves: Vec<Move> = moves.chars().map(step).collect();
        let found = before(&moves).map(|step| step.by.clone());
        assert_eq!(found.unwrap_or_default(), expected);
    }

    #[test]
    fn a_rollback_goes_to_the_newest_image_older_than_the_live_one() {
        check("", "");
        check("A", "");
        check("BA", "A");
        check("CBA", "B");
        check("BCBA", "A"); // C was left by a rollback to B
        check("ABCBA", "");
        check("DABCBA", "A");
    }
}

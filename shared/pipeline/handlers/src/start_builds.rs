//! Starts due builds and stops those that no longer count.

mod environment;
mod step;
#[cfg(test)]
mod tests;

use std::time::Duration;

use towline_domain::Timestamp;
use towline_domain::intent::{AttemptRef, Intent};
use towline_domain::names::BuildId;
use towline_domain::run::{Attempt, Delay, Fact, NotStarted, Run};
use towline_ports::{Builds, StartBuild, StartError};
use towline_wire::eventbridge::Envelope;
use tracing::Instrument as _;

pub use environment::{BuildOf, EnvironmentError};

use towline_state::Reads;
use towline_state::apply;
use towline_state::keys;
use towline_state::records::Repository;
use towline_state::{Context, HandlerError, Owed, milliseconds};

pub use step::Settings;
use step::{Known, Step, step};

use crate::settling::settle;

/// How long the same token surely returns the same build: CodeBuild forgets it after five minutes
/// (CodeBuild API, `StartBuild`), minus one for clocks that disagree.
const TOKEN_LASTS: Duration = Duration::from_secs(4 * 60);

/// Acts on `Build Due` and `Build Stop Due`.
///
/// # Errors
/// When the store or CodeBuild does not answer; the intent stays owed.
pub async fn handle(
    context: Context<'_>,
    builds: &dyn Builds,
    settings: &Settings,
    event: &Envelope,
) -> Result<(), HandlerError> {
    let mut reads = Reads::from(context);
    let Some(owed) = reads.owed(event).await? else {
        return Ok(());
    };
    let acted = async {
        match &owed.intent {
            Intent::BuildDue(of) => start(reads, builds, settings, &owed, of).await,
            Intent::BuildStopDue { build } => {
                builds.stop(build).await?;
                context.finish(&owed).await
            }
            Intent::PushAccepted(_)
            | Intent::ImageDue { .. }
            | Intent::IndexDue(_)
            | Intent::BuildRetryDue { .. }
            | Intent::BuildSuperseded { .. }
            | Intent::ImageRecorded { .. }
            | Intent::ImageReady { .. }
            | Intent::PromotionDue { .. }
            | Intent::DeployDue { .. }
            | Intent::BuildStatusDue { .. }
            | Intent::StageStatusDue { .. }
            | Intent::StatusesDue { .. }
            | Intent::BuildWatchDue(_)
            | Intent::PromotionWatchDue { .. } => Ok(()),
        }
    }
    .instrument(owed.span());
    settle(context, &owed, acted.await).await
}

async fn start(
    mut reads: Reads<'_>,
    builds: &dyn Builds,
    settings: &Settings,
    owed: &Owed,
    of: &AttemptRef,
) -> Result<(), HandlerError> {
    let context = reads.context();
    let Some(known) = load(&mut reads, of).await? else {
        return context.finish(owed).await;
    };
    let fact = match step(&known, of, settings, context.now()) {
        Step::Nothing => return context.finish(owed).await,
        Step::GiveUp(fact) => *fact,
        Step::Start(attempt, request) => {
            match find_or_start(context, builds, owed, attempt, *request).await {
                Ok(build) => Fact::BuildBound(attempt.id.clone(), build),
                Err(StartError::Refused(said)) => {
                    Fact::BuildRefused(attempt.id.clone(), NotStarted::Refused { said })
                }
                Err(StartError::Busy(said)) => {
                    let fact = Fact::BuildDelayed(attempt.id.clone(), Delay::Busy { said });
                    apply::to_run(reads, &of.run, &fact, None).await?;
                    return context.postpone(owed).await;
                }
                Err(StartError::Port(error)) => return Err(error.into()),
            }
        }
    };
    apply::to_run(reads, &of.run, &fact, Some(&owed.id)).await?;
    if let Fact::BuildBound(id, _) = &fact
        && let Some((_, _, attempt)) = known.run.attempt(id)
    {
        measure(&known.run, attempt, context.now());
    }
    Ok(())
}

/// The inputs of a build's start; none if its run does not exist or builds nothing.
async fn load(reads: &mut Reads<'_>, of: &AttemptRef) -> Result<Option<Known>, HandlerError> {
    let Some(run) = reads.read::<Run>(&keys::run(&of.run)).await? else {
        return Ok(None);
    };
    let run = run.value;
    let id = run.key.repository;
    let component = run.components.get(&of.component);
    let contents = run
        .definition
        .iter()
        .chain(component.map(|it| &it.buildspec));
    let contents = contents.map(|hash| keys::content(id, hash));
    let repository = keys::repository(id);
    reads
        .load(contents.chain([repository.clone()]).collect())
        .await?;
    let definition = reads.definition(&run).await?;
    let buildspec = reads.buildspec(&run, &of.component).await?;
    let (Some(definition), Some(buildspec)) = (definition, buildspec) else {
        return Ok(None);
    };
    let repository = reads.value::<Repository>(&repository).await?;
    Ok(Some(Known {
        run,
        definition,
        buildspec,
        default_branch: repository.map(|repository| repository.default_branch),
    }))
}

/// The time until a build was started.
fn measure(run: &Run, attempt: &Attempt, now: Timestamp) {
    tracing::info!(
        target: "towline::metric",
        name = "QueueTime",
        milliseconds = milliseconds(attempt.due_at, now),
        "build#{} was started",
        attempt.build_number
    );
    if attempt.number == 1 {
        tracing::info!(
            target: "towline::metric",
            name = "PushToStartBuild",
            milliseconds = milliseconds(run.at, now),
            "the first build of a push was started"
        );
    }
}

/// Starts the build. If CodeBuild may have forgotten the token since the first request, looks first
/// for a build whose answer was lost (F10).
async fn find_or_start(
    context: Context<'_>,
    builds: &dyn Builds,
    owed: &Owed,
    attempt: &Attempt,
    request: StartBuild,
) -> Result<BuildId, StartError> {
    if context.now() >= owed.since + TOKEN_LASTS
        && let Some(found) = builds
            .find(&request.repository.name, &request.component, &attempt.id)
            .await?
    {
        return Ok(found.build);
    }
    builds.start(request).await
}

//! What becomes of an intent after its function has acted on it: if something was denied, it waits for a
//! person; if that is over, others that wait for the same service are announced.

use towline_domain::intent::Intent;
use towline_domain::obstacle::Obstacle;
use towline_domain::run::{self, Delay};
use towline_state::{Context, HandlerError, Owed, apply};

/// The outcome of acting on an intent. A denial is recorded, with the intent and with the build or
/// promotion that waits for it. It does not count as a failure, which would be retried too often.
pub(crate) async fn settle(
    context: Context<'_>,
    owed: &Owed,
    outcome: Result<(), HandlerError>,
) -> Result<(), HandlerError> {
    match (outcome, &owed.obstacle) {
        (Ok(()), None) => Ok(()),
        (Ok(()), Some(gone)) => {
            if context.still_owes(owed).await? {
                return Ok(()); // another is at work on it
            }
            tracing::info!(by = ?gone.by, "what was denied is possible again");
            context.passed(gone.by).await
        }
        (Err(error), before) => {
            let Some(obstacle) = error.obstacle() else {
                if before.is_some() {
                    context.obstruct(owed, None).await?;
                }
                return Err(error);
            };
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "it waits until a person has put this right"
            );
            tell(context, &owed.intent, &obstacle).await?;
            context.obstruct(owed, Some(&obstacle)).await
        }
    }
}

/// Tells the build that waits. A promotion is told with the lease of its writer.
async fn tell(
    context: Context<'_>,
    intent: &Intent,
    obstacle: &Obstacle,
) -> Result<(), HandlerError> {
    match intent {
        Intent::BuildDue(of) | Intent::IndexDue(of) => {
            let why = Delay::Denied(obstacle.clone());
            let fact = run::Fact::BuildDelayed(of.attempt.clone(), why);
            apply::to_run(context, &of.run, &fact, None).await?;
        }
        Intent::PushAccepted(_)
        | Intent::BuildStopDue { .. }
        | Intent::ImageDue { .. }
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
        | Intent::PromotionWatchDue { .. } => {}
    }
    Ok(())
}

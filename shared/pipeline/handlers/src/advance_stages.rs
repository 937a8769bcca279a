//! Applies facts to runs and stages.

use towline_domain::intent::{AttemptRef, Intent};
use towline_domain::names::{ComponentName, RunId};
use towline_domain::run::{BuildReport, BuildStatus, Fact};
use towline_domain::stage;
use towline_ports::Builds;
use towline_state::retry::{Retry, another_attempt};
use towline_state::{Context, HandlerError, Owed, Reads, apply, keys};
use towline_wire::codebuild::{self, StateChange};
use towline_wire::eventbridge::Envelope;
use tracing::Instrument as _;

use crate::settling::settle;

/// Acts on a `CodeBuild Build State Change`, and on `Image Recorded`, `Build Superseded`,
/// `Build Retry Due` and `Image Ready`.
///
/// # Errors
/// When the store or CodeBuild does not answer; an intent stays owed.
pub async fn handle(
    context: Context<'_>,
    builds: &dyn Builds,
    event: &Envelope,
) -> Result<(), HandlerError> {
    if event.source != codebuild::SOURCE {
        return intent(context, event).await;
    }
    match codebuild::decode(event) {
        Ok(change) => build_changed(context, builds, &change).await,
        Err(error) => {
            tracing::error!(
                event = event.id,
                error = &error as &dyn std::error::Error,
                "dropped"
            );
            Ok(())
        }
    }
}

async fn build_changed(
    context: Context<'_>,
    builds: &dyn Builds,
    event: &StateChange,
) -> Result<(), HandlerError> {
    let known = match event.attempt() {
        // The environment of a build we started names its attempt, even before our request was answered (F4).
        Some(of) => Some(of),
        None => context
            .read::<AttemptRef>(&keys::build(&event.build))
            .await?
            .map(|read| read.value),
    };
    let Some(of) = known else {
        return Ok(()); // not a build of ours
    };
    let report = match event.report() {
        Some(report) if !has_more_to_say(&report, event) => Some(report),
        // For a status that this version does not know, the build is looked up; nothing is guessed (F19).
        Some(_) | None => builds.get(&event.build).await?,
    };
    if let Some(report) = report {
        let fact = Fact::BuildReported(of.attempt, report);
        apply::to_run(context, &of.run, &fact, None).await?;
    }
    Ok(())
}

/// Whether the build has outputs, which events do not contain.
fn has_more_to_say(report: &BuildReport, event: &StateChange) -> bool {
    let outputs: Option<String> = event.read(codebuild::OUTPUTS_VARIABLE);
    report.status == BuildStatus::Succeeded && outputs.is_some()
}

async fn intent(context: Context<'_>, event: &Envelope) -> Result<(), HandlerError> {
    let mut reads = Reads::from(context);
    let Some(owed) = reads.owed(event).await? else {
        return Ok(());
    };
    let span = owed.span();
    let acted = act(reads, &owed).instrument(span).await;
    settle(context, &owed, acted).await
}

async fn act(reads: Reads<'_>, owed: &Owed) -> Result<(), HandlerError> {
    let done = Some(owed.id.as_str());
    match &owed.intent {
        Intent::ImageRecorded {
            of,
            digest,
            contradicts,
        } => {
            let fact = Fact::ImageRead {
                attempt: of.attempt.clone(),
                digest: digest.clone(),
                contradicts: contradicts.clone(),
            };
            apply::to_run(reads, &of.run, &fact, done).await?;
        }
        Intent::BuildSuperseded { run, component, by } => {
            let fact = Fact::Superseded(component.clone(), by.clone());
            apply::to_run(reads, run, &fact, done).await?;
        }
        Intent::BuildRetryDue {
            run,
            component,
            after,
        } => retry(reads, owed, run, component, *after).await?,
        Intent::ImageReady { stage, candidate } => {
            let fact = stage::Fact::Offered((**candidate).clone());
            apply::to_stage(reads, stage, &fact, done).await?;
        }
        Intent::PushAccepted(_)
        | Intent::BuildDue(_)
        | Intent::BuildStopDue { .. }
        | Intent::ImageDue { .. }
        | Intent::IndexDue(_)
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

async fn retry(
    mut reads: Reads<'_>,
    owed: &Owed,
    run: &RunId,
    component: &ComponentName,
    after: u32,
) -> Result<(), HandlerError> {
    let asked = another_attempt(&mut reads, run, component, after, None).await?;
    let fact = match asked {
        Retry::Asked(fact) => fact,
        Retry::Refused(why) => {
            tracing::warn!(reason = %why, "not built again");
            Fact::RetryRefused {
                component: component.clone(),
                after,
                why,
            }
        }
    };
    apply::to_run(reads, run, &fact, Some(&owed.id)).await?;
    Ok(())
}

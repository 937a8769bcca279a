//! Starts the builds that are due and stops those that count no longer.

mod environment;
#[cfg(test)]
mod tests;

use std::time::Duration;

use towline_domain::Timestamp;
use towline_domain::definition::{Component, Preset};
use towline_domain::intent::{AttemptRef, Intent};
use towline_domain::names::GitRef;
use towline_domain::run::{Attempt, AttemptState, Fact, NotStarted, Run};
use towline_ports::{Architecture, Builds, RepositoryRef, StartBuild, StartError};
use towline_wire::eventbridge::Envelope;
use tracing::Instrument as _;

pub use environment::BuildOf;

use towline_state::Reads;
use towline_state::apply;
use towline_state::keys;
use towline_state::records::Repository;
use towline_state::{Context, HandlerError, Owed, milliseconds};

/// How long the same token is certain to give the same build: CodeBuild forgets it after five
/// minutes (CodeBuild API, `StartBuild`), less one for clocks that disagree.
const TOKEN_LASTS: Duration = Duration::from_secs(4 * 60);

/// What builds are told about the place they run in.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `host[:port]` of the registry they push to.
    pub registry: String,
}

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
    async {
        match &owed.intent {
            Intent::BuildDue(of) => start(reads, builds, settings, &owed, of).await,
            Intent::BuildStopDue { build } => {
                builds.stop(build).await?;
                context.finish(&owed).await
            }
            _ => Ok(()),
        }
    }
    .instrument(owed.span())
    .await
}

async fn start(
    mut reads: Reads<'_>,
    builds: &dyn Builds,
    settings: &Settings,
    owed: &Owed,
    of: &AttemptRef,
) -> Result<(), HandlerError> {
    let context = reads.context();
    let run = reads.read::<Run>(&keys::run(&of.run)).await?;
    let Some(run) = run.map(|run| run.value) else {
        return context.finish(owed).await;
    };
    let definition = reads.definition(&run).await?;
    let buildspec = reads.buildspec(&run, &of.component).await?;
    let (Some(definition), Some(buildspec)) = (definition, buildspec) else {
        return context.finish(owed).await;
    };
    let Some((_, _, attempt)) = run.attempt(&of.attempt) else {
        return context.finish(owed).await;
    };
    if attempt.state != AttemptState::Due {
        return context.finish(owed).await;
    }
    if context.now() >= attempt.deadline {
        let fact = Fact::DeadlinePassed(attempt.id.clone());
        apply::to_run(reads, &of.run, &fact, Some(&owed.id)).await?;
        return Ok(());
    }
    let Some(component) = definition.component(&of.component) else {
        return context.finish(owed).await;
    };
    let is_trusted = is_trusted(&mut reads, &run, component).await?;
    let fact = match request(&run, component, attempt, settings, buildspec, is_trusted) {
        Err(said) => Fact::BuildRefused(attempt.id.clone(), NotStarted::Refused { said }),
        Ok(request) => match find_or_start(context, builds, owed, attempt, request).await {
            Ok(build) => Fact::BuildBound(attempt.id.clone(), build),
            Err(StartError::Refused(said)) => {
                Fact::BuildRefused(attempt.id.clone(), NotStarted::Refused { said })
            }
            Err(StartError::Busy(reason)) => {
                apply::to_run(
                    reads,
                    &of.run,
                    &Fact::BuildDelayed(attempt.id.clone(), reason),
                    None,
                )
                .await?;
                return context.postpone(owed).await;
            }
            Err(StartError::Port(error)) => return Err(error.into()),
        },
    };
    apply::to_run(reads, &of.run, &fact, Some(&owed.id)).await?;
    if let Fact::BuildBound(..) = &fact {
        measure(&run, attempt, context.now());
    }
    Ok(())
}

/// How long it took until a build was started.
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

/// Starts the build, unless so much time has passed since it was first asked for that CodeBuild
/// may have forgotten; then an earlier answer that was lost is looked for first (F10).
async fn find_or_start(
    context: Context<'_>,
    builds: &dyn Builds,
    owed: &Owed,
    attempt: &Attempt,
    request: StartBuild,
) -> Result<towline_domain::names::BuildId, StartError> {
    if context.now() >= owed.since + TOKEN_LASTS
        && let Some(found) = builds
            .find(&request.repository.name, &request.component, &attempt.id)
            .await?
    {
        return Ok(found.build);
    }
    builds.start(request).await
}

/// All that CodeBuild is asked for.
fn request(
    run: &Run,
    component: &Component,
    attempt: &Attempt,
    settings: &Settings,
    buildspec: String,
    is_trusted: bool,
) -> Result<StartBuild, String> {
    let build = &component.build;
    // A part of an attempt has a platform of its own.
    let own = attempt.platform.as_ref();
    let platform = own.or(build.platforms.first());
    let platform = platform.map_or("", String::as_str);
    let whole = run.whole(&attempt.id).unwrap_or(attempt);
    let repository = RepositoryRef {
        id: run.key.repository,
        name: run.repository_name.clone(),
    };
    let environment = BuildOf {
        registry: &settings.registry,
        repository: &repository,
        commit: &run.key.commit,
        git_ref: &run.key.git_ref,
        at: run.at,
        run: Some(&run.id),
        stages: &run.enters,
        component: &component.name,
        image_repository: &component.repository,
        build: Some(build),
        platform,
        attempt: &attempt.id,
        whole: &whole.id,
        whole_tag: &whole.unique_tag,
        build_number: attempt.build_number,
        tags: &attempt.tags,
        is_trusted,
    }
    .environment()?;
    Ok(StartBuild {
        attempt: attempt.id.clone(),
        component: component.name.clone(),
        repository,
        commit: run.key.commit.clone(),
        image_repository: component.repository.clone(),
        image: build.image_for(platform).to_owned(),
        architecture: own.map(|platform| Architecture::of(platform)),
        privileged: needs_docker(&build.preset),
        buildspec,
        environment,
        timeout: build.timeout,
    })
}

/// Whether a run is of the branch whose definition is trusted; asked only where it matters.
async fn is_trusted(
    reads: &mut Reads<'_>,
    run: &Run,
    component: &Component,
) -> Result<bool, HandlerError> {
    if !component.build.layer_cache {
        return Ok(false);
    }
    let known = reads
        .read::<Repository>(&keys::repository(run.key.repository))
        .await?;
    Ok(known.is_some_and(|known| run.key.git_ref == GitRef::Branch(known.value.default_branch)))
}

/// Docker in a build needs CodeBuild's privileged mode; `pack` is there to do without.
fn needs_docker(preset: &Preset) -> bool {
    match preset {
        Preset::Docker { .. }
        | Preset::Make { .. }
        | Preset::Buildspec { .. }
        | Preset::Inline { .. } => true,
        Preset::Pack { .. } => false,
    }
}

//! Takes the facts of a run and of its stages, and owes what follows from them.

use towline_domain::definition::Definition;
use towline_domain::intent::{AttemptRef, Intent};
use towline_domain::names::{ComponentName, GitRef, RepositoryId, RunId, StageName};
use towline_domain::person::Actor;
use towline_domain::run::{Attempt, BuildReport, BuildStatus, Fact, NewAttempt, Run, legs};
use towline_domain::stage;
use towline_domain::tags::{self, Values};
use towline_ports::{Builds, Key};
use towline_wire::codebuild::{self, StateChange};

use towline_wire::eventbridge::Envelope;
use tracing::Instrument as _;

use crate::apply;
use crate::plan_runs::stage_tag_among;
use towline_state::Reads;
use towline_state::keys;
use towline_state::numbers::draw;
use towline_state::records::Trusted;
use towline_state::{Context, HandlerError, Owed};

/// Stages taken from an event.
const MOST_GUESSED: usize = 16;

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
        // The environment of a build we started says what it is, even before its answer came (F4).
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
        // A status this version does not know is asked for, never guessed (F19).
        Some(_) | None => builds.get(&event.build).await?,
    };
    if let Some(report) = report {
        let mut reads = Reads::from(context);
        if report.status == BuildStatus::Succeeded {
            reads.load(guess(event, &of)).await?;
        }
        let fact = Fact::BuildReported(of.attempt, report);
        apply::to_run(reads, &of.run, &fact, None).await?;
    }
    Ok(())
}

/// Whether the build has left outputs, which no event tells.
fn has_more_to_say(report: &BuildReport, event: &StateChange) -> bool {
    let outputs: Option<String> = event.read(codebuild::OUTPUTS_VARIABLE);
    report.status == BuildStatus::Succeeded && outputs.is_some()
}

/// What the end of a build that went well is decided on, as far as its environment tells.
fn guess(event: &StateChange, of: &AttemptRef) -> Vec<Key> {
    let run = keys::run(&of.run);
    let repository = event.read(codebuild::REPOSITORY_VARIABLE).map(RepositoryId);
    let git_ref: Option<GitRef> = event.read(codebuild::REF_VARIABLE);
    let (Some(repository), Some(git_ref)) = (repository, git_ref) else {
        return vec![run];
    };
    let stages: String = event.read(codebuild::STAGES_VARIABLE).unwrap_or_default();
    let stages = stages.split(' ').filter_map(|stage| stage.parse().ok());
    let stages: Vec<StageName> = stages.take(MOST_GUESSED).collect();
    let mut keys = apply::needed_to_offer(repository, &of.component, &git_ref, &stages);
    keys.push(run);
    keys
}

async fn intent(context: Context<'_>, event: &Envelope) -> Result<(), HandlerError> {
    let mut reads = Reads::from(context);
    let Some(owed) = reads.owed(event).await? else {
        return Ok(());
    };
    async {
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
                apply::to_run(reads, &of.run, &fact, Some(&owed.id)).await?;
            }
            Intent::BuildSuperseded { run, component, by } => {
                apply::to_run(
                    reads,
                    run,
                    &Fact::Superseded(component.clone(), by.clone()),
                    Some(&owed.id),
                )
                .await?;
            }
            Intent::BuildRetryDue {
                run,
                component,
                after,
            } => retry(reads, &owed, run, component, *after).await?,
            Intent::ImageReady { stage, candidate } => {
                apply::to_stage(
                    reads,
                    stage,
                    &stage::Fact::Offered((**candidate).clone()),
                    Some(&owed.id),
                )
                .await?;
            }
            _ => {}
        }
        Ok(())
    }
    .instrument(owed.span())
    .await
}

async fn retry(
    mut reads: Reads<'_>,
    owed: &Owed,
    run: &RunId,
    component: &ComponentName,
    after: u32,
) -> Result<(), HandlerError> {
    match new_attempt(&mut reads, run, component, after, Actor::System).await? {
        Ok(fact) => {
            apply::to_run(reads, run, &fact, Some(&owed.id)).await?;
            Ok(())
        }
        Err(reason) => {
            tracing::warn!(reason, "not built again");
            let fact = Fact::RetryRefused {
                component: component.clone(),
                after,
                reason,
            };
            apply::to_run(reads, run, &fact, Some(&owed.id)).await?;
            Ok(())
        }
    }
}

/// The fact that asks for a further attempt, its number and tags drawn; or why there can be none.
pub(crate) async fn new_attempt(
    reads: &mut Reads<'_>,
    id: &RunId,
    component: &ComponentName,
    after: u32,
    by: Actor,
) -> Result<Result<Fact, String>, HandlerError> {
    let Some(run) = reads.read::<Run>(&keys::run(id)).await? else {
        return Ok(Err(format!("there is no run {id}")));
    };
    let run = run.value;
    let Some(definition) = reads.definition(&run).await? else {
        return Ok(Err(format!("run {id} has no definition")));
    };
    let Some(rule) = definition.component(component) else {
        return Ok(Err(format!("run {id} does not build {component}")));
    };
    let trusted = keys::trusted_definition(run.key.repository);
    let numbers = keys::numbers(run.key.repository);
    reads.load(vec![trusted.clone(), numbers]).await?;
    let trusted = reads.read::<Trusted>(&trusted).await?;
    let trusted = trusted.map(|trusted| trusted.value.definition);
    let definitions: Vec<&Definition> = trusted.iter().chain([&definition]).collect();
    let numbers = draw(reads, run.key.repository, 1).await?;
    let attempt = Attempt::id(id, component, after + 1);
    let values = Values {
        commit: &run.key.commit,
        git_ref: &run.key.git_ref,
        build_number: numbers.build,
        attempt: &attempt,
    };
    let tags = match tags::of_attempt(&rule.build, values) {
        Ok(tags) => tags,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let legs = match legs(&rule.build.platforms, &tags.unique, &tags.all) {
        Ok(legs) => legs,
        Err(reason) => return Ok(Err(reason)),
    };
    let next = NewAttempt {
        build_number: numbers.build,
        unique_tag: tags.unique,
        tags: tags.all,
        legs,
        timeout: rule.build.timeout,
    };
    if let Some(tag) = stage_tag_among(&definitions, &next.all_tags()) {
        return Ok(Err(format!(
            "{tag} belongs to a stage; a build may not push it"
        )));
    }
    Ok(Ok(Fact::RetryRequested {
        component: component.clone(),
        after,
        by,
        next: Box::new(next),
    }))
}

//! Answers questions about runs: the newest ones, what each builds, and why.

use towline_domain::Timestamp;
use towline_domain::explain;
use towline_domain::names::ComponentName;
use towline_domain::run::{Attempt, ComponentRun, Run};
use towline_domain::untrusted::Untrusted;
use towline_ports::Query as StoreQuery;
use towline_state::Context;
use towline_state::keys;
use towline_state::records::{Repository, RunPointer};

use super::answers::{Answer, BuildAnswer, BuildState, Reason, RunAnswer, Skipped};
use super::lookup;
use super::query::{Runs, Why};
use super::stages::{found, live_in, stages_of};
use super::words::limited;
use super::{ChatError, Refusal, refused};

/// The newest runs.
pub(super) async fn newest(context: Context<'_>, query: Runs) -> Result<Answer, ChatError> {
    let limit = limited(query.limit);
    let mut found: Vec<Run> = Vec::new();
    let all = lookup::repositories(context).await?;
    let asked = |known: &&Repository| lookup::is_named(known, query.repository.as_ref());
    if let Some(only) = &query.repository
        && !all.iter().any(|known| asked(&known))
    {
        return refused(Refusal::NoPush {
            repository: only.clone(),
            known: all.iter().map(|known| known.name.clone()).collect(),
        });
    }
    for repository in all.iter().filter(asked) {
        let query = StoreQuery::all(keys::runs(repository.id))
            .newest_first()
            .limit(limit);
        for pointer in context.list::<RunPointer>(&query).await? {
            let read = context.read::<Run>(&keys::run(&pointer.run)).await?;
            found.extend(read.map(|read| read.value));
        }
    }
    found.sort_by_key(|run| std::cmp::Reverse((run.at, run.order)));
    found.truncate(limit);
    let runs = answers(context, &found).await?;
    Ok(Answer::Runs { runs })
}

/// Runs with their builds.
pub(super) async fn answers(
    context: Context<'_>,
    runs: &[Run],
) -> Result<Vec<RunAnswer>, ChatError> {
    let mut answers = Vec::new();
    for run in runs {
        answers.push(answer(context, run).await?);
    }
    Ok(answers)
}

async fn answer(context: Context<'_>, run: &Run) -> Result<RunAnswer, ChatError> {
    let mut builds = Vec::new();
    for (name, component) in &run.components {
        builds.push(build(context, run, name, component).await?);
    }
    let skipped = run.skipped.iter().map(|(component, reason)| Skipped {
        component: component.clone(),
        reason: reason.to_string(),
    });
    Ok(RunAnswer {
        run: run.id.clone(),
        repository: run.repository_name.clone(),
        git_ref: run.key.git_ref.clone(),
        commit: run.key.commit.clone(),
        title: run.title.display(),
        pusher: Untrusted::first_line(&run.pusher).display(),
        at: run.at,
        status: run.status(),
        refused: run.refused.as_ref().map(ToString::to_string),
        builds,
        skipped: skipped.collect(),
        notes: run.notes.clone(),
    })
}

async fn build(
    context: Context<'_>,
    run: &Run,
    name: &ComponentName,
    component: &ComponentRun,
) -> Result<BuildAnswer, ChatError> {
    let attempt = component.latest();
    let stages = match found(context, run, name).await? {
        Some(found) => stages_of(context, &found).await?,
        None => Vec::new(),
    };
    let live = attempt.image.as_ref();
    let live = live.map(|digest| live_in(&stages, digest));
    let outputs = attempt
        .outputs
        .iter()
        .map(|(name, text)| (name.clone(), Untrusted::first_line(text).display()));
    Ok(BuildAnswer {
        component: name.clone(),
        build: attempt.build_number,
        attempt: attempt.number,
        state: BuildState::from(&attempt.state),
        why: explain::attempt(attempt),
        because: component.reason.to_string(),
        seconds: seconds(attempt, context.now()),
        digest: attempt.image.clone(),
        tags: attempt.tags.clone(),
        stages: live.unwrap_or_default(),
        outputs: outputs.collect(),
    })
}

/// How long an attempt's build took, or has taken.
fn seconds(attempt: &Attempt, now: Timestamp) -> Option<i64> {
    let started = attempt.started_at?;
    let ended = attempt.ended_at.unwrap_or(now);
    Some(ended.duration_since(started).as_secs().max(0))
}

/// Why a commit was built or not.
pub(super) async fn why(context: Context<'_>, query: Why) -> Result<Answer, ChatError> {
    let repository = query.repository.as_ref();
    let (commit, runs) = lookup::runs(context, &query.reference, repository).await?;
    let component = query.component.as_ref();
    let reasons = runs.iter().flat_map(|run| reasons_of(run, component));
    Ok(Answer::Why {
        commit,
        reasons: reasons.collect(),
    })
}

fn reasons_of(run: &Run, only: Option<&ComponentName>) -> Vec<Reason> {
    let reason = |component: Option<&ComponentName>, built: bool, why: &str| Reason {
        run: run.id.clone(),
        component: component.cloned(),
        built,
        skipped: false,
        why: why.into(),
    };
    let asked = |name: &ComponentName| only.is_none_or(|only| only == name);
    let whole = run.refused.iter().map(|why| Reason {
        skipped: why.is_wanted(),
        ..reason(None, false, &why.to_string())
    });
    let built = run
        .components
        .iter()
        .filter(|(name, _)| asked(name))
        .map(|(name, known)| {
            reason(
                Some(name),
                true,
                &format!("{}; {}", known.reason, explain::attempt(known.latest())),
            )
        });
    let skipped = run
        .skipped
        .iter()
        .filter(|(name, _)| asked(name))
        .map(|(name, why)| reason(Some(name), false, &why.to_string()));
    let notes = run
        .notes
        .iter()
        .filter(|_| only.is_none())
        .map(|note| reason(None, true, note));
    whole.chain(built).chain(skipped).chain(notes).collect()
}

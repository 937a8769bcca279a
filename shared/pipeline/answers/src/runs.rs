//! Answers questions about runs: the newest ones, what each builds, and why.

use std::collections::VecDeque;

use towline_domain::Timestamp;
use towline_domain::explain;
use towline_domain::names::{ComponentName, RepositoryId};
use towline_domain::run::{Attempt, ComponentRun, Run};
use towline_domain::untrusted::Untrusted;
use towline_ports::Query as StoreQuery;
use towline_state::records::{Repository, RunPointer};
use towline_state::{Context, Read, keys};

use super::answers::{Answer, BuildAnswer, BuildState, Reason, RunAnswer, Skipped};
use super::lookup;
use super::query::{Runs, Why};
use super::stages::{found, live_in, stages_of};
use super::words::limited;
use super::{ChatError, Refusal, refused};

pub(super) async fn newest(context: Context<'_>, query: Runs) -> Result<Answer, ChatError> {
    let limit = limited(query.limit);
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
    let mut lists = Vec::new();
    for repository in all.iter().filter(asked) {
        lists.push(in_order(context, repository.id, limit).await?);
    }
    let found = newest_of(lists, limit);
    let runs = answers(context, &found).await?;
    Ok(Answer::Runs { runs })
}

/// The newest runs of a repository, by their order numbers, because clocks may step back.
async fn in_order(
    context: Context<'_>,
    repository: RepositoryId,
    limit: usize,
) -> Result<VecDeque<Run>, ChatError> {
    let list = StoreQuery::all(keys::runs(repository))
        .newest_first()
        .limit(limit);
    let page = context.store.query(&list).await?;
    let mut found = VecDeque::new();
    for item in page.items {
        let pointer = Read::<RunPointer>::of(&item)?.value;
        let Some(run) = context.read::<Run>(&keys::run(&pointer.run)).await? else {
            continue;
        };
        // A plan that was not committed may have left a row at another place.
        let run = run.value;
        if item.key == keys::run_by_order(repository, run.order, &run.id) {
            found.push_back(run);
        }
    }
    Ok(found)
}

/// Merges lists, each of which keeps its order, by time.
fn newest_of(mut lists: Vec<VecDeque<Run>>, limit: usize) -> Vec<Run> {
    let mut newest = Vec::new();
    while newest.len() < limit {
        let next = lists
            .iter_mut()
            .max_by_key(|list| list.front().map(|run| run.at));
        let Some(run) = next.and_then(VecDeque::pop_front) else {
            break;
        };
        newest.push(run);
    }
    newest
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
        notes: run.notes.iter().map(ToString::to_string).collect(),
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
        git_ref: Some(run.key.git_ref.clone()),
        pushed_at: Some(run.at),
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
        .map(|note| reason(None, true, &note.to_string()));
    whole.chain(built).chain(skipped).chain(notes).collect()
}

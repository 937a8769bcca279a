//! Answers questions about stages: what is live, what was live, and why an image is not live.

use towline_domain::Timestamp;
use towline_domain::definition::StageRule;
use towline_domain::explain::{self, Standing};
use towline_domain::image::Candidate;
use towline_domain::ledger::What;
use towline_domain::names::{ComponentName, Digest, StageName};
use towline_domain::run::Run;
use towline_domain::stage::{Pointer, Promotion, Stage};
use towline_state::Context;
use towline_state::history;
use towline_state::keys;
use towline_state::records::Repository;

use super::answers::{
    Answer, Hold, Live, LiveImage, Move, Place, PlaceInStage, PlaceState, Waiting,
};
use super::lookup::{self, Found};
use super::query::{History, Now, Where};
use super::words::limited;
use super::{ChatError, Refusal, refused};

/// The stages of a component, in the definition's order; a stage without an image yet is new.
pub(super) async fn stages_of(
    context: Context<'_>,
    found: &Found,
) -> Result<Vec<Stage>, ChatError> {
    let mut stages = Vec::new();
    for rule in &found.definition.stages {
        let key = found.stage_key(&rule.name);
        let read = context.read::<Stage>(&keys::stage(&key)).await?;
        stages.push(read.map_or_else(|| Stage::new(key), |read| read.value));
    }
    Ok(stages)
}

pub(super) fn live_in(stages: &[Stage], digest: &Digest) -> Vec<StageName> {
    let lives = |stage: &&Stage| {
        let pointer = stage.pointer.as_ref();
        pointer.is_some_and(|pointer| pointer.candidate.digest == *digest)
    };
    let live = stages.iter().filter(lives);
    live.map(|stage| stage.key.stage.clone()).collect()
}

/// A component in its repository's trusted definition; none if there is no definition.
pub(super) async fn found(
    context: Context<'_>,
    run: &Run,
    component: &ComponentName,
) -> Result<Option<Found>, ChatError> {
    let repository = Repository {
        id: run.key.repository,
        name: run.repository_name.clone(),
        default_branch: String::new(),
    };
    let definition = lookup::definition(context, &repository).await?;
    Ok(definition.map(|definition| Found {
        repository,
        definition,
        component: component.clone(),
    }))
}

/// What was live in a stage, newest first.
pub(super) async fn history(context: Context<'_>, query: History) -> Result<Answer, ChatError> {
    let limit = limited(query.limit);
    let found = lookup::component(context, &query.component, query.repository.as_ref()).await?;
    let (key, rule) = found.stage(&query.stage)?;
    let tag = rule.tags.first().cloned().unwrap_or_else(|| {
        let name = rule.name.as_str();
        name.parse().expect("a stage's name is a tag")
    });
    // One more than requested, so that the last line shows what was live before it.
    let pointers = history::pointers(context, &key, limit + 1).await?;
    let moves = pointers
        .iter()
        .enumerate()
        .take(limit)
        .map(|(index, pointer)| Move {
            at: pointer.since,
            tag: tag.clone(),
            from: pointers
                .get(index + 1)
                .map(|before| before.candidate.commit.clone()),
            to: pointer.candidate.commit.clone(),
            digest: pointer.candidate.digest.clone(),
            by: pointer.by.to_string(),
            why: reason_of(pointer),
            promotion: pointer.promotion,
            rollback: pointer.rollback,
        });
    let moves: Vec<Move> = moves.collect();
    let stage = context.read::<Stage>(&keys::stage(&key)).await?;
    Ok(Answer::History {
        component: query.component,
        stage: query.stage,
        moves,
        hold: stage.and_then(|stage| stage.value.hold.map(Hold::from)),
    })
}

/// Why a stage moved, in a few words.
fn reason_of(pointer: &Pointer) -> String {
    match (&pointer.reason, pointer.rollback) {
        (Some(reason), true) => format!("rollback #{}: {reason}", pointer.promotion),
        (None, true) => format!("rollback #{}", pointer.promotion),
        (Some(reason), false) => reason.to_string(),
        (None, false) => format!("promotion #{}", pointer.promotion),
    }
}

/// What is or was live, by component and stage.
pub(super) async fn now(
    context: Context<'_>,
    query: &Now,
    at: Option<Timestamp>,
) -> Result<Answer, ChatError> {
    let mut live = Vec::new();
    let mut known: Vec<StageName> = Vec::new();
    for repository in lookup::repositories(context).await? {
        if !lookup::is_named(&repository, query.repository.as_ref()) {
            continue;
        }
        let Some(definition) = lookup::definition(context, &repository).await? else {
            continue;
        };
        known.extend(definition.stages.iter().map(|rule| rule.name.clone()));
        let names = definition.components.iter().map(|known| known.name.clone());
        let asked = |name: &ComponentName| query.component.as_ref().is_none_or(|only| only == name);
        for name in names.filter(asked) {
            let found = Found {
                repository: repository.clone(),
                definition: definition.clone(),
                component: name,
            };
            live.extend(live_lines(context, &found, at).await?);
        }
    }
    if let Some(stage) = &query.stage {
        if !known.contains(stage) {
            known.sort();
            known.dedup();
            let stage = stage.clone();
            return refused(Refusal::NoStage { stage, known });
        }
        live.retain(|line| line.stage == *stage);
    }
    if live.is_empty()
        && let Some(component) = &query.component
    {
        let found = lookup::component(context, component, query.repository.as_ref()).await?;
        if found.definition.component(component).is_none() {
            return refused(found.gone());
        }
    }
    Ok(Answer::Now { at, live })
}

/// What is or was live of one component.
pub(super) async fn live_lines(
    context: Context<'_>,
    found: &Found,
    at: Option<Timestamp>,
) -> Result<Vec<Live>, ChatError> {
    let mut lines = Vec::new();
    for stage in stages_of(context, found).await? {
        let pointer = match at {
            None => stage.pointer.clone(),
            Some(at) => history::live_at(context, &stage.key, at).await?,
        };
        let rule = found.definition.stage(&stage.key.stage);
        let waiting = stage.waiting.iter().filter(|_| at.is_none());
        let waiting = waiting.map(|promotion| waits(&stage, rule, promotion, context.now()));
        lines.push(Live {
            repository: found.repository.name.clone(),
            component: found.component.clone(),
            stage: stage.key.stage.clone(),
            waiting: waiting.collect(),
            image: pointer.map(|pointer| LiveImage {
                why: reason_of(&pointer),
                digest: pointer.candidate.digest,
                commit: pointer.candidate.commit,
                build: pointer.candidate.build_number,
                since: pointer.since,
                by: pointer.by.to_string(),
            }),
            hold: stage.hold.filter(|_| at.is_none()).map(Hold::from),
        });
    }
    Ok(lines)
}

fn waits(
    stage: &Stage,
    rule: Option<&StageRule>,
    promotion: &Promotion,
    now: Timestamp,
) -> Waiting {
    let lacks = rule.and_then(|rule| explain::lacking(promotion, rule));
    Waiting {
        promotion: promotion.number,
        commit: promotion.candidate.commit.clone(),
        digest: promotion.candidate.digest.clone(),
        why: match rule {
            Some(rule) => explain::waiting(stage, promotion, rule, now).to_string(),
            None => "waits: the stage is no longer defined".into(),
        },
        for_approval: !promotion.acting && lacks.is_some(),
    }
}

/// The stages of a commit's images.
pub(super) async fn places(context: Context<'_>, query: Where) -> Result<Answer, ChatError> {
    let repository = query.repository.as_ref();
    let (commit, runs) = lookup::runs(context, &query.reference, repository).await?;
    let mut places = Vec::new();
    for run in &runs {
        for (name, component) in &run.components {
            let attempt = component.latest();
            let candidate = run.candidate(name, attempt);
            let stages = match (found(context, run, name).await?, &candidate) {
                (Some(found), Some(candidate)) => standings(context, &found, candidate).await?,
                (Some(_) | None, _) => Vec::new(),
            };
            places.push(Place {
                component: name.clone(),
                build: attempt.build_number,
                digest: attempt.image.clone(),
                building: explain::attempt(attempt),
                stages,
            });
        }
    }
    Ok(Answer::Where { commit, places })
}

/// The state of an image in each stage, first to last.
async fn standings(
    context: Context<'_>,
    found: &Found,
    candidate: &Candidate,
) -> Result<Vec<PlaceInStage>, ChatError> {
    let stages = stages_of(context, found).await?;
    let mut answers = Vec::new();
    for (stage, rule) in stages.iter().zip(&found.definition.stages) {
        let since = stage.pointer.as_ref().map(|pointer| pointer.since);
        let (state, since, why) = match explain::standing(stage, rule, candidate, context.now()) {
            Standing::Live => (PlaceState::Live, since, None),
            Standing::Waiting(why) => {
                let why = format!("promotion #{} {why}", why.promotion);
                (PlaceState::Waiting, None, Some(why))
            }
            Standing::Outside(why) => {
                let ended = how_it_ended(context, stage, candidate).await?;
                let why = ended.unwrap_or_else(|| why.to_string());
                (PlaceState::Outside, None, Some(why))
            }
        };
        answers.push(PlaceInStage {
            stage: stage.key.stage.clone(),
            state,
            since,
            why,
        });
    }
    Ok(answers)
}

/// How the last promotion of an image ended, unless something newer has happened to the image since.
async fn how_it_ended(
    context: Context<'_>,
    stage: &Stage,
    candidate: &Candidate,
) -> Result<Option<String>, ChatError> {
    let live = stage.pointer.as_ref();
    if live.is_some_and(|live| live.candidate.order > candidate.order) {
        return Ok(None);
    }
    let rows = history::ledger(context, stage, history::MOST_ROWS).await?;
    let asked = rows.iter().find_map(|row| match &row.what {
        What::Requested {
            promotion, digest, ..
        }
        | What::Overridden {
            promotion, digest, ..
        } if *digest == candidate.digest => Some(*promotion),
        What::Requested { .. }
        | What::Overridden { .. }
        | What::Approved { .. }
        | What::Denied { .. }
        | What::Ended { .. }
        | What::Moved { .. }
        | What::Held { .. }
        | What::Resumed
        | What::Drifted { .. } => None,
    });
    Ok(rows.iter().find_map(|row| match &row.what {
        What::Ended { promotion, how } if Some(*promotion) == asked => {
            Some(explain::ending(*promotion, how, Some(&row.by)))
        }
        What::Ended { .. }
        | What::Requested { .. }
        | What::Overridden { .. }
        | What::Approved { .. }
        | What::Denied { .. }
        | What::Moved { .. }
        | What::Held { .. }
        | What::Resumed
        | What::Drifted { .. } => None,
    }))
}

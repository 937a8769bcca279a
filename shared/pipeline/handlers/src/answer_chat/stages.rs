//! Questions about stages: what is live, was live, and what keeps an image from being live.

use towline_domain::Timestamp;
use towline_domain::definition::{Definition, StageRule};
use towline_domain::explain::{self, Standing};
use towline_domain::intent::StageKey;
use towline_domain::ledger::What;
use towline_domain::names::{ComponentName, Digest, RepositoryName, StageName};
use towline_domain::run::Run;
use towline_domain::stage::{Candidate, Pointer, Stage};

use super::answers::{Answer, Hold, Live, LiveImage, Move, Place, PlaceInStage, Waiting};
use super::lookup::{self, Found};
use super::{ChatError, refused};
use towline_state::Context;
use towline_state::history;
use towline_state::keys;
use towline_state::records::Repository;

/// The stages of a component, in the definition's order; one nothing has entered yet is new.
pub(super) async fn stages_of(
    context: Context<'_>,
    found: &Found,
) -> Result<Vec<Stage>, ChatError> {
    let mut stages = Vec::new();
    for rule in &found.definition.stages {
        let key = StageKey {
            repository: found.repository.id,
            component: found.component.clone(),
            stage: rule.name.clone(),
        };
        let read = context.read::<Stage>(&keys::stage(&key)).await?;
        stages.push(read.map_or_else(|| Stage::new(key), |read| read.value));
    }
    Ok(stages)
}

pub(super) fn live_in(stages: &[Stage], digest: &Digest) -> Vec<StageName> {
    let lives = |stage: &&Stage| {
        stage
            .pointer
            .as_ref()
            .is_some_and(|pointer| pointer.candidate.digest == *digest)
    };
    stages
        .iter()
        .filter(lives)
        .map(|stage| stage.key.stage.clone())
        .collect()
}

/// A component as its repository's trusted definition has it; none when it has been taken out.
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

pub(super) async fn history(
    context: Context<'_>,
    component: &ComponentName,
    stage: &StageName,
    limit: usize,
    repository: Option<&RepositoryName>,
) -> Result<Answer, ChatError> {
    let found = lookup::component(context, component, repository).await?;
    let rule = stage_rule(&found.definition, stage)?;
    let key = StageKey {
        repository: found.repository.id,
        component: component.clone(),
        stage: stage.clone(),
    };
    // One more than asked for, so that the last line knows what was live before it.
    let pointers = history::pointers(context, &key, limit + 1).await?;
    let tag = rule
        .tags
        .first()
        .cloned()
        .ok_or_else(|| ChatError::Refused(format!("stage {stage} has no tag")))?;
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
    let hold = context
        .read::<Stage>(&keys::stage(&key))
        .await?
        .and_then(|stage| stage.value.hold.map(Hold::from));
    Ok(Answer::History {
        component: component.clone(),
        stage: stage.clone(),
        moves,
        hold,
    })
}

/// Why a stage moved, in a few words.
fn reason_of(pointer: &Pointer) -> String {
    match (&pointer.reason, pointer.rollback) {
        (Some(reason), true) => format!("rollback #{}: {reason}", pointer.promotion),
        (None, true) => format!("rollback #{}", pointer.promotion),
        (Some(reason), false) => reason.clone(),
        (None, false) => format!("promotion #{}", pointer.promotion),
    }
}

pub(super) async fn now(
    context: Context<'_>,
    stage: Option<&StageName>,
    component: Option<&ComponentName>,
    at: Option<Timestamp>,
) -> Result<Answer, ChatError> {
    let mut live = Vec::new();
    let mut stages_known = Vec::new();
    for repository in lookup::repositories(context).await? {
        let Some(definition) = lookup::definition(context, &repository).await? else {
            continue;
        };
        stages_known.extend(definition.stages.iter().map(|rule| rule.name.to_string()));
        let names = definition.components.iter().map(|known| known.name.clone());
        for name in names.filter(|name| component.is_none_or(|component| component == name)) {
            let found = Found {
                repository: repository.clone(),
                definition: definition.clone(),
                component: name,
            };
            live.extend(live_lines(context, &found, at).await?);
        }
    }
    if let Some(stage) = stage {
        if !stages_known.iter().any(|known| known == stage.as_str()) {
            stages_known.sort();
            stages_known.dedup();
            return refused(format!(
                "there is no stage {stage}; there are: {}",
                stages_known.join(", ")
            ));
        }
        live.retain(|line| line.stage == *stage);
    }
    if live.is_empty()
        && let Some(component) = component
    {
        lookup::component(context, component, None).await?; // says what there is instead
    }
    Ok(Answer::Now { at, live })
}

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
        let waiting = stage
            .waiting
            .iter()
            .filter(|_| at.is_none())
            .map(|promotion| Waiting {
                promotion: promotion.number,
                commit: promotion.candidate.commit.clone(),
                digest: promotion.candidate.digest.clone(),
                why: match rule.map(|rule| {
                    explain::standing(&stage, rule, &promotion.candidate, context.now())
                }) {
                    Some(Standing::Waiting(why) | Standing::Outside(why)) => why,
                    Some(Standing::Live) | None => "is being carried out".into(),
                },
            });
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

pub(super) async fn places(
    context: Context<'_>,
    reference: &str,
    repository: Option<&RepositoryName>,
) -> Result<Answer, ChatError> {
    let (commit, runs) = lookup::runs(context, reference, repository).await?;
    let mut places = Vec::new();
    for run in &runs {
        for (name, component) in &run.components {
            let attempt = component.latest();
            let candidate = run.candidate(name, attempt);
            let stages = match (found(context, run, name).await?, &candidate) {
                (Some(found), Some(candidate)) => standings(context, &found, candidate).await?,
                _ => Vec::new(),
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

/// What an image is to each stage, first to last.
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
            Standing::Live => ("live", since, None),
            Standing::Waiting(why) => ("waiting", None, Some(why)),
            Standing::Outside(why) => {
                let ended = how_it_ended(context, stage, candidate).await?;
                ("outside", None, Some(ended.unwrap_or(why)))
            }
        };
        answers.push(PlaceInStage {
            stage: stage.key.stage.clone(),
            state: state.into(),
            since,
            why,
        });
    }
    Ok(answers)
}

/// How the last promotion of an image ended, unless something newer has made that old news.
async fn how_it_ended(
    context: Context<'_>,
    stage: &Stage,
    candidate: &Candidate,
) -> Result<Option<String>, ChatError> {
    let live = stage
        .pointer
        .as_ref()
        .map(|pointer| pointer.candidate.order);
    if live.is_some_and(|live| live > candidate.order) {
        return Ok(None);
    }
    let rows = history::ledger(context, stage, history::MOST_ROWS).await?;
    let asked = rows.iter().find_map(|row| match &row.what {
        What::Requested {
            promotion, digest, ..
        } if *digest == candidate.digest => Some(*promotion),
        _ => None,
    });
    Ok(rows.iter().find_map(|row| match &row.what {
        What::Ended { promotion, how } if Some(*promotion) == asked => {
            Some(explain::ending(*promotion, how, Some(&row.by)))
        }
        _ => None,
    }))
}

fn stage_rule<'a>(
    definition: &'a Definition,
    name: &StageName,
) -> Result<&'a StageRule, ChatError> {
    match definition.stage(name) {
        Some(rule) => Ok(rule),
        None => {
            let known: Vec<&str> = definition
                .stages
                .iter()
                .map(|rule| rule.name.as_str())
                .collect();
            refused(format!(
                "there is no stage {name}; there are: {}",
                known.join(", ")
            ))
        }
    }
}

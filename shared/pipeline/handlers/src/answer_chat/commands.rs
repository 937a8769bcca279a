//! What people may ask for: checked, decided by the same rules as everything else, recorded.

use std::fmt::Display;

use towline_domain::definition::{Origin, StageRule};
use towline_domain::explain;
use towline_domain::image::Image;
use towline_domain::intent::{AttemptRef, StageKey};
use towline_domain::names::{ComponentName, RepositoryName, StageName};
use towline_domain::person::{Actor, Person};
use towline_domain::run::{self, Run};
use towline_domain::stage::{Candidate, Fact, Pointer, Refusal, Request, Stage, Wait};

use super::answers::Answer;
use super::lookup::{self, Found};
use super::{ChatError, Command, refused};
use towline_state::Context;
use towline_state::Reads;
use towline_state::apply::{self, Applied};
use towline_state::retry::{Retry, another_attempt};
use towline_state::{history, keys, needed};

/// Longest reason or comment, in characters.
const LONGEST_TEXT: usize = 500;
/// Moves of a stage searched for an image to go back to.
const MOST_MOVES: usize = 1_000;

/// Does what `person` asks for, or says why not.
///
/// # Errors
/// When it is not allowed, not possible or not clear, or the store does not answer. A denial is in
/// the ledger before it is said (A35).
pub async fn tell(
    context: Context<'_>,
    person: &Person,
    command: Command,
) -> Result<Answer, ChatError> {
    match command {
        Command::Promote {
            component,
            image,
            stage,
            reason,
            repository,
        } => {
            let found = lookup::component(context, &component, repository.as_ref()).await?;
            promote(context, person, &found, &image, &stage, text(reason)?).await
        }
        Command::Approve {
            promotion,
            comment,
            repository,
        } => {
            let fact = Fact::Approved {
                promotion,
                by: person.clone(),
                comment: text(comment)?,
            };
            about_promotion(context, promotion, repository.as_ref(), fact).await
        }
        Command::Reject {
            promotion,
            reason,
            repository,
        } => {
            let reason = required(reason)?;
            let fact = Fact::Rejected {
                promotion,
                by: person.clone(),
                reason,
            };
            about_promotion(context, promotion, repository.as_ref(), fact).await
        }
        Command::Rollback {
            component,
            stage,
            to,
            reason,
            repository,
        } => {
            let found = lookup::component(context, &component, repository.as_ref()).await?;
            roll_back(
                context,
                person,
                &found,
                &stage,
                to.as_deref(),
                text(reason)?,
            )
            .await
        }
        Command::Hold {
            component,
            stage,
            reason,
            repository,
        } => {
            let fact = Fact::HoldRequested {
                by: person.clone(),
                reason: required(reason)?,
            };
            let key = stage_key(context, &component, &stage, repository.as_ref()).await?;
            taken(apply::to_stage(context, &key, &fact, None).await?)?;
            Ok(done(
                format!(
                    "{stage} of {component} is held: nothing enters it by itself until it is resumed"
                ),
                None,
                None,
            ))
        }
        Command::Resume {
            component,
            stage,
            repository,
        } => {
            let key = stage_key(context, &component, &stage, repository.as_ref()).await?;
            taken(
                apply::to_stage(
                    context,
                    &key,
                    &Fact::ResumeRequested { by: person.clone() },
                    None,
                )
                .await?,
            )?;
            Ok(done(
                format!("{stage} of {component} is no longer held"),
                None,
                None,
            ))
        }
        Command::Cancel { build, repository } => {
            cancel(context, person, build, repository.as_ref()).await
        }
        Command::Retry { build, repository } => {
            retry(context, person, build, repository.as_ref()).await
        }
    }
}

fn done(message: String, promotion: Option<u64>, build: Option<u64>) -> Answer {
    Answer::Done {
        message,
        promotion,
        build,
    }
}

fn taken<S, R: Display>(applied: Applied<S, R>) -> Result<S, ChatError> {
    match applied {
        Applied::Taken(state) => Ok(state),
        Applied::Refused(why) => refused(why.to_string()),
    }
}

/// Says no, in the stage's ledger first (A35).
async fn deny(
    context: Context<'_>,
    person: &Person,
    key: &StageKey,
    request: Request,
    reason: Refusal,
) -> Result<Answer, ChatError> {
    let said = reason.to_string();
    let fact = Fact::Denied {
        by: person.into(),
        request,
        reason,
    };
    apply::to_stage(context, key, &fact, None).await?;
    refused(said)
}

/// A text that people will read: one paragraph, without control characters, not too long.
fn text(given: Option<String>) -> Result<Option<String>, ChatError> {
    let Some(given) = given
        .map(|given| given.trim().to_owned())
        .filter(|given| !given.is_empty())
    else {
        return Ok(None);
    };
    if given.chars().count() > LONGEST_TEXT {
        return refused(format!(
            "the text has more than {LONGEST_TEXT} characters; say it shorter"
        ));
    }
    if given.chars().any(char::is_control) {
        return refused("the text has line breaks or control characters; write it on one line");
    }
    Ok(Some(given))
}

fn required(given: String) -> Result<String, ChatError> {
    match text(Some(given))? {
        Some(given) => Ok(given),
        None => refused("say why: the reason is empty"),
    }
}

async fn stage_key(
    context: Context<'_>,
    component: &ComponentName,
    stage: &StageName,
    repository: Option<&RepositoryName>,
) -> Result<StageKey, ChatError> {
    let found = lookup::component(context, component, repository).await?;
    Ok(key_in(&found, stage)?.0)
}

/// A stage of a component, with its rule.
fn key_in<'a>(found: &'a Found, stage: &StageName) -> Result<(StageKey, &'a StageRule), ChatError> {
    let Some(rule) = found.definition.stage(stage) else {
        let known: Vec<&str> = found
            .definition
            .stages
            .iter()
            .map(|rule| rule.name.as_str())
            .collect();
        return refused(format!(
            "there is no stage {stage}; there are: {}",
            known.join(", ")
        ));
    };
    Ok((
        StageKey {
            repository: found.repository.id,
            component: found.component.clone(),
            stage: stage.clone(),
        },
        rule,
    ))
}

async fn promote(
    context: Context<'_>,
    person: &Person,
    found: &Found,
    image: &str,
    stage: &StageName,
    reason: Option<String>,
) -> Result<Answer, ChatError> {
    let (key, rule) = key_in(found, stage)?;
    let candidate = candidate(context, found, image).await?;
    if let Origin::Stage(origin) = &rule.from
        && !was_live(
            context,
            &StageKey {
                stage: origin.clone(),
                ..key.clone()
            },
            &candidate,
        )
        .await?
    {
        let commit = candidate.commit.clone();
        let reason = Refusal::NotFromOrigin {
            commit: commit.clone(),
            origin: origin.clone(),
            stage: stage.clone(),
        };
        return deny(context, person, &key, Request::Promote { commit }, reason).await;
    }
    let fact = Fact::PromotionRequested {
        candidate: candidate.clone(),
        by: person.clone(),
        reason,
    };
    let state = taken(apply::to_stage(context, &key, &fact, None).await?)?;
    Ok(opened(&state, &candidate, rule))
}

/// What to say of a promotion that was just opened.
fn opened(state: &Stage, candidate: &Candidate, rule: &StageRule) -> Answer {
    let promotion = state
        .waiting
        .iter()
        .find(|known| known.candidate.digest == candidate.digest);
    let Some(promotion) = promotion else {
        return done(
            format!("{} goes to {}", candidate.commit.short(), rule.name),
            None,
            None,
        );
    };
    let kind = if promotion.rollback {
        "rollback"
    } else {
        "promotion"
    };
    let wait = explain::waits_for(state, promotion, rule, promotion.at);
    done(
        format!(
            "{kind} #{} of {} to {} is open and {wait}",
            promotion.number,
            candidate.commit.short(),
            rule.name
        ),
        Some(promotion.number),
        None,
    )
}

/// The one image of the component that is meant, built by us with all the evidence (I6, I7).
async fn candidate(
    context: Context<'_>,
    found: &Found,
    reference: &str,
) -> Result<Candidate, ChatError> {
    let image = one_image(context, found, reference).await?;
    let Some(built) = &image.built else {
        return refused(format!(
            "{} was not built here; only images of our own builds are promoted",
            image.digest.short()
        ));
    };
    let run = context.read::<Run>(&keys::run(&built.run)).await?;
    let attempt = run.as_ref().and_then(|run| {
        let component = run.value.components.get(&built.component)?;
        let mut attempts = component.attempts.iter();
        attempts.find(|attempt| attempt.build_number == built.build_number)
    });
    let legs = attempt.iter().flat_map(|attempt| &attempt.legs);
    let mut legs = legs.filter(|leg| leg.image.as_ref() == Some(&image.digest));
    if let Some(leg) = legs.next() {
        return refused(format!(
            "{} is {} alone; name build#{}, which is for all of its platforms",
            image.digest.short(),
            leg.name(),
            leg.build_number
        ));
    }
    let candidate = run.as_ref().zip(attempt);
    let candidate =
        candidate.and_then(|(run, attempt)| run.value.candidate(&built.component, attempt));
    match candidate.filter(|candidate| candidate.digest == image.digest) {
        Some(candidate) => Ok(candidate),
        None => refused(format!(
            "build#{} of {} has not succeeded, so its image is not promoted",
            built.build_number,
            built.commit.short()
        )),
    }
}

async fn one_image(
    context: Context<'_>,
    found: &Found,
    reference: &str,
) -> Result<Image, ChatError> {
    let Some(component) = found.definition.component(&found.component) else {
        return refused(format!(
            "component {} is no longer in the default branch's definition",
            found.component
        ));
    };
    let mut images = lookup::images(
        context,
        reference,
        Some(&component.repository),
        Some(&found.repository.name),
    )
    .await?;
    images.dedup_by(|first, second| first.digest == second.digest);
    match images.as_slice() {
        [_] => Ok(images.remove(0)),
        several => {
            let digests: Vec<&str> = several.iter().map(|image| image.digest.short()).collect();
            refused(format!(
                "{reference} fits several images; say which: {}",
                digests.join(", ")
            ))
        }
    }
}

/// What was live in a stage, newest first.
async fn pointers(context: Context<'_>, key: &StageKey) -> Result<Vec<Pointer>, ChatError> {
    Ok(history::pointers(context, key, MOST_MOVES).await?)
}

async fn was_live(
    context: Context<'_>,
    key: &StageKey,
    candidate: &Candidate,
) -> Result<bool, ChatError> {
    Ok(pointers(context, key)
        .await?
        .iter()
        .any(|pointer| pointer.candidate.digest == candidate.digest))
}

async fn roll_back(
    context: Context<'_>,
    person: &Person,
    found: &Found,
    stage: &StageName,
    to: Option<&str>,
    reason: Option<String>,
) -> Result<Answer, ChatError> {
    let (key, rule) = key_in(found, stage)?;
    let history = pointers(context, &key).await?;
    let candidate = match to {
        None => before_the_last(&history, found, stage)?,
        Some(reference) => {
            let image = one_image(context, found, reference).await?;
            let known = history
                .iter()
                .find(|pointer| pointer.candidate.digest == image.digest);
            match known {
                Some(pointer) => pointer.candidate.clone(),
                None => {
                    let digest = image.digest;
                    let reason = Refusal::NeverLive {
                        digest: digest.clone(),
                        component: found.component.clone(),
                        stage: stage.clone(),
                    };
                    let request = Request::RollBackTo { digest };
                    return deny(context, person, &key, request, reason).await;
                }
            }
        }
    };
    let fact = Fact::RollbackRequested {
        candidate: candidate.clone(),
        by: person.clone(),
        reason,
    };
    let state = taken(apply::to_stage(context, &key, &fact, None).await?)?;
    Ok(opened(&state, &candidate, rule))
}

/// The image that was live before the one that is, skipping what a rollback has left.
fn before_the_last(
    history: &[Pointer],
    found: &Found,
    stage: &StageName,
) -> Result<Candidate, ChatError> {
    let Some(live) = history.first() else {
        return refused(format!(
            "nothing has been live in {stage} of {} yet",
            found.component
        ));
    };
    let before = history
        .iter()
        .find(|pointer| pointer.candidate.order < live.candidate.order);
    match before {
        Some(pointer) => Ok(pointer.candidate.clone()),
        None => refused(format!(
            "nothing older than {} has been live in {stage}",
            live.candidate.commit.short()
        )),
    }
}

async fn about_promotion(
    context: Context<'_>,
    number: u64,
    repository: Option<&RepositoryName>,
    fact: Fact,
) -> Result<Answer, ChatError> {
    let pointer = lookup::promotion(context, number, repository).await?;
    let mut reads = Reads::from(context);
    reads.load(needed(&pointer.stage)).await?;
    let state = match apply::to_stage(reads.clone(), &pointer.stage, &fact, None).await? {
        Applied::Taken(state) => state,
        Applied::Refused(why) => {
            let ended = explain_ending(context, &pointer.stage, number).await?;
            return refused(ended.unwrap_or_else(|| why.to_string()));
        }
    };
    let message = match fact {
        Fact::Rejected { .. } => format!("promotion #{number} is rejected"),
        _ => {
            let definition = reads.trusted(pointer.stage.repository).await?;
            let rule = definition
                .as_ref()
                .and_then(|definition| definition.stage(&pointer.stage.stage));
            match (state.promotion(number), rule) {
                (Some(promotion), Some(rule)) => match state.wait_of(promotion, rule) {
                    Some(Wait::Approval { given, needed }) => format!(
                        "promotion #{number} is approved {given}/{needed}; it needs {} more",
                        needed - given
                    ),
                    Some(Wait::Turn { .. } | Wait::Hold(_)) => {
                        let waits = explain::waits_for(&state, promotion, rule, context.now());
                        format!("promotion #{number} is approved and {waits}")
                    }
                    None => format!(
                        "promotion #{number} is approved and goes to {}",
                        pointer.stage.stage
                    ),
                },
                _ => format!("promotion #{number} is approved"),
            }
        }
    };
    Ok(done(message, Some(number), None))
}

/// How a promotion that no longer waits has ended, from the stage's ledger.
async fn explain_ending(
    context: Context<'_>,
    key: &StageKey,
    number: u64,
) -> Result<Option<String>, ChatError> {
    let Some(stage) = context.read::<Stage>(&keys::stage(key)).await? else {
        return Ok(None);
    };
    if stage.value.promotion(number).is_some() {
        return Ok(None);
    }
    let rows = history::ledger(context, &stage.value, history::MOST_ROWS).await?;
    Ok(rows.into_iter().find_map(|row| match row.what {
        towline_domain::ledger::What::Ended { promotion, how } if promotion == number => {
            Some(explain::ending(number, &how, Some(&row.by)))
        }
        towline_domain::ledger::What::Moved { promotion, .. } if promotion == number => {
            Some(format!(
                "promotion #{number} was carried out at {}",
                explain::minute(row.at)
            ))
        }
        _ => None,
    }))
}

async fn cancel(
    context: Context<'_>,
    person: &Person,
    number: u64,
    repository: Option<&RepositoryName>,
) -> Result<Answer, ChatError> {
    let (of, run) = lookup::build(context, number, repository).await?;
    latest_of(&run, &of, number)?;
    let fact = run::Fact::CancelRequested(of.component.clone(), Actor::from(person));
    taken(apply::to_run(context, &of.run, &fact, None).await?)?;
    Ok(done(
        format!("build#{number} is cancelled"),
        None,
        Some(number),
    ))
}

/// The attempt of that number, if no other followed it.
fn latest_of<'a>(
    run: &'a Run,
    of: &AttemptRef,
    number: u64,
) -> Result<&'a run::Attempt, ChatError> {
    let latest = run
        .components
        .get(&of.component)
        .map(run::ComponentRun::latest);
    match latest {
        Some(latest) if latest.build_number == number => Ok(latest),
        Some(latest) => refused(format!(
            "build#{number} was followed by build#{}; name that one",
            latest.build_number
        )),
        None => refused(format!("there is no build#{number}")),
    }
}

async fn retry(
    context: Context<'_>,
    person: &Person,
    number: u64,
    repository: Option<&RepositoryName>,
) -> Result<Answer, ChatError> {
    let (of, run) = lookup::build(context, number, repository).await?;
    let latest = latest_of(&run, &of, number)?;
    let mut reads = Reads::from(context);
    let (of_run, by) = (&of.run, person.into());
    let asked = another_attempt(&mut reads, of_run, &of.component, latest.number, by).await?;
    let fact = match asked {
        Retry::Asked(fact) => fact,
        Retry::Refused(why) => return refused(why.to_string()),
    };
    let after = taken(apply::to_run(context, &of.run, &fact, None).await?)?;
    let next = after
        .components
        .get(&of.component)
        .map(|component| component.latest().build_number);
    let next = next.unwrap_or(number);
    Ok(done(
        format!("{} is built again as build#{next}", of.component),
        None,
        Some(next),
    ))
}

//! Carries out promotions, rollbacks, approvals and rejections.

use towline_domain::choice;
use towline_domain::definition::{Origin, StageRule};
use towline_domain::explain;
use towline_domain::image::{Candidate, Image};
use towline_domain::intent::StageKey;
use towline_domain::ledger::What;
use towline_domain::names::RepositoryName;
use towline_domain::person::Person;
use towline_domain::run::Run;
use towline_domain::stage::{self, Fact, Pointer, Request, Stage};
use towline_state::apply::{Applied, to_stage};
use towline_state::records::Branch;
use towline_state::{Context, Reads, history, keys, needed};

use super::answers::Answer;
use super::command::{Approve, Promote, Reject, Rollback};
use super::given::{required, taken, text};
use super::lookup::{self, Found};
use super::{ChatError, Refusal, refused};

/// The most moves of a stage to search for an image to return to.
const MOST_MOVES: usize = 1_000;

/// Refuses, after recording the denial in the stage's ledger (A35).
async fn deny(
    context: Context<'_>,
    person: &Person,
    key: &StageKey,
    request: Request,
    reason: stage::Refusal,
) -> Result<Answer, ChatError> {
    let fact = Fact::Denied {
        by: person.clone(),
        request,
        reason: reason.clone(),
    };
    to_stage(context, key, &fact, None).await?;
    refused(reason.into())
}

pub(super) async fn promote(
    context: Context<'_>,
    person: &Person,
    command: Promote,
) -> Result<Answer, ChatError> {
    let reason = text(command.reason)?;
    let found = lookup::component(context, &command.component, command.repository.as_ref()).await?;
    let (key, rule) = found.stage(&command.stage)?;
    let image = one_image(context, &found, &command.image).await?;
    let mut candidate = match candidate(context, &image).await? {
        Fitness::Candidate(candidate) => *candidate,
        Fitness::Unfit(reason) => {
            let request = Request::PromoteImage {
                digest: image.digest,
            };
            return deny(context, person, &key, request, reason).await;
        }
    };
    if let Origin::Stage(origin) = &rule.from {
        let before = found.stage_key(origin);
        // Images that were superseded there are part of the candidate, but were never offered here
        // (A23).
        if let Some(stage) = context.read::<Stage>(&keys::stage(&before)).await? {
            let known = &stage.value.contributions;
            candidate.contributions.add_all(known);
        }
        let history = pointers(context, &before).await?;
        let allowed = choice::check_origin(&candidate, origin, &history, &command.stage);
        if let Err(reason) = allowed {
            let commit = candidate.commit;
            return deny(context, person, &key, Request::Promote { commit }, reason).await;
        }
    }
    let by = person.clone();
    let fact = match command.overrides {
        true => Fact::OverrideRequested {
            candidate: candidate.clone(),
            by,
            reason: reason.ok_or(Refusal::NoReason)?,
        },
        false => Fact::PromotionRequested {
            candidate: candidate.clone(),
            by,
            reason,
        },
    };
    let state = taken(to_stage(context, &key, &fact, None).await?)?;
    Ok(opened(context, &state, &candidate, rule))
}

/// The answer for a promotion that was just opened.
fn opened(context: Context<'_>, state: &Stage, candidate: &Candidate, rule: &StageRule) -> Answer {
    let commit = candidate.commit.short();
    let mut waiting = state.waiting.iter();
    let promotion = waiting.find(|known| known.candidate.digest == candidate.digest);
    let Some(promotion) = promotion else {
        return Answer::done(format!("{commit} is promoted to {}", rule.name));
    };
    let kind = match promotion.rollback {
        true => "rollback",
        false => "promotion",
    };
    let wait = explain::waiting(state, promotion, rule, context.now()).participle();
    Answer::done_to_promotion(
        format!(
            "{kind} #{} of {commit} to {}: {wait}",
            promotion.number, rule.name
        ),
        promotion.number,
    )
}

/// An image as a candidate, or why it may enter no stage.
async fn candidate(context: Context<'_>, image: &Image) -> Result<Fitness, ChatError> {
    let run = match &image.built {
        Some(built) => context.read::<Run>(&keys::run(&built.run)).await?,
        None => None,
    };
    let run = run.map(|run| run.value);
    let mut candidate = match choice::candidate(image, run.as_ref()) {
        Ok(candidate) => candidate,
        Err(reason) => return Ok(Fitness::Unfit(reason)),
    };
    if let Some(run) = run {
        let branch = keys::branch(run.key.repository, &candidate.git_ref);
        let branch = context.read::<Branch>(&branch).await?;
        let known = branch.map(|branch| branch.value.contributions);
        candidate.contributions = known.unwrap_or_default();
    }
    Ok(Fitness::Candidate(Box::new(candidate)))
}

/// Whether an image may enter a stage.
enum Fitness {
    Candidate(Box<Candidate>),
    /// It may not, for this reason.
    Unfit(stage::Refusal),
}

/// The one image of the component that the reference names.
async fn one_image(
    context: Context<'_>,
    found: &Found,
    reference: &str,
) -> Result<Image, ChatError> {
    let Some(component) = found.definition.component(&found.component) else {
        return refused(found.gone());
    };
    let (of, place) = (&component.repository, &found.repository.name);
    let mut images = lookup::images(context, reference, Some(of), Some(place)).await?;
    images.dedup_by(|first, second| first.digest == second.digest);
    match images.as_slice() {
        [_] => Ok(images.remove(0)),
        several => refused(Refusal::SeveralImages {
            reference: reference.into(),
            digests: several.iter().map(|image| image.digest.clone()).collect(),
        }),
    }
}

/// What was live in a stage, newest first.
async fn pointers(context: Context<'_>, key: &StageKey) -> Result<Vec<Pointer>, ChatError> {
    Ok(history::pointers(context, key, MOST_MOVES).await?)
}

pub(super) async fn roll_back(
    context: Context<'_>,
    person: &Person,
    command: Rollback,
) -> Result<Answer, ChatError> {
    let reason = text(command.reason)?;
    let found = lookup::component(context, &command.component, command.repository.as_ref()).await?;
    let (key, rule) = found.stage(&command.stage)?;
    let history = pointers(context, &key).await?;
    let to = match &command.to {
        None => None,
        Some(reference) => Some(one_image(context, &found, reference).await?.digest),
    };
    let candidate = match choice::to_roll_back_to(to.as_ref(), &history, &key) {
        Ok(candidate) => candidate,
        Err(reason) => {
            let request = match to {
                None => Request::GoBack,
                Some(digest) => Request::RollBackTo { digest },
            };
            return deny(context, person, &key, request, reason).await;
        }
    };
    let fact = Fact::RollbackRequested {
        candidate: candidate.clone(),
        by: person.clone(),
        reason,
    };
    let state = taken(to_stage(context, &key, &fact, None).await?)?;
    Ok(opened(context, &state, &candidate, rule))
}

pub(super) async fn approve(
    context: Context<'_>,
    person: &Person,
    command: Approve,
) -> Result<Answer, ChatError> {
    let number = command.promotion;
    let fact = Fact::Approved {
        promotion: number,
        by: person.clone(),
        comment: text(command.comment)?,
    };
    let (key, state, mut reads) = said(context, number, command.repository.as_ref(), &fact).await?;
    let definition = reads.trusted(key.repository).await?;
    let rule = definition.as_ref();
    let rule = rule.and_then(|definition| definition.stage(&key.stage));
    let next = match (state.promotion(number), rule) {
        (Some(promotion), Some(rule)) => {
            let wait = explain::waiting(&state, promotion, rule, context.now());
            format!("; {}", wait.participle())
        }
        (Some(_), None) => format!("; waiting, because {} is no longer defined", key.stage),
        (None, _) => String::new(),
    };
    Ok(Answer::done_to_promotion(
        format!("promotion #{number} to {}: approved{next}", key.stage),
        number,
    ))
}

pub(super) async fn reject(
    context: Context<'_>,
    person: &Person,
    command: Reject,
) -> Result<Answer, ChatError> {
    let number = command.promotion;
    let fact = Fact::Rejected {
        promotion: number,
        by: person.clone(),
        reason: required(command.reason)?,
    };
    let (key, _, _) = said(context, number, command.repository.as_ref(), &fact).await?;
    Ok(Answer::done_to_promotion(
        format!("promotion #{number} to {}: rejected", key.stage),
        number,
    ))
}

/// The stage of a promotion after an approval or a rejection.
async fn said<'a>(
    context: Context<'a>,
    number: u64,
    repository: Option<&RepositoryName>,
    fact: &Fact,
) -> Result<(StageKey, Stage, Reads<'a>), ChatError> {
    let key = lookup::promotion(context, number, repository).await?.stage;
    let mut reads = Reads::from(context);
    reads.load(needed(&key)).await?;
    match to_stage(reads.clone(), &key, fact, None).await? {
        Applied::Taken(state) => Ok((key, state, reads)),
        Applied::Refused(why) => {
            let ended = how_it_ended(context, &key, number).await?;
            refused(ended.unwrap_or_else(|| why.into()))
        }
    }
}

/// How a promotion that no longer waits has ended, from the stage's ledger.
async fn how_it_ended(
    context: Context<'_>,
    key: &StageKey,
    number: u64,
) -> Result<Option<Refusal>, ChatError> {
    let Some(stage) = context.read::<Stage>(&keys::stage(key)).await? else {
        return Ok(None);
    };
    if stage.value.promotion(number).is_some() {
        return Ok(None);
    }
    let rows = history::ledger(context, &stage.value, history::MOST_ROWS).await?;
    Ok(rows.into_iter().find_map(|row| match row.what {
        What::Ended { promotion, how } if promotion == number => Some(Refusal::Ended {
            promotion,
            how: how.into(),
            by: row.by,
        }),
        What::Moved { promotion, .. } if promotion == number => Some(Refusal::CarriedOut {
            promotion,
            at: row.at,
        }),
        What::Ended { .. }
        | What::Moved { .. }
        | What::Requested { .. }
        | What::Overridden { .. }
        | What::Approved { .. }
        | What::Denied { .. }
        | What::Held { .. }
        | What::Resumed
        | What::Drifted { .. } => None,
    }))
}

#[cfg(test)]
mod tests;

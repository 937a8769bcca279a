//! Applies facts to stages.

use towline_domain::definition::Scope;
use towline_domain::image::Candidate;
use towline_domain::intent::{Intent, StageKey};
use towline_domain::offer;
use towline_domain::report;
use towline_domain::stage::{self, Decision, Fact, Policy, Refusal, Stage};

use super::Applied;
use crate::change::Change;
use crate::content::HandlerError;
use crate::context::Rounds;
use crate::keys;
use crate::needs::{carried, needed};
use crate::numbers::draw_promotion;
use crate::reads::Reads;
use crate::records::{PromotionPointer, Trusted};

/// Applies a fact to a stage, commits the result, and marks `done` the intent that led here. Items
/// that were read already are not read again in the first round.
///
/// # Errors
/// When the store does not answer, or others kept changing the stage.
pub async fn to_stage<'a>(
    reads: impl Into<Reads<'a>>,
    key: &StageKey,
    fact: &Fact,
    done: Option<&str>,
) -> Result<Applied<Stage, Refusal>, HandlerError> {
    let mut reads = reads.into();
    let context = reads.context();
    let mut rounds = Rounds::default();
    loop {
        let mut change = Change::default();
        if let Some(done) = done {
            change.done(done);
        }
        let decision = decide_stage(&mut reads, key, fact, &mut change).await?;
        if context.commit(change, &mut rounds).await? {
            tell_of_stage(&decision);
            return Ok(match decision.refused {
                Some(why) => Applied::Refused(why),
                None => Applied::Taken(decision.stage),
            });
        }
        reads.again().await?;
    }
}

/// Decides about one stage and adds all consequences to the change, including the offers to the next stages.
///
/// # Errors
/// When the store does not answer.
pub async fn decide_stage(
    reads: &mut Reads<'_>,
    key: &StageKey,
    fact: &Fact,
    change: &mut Change,
) -> Result<Decision, HandlerError> {
    reads.load(needed(key)).await?;
    let trusted = trusted(reads, key).await?;
    let decision = decide(reads, key, trusted.as_ref(), fact, change).await?;
    if let (true, Some(trusted)) = (decision.moved, &trusted) {
        let offers = offer::of_stage(&decision.stage, &trusted.definition);
        owe_offers(reads, offers, change).await?;
    }
    Ok(decision)
}

/// Owes the offers of an image. A single offer is decided now.
pub(super) async fn owe_offers(
    reads: &mut Reads<'_>,
    offers: Vec<Intent>,
    change: &mut Change,
) -> Result<(), HandlerError> {
    if let [Intent::ImageReady { stage, candidate }] = offers.as_slice() {
        let more = decide_offered(reads, stage, candidate).await?;
        if change.take_in(more).is_none() {
            return Ok(());
        }
    }
    offers.into_iter().for_each(|offer| change.owe(offer));
    Ok(())
}

/// Decides about an image that is offered to a stage.
async fn decide_offered(
    reads: &mut Reads<'_>,
    key: &StageKey,
    candidate: &Candidate,
) -> Result<Change, HandlerError> {
    reads.load(needed(key)).await?;
    let trusted = trusted(reads, key).await?;
    let fact = Fact::Offered(candidate.clone());
    let mut change = Change::default();
    decide(reads, key, trusted.as_ref(), &fact, &mut change).await?;
    Ok(change)
}

/// Logs the move of a stage.
pub fn tell_of_stage(decision: &Decision) {
    if let (true, Some(pointer)) = (decision.moved, &decision.stage.pointer) {
        let key = &decision.stage.key;
        tracing::info!(
            component = key.component.as_str(),
            stage = key.stage.as_str(),
            commit = pointer.candidate.commit.short(),
            digest = pointer.candidate.digest.short(),
            promotion = pointer.promotion,
            "live"
        );
    }
}

async fn trusted(reads: &mut Reads<'_>, key: &StageKey) -> Result<Option<Trusted>, HandlerError> {
    let trusted = keys::trusted_definition(key.repository);
    reads.value::<Trusted>(&trusted).await
}

async fn decide(
    reads: &mut Reads<'_>,
    key: &StageKey,
    trusted: Option<&Trusted>,
    fact: &Fact,
    change: &mut Change,
) -> Result<Decision, HandlerError> {
    let read = reads.read::<Stage>(&keys::stage(key)).await?;
    let before = read.as_ref().map(|read| &read.value);
    let state = before.cloned().unwrap_or_else(|| Stage::new(key.clone()));
    let definition = trusted.map(|trusted| &trusted.definition);
    let ruled = stage::rule(definition, &key.stage);
    let ruled = trusted
        .ok_or(Refusal::NoDefinition)
        .and_then(|known| Ok((known, ruled?)));
    let (trusted, rule) = match ruled {
        Ok(ruled) => ruled,
        Err(why) => {
            let decision = Decision::refused(state, fact, why, reads.context().now());
            if decision.changed {
                change.save(keys::stage(key), read.as_ref(), &decision.stage);
                enter(before, &decision, None, change);
            }
            return Ok(decision);
        }
    };
    let scope = Scope::Stage(key.stage.clone());
    let not_executed = trusted.definition.not_executed_in(&scope);
    let not_executed: Vec<&str> = not_executed.collect();
    let policy = |next_number| Policy {
        rule,
        trusted,
        not_executed: &not_executed,
        next_number,
    };
    let now = reads.context().now();
    let mut decision = stage::advance(state.clone(), fact, policy(0), now);
    let mut number = None;
    if decision.took_number {
        // Only now is it known that a number is needed.
        let drawn = draw_promotion(reads, key.repository).await?;
        decision = stage::advance(state, fact, policy(drawn), now);
        number = Some(drawn);
    }
    if decision.changed {
        change.save(keys::stage(key), read.as_ref(), &decision.stage);
        for intent in report::stages_to_show(before, &decision, rule) {
            change.owe(intent);
        }
        for intent in before
            .iter()
            .flat_map(|before| stage::over(before, &decision.stage))
        {
            change.forget(&intent);
        }
    }
    for intent in &decision.intents {
        let carried = carried(&decision.stage, &trusted.definition, intent);
        change.owe_with_reads(intent.clone(), carried);
    }
    enter(before, &decision, number, change);
    Ok(decision)
}

/// Adds the rows of a decision.
fn enter(before: Option<&Stage>, decision: &Decision, number: Option<u64>, change: &mut Change) {
    let key = &decision.stage.key;
    // People refer to a promotion by its number, even if it needs no approval.
    if let Some(number) = number {
        change.put(
            keys::numbered("promotion", number, key.repository),
            &PromotionPointer { stage: key.clone() },
        );
    }
    for row in &decision.rows {
        change.put(keys::row(keys::ledger(key), row), row);
    }
    // The live image is in the stage. Earlier images are in rows, which repeat what was committed
    // before.
    let was = before.and_then(|before| before.pointer.as_ref());
    if let (true, Some(was)) = (decision.moved, was) {
        change.put(keys::pointer(key, was.since, was.version), was);
    }
}

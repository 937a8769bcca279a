//! Puts a stage's tags on a promoted digest and reads them back, one writer per stage at a time;
//! and the index of images built for several platforms, which only who may tag at will can put.

mod index;

use std::time::Duration;

use towline_domain::Timestamp;
use towline_domain::definition::{Origin, StageRule};
use towline_domain::image::Image;
use towline_domain::intent::{Intent, StageKey};
use towline_domain::ledger::Mover;
use towline_domain::names::ImageRepository;
use towline_domain::person::Actor;
use towline_domain::stage::{Fact, Lease, Promotion, Stage};
use towline_ports::{Images, PutTagError};

use towline_wire::eventbridge::Envelope;
use tracing::Instrument as _;

use crate::apply;
use crate::record_images::record_tag;
use towline_state::Reads;
use towline_state::keys;
use towline_state::parameters;
use towline_state::{Change, Context, HandlerError, Owed, Rounds, milliseconds};

/// How long a writer has the stage's tags to itself: twice the 30 s its function may run, so that
/// one that stalls is dead before the next begins (F32).
const LEASE: Duration = Duration::from_secs(60);

/// So often a denial is taken for one that a change of permissions, which takes AWS a while, will
/// end: about a quarter of an hour.
const MOST_DENIALS: u32 = 5;

/// Acts on `Promotion Due` and `Index Due`. `holder` is a word for this writer: a new one for every
/// invocation where several can run at once, always the same one where only one process can.
///
/// # Errors
/// When the store or the registry does not answer; the intent stays owed.
pub async fn handle(
    context: Context<'_>,
    images: &dyn Images,
    holder: &str,
    event: &Envelope,
) -> Result<(), HandlerError> {
    let mut reads = Reads::from(context);
    let Some(owed) = reads.owed(event).await? else {
        return Ok(());
    };
    async {
        match &owed.intent {
            Intent::PromotionDue { stage, promotion } => {
                promote(reads, images, holder, &owed, stage, *promotion).await
            }
            Intent::IndexDue(of) => index::act(reads, images, &owed, of).await,
            _ => Ok(()),
        }
    }
    .instrument(owed.span())
    .await
}

async fn promote(
    mut reads: Reads<'_>,
    images: &dyn Images,
    holder: &str,
    owed: &Owed,
    key: &StageKey,
    number: u64,
) -> Result<(), HandlerError> {
    let context = reads.context();
    let known = reads
        .read::<Stage>(&keys::stage(key))
        .await?
        .and_then(|stage| stage.value.promotion(number).cloned());
    let Some(promotion) = known.filter(|promotion| promotion.acting) else {
        return context.finish(owed).await;
    };
    let Ok(definition) = apply::trusted(&mut reads, key).await? else {
        return context.postpone(owed).await;
    };
    let rule = definition
        .stage(&key.stage)
        .expect("`trusted` has looked for the stage");
    // All that is read to finish is read before the tags are put on: should it change until
    // then, it is read again.
    let needed = apply::needed_to_promote(key, &definition, &promotion);
    reads.load(needed).await?;
    if !lease(&mut reads, key, number, holder).await? {
        // It stays owed, with its tries: when a denial is final is counted by them.
        return Ok(());
    }
    // What its deployment is handed must be there before anything moves.
    let candidate = &promotion.candidate;
    let refused = match parameters::of(&mut reads, rule, &key.component, candidate).await? {
        Err(reason) => Some(reason),
        Ok(_) => match put_tags(images, rule, &promotion).await {
            Ok(()) => None,
            Err(error) => Some(refusal(
                error,
                &candidate.repository,
                owed.tries,
                "promote",
            )?),
        },
    };
    match refused {
        None => finish(reads, key, owed, rule, &promotion, holder).await,
        Some(reason) => {
            let fact = Fact::TagRefused {
                promotion: number,
                holder: holder.into(),
                reason,
            };
            apply::to_stage(context, key, &fact, Some(&owed.id)).await?;
            Ok(())
        }
    }
}

/// Why the tags will never be on the digest, so that nobody need try again.
fn refusal(
    error: PutTagError,
    images: &ImageRepository,
    tries: u32,
    then: &str,
) -> Result<String, HandlerError> {
    match error {
        PutTagError::Gone | PutTagError::Immutable { .. } => Ok(error.to_string()),
        PutTagError::Port(error) => match error.denial() {
            Some(said) if tries >= MOST_DENIALS => Ok(format!(
                "ECR lets Towline put no tag on {images}: give that ECR repository the tag towline, as infra/component.yaml does (towline doctor says what else it lacks), then {then} again; it said: {said}"
            )),
            Some(_) | None => Err(error.into()),
        },
    }
}

/// Takes the stage's lease; what is known of the stage is then what was committed with it.
async fn lease(
    reads: &mut Reads<'_>,
    key: &StageKey,
    promotion: u64,
    holder: &str,
) -> Result<bool, HandlerError> {
    let context = reads.context();
    let mut rounds = Rounds::default();
    loop {
        let lease = Lease {
            holder: holder.into(),
            until: context.now() + LEASE,
        };
        let fact = Fact::LeaseRequested { promotion, lease };
        let Ok(definition) = apply::trusted(reads, key).await? else {
            return Ok(false);
        };
        let read = reads.read::<Stage>(&keys::stage(key)).await?;
        let mut change = Change::default();
        let decision =
            apply::decide(reads, key, read.as_ref(), &definition, &fact, &mut change).await?;
        if context.commit(change, &mut rounds).await? {
            if decision.refused.is_some() {
                return Ok(false);
            }
            if decision.changed {
                reads.saved(&keys::stage(key), &decision.stage);
            }
            return Ok(true);
        }
        reads.again().await?;
    }
}

/// Puts every tag of the stage on the digest and makes sure that it is there.
async fn put_tags(
    images: &dyn Images,
    rule: &StageRule,
    promotion: &Promotion,
) -> Result<(), PutTagError> {
    let candidate = &promotion.candidate;
    for tag in &rule.tags {
        images
            .put_tag(&candidate.repository, &candidate.digest, tag)
            .await?;
        let read = images.by_tag(&candidate.repository, tag).await?;
        if read.is_none_or(|image| image.digest != candidate.digest) {
            let doing = format!(
                "reading {}:{tag} back after it was put on {}",
                candidate.repository, candidate.digest
            );
            return Err(towline_ports::PortError::because(doing).into());
        }
    }
    Ok(())
}

/// Moves the pointer and records the tags' moves in one transaction.
async fn finish(
    mut reads: Reads<'_>,
    key: &StageKey,
    owed: &Owed,
    rule: &StageRule,
    promotion: &Promotion,
    holder: &str,
) -> Result<(), HandlerError> {
    let fact = Fact::Tagged {
        promotion: promotion.number,
        holder: holder.into(),
    };
    let context = reads.context();
    let mut rounds = Rounds::default();
    loop {
        let mut change = Change::default();
        change.done(&owed.id);
        let Ok(definition) = apply::trusted(&mut reads, key).await? else {
            return context.postpone(owed).await;
        };
        let read = reads.read::<Stage>(&keys::stage(key)).await?;
        let read = read.as_ref();
        let decision =
            apply::decide(&mut reads, key, read, &definition, &fact, &mut change).await?;
        if decision.refused.is_some() {
            return context.postpone(owed).await;
        }
        let mut recorded = None;
        if decision.moved {
            for tag in &rule.tags {
                let mover = Mover::Promotion {
                    number: promotion.number,
                    by: promotion.by.clone(),
                };
                record_tag(
                    &mut reads,
                    &promotion.candidate.repository,
                    tag,
                    &promotion.candidate.digest,
                    mover,
                    &mut change,
                )
                .await?;
            }
            recorded = record_tags_of(&mut reads, rule, promotion, &mut change).await?;
        }
        if context.commit(change, &mut rounds).await? {
            apply::tell_of_stage(&decision);
            if let (true, Some(recorded)) = (decision.moved, recorded) {
                measure(rule, promotion, recorded, context.now());
            }
            return Ok(());
        }
        reads.again().await?;
    }
}

/// How long it took from the registry to the stage, where nobody was waited for.
fn measure(rule: &StageRule, promotion: &Promotion, recorded: Timestamp, now: Timestamp) {
    if promotion.by == Actor::System && rule.approval.is_none() && rule.from == Origin::Build {
        tracing::info!(
            target: "towline::metric",
            name = "ImageToPromotion",
            milliseconds = milliseconds(recorded, now),
            "an image went live by itself"
        );
    }
}

/// Adds the stage's tags to what is known of the image; gives when that was first recorded.
async fn record_tags_of(
    reads: &mut Reads<'_>,
    rule: &StageRule,
    promotion: &Promotion,
    change: &mut Change,
) -> Result<Option<Timestamp>, HandlerError> {
    let key = keys::image(&promotion.candidate.repository, &promotion.candidate.digest);
    let Some(read) = reads.read::<Image>(&key).await? else {
        return Ok(None);
    };
    let mut image = read.value.clone();
    for tag in &rule.tags {
        if !image.tags.contains(tag) {
            image.tags.push(tag.clone());
        }
    }
    if image != read.value {
        change.save(key, Some(&read), &image);
    }
    Ok(Some(image.at))
}

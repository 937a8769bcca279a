//! Puts a stage's tags on a promoted digest and reads them back, one writer per stage at a time.
//! Also puts the index of images built for several platforms, because only this function may set
//! any tag.

mod contained;
mod index;

use std::time::Duration;

use towline_domain::definition::{Origin, StageRule};
use towline_domain::image::{Image, NotTagged};
use towline_domain::intent::{Intent, StageKey};
use towline_domain::ledger::{Mover, TagNow};
use towline_domain::person::Actor;
use towline_domain::stage::{self, Fact, Failure, Lease, Promotion, Stage};
use towline_domain::{Timestamp, deployment, record};
use towline_ports::{Images, PutTagError, Source};
use towline_state::{
    Change, Context, HandlerError, Owed, Reads, Rounds, apply, keys, milliseconds,
    needed_to_promote,
};
use towline_wire::eventbridge::Envelope;
use tracing::Instrument as _;

use self::contained::Allowed;
use crate::recording::{put_tag_row, save_tag};
use crate::settling::settle;

/// How long a lease lasts: twice the 30 s that its function may run, so that a stalled one is dead
/// before the next begins (F32).
const LEASE: Duration = Duration::from_secs(60);

/// Acts on `Promotion Due` and `Index Due`. `holder` is a word for this writer: a new one for every
/// invocation where several can run at once, always the same one where only one process can.
///
/// # Errors
/// When the store, the registry or the source does not answer; the intent stays owed.
pub async fn handle(
    context: Context<'_>,
    images: &dyn Images,
    source: &dyn Source,
    holder: &str,
    event: &Envelope,
) -> Result<(), HandlerError> {
    let mut reads = Reads::from(context);
    let Some(owed) = reads.owed(event).await? else {
        return Ok(());
    };
    let acted = async {
        match &owed.intent {
            Intent::PromotionDue { stage, promotion } => {
                promote(reads, images, source, holder, &owed, (stage, *promotion)).await
            }
            Intent::IndexDue(of) => index::act(reads, images, &owed, of).await,
            Intent::PushAccepted(_)
            | Intent::BuildDue(_)
            | Intent::BuildStopDue { .. }
            | Intent::ImageDue { .. }
            | Intent::BuildRetryDue { .. }
            | Intent::BuildSuperseded { .. }
            | Intent::ImageRecorded { .. }
            | Intent::ImageReady { .. }
            | Intent::DeployDue { .. }
            | Intent::BuildStatusDue { .. }
            | Intent::StageStatusDue { .. }
            | Intent::StatusesDue { .. }
            | Intent::BuildWatchDue(_)
            | Intent::PromotionWatchDue { .. } => Ok(()),
        }
    }
    .instrument(owed.span());
    settle(context, &owed, acted.await).await
}

async fn promote(
    mut reads: Reads<'_>,
    images: &dyn Images,
    source: &dyn Source,
    holder: &str,
    owed: &Owed,
    (key, number): (&StageKey, u64),
) -> Result<(), HandlerError> {
    let context = reads.context();
    let stage = reads.value::<Stage>(&keys::stage(key)).await?;
    let promotion = stage.as_ref().and_then(|stage| stage.promotion(number));
    let promotion = promotion
        .filter(|known| known.acting || known.unchecked.is_some() || known.obstacle.is_some());
    let (Some(promotion), Some(stage)) = (promotion.cloned(), stage) else {
        return context.finish(owed).await;
    };
    let definition = reads.trusted(key.repository).await?;
    let (Some(definition), Ok(rule)) = (
        definition.as_ref(),
        stage::rule(definition.as_ref(), &key.stage),
    ) else {
        return context.postpone(owed).await;
    };
    // Everything needed to finish is read before the tags are set; if it changes until then, it is read
    // again.
    reads
        .load(needed_to_promote(key, definition, &promotion))
        .await?;
    let allowed = contained::may_act(&mut reads, source, owed, &stage, &promotion).await?;
    let Allowed::Yes { asked } = allowed else {
        return Ok(());
    };
    if !lease(&mut reads, key, number, holder, asked).await? {
        // It stays owed: another writer is at work.
        return Ok(());
    }
    let done = carry_out(&mut reads, images, key, rule, &promotion).await;
    if let Some(by) = done.as_ref().err().and_then(HandlerError::obstacle) {
        let fact = Fact::Obstructed {
            promotion: number,
            holder: holder.into(),
            by,
        };
        apply::to_stage(context, key, &fact, None).await?;
    }
    match done? {
        None => finish(reads, key, owed, rule, &promotion, holder).await,
        Some(why) => {
            let fact = Fact::TagRefused {
                promotion: number,
                holder: holder.into(),
                why,
            };
            apply::to_stage(context, key, &fact, Some(&owed.id)).await?;
            Ok(())
        }
    }
}

/// Sets the tags, once the deployment's parameters are known to be available; or returns why that
/// is impossible.
async fn carry_out(
    reads: &mut Reads<'_>,
    images: &dyn Images,
    key: &StageKey,
    rule: &StageRule,
    promotion: &Promotion,
) -> Result<Option<Failure>, HandlerError> {
    let candidate = &promotion.candidate;
    if !rule.parameters.is_empty() {
        let built_by = reads.built_by(&candidate.run).await?;
        let built_by = built_by.as_ref().map(|(run, definition)| (run, definition));
        let parameters = deployment::parameters(rule, &key.component, candidate, built_by);
        if let Err(why) = parameters {
            let stage = rule.name.clone();
            return Ok(Some(Failure::Parameters { stage, why }));
        }
    }
    match put_tags(images, rule, promotion).await {
        Ok(()) => Ok(None),
        Err(error) => {
            let why = not_tagged(error)?;
            Ok(Some(Failure::Tag { why }))
        }
    }
}

/// Why the tags can never be set, so that a retry is useless.
fn not_tagged(error: PutTagError) -> Result<NotTagged, HandlerError> {
    match error {
        PutTagError::Gone => Ok(NotTagged::Gone),
        PutTagError::Immutable { tag } => Ok(NotTagged::Immutable { tag }),
        PutTagError::Port(error) => Err(error.into()),
    }
}

/// Takes the stage's lease; the known state of the stage is then the committed one.
async fn lease(
    reads: &mut Reads<'_>,
    key: &StageKey,
    promotion: u64,
    holder: &str,
    asked: bool,
) -> Result<bool, HandlerError> {
    let context = reads.context();
    let mut rounds = Rounds::default();
    loop {
        let lease = Lease {
            holder: holder.into(),
            until: context.now() + LEASE,
            meddled: false,
        };
        let fact = Fact::LeaseRequested {
            promotion,
            lease,
            asked,
        };
        let mut change = Change::default();
        let decision = apply::decide_stage(reads, key, &fact, &mut change).await?;
        if reads.commit(change, &mut rounds).await? {
            return Ok(decision.refused.is_none());
        }
        reads.again().await?;
    }
}

/// Puts every tag of the stage on the digest and checks that it is there.
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
        let decision = apply::decide_stage(&mut reads, key, &fact, &mut change).await?;
        if decision.refused.is_some() {
            return context.postpone(owed).await;
        }
        let mut recorded = None;
        if decision.moved {
            move_tags(&mut reads, rule, promotion, &mut change).await?;
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

/// Records where the stage's tags point now, unless that is recorded already.
async fn move_tags(
    reads: &mut Reads<'_>,
    rule: &StageRule,
    promotion: &Promotion,
    change: &mut Change,
) -> Result<(), HandlerError> {
    let candidate = &promotion.candidate;
    for tag in &rule.tags {
        let place = (&candidate.repository, tag);
        let before = reads.value::<TagNow>(&keys::tag(place.0, place.1)).await?;
        let mover = Mover::Promotion {
            number: promotion.number,
            by: promotion.by.clone(),
        };
        let now = reads.context().now();
        let moved = TagNow::moved(before.as_ref(), place, &candidate.digest, mover, now);
        if let Some(moved) = moved {
            save_tag(reads, &moved, change).await?;
        }
    }
    Ok(())
}

/// The time from the registry to the stage, if no person was involved.
fn measure(rule: &StageRule, promotion: &Promotion, recorded: Timestamp, now: Timestamp) {
    if promotion.by == Actor::System && rule.approval.is_none() && rule.from == Origin::Build {
        tracing::info!(
            target: "towline::metric",
            name = "ImageToPromotion",
            milliseconds = milliseconds(recorded, now),
            "an image went live automatically"
        );
    }
}

/// Adds the stage's tags to the image in the ledger; returns when it was first recorded.
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
    let (image, rows) = record::with_tags(&read.value, &rule.tags);
    for tag in rows {
        put_tag_row(&read.value.repository, &read.value.digest, tag, change);
    }
    if let Some(image) = image {
        change.save(key, Some(&read), &image);
    }
    Ok(Some(read.value.at))
}

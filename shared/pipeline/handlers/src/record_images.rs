//! Records the registry's content in the ledger: every image, every move of a tag.

use towline_domain::image::{Claim, Image};
use towline_domain::intent::Intent;
use towline_domain::ledger::TagNow;
use towline_domain::record::{self, Found};
use towline_domain::run::Fact;
use towline_domain::stage::Stage;
use towline_ports::Images;
use towline_state::{Context, HandlerError, Reads, apply, keys};
use towline_wire::ecr::{self, Action, ImageAction};
use towline_wire::eventbridge::{self, Envelope};
use tracing::Instrument as _;

use crate::recording::record;
use crate::settling::settle;

/// Acts on an `ECR Image Action`, on `Image Due`: the image a successful build should have
/// pushed (F7), and on `Stage Tags Due`.
///
/// The registry is read back: the event only says where to look (A27).
///
/// # Errors
/// When the store or the registry does not answer; an intent stays owed.
pub async fn handle(
    context: Context<'_>,
    images: &dyn Images,
    event: &Envelope,
) -> Result<(), HandlerError> {
    if event.source != ecr::SOURCE {
        return match event.detail_type == eventbridge::STAGE_TAGS {
            true => compare(context, images, event).await,
            false => due(context, images, event).await,
        };
    }
    match ecr::decode(event) {
        Ok(action) => pushed(context, images, &action).await,
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

async fn pushed(
    context: Context<'_>,
    images: &dyn Images,
    event: &ImageAction,
) -> Result<(), HandlerError> {
    // Without a tag, it is a child of an index or a signature, and is not looked up.
    let (Action::Push, true, Some(tag)) = (&event.action, event.succeeded, &event.tag) else {
        return Ok(());
    };
    let mut reads = Reads::from(context);
    let of = &event.repository;
    let (claim, now) = (keys::claim(of), keys::tag(of, tag));
    let said = event.digest.as_ref();
    let image = said.map(|digest| keys::image(of, digest));
    let known = [claim.clone(), now.clone(), keys::expected(of, tag)];
    reads
        .load(known.into_iter().chain(image.clone()).collect())
        .await?;
    let Some(claim) = reads.value::<Claim>(&claim).await? else {
        return Ok(()); // not a repository of ours
    };
    if let (Some(said), Some(image)) = (said, &image) {
        let now = reads.value::<TagNow>(&now).await?;
        let image = reads.value::<Image>(image).await?;
        if record::is_recorded(said, tag, now.as_ref(), image.as_ref()) {
            return Ok(()); // our own tag coming back, or the event did
        }
    }
    let Some(image) = images.by_tag(of, tag).await? else {
        return Ok(()); // deleted since; the ledger keeps what it knew
    };
    let found = Found {
        claim: &claim,
        tag,
        image: &image,
        said,
    };
    record(reads, images, &found, None).await
}

/// Compares the tags of a repository's stages with the registry: the event of a move may be lost (F35).
async fn compare(
    context: Context<'_>,
    images: &dyn Images,
    event: &Envelope,
) -> Result<(), HandlerError> {
    let id = match eventbridge::repository_of(event) {
        Ok(id) => id,
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(event = event.id, error, "dropped");
            return Ok(());
        }
    };
    let mut reads = Reads::from(context);
    let Some(definition) = reads.trusted(id).await? else {
        return Ok(());
    };
    let mut stages = context.whole::<Stage>(keys::stages(id)).await?;
    // If the time does not suffice for all, the next comparison begins with another stage.
    let first = context.clock.random() % stages.len().max(1) as u64;
    stages.rotate_left(first as usize);
    for stage in stages {
        let (Some(rule), Some(live)) = (definition.stage(&stage.key.stage), &stage.pointer) else {
            continue;
        };
        let (of, digest) = (&live.candidate.repository, &live.candidate.digest);
        for tag in &rule.tags {
            let image = images.by_tag(of, tag).await?;
            let Some(image) = image.filter(|image| image.digest != *digest) else {
                continue;
            };
            let Some(claim) = reads.value::<Claim>(&keys::claim(of)).await? else {
                continue;
            };
            let found = Found {
                claim: &claim,
                tag,
                image: &image,
                said: None,
            };
            // Reads again, because what was read above may be outdated.
            record(Reads::from(context), images, &found, None).await?;
        }
    }
    Ok(())
}

async fn due(
    context: Context<'_>,
    images: &dyn Images,
    event: &Envelope,
) -> Result<(), HandlerError> {
    let mut reads = Reads::from(context);
    let Some(owed) = reads.owed(event).await? else {
        return Ok(());
    };
    let acted = async {
        let Intent::ImageDue {
            of,
            repository,
            tag,
        } = &owed.intent
        else {
            return Ok(());
        };
        let claim = reads.value::<Claim>(&keys::claim(repository)).await?;
        let image = images.by_tag(repository, tag).await?;
        if let (Some(claim), Some(image)) = (&claim, &image) {
            let found = Found {
                claim,
                tag,
                image,
                said: None,
            };
            return record(reads, images, &found, Some(&owed.id)).await;
        }
        if record::is_missing(owed.tries, owed.since, context.now()) {
            let fact = Fact::ImageMissing(of.attempt.clone());
            apply::to_run(reads, &of.run, &fact, Some(&owed.id)).await?;
        }
        // Otherwise it stays owed and is announced again, which counts the lookups.
        Ok(())
    }
    .instrument(owed.span());
    settle(context, &owed, acted.await).await
}

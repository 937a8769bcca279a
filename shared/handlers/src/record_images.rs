//! Enters what lies in the registry into the ledger: every image, every move of a tag.

use std::time::Duration;

use towline_domain::image::{Built, Image};
use towline_domain::intent::{AttemptRef, Intent, StageKey};
use towline_domain::ledger::{Mover, TagMove};
use towline_domain::names::{Digest, ImageRepository, Tag};
use towline_domain::run::{Attempt, Fact, Run};
use towline_domain::stage::{self, Stage};
use towline_ports::{Images, Query, RegistryImage};
use towline_wire::ecr::{self, Action, ImageAction};
use towline_wire::eventbridge::Envelope;
use tracing::Instrument as _;

use crate::apply::{self, Applied};
use crate::keys;
use crate::ledger::{Change, HandlerError, Ledger, Owed, Rounds};
use crate::records::{Claim, ImagePointer, TagName, TagNow, Trusted};

/// How long after its build succeeded an image may be missing before the attempt is failed.
const MISSING: Duration = Duration::from_secs(30);

/// Acts on an `ECR Image Action`, and on `Image Due`: the image a successful build should have
/// pushed (F7).
///
/// The registry is read back: the event only says where to look (A27).
///
/// # Errors
/// When the store or the registry does not answer; an intent stays owed.
pub async fn handle(
    ledger: Ledger<'_>,
    images: &dyn Images,
    event: &Envelope,
) -> Result<(), HandlerError> {
    if event.source != ecr::SOURCE {
        return due(ledger, images, event).await;
    }
    match ecr::decode(event) {
        Ok(action) => pushed(ledger, images, &action).await,
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
    ledger: Ledger<'_>,
    images: &dyn Images,
    event: &ImageAction,
) -> Result<(), HandlerError> {
    // Without a tag it is a child of an index or a signature: nothing is looked up by it.
    let (Action::Push, true, Some(tag)) = (&event.action, event.succeeded, &event.tag) else {
        return Ok(());
    };
    let Some(claim) = ledger
        .read::<Claim>(&keys::claim(&event.repository))
        .await?
    else {
        return Ok(()); // not a repository of ours
    };
    let Some(image) = images.by_tag(&event.repository, tag).await? else {
        return Ok(()); // deleted since; the ledger keeps what it knew
    };
    record(
        ledger,
        images,
        &claim.value,
        tag,
        &image,
        event.digest.clone(),
        None,
    )
    .await
}

async fn due(
    ledger: Ledger<'_>,
    images: &dyn Images,
    event: &Envelope,
) -> Result<(), HandlerError> {
    let Some(owed) = ledger.owed(event).await? else {
        return Ok(());
    };
    async {
        let Intent::ReadImage {
            of,
            repository,
            tag,
        } = &owed.intent
        else {
            return Ok(());
        };
        let claim = ledger.read::<Claim>(&keys::claim(repository)).await?;
        match (images.by_tag(repository, tag).await?, claim) {
            (Some(image), Some(claim)) => {
                record(ledger, images, &claim.value, tag, &image, None, Some(&owed)).await
            }
            _ if ledger.now() >= owed.since + MISSING => {
                let fact = Fact::ImageMissing(of.attempt.clone());
                apply::to_run(ledger, &of.run, &fact, Some(&owed.id)).await?;
                Ok(())
            }
            _ => ledger.postpone(&owed).await,
        }
    }
    .instrument(owed.span())
    .await
}

/// Records an image under a tag, and tells whoever waits for it.
async fn record(
    ledger: Ledger<'_>,
    images: &dyn Images,
    claim: &Claim,
    tag: &Tag,
    image: &RegistryImage,
    said: Option<Digest>,
    owed: Option<&Owed>,
) -> Result<(), HandlerError> {
    let repository = &claim.images;
    let drifted = stage_that_drifted(ledger, images, claim, tag, &image.digest).await?;
    let mut rounds = Rounds::new();
    loop {
        let mut change = Change::default();
        if let Some(owed) = owed {
            change.done(&owed.id);
        }
        let expected = expected_by(ledger, repository, tag).await?;
        let mover = match (
            &expected,
            promoted_by(ledger, claim, tag, &image.digest).await?,
        ) {
            (_, Some(mover)) => mover,
            (Some((_, run, attempt)), None) => Mover::Build {
                run: run.id.clone(),
                number: attempt.build_number,
            },
            (None, None) => built_under(ledger, repository, tag, &image.digest).await?,
        };
        let built = expected.as_ref().map(|(of, run, attempt)| Built {
            source: claim.repository,
            component: of.component.clone(),
            commit: run.key.commit.clone(),
            git_ref: run.key.git_ref.clone(),
            run: run.id.clone(),
            build_number: attempt.build_number,
        });
        record_image(ledger, claim, image, tag, built, &mut change).await?;
        let moved = record_tag(ledger, repository, tag, &image.digest, mover, &mut change).await?;
        if let Some((of, _, attempt)) = expected {
            let contradicts = said.clone().filter(|said| *said != image.digest);
            if attempt.image.as_ref() != Some(&image.digest) || contradicts.is_some() || moved {
                change.owe(Intent::ImageRecorded {
                    of,
                    digest: image.digest.clone(),
                    contradicts,
                });
            }
        }
        if ledger.commit(change, &mut rounds).await? {
            break;
        }
    }
    if let Some(key) = drifted {
        let fact = stage::Fact::TagMovedOutside {
            tag: tag.clone(),
            digest: image.digest.clone(),
        };
        let before = ledger.now();
        let applied = apply::to_stage(ledger, &key, &fact, None).await?;
        if let Applied::Taken(stage) = applied
            && let Some(hold) = stage.hold.filter(|hold| hold.since >= before)
        {
            tracing::error!(
                target: "towline::metric",
                name = "IntegrityHold",
                count = 1_u64,
                component = key.component.as_str(),
                stage = key.stage.as_str(),
                "held: {}", hold.reason
            );
        }
    }
    Ok(())
}

/// The attempt that is expected to push this tag: only its unique tag is evidence (I6).
async fn expected_by(
    ledger: Ledger<'_>,
    repository: &ImageRepository,
    tag: &Tag,
) -> Result<Option<(AttemptRef, Run, Attempt)>, HandlerError> {
    let Some(of) = ledger
        .read::<AttemptRef>(&keys::expected(repository, tag))
        .await?
    else {
        return Ok(None);
    };
    let of = of.value;
    let Some(run) = ledger.read::<Run>(&keys::run(&of.run)).await? else {
        return Ok(None);
    };
    let attempt = run
        .value
        .attempt(&of.attempt)
        .map(|(_, _, attempt)| attempt.clone());
    Ok(attempt.map(|attempt| (of, run.value, attempt)))
}

/// Who put a further tag on an image: the build that made it, if it was to push that tag too.
async fn built_under(
    ledger: Ledger<'_>,
    repository: &ImageRepository,
    tag: &Tag,
    digest: &Digest,
) -> Result<Mover, HandlerError> {
    let image = ledger
        .read::<Image>(&keys::image(repository, digest))
        .await?;
    let Some(built) = image.and_then(|image| image.value.built) else {
        return Ok(Mover::Outside);
    };
    let run = ledger.read::<Run>(&keys::run(&built.run)).await?;
    let pushes_it = run.is_some_and(|run| {
        let component = run.value.components.get(&built.component);
        let mut attempts = component
            .into_iter()
            .flat_map(|component| &component.attempts);
        attempts
            .any(|attempt| attempt.build_number == built.build_number && attempt.tags.contains(tag))
    });
    Ok(match pushes_it {
        true => Mover::Build {
            run: built.run,
            number: built.build_number,
        },
        false => Mover::Outside,
    })
}

/// The stage of the component that has this tag.
async fn stage_of(
    ledger: Ledger<'_>,
    claim: &Claim,
    tag: &Tag,
) -> Result<Option<StageKey>, HandlerError> {
    let trusted = ledger
        .read::<Trusted>(&keys::trusted_definition(claim.repository))
        .await?;
    let stage = trusted.and_then(|read| {
        read.value
            .definition
            .stages
            .into_iter()
            .find(|rule| rule.tags.contains(tag))
    });
    Ok(stage.map(|rule| StageKey {
        repository: claim.repository,
        component: claim.component.clone(),
        stage: rule.name,
    }))
}

/// The promotion that put a stage's tag on this digest, if one did or is doing so.
async fn promoted_by(
    ledger: Ledger<'_>,
    claim: &Claim,
    tag: &Tag,
    digest: &Digest,
) -> Result<Option<Mover>, HandlerError> {
    let Some(key) = stage_of(ledger, claim, tag).await? else {
        return Ok(None);
    };
    let Some(stage) = ledger.read::<Stage>(&keys::stage(&key)).await? else {
        return Ok(None);
    };
    let acting = stage
        .value
        .waiting
        .iter()
        .find(|known| known.acting && known.candidate.digest == *digest);
    let acting = acting.map(|known| Mover::Promotion {
        number: known.number,
        by: known.by.clone(),
    });
    let live = stage
        .value
        .pointer
        .as_ref()
        .filter(|pointer| pointer.candidate.digest == *digest);
    Ok(acting.or_else(|| {
        live.map(|pointer| Mover::Promotion {
            number: pointer.promotion,
            by: pointer.by.clone(),
        })
    }))
}

/// The stage whose tag was put on an image that nobody promoted.
async fn stage_that_drifted(
    ledger: Ledger<'_>,
    images: &dyn Images,
    claim: &Claim,
    tag: &Tag,
    digest: &Digest,
) -> Result<Option<StageKey>, HandlerError> {
    let promoted = promoted_by(ledger, claim, tag, digest).await?;
    if promoted.is_some() {
        return Ok(None);
    }
    let Some(stage) = stage_of(ledger, claim, tag).await? else {
        return Ok(None);
    };
    // What was read may be older than the stage: a promotion in between has moved the tag since.
    let now = images.by_tag(&claim.images, tag).await?;
    Ok(now
        .is_some_and(|image| image.digest == *digest)
        .then_some(stage))
}

/// Enters the image, or its further tag.
async fn record_image(
    ledger: Ledger<'_>,
    claim: &Claim,
    image: &RegistryImage,
    tag: &Tag,
    built: Option<Built>,
    change: &mut Change,
) -> Result<(), HandlerError> {
    let repository = &claim.images;
    let key = keys::image(repository, &image.digest);
    let read = ledger.read::<Image>(&key).await?;
    let pointer = ImagePointer {
        repository: repository.clone(),
        digest: image.digest.clone(),
    };
    let mut known = match &read {
        Some(read) => read.value.clone(),
        None => Image {
            repository: repository.clone(),
            digest: image.digest.clone(),
            media_type: image.media_type.clone(),
            size: image.size,
            platforms: image.platforms.clone(),
            at: ledger.now(),
            built: None,
            tags: Vec::new(),
        },
    };
    if !known.tags.contains(tag) {
        known.tags.push(tag.clone());
    }
    // The same bytes can be built again: the newest build is the one to ask about.
    let number = |built: &Option<Built>| built.as_ref().map_or(0, |built| built.build_number);
    if number(&built) > number(&known.built) {
        known.built = built;
    }
    if read.as_ref().is_some_and(|read| read.value == known) {
        return Ok(());
    }
    let listed = |partition: String| keys::image_by_time(partition, known.at, &known.digest);
    change.put(
        listed(keys::images(claim.repository, &claim.component, None)),
        &pointer,
    );
    if let Some(built) = &known.built {
        change.put(
            listed(keys::images(
                claim.repository,
                &claim.component,
                Some(&built.git_ref),
            )),
            &pointer,
        );
    }
    change.put(keys::image_by_digest(repository, &known.digest), &pointer);
    change.save(key, read.as_ref(), &known);
    Ok(())
}

/// Enters a move of a tag, unless the tag is there already; says whether it moved.
pub(crate) async fn record_tag(
    ledger: Ledger<'_>,
    repository: &ImageRepository,
    tag: &Tag,
    digest: &Digest,
    by: Mover,
    change: &mut Change,
) -> Result<bool, HandlerError> {
    let key = keys::tag(repository, tag);
    let read = ledger.read::<TagNow>(&key).await?;
    if read
        .as_ref()
        .is_some_and(|read| read.value.digest == *digest)
    {
        return Ok(false);
    }
    let before = read.as_ref().map(|read| &read.value);
    let sequence = before.map_or(0, |before| before.sequence) + 1;
    let at = before.map_or(ledger.now(), |before| before.since.max(ledger.now()));
    let moved = TagMove {
        sequence,
        at,
        from: before.map(|before| before.digest.clone()),
        to: digest.clone(),
        by,
    };
    change.create(keys::tag_move(repository, tag, at, sequence), &moved);
    let now = TagNow {
        repository: repository.clone(),
        tag: tag.clone(),
        digest: digest.clone(),
        sequence,
        since: at,
    };
    change.save(key, read.as_ref(), &now);
    change.put(
        towline_ports::Key::new(keys::tag_name(tag.as_str()), repository.to_string()),
        &TagName {
            repository: repository.clone(),
        },
    );
    Ok(true)
}

/// The newest moves of a tag.
pub(crate) async fn tag_moves(
    ledger: Ledger<'_>,
    repository: &ImageRepository,
    tag: &Tag,
    limit: usize,
) -> Result<Vec<TagMove>, HandlerError> {
    ledger
        .list(
            &Query::all(keys::tag_moves(repository, tag))
                .newest_first()
                .limit(limit),
        )
        .await
}

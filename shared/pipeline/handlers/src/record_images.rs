//! Enters what lies in the registry into the ledger: every image, every move of a tag.

use std::time::Duration;

use towline_domain::image::{Built, Image};
use towline_domain::intent::{AttemptRef, Intent, StageKey};
use towline_domain::ledger::Mover;
use towline_domain::names::{Digest, ImageRepository, Tag};
use towline_domain::run::{Attempt, Fact, Run};
use towline_domain::stage::{self, Stage};
use towline_ports::{Images, Key, RegistryImage};
use towline_wire::ecr::{self, Action, ImageAction};
use towline_wire::eventbridge::Envelope;
use tracing::Instrument as _;

use crate::apply::{self, Applied};
use towline_state::Reads;
use towline_state::keys;
use towline_state::records::{Claim, ImagePointer, TagNow, Trusted};
use towline_state::{Change, Context, HandlerError, Owed, Read, Rounds};

/// How long after its build succeeded an image may be missing before the attempt is failed.
const MISSING: Duration = Duration::from_secs(30);

/// How often it is looked for at least before that.
const FEWEST_LOOKS: u32 = 2;

/// Acts on an `ECR Image Action`, and on `Image Due`: the image a successful build should have
/// pushed (F7).
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
        return due(context, images, event).await;
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
    // Without a tag it is a child of an index or a signature: nothing is looked up by it.
    let (Action::Push, true, Some(tag)) = (&event.action, event.succeeded, &event.tag) else {
        return Ok(());
    };
    let mut reads = Reads::from(context);
    let of = &event.repository;
    let mut needed = vec![keys::claim(of), keys::tag(of, tag), keys::expected(of, tag)];
    needed.extend(event.digest.iter().map(|digest| keys::image(of, digest)));
    reads.load(needed).await?;
    let Some(claim) = reads.read::<Claim>(&keys::claim(of)).await? else {
        return Ok(()); // not a repository of ours
    };
    if is_recorded(&mut reads, event, tag).await? {
        return Ok(()); // our own tag coming back, or the event did
    }
    let Some(image) = images.by_tag(&event.repository, tag).await? else {
        return Ok(()); // deleted since; the ledger keeps what it knew
    };
    let said = event.digest.clone();
    record(reads, images, &claim.value, tag, &image, said, None).await
}

/// Whether all that an event says is in the ledger already: what it led to was committed before
/// the move of the tag, or together with it (I11, F33).
async fn is_recorded(
    reads: &mut Reads<'_>,
    event: &ImageAction,
    tag: &Tag,
) -> Result<bool, HandlerError> {
    let Some(digest) = &event.digest else {
        return Ok(false);
    };
    let now = reads
        .read::<TagNow>(&keys::tag(&event.repository, tag))
        .await?;
    let image = reads
        .read::<Image>(&keys::image(&event.repository, digest))
        .await?;
    Ok(now.is_some_and(|now| now.value.digest == *digest)
        && image.is_some_and(|image| image.value.tags.contains(tag)))
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
    async {
        let Intent::ImageDue {
            of,
            repository,
            tag,
        } = &owed.intent
        else {
            return Ok(());
        };
        let claim = reads.read::<Claim>(&keys::claim(repository)).await?;
        match (images.by_tag(repository, tag).await?, claim) {
            (Some(image), Some(claim)) => {
                record(reads, images, &claim.value, tag, &image, None, Some(&owed)).await
            }
            _ if owed.tries >= FEWEST_LOOKS && context.now() >= owed.since + MISSING => {
                let fact = Fact::ImageMissing(of.attempt.clone());
                apply::to_run(reads, &of.run, &fact, Some(&owed.id)).await?;
                Ok(())
            }
            // It stays owed, and is announced again: by that the looks are counted.
            _ => Ok(()),
        }
    }
    .instrument(owed.span())
    .await
}

/// Records an image under a tag, and tells whoever waits for it.
pub(crate) async fn record(
    mut reads: Reads<'_>,
    images: &dyn Images,
    claim: &Claim,
    tag: &Tag,
    image: &RegistryImage,
    said: Option<Digest>,
    owed: Option<&Owed>,
) -> Result<(), HandlerError> {
    let context = reads.context();
    let repository = &claim.images;
    load(&mut reads, claim, tag, &image.digest).await?;
    // First, so that whoever finds the tag recorded knows that this was seen to.
    if let Some(key) = stage_that_drifted(&mut reads, images, claim, tag, &image.digest).await? {
        hold(context, &key, tag, &image.digest).await?;
    }
    let mut rounds = Rounds::default();
    loop {
        let mut change = Change::default();
        let expected = expected_by(&mut reads, repository, tag).await?;
        let mover = match (
            &expected,
            promoted_by(&mut reads, claim, tag, &image.digest).await?,
        ) {
            (_, Some(mover)) => mover,
            (Some((_, run, attempt)), None) => Mover::Build {
                run: run.value.id.clone(),
                number: attempt.build_number,
            },
            (None, None) => built_under(&mut reads, repository, tag, &image.digest).await?,
        };
        let is_part = |attempt: &Attempt| attempt.platform.is_some();
        let is_part = expected.as_ref().is_some_and(|(_, _, made)| is_part(made));
        let built = expected.as_ref().map(|(of, run, attempt)| Built {
            source: claim.repository,
            component: of.component.clone(),
            commit: run.value.key.commit.clone(),
            git_ref: run.value.key.git_ref.clone(),
            run: run.value.id.clone(),
            build_number: attempt.build_number,
        });
        let made = Made { built, is_part };
        record_image(&mut reads, claim, image, tag, made, &mut change).await?;
        record_tag(
            &mut reads,
            repository,
            tag,
            &image.digest,
            mover,
            &mut change,
        )
        .await?;
        if let Some((_, run, attempt)) = &expected {
            own_earlier(
                &mut reads,
                repository,
                (&run.value, attempt),
                &image.digest,
                &mut change,
            )
            .await?;
        }
        let mut told = None;
        if let Some((of, run, _)) = expected {
            let contradicts = said.clone().filter(|said| *said != image.digest);
            let after = tell(
                &mut reads,
                of,
                &run,
                &image.digest,
                contradicts,
                &mut change,
            );
            told = after.await?.map(|after| (run.value, after));
        }
        if let Some(owed) = owed {
            change.done(&owed.id);
        }
        if context.commit(change, &mut rounds).await? {
            if let Some((before, after)) = told {
                apply::tell_of_run(&before, &after);
            }
            return Ok(());
        }
        reads.again().await?;
    }
}

/// Reads at once what most images need: who made it, and whose tag it is.
async fn load(
    reads: &mut Reads<'_>,
    claim: &Claim,
    tag: &Tag,
    digest: &Digest,
) -> Result<(), HandlerError> {
    let image = keys::image(&claim.images, digest);
    let expected = keys::expected(&claim.images, tag);
    reads.load(vec![image.clone(), expected.clone()]).await?;
    let expected = reads.read::<AttemptRef>(&expected).await?;
    let image = reads.read::<Image>(&image).await?;
    let built = image.and_then(|image| image.value.built);
    let runs = expected.map(|of| of.value.run).into_iter();
    let runs = runs.chain(built.map(|built| built.run));
    let mut needed = vec![keys::trusted_definition(claim.repository)];
    needed.extend(runs.map(|run| keys::run(&run)));
    reads.load(needed).await
}

/// Tells a run what its attempt has pushed, with all that follows where it fits into the change;
/// else that is owed. Gives the run after it.
async fn tell(
    reads: &mut Reads<'_>,
    of: AttemptRef,
    run: &Read<Run>,
    digest: &Digest,
    contradicts: Option<Digest>,
    change: &mut Change,
) -> Result<Option<Run>, HandlerError> {
    let fact = Fact::ImageRead {
        attempt: of.attempt.clone(),
        digest: digest.clone(),
        contradicts: contradicts.clone(),
    };
    let mut more = Change::default();
    let decision = apply::decide_run(reads, run, &fact, &mut more).await?;
    if change.take_in(more).is_none() {
        return Ok(Some(decision.run));
    }
    change.owe(Intent::ImageRecorded {
        of,
        digest: digest.clone(),
        contradicts,
    });
    Ok(None)
}

/// Holds a stage whose tag somebody else has moved.
async fn hold(
    context: Context<'_>,
    key: &StageKey,
    tag: &Tag,
    digest: &Digest,
) -> Result<(), HandlerError> {
    let fact = stage::Fact::TagMovedOutside {
        tag: tag.clone(),
        digest: digest.clone(),
    };
    let before = context.now();
    let applied = apply::to_stage(context, key, &fact, None).await?;
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
    Ok(())
}

/// The attempt that is expected to push this tag: only its unique tag is evidence (I6).
async fn expected_by(
    reads: &mut Reads<'_>,
    repository: &ImageRepository,
    tag: &Tag,
) -> Result<Option<(AttemptRef, Read<Run>, Attempt)>, HandlerError> {
    let Some(of) = reads
        .read::<AttemptRef>(&keys::expected(repository, tag))
        .await?
    else {
        return Ok(None);
    };
    let of = of.value;
    let Some(run) = reads.read::<Run>(&keys::run(&of.run)).await? else {
        return Ok(None);
    };
    let attempt = run
        .value
        .attempt(&of.attempt)
        .map(|(_, _, attempt)| attempt.clone());
    Ok(attempt.map(|attempt| (of, run, attempt)))
}

/// A build may push its other tags before the one that says whose they are: then they were taken for
/// somebody's outside.
async fn own_earlier(
    reads: &mut Reads<'_>,
    repository: &ImageRepository,
    (run, attempt): (&Run, &Attempt),
    digest: &Digest,
    change: &mut Change,
) -> Result<(), HandlerError> {
    let image = reads
        .read::<Image>(&keys::image(repository, digest))
        .await?;
    if image.is_none() {
        return Ok(()); // no other tag of it has come yet
    }
    let others = attempt
        .tags
        .iter()
        .filter(|tag| **tag != attempt.unique_tag);
    let others: Vec<Key> = others.map(|tag| keys::tag(repository, tag)).collect();
    reads.load(others.clone()).await?;
    for key in others {
        let read = reads.read::<TagNow>(&key).await?;
        let Some(read) = read.filter(|read| {
            let now = &read.value;
            now.digest == *digest && now.by == Mover::Outside && now.since >= attempt.due_at
        }) else {
            continue;
        };
        let owned = TagNow {
            by: Mover::Build {
                run: run.id.clone(),
                number: attempt.build_number,
            },
            ..read.value.clone()
        };
        change.save(key, Some(&read), &owned);
    }
    Ok(())
}

/// Who put a further tag on an image: the build that made it, if it was to push that tag too.
async fn built_under(
    reads: &mut Reads<'_>,
    repository: &ImageRepository,
    tag: &Tag,
    digest: &Digest,
) -> Result<Mover, HandlerError> {
    let image = reads
        .read::<Image>(&keys::image(repository, digest))
        .await?;
    let Some(built) = image.and_then(|image| image.value.built) else {
        return Ok(Mover::Outside);
    };
    let run = reads.read::<Run>(&keys::run(&built.run)).await?;
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
    reads: &mut Reads<'_>,
    claim: &Claim,
    tag: &Tag,
) -> Result<Option<StageKey>, HandlerError> {
    let trusted = reads
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
    reads: &mut Reads<'_>,
    claim: &Claim,
    tag: &Tag,
    digest: &Digest,
) -> Result<Option<Mover>, HandlerError> {
    let Some(key) = stage_of(reads, claim, tag).await? else {
        return Ok(None);
    };
    let Some(stage) = reads.read::<Stage>(&keys::stage(&key)).await? else {
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
    reads: &mut Reads<'_>,
    images: &dyn Images,
    claim: &Claim,
    tag: &Tag,
    digest: &Digest,
) -> Result<Option<StageKey>, HandlerError> {
    let promoted = promoted_by(reads, claim, tag, digest).await?;
    if promoted.is_some() {
        return Ok(None);
    }
    let Some(stage) = stage_of(reads, claim, tag).await? else {
        return Ok(None);
    };
    // What was read may be older than the stage: a promotion in between has moved the tag since.
    let now = images.by_tag(&claim.images, tag).await?;
    Ok(now
        .is_some_and(|image| image.digest == *digest)
        .then_some(stage))
}

/// How an image came to be.
struct Made {
    /// What built it, if it was one of ours.
    built: Option<Built>,
    /// Whether it is for one of several platforms: nobody asks for it by itself.
    is_part: bool,
}

/// Enters the image, or its further tag.
async fn record_image(
    reads: &mut Reads<'_>,
    claim: &Claim,
    image: &RegistryImage,
    tag: &Tag,
    made: Made,
    change: &mut Change,
) -> Result<(), HandlerError> {
    let repository = &claim.images;
    let key = keys::image(repository, &image.digest);
    let read = reads.read::<Image>(&key).await?;
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
            at: reads.context().now(),
            built: None,
            tags: Vec::new(),
        },
    };
    if !known.tags.contains(tag) {
        known.tags.push(tag.clone());
    }
    // The same bytes can be built again: the newest build is the one to ask about, but for one that
    // makes them a part of something else.
    let Made { built, is_part } = made;
    let number = |built: &Option<Built>| built.as_ref().map_or(0, |built| built.build_number);
    if number(&built) > number(&known.built) && !(is_part && known.built.is_some()) {
        known.built = built;
    }
    if read.as_ref().is_some_and(|read| read.value == known) {
        return Ok(());
    }
    // The rows that lead to it were written with it; only a build of another ref adds one, or the
    // first that makes it by itself.
    let is_new = read.is_none();
    let is_built_anew = read
        .as_ref()
        .is_none_or(|read| read.value.built != known.built);
    let listed = |partition: String| keys::image_by_time(partition, known.at, &known.digest);
    if is_new {
        change.put(keys::image_by_digest(repository, &known.digest), &pointer);
    }
    if (is_new || is_built_anew) && !is_part {
        let all = keys::images(claim.repository, &claim.component, None);
        change.put(listed(all), &pointer);
    }
    if let Some(built) = known.built.as_ref().filter(|_| is_built_anew && !is_part) {
        let of_ref = Some(&built.git_ref);
        let of_ref = keys::images(claim.repository, &claim.component, of_ref);
        change.put(listed(of_ref), &pointer);
    }
    change.save(key, read.as_ref(), &known);
    Ok(())
}

/// Enters a move of a tag, unless the tag is there already.
pub(crate) async fn record_tag(
    reads: &mut Reads<'_>,
    repository: &ImageRepository,
    tag: &Tag,
    digest: &Digest,
    by: Mover,
    change: &mut Change,
) -> Result<(), HandlerError> {
    let key = keys::tag(repository, tag);
    let read = reads.read::<TagNow>(&key).await?;
    if read
        .as_ref()
        .is_some_and(|read| read.value.digest == *digest)
    {
        return Ok(());
    }
    let before = read.as_ref().map(|read| &read.value);
    let sequence = before.map_or(0, |before| before.sequence) + 1;
    let at = before.map_or(reads.context().now(), |before| {
        before.since.max(reads.context().now())
    });
    if let Some(moved) = before.map(TagNow::moved) {
        let row = keys::tag_move(repository, tag, moved.at, moved.sequence);
        change.create(row, &moved);
    }
    let now = TagNow {
        repository: repository.clone(),
        tag: tag.clone(),
        digest: digest.clone(),
        sequence,
        since: at,
        from: before.map(|before| before.digest.clone()),
        by,
    };
    change.save(key, read.as_ref(), &now);
    Ok(())
}

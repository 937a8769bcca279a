//! Records an image in the ledger: loads what the decision wants, decides in `towline-domain`,
//! commits, tells its run.

use towline_domain::image::Image;
use towline_domain::intent::{AttemptRef, StageKey};
use towline_domain::ledger::TagNow;
use towline_domain::record::{self, Found, Known, List, Recorded, Want};
use towline_domain::run::Run;
use towline_domain::stage::{self, Stage};
use towline_ports::{Images, Key};
use towline_state::apply::{self, Applied, Told};
use towline_state::records::ImagePointer;
use towline_state::{Change, Context, HandlerError, Reads, Rounds, keys};

/// Records an image under a tag, and tells the run that waits for it. `done` is the intent that led here.
pub(crate) async fn record(
    mut reads: Reads<'_>,
    images: &dyn Images,
    found: &Found<'_>,
    done: Option<&str>,
) -> Result<(), HandlerError> {
    let context = reads.context();
    let known = load(&mut reads, found).await?;
    // First, so that a recorded tag means that this is done.
    if let Some(key) = record::drifted(found, &known)
        && is_still_there(images, found).await?
    {
        hold(context, &key, found).await?;
    }
    let mut rounds = Rounds::default();
    loop {
        let known = load(&mut reads, found).await?;
        let recorded = record::of(found, &known, context.now());
        let mut change = Change::default();
        let told = enter(&mut reads, found, recorded, &mut change).await?;
        if let Some(done) = done {
            change.done(done);
        }
        if context.commit(change, &mut rounds).await? {
            told.iter().for_each(apply::tell_of_run);
            return Ok(());
        }
        reads.again().await?;
    }
}

/// Saves where a tag points now; its previous move becomes a row.
pub(crate) async fn save_tag(
    reads: &mut Reads<'_>,
    now: &TagNow,
    change: &mut Change,
) -> Result<(), HandlerError> {
    let key = keys::tag(&now.repository, &now.tag);
    let read = reads.read::<TagNow>(&key).await?;
    let before = read.as_ref().map(|read| read.value.last_move());
    if let Some(before) = before.filter(|before| before.sequence < now.sequence) {
        let (repository, tag) = (&now.repository, &now.tag);
        let row = keys::tag_move(repository, tag, before.at, before.sequence);
        change.put(row, &before);
    }
    change.save(key, read.as_ref(), now);
    Ok(())
}

/// Looks up what the decision wants, until it wants nothing more.
async fn load(reads: &mut Reads<'_>, found: &Found<'_>) -> Result<Known, HandlerError> {
    let mut known = Known::default();
    let mut asked = 0;
    loop {
        let wants = record::wants(found, &known);
        if wants.len() == asked {
            return Ok(known);
        }
        asked = wants.len();
        reads
            .load(wants.iter().map(|want| key(found, want)).collect())
            .await?;
        known = Known::default();
        for want in &wants {
            answer(reads, found, want, &mut known).await?;
        }
    }
}

fn key(found: &Found<'_>, want: &Want) -> Key {
    let images = &found.claim.images;
    match want {
        Want::Image => keys::image(images, &found.image.digest),
        Want::Expected => keys::expected(images, found.tag),
        Want::Definition => keys::trusted_definition(found.claim.repository),
        Want::Run(id) => keys::run(id),
        Want::Tag(tag) => keys::tag(images, tag),
        Want::Stage(stage) => keys::stage(stage),
    }
}

async fn answer(
    reads: &mut Reads<'_>,
    found: &Found<'_>,
    want: &Want,
    known: &mut Known,
) -> Result<(), HandlerError> {
    let key = key(found, want);
    match want {
        Want::Image => known.image = reads.value::<Image>(&key).await?,
        Want::Expected => known.expected = reads.value::<AttemptRef>(&key).await?,
        Want::Definition => known.definition = reads.trusted(found.claim.repository).await?,
        Want::Run(_) => known.runs.extend(reads.value::<Run>(&key).await?),
        Want::Tag(_) => known.tags.extend(reads.value::<TagNow>(&key).await?),
        Want::Stage(_) => known.stage = reads.value::<Stage>(&key).await?,
    }
    Ok(())
}

/// Whether the tag is still where it was read; a promotion may have moved it since.
async fn is_still_there(images: &dyn Images, found: &Found<'_>) -> Result<bool, HandlerError> {
    let now = images.by_tag(&found.claim.images, found.tag).await?;
    Ok(now.is_some_and(|image| image.digest == found.image.digest))
}

/// Holds a stage whose tag was moved outside Towline.
async fn hold(context: Context<'_>, key: &StageKey, found: &Found<'_>) -> Result<(), HandlerError> {
    let fact = stage::Fact::TagMovedOutside {
        tag: found.tag.clone(),
        digest: found.image.digest.clone(),
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

/// Adds all consequences to the change; returns the run that was told something.
async fn enter(
    reads: &mut Reads<'_>,
    found: &Found<'_>,
    recorded: Recorded,
    change: &mut Change,
) -> Result<Option<Told>, HandlerError> {
    if let Some(image) = &recorded.image {
        let pointer = ImagePointer {
            repository: image.repository.clone(),
            digest: image.digest.clone(),
        };
        for list in &recorded.listed {
            change.put(listed(found, image, list), &pointer);
        }
        let key = keys::image(&image.repository, &image.digest);
        let read = reads.read::<Image>(&key).await?;
        change.save(key, read.as_ref(), image);
    }
    for now in &recorded.tags {
        save_tag(reads, now, change).await?;
    }
    match recorded.told {
        Some(told) => tell(reads, told, change).await,
        None => Ok(None),
    }
}

fn listed(found: &Found<'_>, image: &Image, list: &List) -> Key {
    let claim = found.claim;
    let by_time = |git_ref| {
        let partition = keys::images(claim.repository, &claim.component, git_ref);
        keys::image_by_time(partition, image.at, &image.digest)
    };
    match list {
        List::ByDigest => keys::image_by_digest(&image.repository, &image.digest),
        List::OfComponent => by_time(None),
        List::OfRef(git_ref) => by_time(Some(git_ref)),
    }
}

/// Tells a run what its attempt has pushed, with all consequences, if that fits into the change;
/// otherwise that is owed.
async fn tell(
    reads: &mut Reads<'_>,
    told: record::Told,
    change: &mut Change,
) -> Result<Option<Told>, HandlerError> {
    let Some(run) = reads.read::<Run>(&keys::run(&told.of.run)).await? else {
        return Ok(None);
    };
    let mut more = Change::default();
    let decided = apply::decide_run(reads, &run, &told.fact(), &mut more).await?;
    if change.take_in(more).is_none() {
        return Ok(Some(decided));
    }
    change.owe(told.intent());
    Ok(None)
}

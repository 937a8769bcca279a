//! Records an image in the ledger: loads what the decision wants, decides in `towline-domain`,
//! commits, tells its run.

use towline_domain::image::Image;
use towline_domain::intent::{AttemptRef, StageKey};
use towline_domain::ledger::{TagNow, What};
use towline_domain::names::{Digest, ImageRepository, Tag};
use towline_domain::record::{self, Found, Known, List, Recorded, Want};
use towline_domain::run::Run;
use towline_domain::stage::{self, Stage};
use towline_ports::{Images, Key};
use towline_state::apply::{self, Told};
use towline_state::records::{ImagePointer, ImageTag};
use towline_state::{Change, HandlerError, Reads, Rounds, keys};

/// Records an image under a tag, and tells the run that waits for it. `done` is the intent that led here.
pub(crate) async fn record(
    mut reads: Reads<'_>,
    images: &dyn Images,
    found: &Found<'_>,
    done: Option<&str>,
) -> Result<(), HandlerError> {
    let context = reads.context();
    let mut rounds = Rounds::default();
    loop {
        let known = load(&mut reads, found).await?;
        let mut change = Change::default();
        let mut drifted = None;
        if let Some(key) = record::drifted(found, &known) {
            if !is_still_there(images, found).await? {
                return Ok(()); // it was moved on, and that has an event of its own
            }
            drifted = Some(drift(&mut reads, &key, found, &mut change).await?);
        }
        let recorded = record::of(found, &known, context.now());
        let told = enter(&mut reads, found, recorded, &mut change).await?;
        if let Some(done) = done {
            change.done(done);
        }
        if context.commit(change, &mut rounds).await? {
            drifted.iter().for_each(tell_of_drift);
            told.iter().for_each(apply::tell_of_run);
            return Ok(());
        }
        reads.again().await?;
    }
}

/// Adds a tag that an image's item has no space for.
pub(crate) fn put_tag_row(
    images: &ImageRepository,
    digest: &Digest,
    tag: &Tag,
    change: &mut Change,
) {
    let key = keys::image_tag(images, digest, tag);
    change.put(key, &ImageTag { tag: tag.clone() });
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

/// Tells a stage that its tag was moved outside Towline, in the commit that records the move: its own next
/// move of the tag is never recorded before this one.
async fn drift(
    reads: &mut Reads<'_>,
    key: &StageKey,
    found: &Found<'_>,
    change: &mut Change,
) -> Result<stage::Decision, HandlerError> {
    let fact = stage::Fact::TagMovedOutside {
        tag: found.tag.clone(),
        digest: found.image.digest.clone(),
    };
    apply::decide_stage(reads, key, &fact, change).await
}

fn tell_of_drift(decision: &stage::Decision) {
    let key = &decision.stage.key;
    let (component, stage) = (key.component.as_str(), key.stage.as_str());
    for row in &decision.rows {
        match &row.what {
            What::Held { reason } => tracing::error!(component, stage, "held: {reason}"),
            What::Drifted { tag, digest } => tracing::error!(
                target: "towline::metric",
                name = "ForeignTag",
                count = 1_u64,
                component,
                stage,
                "tag {tag} was moved to {} outside Towline", digest.short()
            ),
            What::Requested { .. }
            | What::Overridden { .. }
            | What::Approved { .. }
            | What::Denied { .. }
            | What::Ended { .. }
            | What::Moved { .. }
            | What::Resumed => {}
        }
    }
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
    if let Some(tag) = &recorded.row {
        put_tag_row(&found.claim.images, &found.image.digest, tag, change);
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

//! Puts the index of an attempt's parts, which joins the images of its platforms.

use towline_domain::image::Claim;
use towline_domain::intent::AttemptRef;
use towline_domain::names::{Digest, ImageRepository};
use towline_domain::record::Found;
use towline_domain::run::{Attempt, Fact, NoIndex, Run};
use towline_oci::{IndexError, PlatformImage};
use towline_ports::{Images, PortError, PutTagError};
use towline_state::{Context, HandlerError, Owed, Reads, apply, keys};

use crate::recording::record;

/// Why there is no index.
pub(super) enum Stop {
    /// It is not in the registry, or not under a tag.
    Tag(PutTagError),
    /// It could not be recorded.
    Failed(HandlerError),
}

impl From<PutTagError> for Stop {
    fn from(error: PutTagError) -> Self {
        Self::Tag(error)
    }
}

impl From<PortError> for Stop {
    fn from(error: PortError) -> Self {
        Self::Tag(error.into())
    }
}

/// Acts on `Index Due`. Two invocations put the same bytes, so no lease is needed.
pub(super) async fn act(
    mut reads: Reads<'_>,
    images: &dyn Images,
    owed: &Owed,
    of: &AttemptRef,
) -> Result<(), HandlerError> {
    let context = reads.context();
    let run = reads.read::<Run>(&keys::run(&of.run)).await?;
    let known = run.as_ref().and_then(|run| run.value.attempt(&of.attempt));
    let Some((_, component, attempt)) = known.filter(|(_, _, known)| !known.state.is_terminal())
    else {
        return reads.finish(owed).await;
    };
    let Some(children) = attempt.index() else {
        return reads.finish(owed).await;
    };
    let repository = &component.repository;
    let Some(claim) = reads.read::<Claim>(&keys::claim(repository)).await? else {
        return Ok(()); // it stays owed, and is given up in the end
    };
    let fact = match put(context, images, &claim.value, attempt, &children).await {
        Ok(fact) => fact,
        Err(Stop::Failed(error)) => return Err(error),
        Err(Stop::Tag(error)) => {
            let why = super::not_tagged(error)?;
            Fact::IndexRefused(attempt.id.clone(), NoIndex::Tag { why })
        }
    };
    apply::to_run(context, &of.run, &fact, Some(&owed.id)).await?;
    Ok(())
}

fn no_index(error: IndexError) -> NoIndex {
    match error {
        IndexError::Platform(error) => NoIndex::Platform {
            said: error.to_string(),
        },
        IndexError::OtherPlatform { platform, digest } => {
            NoIndex::OtherPlatform { platform, digest }
        }
        IndexError::Unreadable {
            platform,
            digest,
            cause,
        } => NoIndex::Unreadable {
            platform,
            digest,
            said: cause.to_string(),
        },
    }
}

/// Puts the index under every tag of the attempt, the unique one first, and records each in the
/// ledger, without waiting for events.
async fn put(
    context: Context<'_>,
    images: &dyn Images,
    claim: &Claim,
    attempt: &Attempt,
    children: &[(&str, &Digest)],
) -> Result<Fact, Stop> {
    let (repository, unique) = (&claim.images, &attempt.unique_tag);
    let index = match towline_oci::index(&manifests(images, repository, children).await?) {
        Ok(index) => index,
        Err(error) => return Ok(Fact::IndexRefused(attempt.id.clone(), no_index(error))),
    };
    let is_put = |found: Digest| Fact::IndexPut {
        attempt: attempt.id.clone(),
        index: index.digest.clone(),
        found,
    };
    let before = images.by_tag(repository, unique).await?;
    if let Some(other) = before.filter(|found| found.digest != index.digest) {
        return Ok(is_put(other.digest));
    }
    for tag in &attempt.tags {
        images.put_index(repository, &index.text, tag).await?;
        let Some(found) = images.by_tag(repository, tag).await? else {
            let doing = format!("reading {repository}:{tag} back after an index was put there");
            return Err(PortError::because(doing).into());
        };
        if found.digest == index.digest {
            let image = Found {
                claim,
                tag,
                image: &found,
                said: None,
            };
            let recorded = record(Reads::from(context), images, &image, None);
            recorded.await.map_err(Stop::Failed)?;
        } else if tag == unique {
            return Ok(is_put(found.digest));
        }
    }
    Ok(is_put(index.digest.clone()))
}

/// The manifests of the platforms' images in the registry.
async fn manifests(
    images: &dyn Images,
    repository: &ImageRepository,
    children: &[(&str, &Digest)],
) -> Result<Vec<PlatformImage>, Stop> {
    let mut found = Vec::new();
    for (platform, digest) in children {
        let stored = images.manifest(repository, digest).await?;
        let stored = stored.ok_or(PutTagError::Gone)?;
        found.push(PlatformImage {
            platform: (*platform).to_owned(),
            digest: (*digest).clone(),
            media_type: stored.media_type,
            manifest: stored.text,
        });
    }
    Ok(found)
}

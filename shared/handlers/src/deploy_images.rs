//! Brings what has become live in a stage to where it runs, by the way the stage names.

use towline_domain::image::Image;
use towline_domain::intent::{Intent, StageKey};
use towline_domain::names::Digest;
use towline_domain::stage::{Pointer, Stage};
use towline_ports::Announcement;
use towline_wire::eventbridge::{self, Envelope, Promoted};
use tracing::Instrument as _;

use crate::keys;
use crate::ledger::{HandlerError, Ledger};
use crate::reads::Reads;
use crate::records::Repository;

/// Acts on `Deploy Due`: announces `Image Promoted` on our bus, with all that a deployer needs.
///
/// The event's id is the promotion's, so whoever hears it twice can tell.
///
/// # Errors
/// When the store or the bus does not answer; the intent stays owed.
pub async fn handle(ledger: Ledger<'_>, event: &Envelope) -> Result<(), HandlerError> {
    let mut reads = Reads::from(ledger);
    let Some(owed) = reads.owed(event).await? else {
        return Ok(());
    };
    async {
        let Intent::Deploy {
            stage: key,
            promotion,
            previous,
        } = &owed.intent
        else {
            return Ok(());
        };
        let stage = reads.read::<Stage>(&keys::stage(key)).await?;
        let live = stage.and_then(|stage| stage.value.pointer);
        let Some(pointer) = live.filter(|pointer| pointer.promotion == *promotion) else {
            tracing::info!(
                component = key.component.as_str(),
                stage = key.stage.as_str(),
                promotion,
                "not deployed: something newer is live"
            );
            return ledger.finish(&owed).await;
        };
        let announcement = announcement(&mut reads, key, &pointer, previous.as_ref()).await?;
        ledger.bus.announce(vec![announcement]).await?;
        ledger.finish(&owed).await
    }
    .instrument(owed.span())
    .await
}

async fn announcement(
    reads: &mut Reads<'_>,
    key: &StageKey,
    pointer: &Pointer,
    previous: Option<&Digest>,
) -> Result<Announcement, HandlerError> {
    let candidate = &pointer.candidate;
    let repository = reads
        .read::<Repository>(&keys::repository(key.repository))
        .await?;
    let image = reads
        .read::<Image>(&keys::image(&candidate.repository, &candidate.digest))
        .await?;
    let promoted = Promoted {
        id: format!("promotion-{}-{}", key.repository, pointer.promotion),
        repository_id: key.repository,
        repository: repository.map(|read| read.value.name),
        component: key.component.clone(),
        stage: key.stage.clone(),
        image_repository: candidate.repository.clone(),
        digest: candidate.digest.clone(),
        tags: image.map(|read| read.value.tags).unwrap_or_default(),
        previous: previous.cloned(),
        commit: candidate.commit.clone(),
        git_ref: candidate.git_ref.full(),
        run: candidate.run.clone(),
        build: candidate.build_number,
        promotion: pointer.promotion,
        rollback: pointer.rollback,
        by: pointer.by.to_string(),
        reason: pointer.reason.clone(),
        at: pointer.since,
    };
    Ok(Announcement {
        id: promoted.id.clone(),
        detail_type: eventbridge::PROMOTED.into(),
        detail: eventbridge::promoted(&promoted),
        at: pointer.since,
    })
}

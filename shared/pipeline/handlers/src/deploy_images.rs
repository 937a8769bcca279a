//! Announces an image that is now live in a stage to your own deployers.

use towline_domain::deployment;
use towline_domain::image::Image;
use towline_domain::intent::{Intent, StageKey};
use towline_domain::names::Digest;
use towline_domain::outputs::NoParameters;
use towline_domain::stage::{self, Pointer, Stage};
use towline_ports::Announcement;
use towline_wire::eventbridge::{self, Envelope, Promoted};
use tracing::Instrument as _;

use towline_state::Reads;
use towline_state::keys;
use towline_state::records::Repository;
use towline_state::{Context, HandlerError};

use crate::settling::settle;

/// Acts on `Deploy Due`: announces `Image Promoted` on our bus, with everything that a deployer needs.
///
/// The event's id is the promotion's, so that a repeated event is recognized.
///
/// # Errors
/// When the store or the bus does not answer; the intent stays owed.
pub async fn handle(context: Context<'_>, event: &Envelope) -> Result<(), HandlerError> {
    let mut reads = Reads::from(context);
    let Some(owed) = reads.owed(event).await? else {
        return Ok(());
    };
    let acted = async {
        let Intent::DeployDue {
            stage: key,
            promotion,
            previous,
        } = &owed.intent
        else {
            return Ok(());
        };
        let stage = reads.value::<Stage>(&keys::stage(key)).await?;
        let live = stage.and_then(|stage| stage.pointer);
        let Some(pointer) = live.filter(|pointer| pointer.promotion == *promotion) else {
            tracing::info!(
                component = key.component.as_str(),
                stage = key.stage.as_str(),
                promotion,
                "not deployed: something newer is live"
            );
            return reads.finish(&owed).await;
        };
        let parameters = match parameters(&mut reads, key, &pointer).await? {
            Parameters::Known(parameters) => parameters,
            Parameters::Unknown(why) => {
                tracing::error!(
                    component = key.component.as_str(),
                    stage = key.stage.as_str(),
                    promotion,
                    reason = %why,
                    "not deployed yet"
                );
                return context.postpone(&owed).await;
            }
        };
        let announcement =
            announcement(&mut reads, key, &pointer, previous.as_ref(), parameters).await?;
        context.bus.announce(vec![announcement]).await?;
        reads.finish(&owed).await
    }
    .instrument(owed.span());
    settle(context, &owed, acted.await).await
}

enum Parameters {
    Known(Vec<(String, String)>),
    Unknown(NoParameters),
}

/// The stage's parameters by the trusted definition. promote-images has checked them; if the
/// definition has changed since, this waits until it can be followed.
async fn parameters(
    reads: &mut Reads<'_>,
    key: &StageKey,
    pointer: &Pointer,
) -> Result<Parameters, HandlerError> {
    let definition = reads.trusted(key.repository).await?;
    let rule = match stage::rule(definition.as_ref(), &key.stage) {
        Ok(rule) if !rule.parameters.is_empty() => rule,
        // A stage that no longer exists has no parameters.
        Ok(_) | Err(_) => return Ok(Parameters::Known(Vec::new())),
    };
    let candidate = &pointer.candidate;
    let built_by = reads.built_by(&candidate.run).await?;
    let built_by = built_by.as_ref().map(|(run, definition)| (run, definition));
    Ok(
        match deployment::parameters(rule, &key.component, candidate, built_by) {
            Ok(parameters) => Parameters::Known(parameters),
            Err(why) => Parameters::Unknown(why),
        },
    )
}

async fn announcement(
    reads: &mut Reads<'_>,
    key: &StageKey,
    pointer: &Pointer,
    previous: Option<&Digest>,
    parameters: Vec<(String, String)>,
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
        reason: pointer.reason.as_ref().map(ToString::to_string),
        parameters: parameters.into_iter().collect(),
        at: pointer.since,
    };
    Ok(Announcement {
        id: promoted.id.clone(),
        detail_type: eventbridge::PROMOTED.into(),
        detail: eventbridge::promoted(&promoted),
        at: pointer.since,
    })
}

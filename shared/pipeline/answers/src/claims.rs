//! Which component each image repository belongs to, and how the owner releases it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use towline_domain::names::{ComponentName, ImageRepository, RepositoryId, RepositoryName};
use towline_domain::person::Person;
use towline_ports::Query as StoreQuery;
use towline_state::records::Claim;
use towline_state::{Change, Context, Read, Reads, Rounds, keys};

use super::answers::Answer;
use super::command::Release;
use super::{ChatError, Refusal, lookup, refused};

/// The component that an image repository belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimAnswer {
    pub images: ImageRepository,
    pub component: ComponentName,
    /// The component's repository, if it has pushed.
    pub repository: Option<RepositoryName>,
}

/// Every claim, by image repository.
pub(super) async fn all(context: Context<'_>) -> Result<Answer, ChatError> {
    let mut query = StoreQuery::all(keys::CLAIMS);
    let mut reads = Reads::from(context);
    let mut listed = Vec::new();
    loop {
        let page = context.store.query(&query).await?;
        for item in &page.items {
            listed.push(Read::<Claim>::of(item)?.value.images);
        }
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    let names: BTreeMap<RepositoryId, _> = lookup::repositories(context)
        .await?
        .into_iter()
        .map(|repository| (repository.id, repository.name))
        .collect();
    reads.load(listed.iter().map(keys::claim).collect()).await?;
    let mut claims = Vec::new();
    for images in listed {
        let claim = reads.value::<Claim>(&keys::claim(&images)).await?;
        if let Some(claim) = claim.filter(|claim| !claim.released) {
            claims.push(ClaimAnswer {
                repository: names.get(&claim.repository).cloned(),
                component: claim.component,
                images,
            });
        }
    }
    Ok(Answer::Claims { claims })
}

/// Releases a claim. The next definition of a default branch that names the image repository gets it.
pub(super) async fn release(
    context: Context<'_>,
    person: &Person,
    command: Release,
) -> Result<Answer, ChatError> {
    let Release { images } = command;
    if !person.administers() {
        return refused(Refusal::NotOwner {
            what: "release a claim",
        });
    }
    let key = keys::claim(&images);
    let mut reads = Reads::from(context);
    let mut rounds = Rounds::default();
    loop {
        let read = reads.read::<Claim>(&key).await?;
        let Some(read) = read.filter(|read| !read.value.released) else {
            return refused(Refusal::NoClaim { images });
        };
        let released = Claim {
            released: true,
            ..read.value.clone()
        };
        let mut change = Change::default();
        change.save(key.clone(), Some(&read), &released);
        if context.commit(change, &mut rounds).await? {
            tracing::info!(
                images = images.as_str(),
                by = person.login,
                "claim released"
            );
            return Ok(Answer::done(format!(
                "{images} no longer belongs to {}; it is claimed by the next push to a default branch whose definition names it",
                released.component
            )));
        }
        reads.again().await?;
    }
}

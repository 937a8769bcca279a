//! Asks GitHub for the failed deliveries of its webhooks again (F8).

#[cfg(test)]
mod tests;

use towline_domain::redelivery::{REPEATABLE, Redeliveries};
use towline_ports::{Admission, Deliveries, Repositories, RepositoryRef};
use towline_state::{Change, Context, HandlerError, Reads, Rounds, keys};

use super::heads::repositories;

/// The result of a round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Redelivered {
    /// Deliveries that GitHub was asked for.
    pub asked: usize,
    /// Those that arrived since.
    pub healed: usize,
    /// Those that failed each time.
    pub lost: usize,
}

/// Asks for each delivery that failed in the last three days, at most twice. Every `round` begins with
/// another repository.
///
/// # Errors
/// When the store or GitHub does not answer.
pub async fn redeliver(
    context: Context<'_>,
    deliveries: &dyn Deliveries,
    admitted: &dyn Repositories,
    round: u64,
) -> Result<Redelivered, HandlerError> {
    let mut known = Vec::new();
    for repository in repositories(context, round).await? {
        let named = RepositoryRef {
            id: repository.id,
            name: repository.name,
        };
        if let Admission::Admitted(repository) = admitted.admit(&named).await? {
            known.push(repository);
        }
    }
    let now = context.now();
    let attempts = deliveries.attempts(&known, now - REPEATABLE).await?;
    let mut reads = Reads::from(context);
    let key = keys::redeliveries();
    let read = reads.read::<Redeliveries>(&key).await?;
    let before = read.as_ref().map(|read| read.value.clone());
    let decided = before.clone().unwrap_or_default().round(&attempts, now);
    if decided.after != before.unwrap_or_default() {
        let mut change = Change::default();
        change.save(key, read.as_ref(), &decided.after);
        // Before anything is asked for: so nothing is asked for more often than it says.
        if !context.commit(change, &mut Rounds::default()).await? {
            return Ok(Redelivered::default());
        }
    }
    for guid in &decided.ask {
        if let Err(error) = deliveries.repeat(guid).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, guid, "cannot ask for a delivery again");
        }
    }
    for guid in &decided.healed {
        tracing::info!(guid, "a lost webhook arrived after all");
    }
    for guid in &decided.lost {
        tracing::warn!(
            guid,
            "a webhook failed each time; its push is found by its ref"
        );
    }
    Ok(Redelivered {
        asked: decided.ask.len(),
        healed: decided.healed.len(),
        lost: decided.lost.len(),
    })
}

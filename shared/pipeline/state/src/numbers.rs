//! Draws the numbers of a repository, each once.

use towline_domain::names::RepositoryId;

use crate::change::Change;
use crate::content::HandlerError;
use crate::context::Rounds;
use crate::keys;
use crate::reads::Reads;
use crate::records::Numbers;

/// Draws build numbers and one order number; unused ones are gaps.
///
/// # Errors
/// When the store does not answer, or others kept drawing.
pub async fn draw(
    reads: &mut Reads<'_>,
    repository: RepositoryId,
    builds: u64,
) -> Result<Numbers, HandlerError> {
    take(reads, repository, |now| Numbers {
        build: now.build + builds,
        order: now.order + 1,
        ..now.clone()
    })
    .await
}

/// Draws the number of a promotion. A number from a round that failed is used again in the next
/// round, unless others have drawn higher ones since; an unused one is a gap.
///
/// # Errors
/// When the store does not answer, or others kept drawing.
pub async fn draw_promotion(
    reads: &mut Reads<'_>,
    repository: RepositoryId,
) -> Result<u64, HandlerError> {
    if reads.has_spare_number(repository) {
        let next = reads.value::<Numbers>(&keys::numbers(repository)).await?;
        let next = next.map_or(0, |next| next.promotion);
        if let Some(number) = reads.spare_number(repository, next) {
            return Ok(number);
        }
    }
    let taken = take(reads, repository, |now| Numbers {
        promotion: now.promotion + 1,
        ..now.clone()
    });
    let number = taken.await?.promotion;
    reads.number_is_drawn(repository, number);
    Ok(number)
}

/// Returns the next numbers, and stores these as the next ones.
async fn take(
    reads: &mut Reads<'_>,
    repository: RepositoryId,
    next: impl Fn(&Numbers) -> Numbers,
) -> Result<Numbers, HandlerError> {
    let key = keys::numbers(repository);
    let context = reads.context();
    let mut numbers = reads.only(&key);
    reads.forget(&key);
    let mut rounds = Rounds::default();
    loop {
        let read = numbers.read::<Numbers>(&key).await?;
        let now = read
            .as_ref()
            .map(|read| read.value.clone())
            .unwrap_or_default();
        let mut change = Change::default();
        change.save(key.clone(), read.as_ref(), &next(&now));
        if context.commit(change, &mut rounds).await? {
            return Ok(now);
        }
        numbers.again().await?;
    }
}

//! Numbers of a repository, each handed out once.

use towline_domain::names::RepositoryId;

use crate::change::Change;
use crate::context::Rounds;
use crate::keys;
use crate::read::HandlerError;
use crate::reads::Reads;
use crate::records::Numbers;

/// Hands out build numbers and one place in the order; what is drawn and not used is a gap.
pub async fn draw(
    reads: &mut Reads<'_>,
    repository: RepositoryId,
    builds: u64,
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
        change.save(
            key.clone(),
            read.as_ref(),
            &Numbers {
                build: now.build + builds,
                order: now.order + 1,
                ..now.clone()
            },
        );
        if context.commit(change, &mut rounds).await? {
            return Ok(now);
        }
        numbers.again().await?;
    }
}

//! Draws the number of another attempt, and asks the rules whether the attempt is allowed.

use towline_domain::names::{ComponentName, RunId};
use towline_domain::person::Person;
use towline_domain::run::{self, Fact, NotRetried, Run};

use crate::content::HandlerError;
use crate::keys;
use crate::numbers::draw;
use crate::reads::Reads;

/// The answer to a request for another attempt.
pub enum Retry {
    /// The fact that requests it.
    Asked(Fact),
    Refused(NotRetried),
}

/// Asks for an attempt of a component after its attempt `after`.
///
/// # Errors
/// When the store does not answer.
pub async fn another_attempt(
    reads: &mut Reads<'_>,
    id: &RunId,
    component: &ComponentName,
    after: u32,
    by: Option<Person>,
) -> Result<Retry, HandlerError> {
    let Some(run) = reads.read::<Run>(&keys::run(id)).await? else {
        return Ok(Retry::Refused(NotRetried::NoRun { run: id.clone() }));
    };
    let run = run.value;
    let own = reads.definition(&run).await?;
    let trusted = reads.trusted(run.key.repository).await?;
    let number = draw(reads, run.key.repository, 1).await?.build;
    let definitions = (own.as_ref(), trusted.as_ref());
    let asked = run::another_attempt(&run, definitions, (component, after), by, number);
    Ok(match asked {
        Ok(fact) => Retry::Asked(fact),
        Err(why) => Retry::Refused(why),
    })
}

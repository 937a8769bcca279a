//! Answers questions from the ledger, with a few reads and no scan.

use towline_domain::Timestamp;
use towline_domain::person::Person;
use towline_ports::Builds;
use towline_state::Context;

use super::answers::Answer;
use super::moment::Moment;
use super::query;
use super::sight::Sight;
use super::{ChatError, Query, Refusal, audit, claims, images, log, lookup, queue, runs, stages};

/// Answers a question for a person, who may be confined to some repositories.
///
/// # Errors
/// As [`ask`]. For this person, things they may not see do not exist.
pub async fn ask_as(
    context: Context<'_>,
    builds: &dyn Builds,
    person: &Person,
    query: Query,
) -> Result<Answer, ChatError> {
    let sight = Sight::of(context, person).await?;
    ask(sight.context(), builds, query).await
}

/// Answers a question about everything.
///
/// # Errors
/// When the thing asked for does not exist or is ambiguous, or the store does not answer.
pub async fn ask(
    context: Context<'_>,
    builds: &dyn Builds,
    query: Query,
) -> Result<Answer, ChatError> {
    match query {
        Query::Tags(query) => images::tags(context, query).await,
        Query::Image(query) => images::image(context, query).await,
        Query::Commit(query) => {
            let (commit, found) = lookup::commit(context, &query.commit).await?;
            let runs = runs::answers(context, &found).await?;
            Ok(Answer::Commit { commit, runs })
        }
        Query::Runs(query) => runs::newest(context, query).await,
        Query::Queue(query) => queue::queue(context, builds, query).await,
        Query::Why(query) => runs::why(context, query).await,
        Query::History(query) => stages::history(context, query).await,
        Query::Now(query) => {
            let at = past(query.at, context.now())?;
            stages::now(context, &query, at).await
        }
        Query::Where(query) => stages::places(context, query).await,
        Query::Claims(query::Claims {}) => claims::all(context).await,
        Query::Log(query) => log::part(context, builds, query).await,
        Query::Audit(query) => audit::rows(context, query).await,
        Query::Verify(query) => audit::verify(context, query).await,
    }
}

fn past(at: Option<Moment>, now: Timestamp) -> Result<Option<Timestamp>, Refusal> {
    let Some(moment) = at else { return Ok(None) };
    moment.before(now).map(Some).ok_or(Refusal::InTheFuture)
}

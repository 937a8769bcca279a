//! Turns an accepted push into a run: loads what the plan wants, and commits the plan.

mod commit;
mod look;
#[cfg(test)]
mod tests;

pub use towline_buildspec::generate::Tool;
pub use towline_definition::buildspec::Settings;

use towline_domain::intent::Intent;
use towline_domain::plan::{self, Plan};
use towline_ports::Source;
use towline_wire::eventbridge::Envelope;
use tracing::Instrument as _;

use towline_state::{Context, HandlerError, Reads, Rounds};

use look::Look;

use crate::settling::settle;

/// Acts on `Push Accepted`.
///
/// # Errors
/// When the store or the source does not answer; the intent stays owed.
pub async fn handle(
    context: Context<'_>,
    source: &dyn Source,
    settings: &Settings,
    event: &Envelope,
) -> Result<(), HandlerError> {
    let mut reads = Reads::from(context);
    let Some(owed) = reads.owed_with(event, look::first).await? else {
        return Ok(());
    };
    let acted = async {
        let Intent::PushAccepted(push) = &owed.intent else {
            return Ok(());
        };
        let mut look = Look::new(reads, source, settings, push).await?;
        let mut rounds = Rounds::default();
        loop {
            match plan::of(push, &look.known, context.now()) {
                Err(wants) => look.at(wants).await?,
                Ok(Plan::Nothing) => return context.finish(&owed).await,
                Ok(Plan::Later) => return context.postpone(&owed).await,
                Ok(Plan::Run(planned)) => {
                    if commit::commit(&mut look, &owed, &planned, &mut rounds).await? {
                        return Ok(());
                    }
                    look.again().await?;
                }
            }
        }
    }
    .instrument(owed.span());
    settle(context, &owed, acted.await).await
}

//! Finds lost events, lost webhooks and unfinished work, every minute.

use std::process::ExitCode;
use std::time::Duration;

use towline_aws::TableRepositories;
use towline_handlers::sweep;
use towline_lambda::{Failure, Links, Registered, Start, SystemClock, run, schedule, settings};
use towline_ports::Clock as _;

const NAME: &str = "sweep";
/// How long a webhook may be on its way: with a round every minute, and with two for many
/// repositories, a push without one is found within five minutes.
const PATIENCE: Duration = Duration::from_secs(120);
/// GitHub is asked for failed deliveries in every fifth round.
const EVERY: u64 = 5;
/// The time for one call of GitHub, so that a round ends before the function does.
const ONE_CALL: Duration = Duration::from_secs(8);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run(NAME, serve()).await
}

async fn serve() -> Result<(), Failure> {
    let start = Start::of(NAME).await?;
    let context = start.context();
    let builds = start.aws.builds();
    let registered = settings::<Registered>()?;
    let repositories = TableRepositories::new(start.table.clone(), &registered.repositories)?;
    let github = start.github(Some(ONE_CALL))?;
    let address = settings::<Links>()?.url;
    let url = format!("{}/webhooks/github", address.as_deref().unwrap_or_default());
    let webhooks = github.webhooks(url);
    schedule(async || {
        let swept = sweep::handle(context, &builds).await;
        if sweep::compares_tags(context.now()) {
            sweep::compare_tags(context).await?;
        }
        let minute = SystemClock.now().as_second() / 60;
        let round = sweep::Round {
            number: u64::try_from(minute).unwrap_or_default(),
            patience: PATIENCE,
        };
        let compared = sweep::compare_heads(context, &github, &repositories, &round).await?;
        compared.failed.iter().for_each(sweep::Failed::log);
        let redelivered = match (&address, round.number % EVERY) {
            (Some(_), 0) => {
                let number = round.number / EVERY;
                sweep::redeliver(context, &webhooks, &repositories, number).await?
            }
            (Some(_) | None, _) => sweep::Redelivered::default(),
        };
        Ok::<_, towline_handlers::HandlerError>((swept?, compared, redelivered))
    })
    .await
}

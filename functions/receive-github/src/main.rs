//! Receives GitHub's webhooks.

use std::process::ExitCode;
use std::sync::Arc;

use towline_aws::{Aws, TableRepositories};
use towline_handlers::{Context, receive_github};
use towline_lambda::{
    Failure, Settings, SystemClock, again, keys, refusal, requests, run, unusable,
};
use towline_wire::http::Response;

const NAME: &str = "receive-github";
const SECRET: &str = "the webhook secret";
const UNSET: &str = "the webhook secret is not set; set the same at GitHub and in Secrets Manager";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run(NAME, serve()).await
}

async fn serve() -> Result<(), Failure> {
    let settings = Settings::from_environment();
    let aws = Aws::from_environment(NAME).await;
    let (table, bus) = (aws.table(settings.table()?), aws.bus(settings.bus()?));
    let context = Context {
        store: &table,
        bus: &bus,
        clock: &SystemClock,
    };
    let repositories = TableRepositories::new(table.clone(), &settings.repositories()?)?;
    let secret = settings.webhook_secret()?;
    let secret = aws.secrets().signing(secret, Arc::new(SystemClock));
    let answer = async |request| -> Result<Response, Response> {
        let read = match secret.read().await {
            Ok(read) => read,
            // Asking again at once would only take GitHub's time.
            Err(error) => return Ok(unusable(SECRET, &error)),
        };
        let (current, previous) = read.texts();
        let secrets = keys(SECRET, current, previous)?;
        let secrets = secrets.ok_or_else(|| refusal(503, UNSET))?;
        Ok(receive_github::handle(context, &repositories, &secrets, request).await)
    };
    requests(async |request| {
        again(request, &answer, async || {
            matches!(secret.reread().await, Ok(Some(_)))
        })
        .await
    })
    .await
}

//! Receives GitHub's webhooks.

use std::process::ExitCode;
use std::sync::Arc;

use towline_aws::TableRepositories;
use towline_handlers::receive_github;
use towline_lambda::{
    Failure, Start, SystemClock, Webhook, again, keys, refusal, requests, run, settings, unusable,
};
use towline_wire::http::Response;

const NAME: &str = "receive-github";
const SECRET: &str = "the webhook secret";
const UNSET: &str = "the webhook secret is not set; set the same on GitHub and in Secrets Manager";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run(NAME, serve()).await
}

async fn serve() -> Result<(), Failure> {
    let start = Start::of(NAME).await?;
    let context = start.context();
    let webhook = settings::<Webhook>()?;
    let repositories = TableRepositories::new(start.table.clone(), &webhook.repositories)?;
    let secrets = start.aws.secrets();
    let secret = secrets.signing(webhook.secret, Arc::new(SystemClock));
    let answer = async |request| -> Result<Response, Response> {
        let read = match secret.read().await {
            Ok(read) => read,
            // An immediate retry would only use up the time that GitHub waits.
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

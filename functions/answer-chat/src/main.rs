//! Answers what people ask over Slack and HTTP, and does what they tell it.

use std::process::ExitCode;
use std::sync::Arc;

use towline_aws::{Aws, SecretText};
use towline_handlers::Ledger;
use towline_handlers::answer_chat::Door;
use towline_lambda::{Failure, Settings, SystemClock, again, keys, requests, run, unusable};
use towline_wire::http::Response;
use towline_wire::people::People;

const NAME: &str = "answer-chat";
const SLACK: &str = "the secret of the Slack app";
const PEOPLE: &str = "the list of people";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run(NAME, serve()).await
}

async fn serve() -> Result<(), Failure> {
    let settings = Settings::from_environment();
    let aws = Aws::from_environment(NAME).await;
    let (table, bus) = (aws.table(settings.table()?), aws.bus(settings.bus()?));
    let ledger = Ledger {
        store: &table,
        bus: &bus,
        clock: &SystemClock,
    };
    let builds = aws.builds();
    let secrets = aws.secrets();
    let slack = secrets.cached(settings.slack_secret()?, Arc::new(SystemClock));
    let people = secrets.cached(settings.people_secret()?, Arc::new(SystemClock));
    let answer = async |request| -> Result<Response, Response> {
        let (slack, people) = tokio::join!(slack.read(), people.read());
        let people = people.map_err(|error| unusable(PEOPLE, &error))?;
        // Without a Slack app, or with one that is set up wrongly, all others are answered.
        let slack = slack
            .map_err(|error| unusable(SLACK, &error))
            .and_then(|read| {
                let [current, previous] = [&read.current, &read.previous]
                    .map(|text| text.as_ref().map(SecretText::expose));
                keys(SLACK, current, previous)
            });
        let list = people.current.as_ref().map_or("[]", SecretText::expose);
        let people = People::decode(list.as_bytes()).map_err(|error| unusable(PEOPLE, &error))?;
        let door = Door {
            ledger,
            builds: &builds,
            people: &people,
            slack: slack.as_ref().ok().and_then(Option::as_ref),
        };
        Ok(door.answer(request).await)
    };
    requests(async |request| {
        again(request, &answer, async || {
            let (slack, people) = tokio::join!(slack.reread(), people.reread());
            [slack, people]
                .iter()
                .any(|read| matches!(read, Ok(Some(_))))
        })
        .await
    })
    .await
}

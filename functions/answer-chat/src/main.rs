//! Answers people's questions from Slack and HTTP, and carries out their commands.

mod looked;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use towline_answers::Door;
use towline_aws::SecretVersions;
use towline_lambda::{
    Callers, Failure, Start, SystemClock, again, keys, requests, run, settings, unusable,
};
use towline_wire::http::{Request, Response};
use towline_wire::people::People;

use looked::Looked;

const NAME: &str = "answer-chat";
const SLACK: &str = "the secret of the Slack app";
const PEOPLE: &str = "the list of people";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run(NAME, serve()).await
}

async fn serve() -> Result<(), Failure> {
    let start = Start::of(NAME).await?;
    let context = start.context();
    let builds = start.aws.builds();
    let secrets = start.aws.secrets();
    let callers = settings::<Callers>()?;
    let slack = secrets.signing(callers.slack, Arc::new(SystemClock));
    let people = secrets.cached(callers.people, Arc::new(SystemClock));
    let answer = async |request: Request| -> Result<Response, Response> {
        let (slack, people) = tokio::join!(slack.read(), people.read());
        let list = list(people);
        let looked = Looked::among(list.as_ref().ok());
        // Without a Slack app, or with a wrong Slack secret, everything else still works.
        let slack = slack
            .map_err(|error| unusable(SLACK, &error))
            .and_then(|read| {
                let (current, previous) = read.texts();
                keys(SLACK, current, previous)
            });
        let door = Door {
            context,
            builds: &builds,
            people: &looked,
            slack: slack.as_ref().ok().and_then(Option::as_ref),
        };
        let is_closed = door.slack.is_none() && request.path.starts_with("/slack/");
        let response = door.answer(request).await;
        match &list {
            Err(error) if looked.in_vain() => Err(unusable(PEOPLE, error.as_ref())),
            _ if looked.in_vain() || is_closed => Err(response),
            _ => Ok(response),
        }
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

/// The list of people, or why it cannot be read.
fn list(read: Result<Arc<SecretVersions>, impl Error + 'static>) -> Result<People, Box<dyn Error>> {
    let read = read?;
    let (text, _) = read.texts();
    Ok(People::decode(text.unwrap_or("[]").as_bytes())?)
}

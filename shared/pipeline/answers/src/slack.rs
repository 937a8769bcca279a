//! The Slack side of answers: `/towline …`, signed, answered within Slack's limits.

use serde_json::Value;
use towline_domain::person::{Door as Way, Person};
use towline_domain::untrusted::Untrusted;
use towline_wire::http::{Headers, Request, Response};
use towline_wire::signature::Secrets;
use towline_wire::slack;

use super::chat::{self, Typed};
use super::{ChatError, Door, ask_as, http, text};

/// The largest accepted form; Slack's are a few hundred bytes.
const MOST_BYTES: usize = 64 * 1024;

/// Answers one slash command of a known person: 200 with the text to show, or 401 if it is not from
/// Slack. Slack waits three seconds; an answer takes a few reads.
pub(super) async fn handle(door: &Door<'_>, secrets: &Secrets, request: Request) -> Response {
    if request.body.len() > MOST_BYTES {
        return http::error(413, "the body is too large");
    }
    if slack::is_probe(&request.body) {
        return Response {
            status: 200,
            headers: Headers::default(),
            body: Vec::new(),
        };
    }
    let form = match slack::verify(&request.headers, request.body, secrets, door.context.now()) {
        Ok(form) => form,
        Err(error) => return http::error(401, &error.to_string()),
    };
    let command = slack::command(&form);
    let sender = command.sender().ok();
    let person = sender.as_ref().and_then(|user| door.people.by_slack(user));
    let answer = match (person, sender) {
        (Some(person), _) => {
            let person = Person {
                door: Some(Way::Slack),
                ..person
            };
            answer(door, &person, &command.text).await
        }
        (None, Some(user)) => slack::words(&format!(
            "Towline does not know you as {user}; ask the person who manages Towline to run: towline people change LOGIN --slack {user}"
        )),
        (None, None) => slack::words("Slack did not say who you are; use the command line"),
    };
    http::respond(200, &answer)
}

async fn answer(door: &Door<'_>, person: &Person, typed: &str) -> Value {
    let to_asker = |text: &str| {
        let lines: Vec<String> = text.lines().map(harmless).collect();
        slack::words(&lines.join("\n"))
    };
    let (query, again) = match chat::read(typed) {
        Ok(Typed::Ask(query, again)) => (*query, again),
        Ok(Typed::Help(text)) => return to_asker(&text),
        Err(error) => return to_asker(&error.to_string()),
    };
    match ask_as(door.context, door.builds, person, query).await {
        Ok(answer) => {
            let lines = text::lines(&answer, door.context.now());
            let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
            slack::lines(&lines, &harmless(&again))
        }
        Err(ChatError::Refused(reason)) => to_asker(&reason.to_string()),
        Err(ChatError::Failed(error)) => {
            tracing::error!(error = &error as &dyn std::error::Error, "could not answer");
            to_asker(&http::unanswered(&error))
        }
    }
}

fn harmless(text: &str) -> String {
    Untrusted::text(text, usize::MAX).display()
}

#[cfg(test)]
mod tests;

//! Receives signed webhooks: checks size and signature, then parses; answers 2xx only for what is durable.

use serde_json::json;
use towline_domain::arrival::Reporter;
use towline_domain::causes::with_causes;
use towline_ports::admission::is_local;
use towline_ports::{Admission, Repositories, RepositoryRef};
use towline_wire::github::{self, Deletion, Event, Push};
use towline_wire::http::{Headers, Request, Response};
use towline_wire::signature::{self, Secrets};

use towline_state::{Context, HandlerError};

use crate::accepting::{self, Accepted};

/// The largest accepted body: the most that Lambda passes in one request (Lambda API, `Invoke`).
pub const MOST_BYTES: usize = 6 * 1024 * 1024;

/// Answers one delivery.
///
/// 202 accepted, 200 known already or ignored (the body says why), 400 not what its headers say,
/// 401 signature, 413 too large, 503 could not be made durable; GitHub delivers nothing again by
/// itself, so 503 is left to redelivery and to the sweep.
pub async fn handle(
    context: Context<'_>,
    repositories: &dyn Repositories,
    secrets: &Secrets,
    request: Request,
) -> Response {
    if request.body.len() > MOST_BYTES {
        return answer(
            413,
            "refused",
            &format!("the body has more than {MOST_BYTES} bytes"),
        );
    }
    let body = match signature::verify(&request.headers, request.body, secrets) {
        Ok(body) => body,
        Err(error) => return answer(401, "refused", &error.to_string()),
    };
    let decoded = github::delivery(&request.headers)
        .and_then(|delivery| Ok((github::decode(&delivery, &body)?, delivery)));
    let (event, delivery) = match decoded {
        Ok(decoded) => decoded,
        Err(error) => return answer(400, "refused", &with_causes(&error)),
    };
    let push = match event {
        Event::Ping => return answer(200, "pong", "the webhook is set up"),
        Event::Ignored { reason } => return answer(200, "ignored", &reason),
        Event::Deleted(deletion) => {
            let noted = delete(context, repositories, deletion, delivery.id).await;
            return durable(noted);
        }
        Event::Moved(push) => push,
    };
    durable(accept(context, repositories, *push, delivery.id).await)
}

/// The refusal of a request without a well-formed signature, before its body is read (A32).
#[must_use]
pub fn refusal(headers: &Headers) -> Option<Response> {
    let error = signature::claimed(headers).err()?;
    Some(answer(401, "refused", &error.to_string()))
}

/// The answer after storing a push.
fn durable(outcome: Result<Response, HandlerError>) -> Response {
    outcome.unwrap_or_else(|error| {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "cannot store a push"
        );
        let shortage = error.shortage().map(|shortage| format!(": {shortage}"));
        let reason = format!(
            "the push could not be stored{}; redeliver it",
            shortage.unwrap_or_default()
        );
        answer(503, "refused", &reason)
    })
}

/// Records that a ref was deleted.
async fn delete(
    context: Context<'_>,
    repositories: &dyn Repositories,
    deletion: Deletion,
    delivery: String,
) -> Result<Response, HandlerError> {
    let repository = RepositoryRef {
        id: deletion.repository,
        name: deletion.repository_name.clone(),
    };
    let reason = format!(
        "{} was deleted; nothing is built",
        deletion.git_ref.name().escape_debug()
    );
    if let Admission::Admitted(known) = repositories.admit(&repository).await? {
        let deletion = Deletion {
            repository: known.id,
            ..deletion
        };
        accepting::note_deletion(context, &deletion, &Reporter::Webhook(delivery)).await?;
    }
    Ok(answer(200, "ignored", &reason))
}

async fn accept(
    context: Context<'_>,
    repositories: &dyn Repositories,
    mut push: Push,
    delivery: String,
) -> Result<Response, HandlerError> {
    let repository = RepositoryRef {
        id: push.repository,
        name: push.repository_name.clone(),
    };
    let admission = repositories.admit(&repository).await?;
    if let Some(reason) = not_admitted(admission, &mut push) {
        return Ok(answer(200, "ignored", &reason));
    }
    Ok(
        match accepting::accept(context, push, &Reporter::Webhook(delivery)).await? {
            Accepted::New { id } => answer(202, "accepted", &id),
            Accepted::Known => answer(200, "duplicate", "this push was already received"),
        },
    )
}

/// Gives a push the id and name under which it is stored, or returns why it is ignored.
fn not_admitted(admission: Admission, push: &mut Push) -> Option<String> {
    let (name, id) = (&push.repository_name, push.repository);
    match admission {
        // Any id of the repository may be in the push; everything is stored under one. For a clone,
        // the registered name replaces its own; from GitHub, the name is the current one.
        Admission::Admitted(known) => {
            if is_local(id) {
                push.repository_name = known.name;
            }
            push.repository = known.id;
            None
        }
        Admission::Unknown => Some(format!("{name} ({id}) is not registered here")),
        Admission::Impostor { known, remedy } => Some(format!(
            "{name} is registered as repository {known}, but this push is from {id}; if {id} is right, {remedy}"
        )),
    }
}

fn answer(status: u16, word: &str, reason: &str) -> Response {
    let mut headers = Headers::default();
    headers.push("content-type", "application/json");
    Response {
        status,
        headers,
        body: json!({ "status": word, "reason": reason })
            .to_string()
            .into_bytes(),
    }
}

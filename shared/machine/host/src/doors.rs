//! Serves webhooks, the API and the registry on one address, like API Gateway.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use http_body_util::LengthLimitError;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;
use towline_answers::{Authenticate, Door};
use towline_domain::person::Person;
use towline_handlers::receive_github::{self, MOST_BYTES};
use towline_wire::http as wire;

use super::keys::Doorman;
use crate::accept;
use crate::machine::Machine;
use crate::people::People;

/// How long a body may take to arrive; GitHub itself gives up after 10 seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// Answers until `stop` is set.
pub(super) async fn serve(
    machine: Arc<Machine>,
    listener: TcpListener,
    stop: watch::Receiver<bool>,
) {
    let doorman = Doorman {
        keys: machine.keys.clone(),
        people: machine.people.clone(),
        clock: machine.clock,
    };
    let registry = machine.registry.router(Arc::new(doorman));
    let ours = axum::Router::new()
        .route("/webhooks/github", post(github))
        .route("/v1/{word}", any(people))
        .route("/slack/commands", any(people))
        .route("/healthz", any(people))
        .fallback(nothing)
        .with_state(machine);
    accept::connections(listener, ours.merge(registry), stop).await;
}

async fn nothing(request: Request) -> Response {
    let reason = format!(
        "{} not found; there are /webhooks/github, /v1/…, /v2/…, /slack/commands and /healthz",
        request.uri().path()
    );
    (StatusCode::NOT_FOUND, Json(json!({ "error": reason }))).into_response()
}

async fn github(State(machine): State<Arc<Machine>>, request: Request) -> Response {
    // One byte more than the limit, so that the handler notices that it is exceeded.
    let request = match whole(request, MOST_BYTES + 1).await {
        Ok(request) => request,
        Err(response) => return response,
    };
    let answer = receive_github::handle(
        machine.context(),
        machine.source.as_ref(),
        &machine.secrets,
        request,
    )
    .await;
    respond(answer)
}

/// Everything else is answered by the same code as behind API Gateway.
async fn people(State(machine): State<Arc<Machine>>, request: Request) -> Response {
    let request = match whole(request, 64 * 1024).await {
        Ok(request) => request,
        Err(response) => return response,
    };
    let door = Door {
        context: machine.context(),
        builds: &machine.runner,
        people: &machine.people,
        slack: machine.slack.as_ref(),
    };
    respond(door.answer(request).await)
}

impl Authenticate for People {
    fn by_token(&self, token: &str) -> Option<Person> {
        self.authenticate(token)
    }

    fn by_arn(&self, _arn: &str) -> Option<Person> {
        None // no gateway stands before this machine
    }
}

/// A request with its whole body, as handlers expect it.
async fn whole(request: Request, most: usize) -> Result<wire::Request, Response> {
    let (parts, body) = request.into_parts();
    let body: Bytes = match timeout(PATIENCE, to_bytes(body, most)).await {
        Ok(body) => body.map_err(unread)?,
        Err(_) => return Err(too_slow()),
    };
    let text = |value: &header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    Ok(wire::Request {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), text(value)))
            .collect(),
        body: body.into(),
    })
}

fn too_slow() -> Response {
    let reason = format!(
        "the body did not arrive within {} seconds",
        PATIENCE.as_secs()
    );
    let body = Json(json!({ "status": "refused", "reason": reason }));
    (StatusCode::REQUEST_TIMEOUT, body).into_response()
}

/// The answer if a body is too large, or its client ended the connection.
fn unread(error: axum::Error) -> Response {
    let (status, reason) = match error.into_inner().is::<LengthLimitError>() {
        true => (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
        false => (
            StatusCode::BAD_REQUEST,
            "the body is incomplete; send it again",
        ),
    };
    let body = Json(json!({ "status": "refused", "reason": reason }));
    (status, body).into_response()
}

fn respond(answer: wire::Response) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in answer.headers.iter() {
        if let (Ok(name), Ok(value)) = (
            header::HeaderName::try_from(name),
            header::HeaderValue::try_from(value),
        ) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

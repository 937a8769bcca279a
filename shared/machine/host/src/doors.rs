//! Serves webhooks, the API and the registry on one address, like API Gateway.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use towline_answers::{Authenticate, Door};
use towline_domain::person::Person;
use towline_handlers::receive_github::{self, MOST_BYTES};
use towline_wire::http as wire;
use towline_wire::people::SlackUser;

use super::doorman::Doorman;
use crate::accept::{self, HasCredentials};
use crate::bodies::{Bodies, discard};
use crate::machine::Machine;
use crate::people::People;

/// What all requests share.
#[derive(Clone)]
struct Doors {
    machine: Arc<Machine>,
    bodies: Arc<Bodies>,
}

/// Answers until `stop` is set.
pub(super) async fn serve(
    machine: Arc<Machine>,
    listener: TcpListener,
    stop: watch::Receiver<bool>,
) {
    let doorman = Arc::new(Doorman {
        machine: Arc::clone(&machine),
    });
    let registry = machine.registry.router(doorman.clone());
    let ours = axum::Router::new()
        .route("/webhooks/github", post(github))
        .route("/v1/{word}", any(people))
        .route("/slack/commands", any(people))
        .route("/healthz", any(people))
        .fallback(nothing)
        .with_state(Doors {
            machine,
            bodies: Arc::default(),
        });
    let knows: HasCredentials = Arc::new(move |headers: &HeaderMap| doorman.knows(headers));
    accept::connections(listener, ours.merge(registry), knows, stop).await;
}

async fn nothing(request: Request) -> Response {
    let reason = format!(
        "{} not found; the paths are /webhooks/github, /v1/…, /v2/…, /slack/commands and /healthz",
        request.uri().path()
    );
    (StatusCode::NOT_FOUND, Json(json!({ "error": reason }))).into_response()
}

async fn github(State(doors): State<Doors>, request: Request) -> Response {
    let (head, body) = split(request);
    if let Some(refusal) = receive_github::refusal(&head.headers) {
        discard(body);
        return respond(refusal);
    }
    let (body, _share) = match doors.bodies.read(body, MOST_BYTES).await {
        Ok(read) => read,
        Err(refused) => return refused.into_response(),
    };
    let machine = doors.machine;
    let answer = receive_github::handle(
        machine.context(),
        machine.source.as_ref(),
        &machine.secrets,
        wire::Request { body, ..head },
    )
    .await;
    respond(answer)
}

/// The same code as behind API Gateway answers everything else.
async fn people(State(doors): State<Doors>, request: Request) -> Response {
    let (head, body) = split(request);
    let (body, _share) = match doors.bodies.read(body, 64 * 1024).await {
        Ok(read) => read,
        Err(refused) => return refused.into_response(),
    };
    let machine = doors.machine;
    let door = Door {
        context: machine.context(),
        builds: &machine.runner,
        people: &machine.people,
        slack: machine.slack.as_ref(),
    };
    respond(door.answer(wire::Request { body, ..head }).await)
}

impl Authenticate for People {
    fn by_token(&self, token: &str) -> Option<Person> {
        self.authenticate(token)
    }

    fn by_arn(&self, _arn: &str) -> Option<Person> {
        None // no gateway stands before this machine
    }

    fn by_slack(&self, user: &SlackUser) -> Option<Person> {
        self.find(|people| people.by_slack(user))
    }
}

/// A request as handlers expect it, still without its body.
fn split(request: Request) -> (wire::Request, Body) {
    let (parts, body) = request.into_parts();
    let text = |value: &header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let head = wire::Request {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), text(value)))
            .collect(),
        body: Vec::new(),
    };
    (head, body)
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

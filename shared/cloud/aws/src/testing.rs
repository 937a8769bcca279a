//! A service on loopback that answers from a script and records requests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub(crate) use towline_domain::causes::with_causes as said;

use crate::Aws;

/// One answer of the script.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// With this status and body.
    Says(u16, Value),
    /// Computed from the request.
    Of(fn(&Value) -> Answer),
    /// No answer.
    Nothing,
}

/// Success, with this body.
pub(crate) fn ok(body: Value) -> Answer {
    Answer::Says(200, body)
}

/// A refusal with the service's error code.
pub(crate) fn refused(code: &str) -> Answer {
    refused_with(code, &json!({}))
}

/// A refusal with a message.
pub(crate) fn refused_with(code: &str, more: &Value) -> Answer {
    let mut body = json!({ "__type": code, "message": format!("because of {code}") });
    if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
        body.extend(more.clone());
    }
    Answer::Says(400, body)
}

/// An error that can be retried.
pub(crate) fn broken() -> Answer {
    let body = json!({ "__type": "InternalServerError", "message": "not now" });
    Answer::Says(500, body)
}

/// The service; stops with the test's runtime.
#[derive(Clone, Default)]
pub(crate) struct Service {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
    agents: Arc<Mutex<Vec<String>>>,
    address: String,
}

impl Service {
    /// A service with these answers, one for each request, and an `Aws` for its address.
    pub(crate) async fn start(answers: impl IntoIterator<Item = Answer>) -> (Self, Aws) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("its address"));
        let service = Self {
            address: address.clone(),
            ..Self::default()
        };
        service.then(answers);
        let router = Router::new()
            .fallback(answer)
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(service.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let aws = Aws::from_variables("test", move |name| match name {
            "AWS_ENDPOINT_URL" => Some(address.clone()),
            "AWS_REGION" => Some("eu-west-1".to_owned()),
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("test".to_owned()),
            _ => None,
        });
        (service, aws)
    }

    /// Adds answers after the remaining ones.
    pub(crate) fn then(&self, answers: impl IntoIterator<Item = Answer>) {
        let mut known = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(answers);
    }

    pub(crate) fn address(&self) -> String {
        self.address.clone()
    }

    /// Returns and clears the requests so far, in order.
    pub(crate) fn asked(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns and clears the names of the requested operations.
    pub(crate) fn operations(&self) -> Vec<String> {
        self.asked().into_iter().map(|(name, _)| name).collect()
    }

    pub(crate) fn agents(&self) -> Vec<String> {
        let agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        agents.clone()
    }
}

async fn answer(
    State(service): State<Service>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let target = header("x-amz-target");
    let mut operation = target.rsplit('.').next().unwrap_or_default().to_owned();
    let mut asked = serde_json::from_slice(&body).unwrap_or(Value::Null);
    if operation.is_empty() {
        // For a service whose operations are paths.
        operation = format!("{method} {path}", path = uri.path());
        asked = json!({
            "body": String::from_utf8_lossy(&body),
            "authorization": header("authorization"),
            "sha256": header("x-amz-content-sha256"),
        });
    }
    let next = {
        let mut agents = service
            .agents
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        agents.push(header("x-amz-user-agent"));
        let mut all = service.asked.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((operation, asked.clone()));
        let mut answers = service
            .answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        answers.pop_front()
    };
    let next = match next {
        Some(Answer::Of(answer)) => Some(answer(&asked)),
        next => next,
    };
    match next {
        Some(Answer::Says(status, body)) => {
            let status = StatusCode::from_u16(status).expect("a status");
            let kind = [("content-type", "application/x-amz-json-1.1")];
            (status, kind, body.to_string()).into_response()
        }
        Some(Answer::Nothing | Answer::Of(_)) => std::future::pending().await,
        None => {
            let body = r#"{"__type": "ScriptEnded", "message": "the script has ended"}"#;
            (StatusCode::BAD_REQUEST, body).into_response()
        }
    }
}

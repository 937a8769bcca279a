//! Responses in GitHub's format.

use axum::http::StatusCode;
use serde_json::{Value, json};

pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
    pub(super) headers: Vec<(&'static str, String)>,
}

pub(super) fn reply(status: StatusCode, body: impl Into<Value>) -> Reply {
    Reply {
        status,
        body: body.into().to_string().into_bytes(),
        headers: vec![("content-type", "application/json; charset=utf-8".into())],
    }
}

/// A refusal in GitHub's format.
pub(super) fn refuse(status: StatusCode, message: &str) -> Reply {
    reply(
        status,
        json!({
            "message": message,
            "documentation_url": "https://docs.github.com/rest",
            "status": status.as_u16().to_string(),
        }),
    )
}

pub(super) fn not_found() -> Reply {
    refuse(StatusCode::NOT_FOUND, "Not Found")
}

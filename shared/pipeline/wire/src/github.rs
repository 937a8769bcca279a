//! GitHub's formats: webhooks with the content of a push, and the secret for its API.

mod access;
mod authors;
pub mod compose;
mod push;
#[cfg(test)]
mod tests;
mod text;

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

pub use access::{Access, AccessError};
pub use authors::authors;
pub use push::{Deletion, MOST_COMMITS, Push};

use crate::http::Headers;
use crate::signature::VerifiedBody;

/// The headers of a delivery. The signature does not cover them, so the body must match `event` (A6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The event's name, such as `push`.
    pub event: String,
    /// The delivery's id; the same if GitHub delivers again.
    pub id: String,
    /// The format of the body.
    pub encoding: Encoding,
}

/// The format of a webhook's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Json,
    /// A form with the JSON in its field `payload`.
    Form,
}

/// The content of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The webhook was set up.
    Ping,
    /// A branch or tag was created or moved.
    Moved(Box<Push>),
    /// A branch or tag was deleted.
    Deleted(Deletion),
    /// An event that Towline does not use.
    Ignored {
        /// Why not, for the answer's body.
        reason: String,
    },
}

/// Why a delivery is refused. A repeated delivery is the same, so retrying never helps.
#[derive(Debug, thiserror::Error)]
pub enum GithubError {
    /// A header is missing or malformed.
    #[error("the header {name} is missing, repeated or not {expected}")]
    Header {
        name: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A form without the field for the JSON.
    #[error("the body is a form without exactly one field `payload`")]
    Form,
    /// The body is not text.
    #[error("the body is not UTF-8")]
    Encoding(#[from] std::str::Utf8Error),
    /// The body does not match the event's name.
    #[error("the body is not that of a `{event}` event")]
    Shape {
        event: &'static str,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The body contradicts itself.
    #[error("the push contradicts itself: {0}")]
    Contradiction(&'static str),
    /// A value that GitHub never sends.
    #[error("`{field}` of the push is refused: {reason}")]
    Value {
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// Reads the headers of a delivery.
///
/// # Errors
/// When the event's name, the delivery's id or a usable content type is missing.
pub fn delivery(headers: &Headers) -> Result<Delivery, GithubError> {
    let word = |name: &'static str, expected: &'static str| {
        headers
            .only(name)
            .filter(|value| is_word(value))
            .map(str::to_owned)
            .ok_or(GithubError::Header { name, expected })
    };
    Ok(Delivery {
        event: word("X-GitHub-Event", "an event's name")?,
        id: word("X-GitHub-Delivery", "a delivery's id")?,
        encoding: encoding(headers)?,
    })
}

/// Reads a verified body as the event its delivery names.
///
/// # Errors
/// When the body does not match the event, or contradicts itself.
pub fn decode(delivery: &Delivery, body: &VerifiedBody) -> Result<Event, GithubError> {
    match delivery.event.as_str() {
        "push" => push::decode(&json(delivery.encoding, body.bytes())?),
        "ping" => ping(&json(delivery.encoding, body.bytes())?),
        "create" | "delete" => Ok(Event::Ignored {
            reason: format!(
                "`{}` events are ignored: GitHub sends a push too",
                delivery.event
            ),
        }),
        other => Ok(Event::Ignored {
            reason: format!("`{other}` events are not used"),
        }),
    }
}

fn encoding(headers: &Headers) -> Result<Encoding, GithubError> {
    let value = headers.only("Content-Type").unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    match essence.to_ascii_lowercase().as_str() {
        "application/json" => Ok(Encoding::Json),
        "application/x-www-form-urlencoded" => Ok(Encoding::Form),
        _ => Err(GithubError::Header {
            name: "Content-Type",
            expected: "application/json or application/x-www-form-urlencoded",
        }),
    }
}

fn is_word(text: &str) -> bool {
    (1..=100).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// The JSON of a body. A form is decoded after the signature check, because the signature covers the form
/// as sent (GitHub docs, "Validating webhook deliveries").
fn json(encoding: Encoding, body: &[u8]) -> Result<Cow<'_, str>, GithubError> {
    match encoding {
        Encoding::Json => Ok(Cow::Borrowed(std::str::from_utf8(body)?)),
        Encoding::Form => {
            let mut payloads = form_urlencoded::parse(body).filter(|(name, _)| name == "payload");
            match (payloads.next(), payloads.next()) {
                (Some((_, payload)), None) => Ok(payload),
                _ => Err(GithubError::Form),
            }
        }
    }
}

/// The fields that distinguish a ping from other events.
#[derive(Deserialize)]
struct Ping {
    #[serde(rename = "zen")]
    _zen: String,
    #[serde(rename = "hook_id")]
    _hook_id: u64,
    #[serde(rename = "hook")]
    _hook: IgnoredAny,
}

fn ping(json: &str) -> Result<Event, GithubError> {
    serde_json::from_str::<Ping>(json)
        .map(|_| Event::Ping)
        .map_err(|source| GithubError::Shape {
            event: "ping",
            source,
        })
}

//! The HTTP side of answers: `GET /v1/<question>` and `POST /v1/<command>`.
//!
//! The path's last word is the name of the [`Query`] or [`Command`], the query string or JSON body
//! has its fields, so that the API, the command line and chat share one vocabulary.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use towline_state::HandlerError;
use towline_wire::http::{Headers, Request, Response};

use super::{Answer, ChatError, Command, Query};

/// A call of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// A question.
    Ask(Query),
    Tell(Command),
}

/// Largest body of a command.
const MOST_BYTES: usize = 16 * 1024;

/// Reads a call.
///
/// # Errors
/// The answer to give instead: 400 with what is wrong, 404 or 405.
pub fn decode(request: &Request) -> Result<Call, Response> {
    let Some(word) = request
        .path
        .strip_prefix("/v1/")
        .filter(|word| !word.contains('/'))
    else {
        return Err(error(
            404,
            &format!("{} not found; see GET /v1/runs", request.path),
        ));
    };
    let word = word.to_owned();
    match request.method.as_str() {
        "GET" | "HEAD" => {
            let fields = form_urlencoded::parse(request.query.as_bytes()).into_owned();
            let fields = fields.map(|(name, value)| (name.clone(), typed_value(&name, value)));
            typed("query", Query::NAMES, &word, fields.collect()).map(Call::Ask)
        }
        "POST" if request.body.len() > MOST_BYTES => Err(error(413, "the body is too large")),
        "POST" => match serde_json::from_slice::<Value>(&request.body) {
            Ok(Value::Object(fields)) => {
                typed("command", Command::NAMES, &word, fields).map(Call::Tell)
            }
            Ok(_) => Err(error(400, "the body must be a JSON object")),
            Err(cause) => Err(error(400, &format!("the body is not JSON: {cause}"))),
        },
        method => Err(not_allowed(
            "GET, HEAD, POST",
            &format!("{method} is not allowed here; use GET for questions and POST for commands"),
        )),
    }
}

/// A value of the query string, which has only text: a number if the field takes one.
fn typed_value(name: &str, value: String) -> Value {
    let numeric = matches!(name, "limit" | "build" | "promotion" | "from");
    match value.parse::<u64>() {
        Ok(number) if numeric => json!(number),
        Ok(_) | Err(_) => Value::String(value),
    }
}

fn typed<T: DeserializeOwned>(
    tag: &str,
    known: &[&str],
    word: &str,
    mut fields: Map<String, Value>,
) -> Result<T, Response> {
    fields.insert(tag.into(), Value::String(word.into()));
    serde_json::from_value(Value::Object(fields)).map_err(|cause| {
        let status = if known.contains(&word) { 400 } else { 404 };
        error(status, &cause.to_string())
    })
}

#[must_use]
pub fn encode(answer: Result<Answer, ChatError>) -> Response {
    match answer {
        Ok(answer) => respond(
            200,
            &serde_json::to_value(answer)
                .unwrap_or_else(|cause| json!({ "error": cause.to_string() })),
        ),
        Err(ChatError::Refused(reason)) => {
            let status = if reason.is_denial() { 403 } else { 409 };
            error(status, &reason.to_string())
        }
        Err(ChatError::Failed(cause)) => {
            tracing::error!(error = &cause as &dyn std::error::Error, "could not answer");
            error(503, &unanswered(&cause))
        }
    }
}

/// What to tell a caller if there is no answer. More is in the log.
pub(super) fn unanswered(cause: &HandlerError) -> String {
    match cause.shortage() {
        Some(shortage) => format!("{shortage}; free some space, and try again"),
        None => "a service that Towline needs did not answer; try again".into(),
    }
}

/// An error in the API's form.
#[must_use]
pub fn error(status: u16, reason: &str) -> Response {
    respond(status, &json!({ "error": reason }))
}

/// The response for a wrong method, with the allowed ones (RFC 9110, section 15.5.6).
pub(super) fn not_allowed(allowed: &str, reason: &str) -> Response {
    let mut response = error(405, reason);
    response.headers.push("allow", allowed);
    response
}

pub(super) fn respond(status: u16, body: &Value) -> Response {
    let mut headers = Headers::default();
    headers.push("content-type", "application/json");
    Response {
        status,
        headers,
        body: body.to_string().into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names that serde accepts; only its error lists them.
    fn names<T: DeserializeOwned + std::fmt::Debug>(tag: &str) -> Vec<String> {
        let read = serde_json::from_value::<T>(json!({ tag: "" }));
        let text = read.expect_err("an empty name is unknown").to_string();
        let words = text.split('`').skip(3).step_by(2);
        words.map(str::to_owned).collect()
    }

    #[test]
    fn every_name_is_known() {
        assert_eq!(names::<Query>("query"), Query::NAMES);
        assert_eq!(names::<Command>("command"), Command::NAMES);
    }
}

//! The events for the functions: signed pushes of several sizes, a forged one, a question.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use towline_wire::signature::{Secret, sign};

/// The push that is enlarged.
const PUSH: &str = include_str!("../../../events/samples/github/push.branch.json");
const REQUEST: &str = include_str!("../../../events/samples/apigateway/push.json");
/// The repository of that push.
pub const REPOSITORY: &str = "harbour-lane/storefront";

const SECRET: &str = "no secret, only for the measurements of towline";
/// The token of the only person.
const TOKEN: &str = "no token, only for the measurements of towline";

pub const WEBHOOK: &str = "webhook";
/// The secret with the people.
pub const PEOPLE: &str = "people";
/// The secret that signs Slack's requests.
pub const SLACK: &str = "slack";

pub fn secret(name: &str) -> Option<String> {
    match name {
        WEBHOOK | SLACK => Some(SECRET.into()),
        PEOPLE => {
            let hash = hex::encode(Sha256::digest(TOKEN));
            let person = json!([{
                "login": "owner", "emails": [], "groups": ["*"], "token_sha256": hash,
            }]);
            Some(person.to_string())
        }
        _ => None,
    }
}

/// A signed push of about this many bytes, as API Gateway forwards it.
pub fn push(bytes: usize) -> Result<Arc<Vec<u8>>> {
    let mut push: Value = serde_json::from_str(PUSH)?;
    let commits = push["commits"].as_array_mut().context("commits")?;
    let pattern = commits.first().cloned().context("a commit")?;
    let mut size = PUSH.len();
    let mut number = 0;
    while size < bytes {
        let mut commit = pattern.clone();
        let files = (0..20).map(|file| json!(format!("services/part-{number}/src/file-{file}.rs")));
        commit["modified"] = files.collect();
        commit["message"] = json!(format!("Change \"part {number}\"\n\nFor the sake of size."));
        size += commit.to_string().len();
        commits.push(commit);
        number += 1;
    }
    request(&push.to_string(), |body| {
        Ok(sign(&Secret::new(SECRET)?, body))
    })
}

/// A push with a forged signature.
pub fn forged(bytes: usize) -> Result<Arc<Vec<u8>>> {
    let good: Value = serde_json::from_slice(&push(bytes)?)?;
    let body = good["body"].as_str().context("a body")?;
    request(body, |_| Ok(format!("sha256={}", "0".repeat(64))))
}

fn request(body: &str, sign: impl Fn(&[u8]) -> Result<String>) -> Result<Arc<Vec<u8>>> {
    let mut request: Value = serde_json::from_str(REQUEST)?;
    request["headers"]["x-hub-signature-256"] = sign(body.as_bytes())?.into();
    request["headers"]["content-length"] = body.len().to_string().into();
    request["body"] = body.into();
    Ok(Arc::new(request.to_string().into_bytes()))
}

/// The question what is live, with or without a token.
pub fn question(known: bool) -> Result<Arc<Vec<u8>>> {
    let mut request: Value = serde_json::from_str(REQUEST)?;
    request["rawPath"] = "/v1/now".into();
    request["routeKey"] = "GET /v1/{word}".into();
    request["requestContext"]["http"]["method"] = "GET".into();
    request["requestContext"]["http"]["path"] = "/v1/now".into();
    request["headers"] = json!({"accept": "*/*"});
    if known {
        request["headers"]["authorization"] = format!("Bearer {TOKEN}").into();
    }
    request["body"] = Value::Null;
    Ok(Arc::new(request.to_string().into_bytes()))
}

//! The API of the GitHub in memory: its routes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::access::Asking;
use super::reply::{Reply, not_found, refuse, reply};
use super::{Fault, MemoryGitHub, Repository, Status, hooks};
use crate::lock;

/// The most statuses of one commit and context.
const MOST_STATUSES: usize = 1000;

/// The most characters of a description.
const MOST_DESCRIPTION: usize = 140;

#[derive(Clone)]
struct Served {
    github: Arc<Mutex<MemoryGitHub>>,
    address: SocketAddr,
}

pub(super) fn all(github: Arc<Mutex<MemoryGitHub>>, address: SocketAddr) -> Router {
    Router::new()
        .fallback(answer)
        .with_state(Served { github, address })
}

/// A parsed request.
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    pub(super) query: &'a str,
    /// Whether the raw content is requested.
    pub(super) raw: bool,
    /// The answer that the asker has already.
    pub(super) unless: Option<&'a str>,
    pub(super) body: &'a [u8],
}

async fn answer(
    State(served): State<Served>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fault = {
        let mut github = lock(&served.github);
        github.requests.push(format!("{method} {uri}"));
        github.faults.pop_front().unwrap_or(Fault::Pass)
    };
    let mut reply = match fault {
        Fault::Pass => served.reply(&method, &uri, &headers, &body),
        Fault::Slow(time) => {
            tokio::time::sleep(time).await;
            served.reply(&method, &uri, &headers, &body)
        }
        Fault::HangUp => {
            let broken = std::io::Error::other("hung up");
            let parts = [Ok(Bytes::from_static(b"{")), Err(broken)];
            return Body::from_stream(futures::stream::iter(parts)).into_response();
        }
        Fault::RetryAfter(seconds) => {
            let words = "You have exceeded a secondary rate limit. Please wait a few minutes \
                         before you try again.";
            let mut reply = refuse(StatusCode::FORBIDDEN, words);
            reply.headers.push(("retry-after", seconds.to_string()));
            reply
        }
        Fault::Exhausted(reset) => {
            let mut reply = refuse(StatusCode::FORBIDDEN, "API rate limit exceeded");
            let reset = reset.as_second().to_string();
            reply.headers.push(("x-ratelimit-remaining", "0".into()));
            reply.headers.push(("x-ratelimit-reset", reset));
            reply
        }
        Fault::ServerError => Reply {
            status: StatusCode::BAD_GATEWAY,
            body: b"<html>Unicorn!</html>".to_vec(),
            headers: vec![("content-type", "text/html".into())],
        },
        Fault::Unauthorized => refuse(StatusCode::UNAUTHORIZED, "Bad credentials"),
        Fault::Large(bytes) => Reply {
            status: StatusCode::OK,
            body: vec![b' '; bytes],
            headers: Vec::new(),
        },
        Fault::Redirect(status, to) => redirect(status, to),
    };
    let left = lock(&served.github).left;
    if let Some((left, reset)) = left {
        let reset = reset.as_second().to_string();
        let left = left.to_string();
        reply.headers.push(("x-ratelimit-remaining", left));
        reply.headers.push(("x-ratelimit-reset", reset));
    }
    let mut response = (reply.status, reply.body).into_response();
    for (name, value) in reply.headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn redirect(status: u16, to: String) -> Reply {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::MOVED_PERMANENTLY);
    let mut reply = refuse(status, "Moved Permanently");
    reply.headers.push(("location", to));
    reply
}

impl Served {
    fn reply(&self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Reply {
        if !headers.contains_key(header::USER_AGENT) {
            return refuse(
                StatusCode::FORBIDDEN,
                "Request forbidden by administrative rules",
            );
        }
        let segments: Option<Vec<String>> = uri.path().split('/').skip(1).map(decode).collect();
        let segments = segments.unwrap_or_default();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let accept = headers.get(header::ACCEPT);
        let accept = accept.and_then(|accept| accept.to_str().ok());
        let asked = Asked {
            method,
            query: uri.query().unwrap_or_default(),
            raw: accept.is_some_and(|accept| accept.contains("raw")),
            unless: headers
                .get(header::IF_NONE_MATCH)
                .and_then(|mark| mark.to_str().ok()),
            body,
        };
        let mut github = lock(&self.github);
        let asking = match github.asking(headers) {
            Ok(asking) => asking,
            Err(reply) => return reply,
        };
        match (method.as_str(), &segments[..]) {
            (method, ["app", "hook", rest @ ..]) => {
                github.hook_of_app(&asking, method, rest, asked.query)
            }
            (method, ["orgs", login, "hooks", rest @ ..]) => {
                github.hooks_of_organization(&asking, login, (method, rest), asked.query)
            }
            ("POST", ["app", "installations", id, "access_tokens"]) => {
                github.access_token(&asking, id, body)
            }
            (_, ["repos", owner, name, rest @ ..]) => {
                let wanted = format!("{owner}/{name}");
                let place = github
                    .repositories
                    .iter()
                    .position(|repository| repository.name.as_str().eq_ignore_ascii_case(&wanted));
                match place {
                    Some(place) => github.within(place, &asking, &asked, rest),
                    None => self.moved(&github, &asking, &wanted, uri, method),
                }
            }
            (_, ["repositories", id, rest @ ..]) => {
                let mut all = github.repositories.iter();
                match all.position(|repository| repository.id.to_string() == *id) {
                    Some(place) => github.within(place, &asking, &asked, rest),
                    None => not_found(),
                }
            }
            _ => not_found(),
        }
    }

    /// Redirects from a former name of a repository.
    fn moved(
        &self,
        github: &MemoryGitHub,
        asking: &Asking,
        name: &str,
        uri: &Uri,
        method: &Method,
    ) -> Reply {
        let had = |repository: &&Repository| {
            let mut names = repository.former_names.iter();
            names.any(|former| former.as_str().eq_ignore_ascii_case(name))
        };
        let is_app = matches!(asking, Asking::App(_));
        let mut all = github.repositories.iter().filter(had);
        let Some(repository) = all.find(|repository| asking.sees(repository) || is_app) else {
            return not_found();
        };
        let path = uri.path_and_query().map_or("", |path| path.as_str());
        let rest = path.splitn(5, '/').nth(4);
        let rest = rest.map_or_else(String::new, |rest| format!("/{rest}"));
        let status = if method == Method::GET { 301 } else { 307 };
        let id = repository.id;
        redirect(
            status,
            format!("http://{}/repositories/{id}{rest}", self.address),
        )
    }
}

impl MemoryGitHub {
    fn within(&mut self, place: usize, asking: &Asking, asked: &Asked<'_>, rest: &[&str]) -> Reply {
        let id = self.repositories[place].id;
        if let ("GET", ["installation"]) = (asked.method.as_str(), rest) {
            return self.installation(asking, id);
        }
        let (most_entries, most_files) = (self.most_entries, self.most_files);
        let now = self.clock.now();
        let repository = &mut self.repositories[place];
        if !asking.sees(repository) {
            return not_found();
        }
        let forbidden = || {
            refuse(
                StatusCode::FORBIDDEN,
                "Resource not accessible by integration",
            )
        };
        match (asked.method.as_str(), rest) {
            ("GET", []) => reply(StatusCode::OK, about(repository)),
            ("POST", ["statuses", commit]) => match asking {
                Asking::Nobody => refuse(StatusCode::UNAUTHORIZED, "Requires authentication"),
                Asking::Token(_) | Asking::App(_)
                    if !asking.may(repository, "statuses", "write") =>
                {
                    forbidden()
                }
                Asking::Token(_) | Asking::App(_) => show(repository, commit, asked.body),
            },
            (method, ["hooks", rest @ ..]) => {
                let how = if method == "GET" { "read" } else { "write" };
                match asking.may(repository, "repository_hooks", how) {
                    true => hooks::answer(&mut repository.hooks, method, rest, asked.query, now),
                    false => not_found(),
                }
            }
            ("GET", _) if !asking.may(repository, "contents", "read") => forbidden(),
            ("GET", ["git", "ref", name @ ..]) => repository.answer_ref(&name.join("/")),
            ("GET", ["git", "matching-refs", name @ ..]) => {
                repository.answer_refs(&name.join("/"), asked.unless)
            }
            ("GET", ["commits", id]) => repository.answer_described(id),
            ("GET", ["git", "tags", id]) => repository.answer_tag(id),
            ("GET", ["git", "commits", id]) => repository.answer_commit(id),
            ("GET", ["git", "blobs", id]) => repository.answer_blob(id, asked.raw),
            ("GET", ["git", "trees", id]) => {
                let recursive = asked.query.contains("recursive=");
                repository.answer_tree(id, recursive.then_some(most_entries))
            }
            ("GET", ["compare", range]) => match range.split_once("...") {
                Some((base, head)) => {
                    let first = !asked.query.contains("page=2");
                    let most = if first { most_files } else { 0 };
                    repository.answer_comparison(base, head, most, asked.query)
                }
                None => not_found(),
            },
            _ => not_found(),
        }
    }
}

fn about(repository: &Repository) -> Value {
    let name = repository.name.as_str();
    let (owner, short) = name.split_once('/').unwrap_or_default();
    json!({
        "id": repository.id,
        "name": short,
        "full_name": name,
        "private": repository.private,
        "owner": {"login": owner},
        "default_branch": repository.default_branch,
    })
}

/// `POST /repos/{owner}/{repo}/statuses/{sha}`
fn show(repository: &mut Repository, commit: &str, body: &[u8]) -> Reply {
    let refused = |message: &str| {
        let words = json!({
            "message": "Validation Failed",
            "errors": [{"resource": "Status", "code": "custom", "message": message}],
        });
        reply(StatusCode::UNPROCESSABLE_ENTITY, words)
    };
    let Ok(wanted) = serde_json::from_slice::<Value>(body) else {
        return refuse(StatusCode::BAD_REQUEST, "Problems parsing JSON");
    };
    if repository.objects.commit(commit).is_none() {
        let words = format!("No commit found for SHA: {commit}");
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, &words);
    }
    let text = |key| wanted.get(key).and_then(Value::as_str).map(str::to_owned);
    let status = Status {
        commit: commit.to_owned(),
        context: text("context").unwrap_or_else(|| "default".into()),
        state: text("state").unwrap_or_default(),
        description: text("description"),
        target_url: text("target_url"),
    };
    if !matches!(
        status.state.as_str(),
        "error" | "failure" | "pending" | "success"
    ) {
        return refused("state is not included in the list");
    }
    let characters = status.description.as_ref().map(|text| text.chars().count());
    if characters.is_some_and(|count| count > MOST_DESCRIPTION) {
        return refused("description is too long (maximum is 140 characters)");
    }
    let same = |other: &&Status| {
        other.commit == commit && other.context.eq_ignore_ascii_case(&status.context)
    };
    if repository.statuses.iter().filter(same).count() >= MOST_STATUSES {
        return refused("This SHA and context has reached the maximum number of statuses.");
    }
    let answer = json!({
        "id": repository.statuses.len() + 1,
        "state": status.state,
        "context": status.context,
        "description": status.description,
        "target_url": status.target_url,
    });
    repository.statuses.push(status);
    reply(StatusCode::CREATED, answer)
}

fn decode(segment: &str) -> Option<String> {
    let decoded = percent_decode_str(segment).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

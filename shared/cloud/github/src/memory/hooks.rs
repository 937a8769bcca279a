//! Answers of the GitHub in memory about webhooks and their deliveries.

use axum::http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::access::Asking;
use super::reply::{Reply, not_found, refuse, reply};
use super::{Delivery, Hook, MemoryGitHub};

/// Attempts on one page.
const PAGE: usize = 100;

/// A request for webhooks, by what follows `hooks` in its path.
pub(super) fn answer(
    hooks: &mut [Hook],
    method: &str,
    rest: &[&str],
    query: &str,
    now: Timestamp,
) -> Reply {
    if let ("GET", []) = (method, rest) {
        let hooks: Vec<Value> = hooks.iter().map(hook).collect();
        return reply(StatusCode::OK, hooks);
    }
    let [id, rest @ ..] = rest else {
        return not_found();
    };
    let mut hooks = hooks.iter_mut();
    match hooks.find(|hook| hook.id.to_string() == *id) {
        Some(hook) => of_one(hook, method, rest, query, now),
        None => not_found(),
    }
}

/// A request for one webhook: its deliveries, or another attempt at one.
fn of_one(hook: &mut Hook, method: &str, rest: &[&str], query: &str, now: Timestamp) -> Reply {
    match (method, rest) {
        ("GET", ["deliveries"]) => {
            let cursor = query
                .split('&')
                .find_map(|pair| pair.strip_prefix("cursor="));
            let skipped = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
            let mut answer = reply(StatusCode::OK, deliveries(hook, skipped));
            let next = skipped + PAGE;
            if next < hook.deliveries.len() {
                let link = format!("<https://api.github.com/?cursor={next}>; rel=\"next\"");
                answer.headers.push(("link", link));
            }
            answer
        }
        ("POST", ["deliveries", id, "attempts"]) => {
            let all = &hook.deliveries;
            let Some(known) = all.iter().find(|known| known.id.to_string() == *id) else {
                return not_found();
            };
            let newest = all.iter().map(|known| known.id).max().unwrap_or(0);
            let again = Delivery {
                id: newest + 1,
                at: now,
                status_code: 202,
                status: "OK".into(),
                redelivery: true,
                ..known.clone()
            };
            hook.deliveries.insert(0, again);
            reply(StatusCode::ACCEPTED, json!({}))
        }
        _ => not_found(),
    }
}

impl MemoryGitHub {
    /// `/app/hook/…`
    pub(super) fn hook_of_app(
        &mut self,
        asking: &Asking,
        method: &str,
        rest: &[&str],
        query: &str,
    ) -> Reply {
        let Asking::App(place) = asking else {
            let words = "A JSON web token could not be decoded";
            return refuse(StatusCode::UNAUTHORIZED, words);
        };
        let now = self.clock.now();
        let Some(own) = &mut self.apps[*place].hook else {
            return not_found();
        };
        match (method, rest) {
            ("GET", ["config"]) => reply(StatusCode::OK, hook(own)["config"].clone()),
            _ => of_one(own, method, rest, query, now),
        }
    }

    /// `/orgs/{org}/hooks/…`
    pub(super) fn hooks_of_organization(
        &mut self,
        asking: &Asking,
        login: &str,
        (method, rest): (&str, &[&str]),
        query: &str,
    ) -> Reply {
        let may = match asking {
            Asking::Token(token) => token.permissions.contains_key("organization_hooks"),
            Asking::Nobody | Asking::App(_) => false,
        };
        let now = self.clock.now();
        match self.organizations.get_mut(login).filter(|_| may) {
            Some(hooks) => answer(hooks, method, rest, query, now),
            None => not_found(),
        }
    }
}

fn hook(hook: &Hook) -> Value {
    let last = hook.deliveries.first();
    json!({
        "type": "Repository",
        "id": hook.id,
        "name": "web",
        "active": hook.active,
        "events": hook.events,
        "config": {
            "url": hook.url,
            "content_type": hook.content_type,
            "insecure_ssl": "0",
            "secret": "********",
        },
        "last_response": {
            "code": last.map(|delivery| delivery.status_code),
            "status": if last.is_some() { "active" } else { "unused" },
            "message": last.map(|delivery| delivery.status.clone()),
        },
    })
}

fn deliveries(hook: &Hook, skipped: usize) -> Vec<Value> {
    let all = hook.deliveries.iter().skip(skipped).take(PAGE);
    all.map(|delivery| {
        json!({
            "id": delivery.id,
            "guid": delivery.guid,
            "delivered_at": delivery.at,
            "redelivery": delivery.redelivery,
            "duration": 0.03,
            "status": delivery.status,
            "status_code": delivery.status_code,
            "event": delivery.event,
            "action": delivery.action,
            "installation_id": null,
            "repository_id": null,
            "throttled_at": null,
        })
    })
    .collect()
}

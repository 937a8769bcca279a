//! Hides from the handlers what a mechanism looks at, if it is taken out.
//!
//! The product has no switches, so a mechanism is taken out at a port.

use std::mem;

use serde_json::{Value, json};
use towline_ports::{Announcement, Item, Query, StartBuild, Trust, Write};

use crate::build::variable;
use crate::chance::Chance;
use crate::mechanism::Mechanism;

/// An item as a handler sees it.
pub(crate) fn read(chance: &Chance, item: Item) -> Item {
    let partition = &item.key.partition;
    let forgets = partition.starts_with("RUN#") && chance.lacks(Mechanism::Binding);
    let is_stage = partition.starts_with("STAGES#");
    let ends = is_stage && chance.lacks(Mechanism::SerialWriter);
    let shares = is_stage && chance.lacks(Mechanism::ApprovalBinding);
    let trusts = is_stage && chance.lacks(Mechanism::Authors);
    if !forgets && !ends && !shares && !trusts {
        return item;
    }
    let mut body = item.body.into_json();
    if forgets {
        let components = body["components"].as_object_mut().into_iter();
        for component in components.flat_map(|known| known.values_mut()) {
            forget_builds(&mut component["attempts"]);
        }
    }
    if ends && let Some(lease) = body.get_mut("lease") {
        lease["until"] = json!("1970-01-01T00:00:00Z");
    }
    if shares {
        share_approvals(&mut body);
    }
    if trusts && let Some(stage) = body.as_object_mut() {
        stage.remove("contributions");
    }
    Item {
        body: body.into(),
        ..item
    }
}

fn forget_builds(attempts: &mut Value) {
    for attempt in attempts.as_array_mut().into_iter().flatten() {
        if let Some(attempt) = attempt.as_object_mut() {
            if attempt["state"]["state"] == "building" {
                attempt.remove("build");
            }
            if let Some(parts) = attempt.get_mut("parts") {
                forget_builds(parts);
            }
        }
    }
}

/// Every promotion of a stage has the approvals of all.
fn share_approvals(stage: &mut Value) {
    let Some(waiting) = stage.get_mut("waiting").and_then(Value::as_array_mut) else {
        return;
    };
    let all: Vec<Value> = waiting
        .iter()
        .filter_map(|promotion| promotion.get("approvals")?.as_array())
        .flatten()
        .cloned()
        .collect();
    if !all.is_empty() {
        for promotion in waiting {
            promotion["approvals"] = json!(all);
        }
    }
}

/// A transaction as it reaches the store.
pub(crate) fn write(chance: &Chance, writes: &mut [Write]) {
    let forgets = chance.lacks(Mechanism::Supersede);
    let drops = chance.lacks(Mechanism::Inbox);
    if !forgets && !drops {
        return;
    }
    for write in writes {
        let (Write::Create { key, body, due }
        | Write::Replace { key, body, due, .. }
        | Write::Put { key, body, due }) = write
        else {
            continue;
        };
        if drops && key.partition.starts_with("INBOX#") {
            *due = None;
        }
        if forgets && body.get("owes").is_some() {
            let mut json = mem::take(body).into_json();
            if let Some(owes) = json["owes"].as_array_mut() {
                owes.retain(|owed| owed["intent"]["type"] != "build_superseded");
            }
            *body = json.into();
        }
    }
}

/// A build as it is requested: if caches are not kept apart, every ref uses those of the default branch.
pub(crate) fn start(chance: &Chance, build: &mut StartBuild) {
    if !chance.lacks(Mechanism::CacheTrust) {
        return;
    }
    build.trust = Trust::DefaultBranch;
    let from = variable(build, "CACHE_FROM").rsplit(' ').next();
    let of_trusted = from.unwrap_or_default().to_owned();
    for (name, value) in &mut build.environment {
        if name == "CACHE_TO" || name == "CACHE_FROM" {
            value.clone_from(&of_trusted);
        }
    }
}

/// What waits for a service that allows again what it denied.
pub(crate) fn is_hidden(chance: &Chance, query: &Query) -> bool {
    &*query.partition == "PASSED" && chance.lacks(Mechanism::Release)
}

/// Announcements as they reach the bus.
pub(crate) fn announce(chance: &Chance, announcements: &mut Vec<Announcement>) {
    if chance.lacks(Mechanism::Supersede) {
        announcements.retain(|it| it.detail_type != "Build Superseded");
    }
}

//! Composes a state change as CodeBuild would send it, for the embedded runner and for tests.

use serde_json::{Value, json};
use towline_domain::run::BuildStatus;

use super::{DETAIL_TYPE, Phase, SOURCE, StateChange, Status};
use crate::eventbridge::{self, Envelope};
use crate::time;

#[must_use]
pub fn event(change: &StateChange) -> Value {
    let arn = format!(
        "arn:aws:codebuild:{}:{}:build/{}",
        change.region, change.account, change.build
    );
    let running = change.status == Status::Known(BuildStatus::InProgress);
    let current = match change.phases.last() {
        Some(phase) if running => phase.name.as_str(),
        None if running => "SUBMITTED",
        Some(_) | None => "COMPLETED",
    };
    eventbridge::envelope(Envelope {
        id: change.id.clone(),
        detail_type: DETAIL_TYPE.into(),
        source: SOURCE.into(),
        account: change.account.clone(),
        region: change.region.clone(),
        time: change.at,
        resources: vec![arn.clone()],
        detail: json!({
            "build-status": word(&change.status),
            "project-name": change.project,
            "build-id": arn,
            "additional-information": {
                "artifact": {"location": ""},
                "environment": {
                    "type": "LINUX_CONTAINER",
                    "environment-variables": change.environment.iter().map(variable).collect::<Vec<_>>(),
                },
                "build-complete": !running,
                "initiator": "towline",
                "build-start-time": change.started_at.map(time::american),
                "source-version": change.commit,
                "phases": change.phases.iter().map(phase).collect::<Vec<_>>(),
            },
            "current-phase": current,
            "current-phase-context": "[]",
            "version": "1",
        }),
    })
}

fn word(status: &Status) -> &str {
    match status {
        Status::Known(status) => status.word(),
        Status::Unknown(word) => word,
    }
}

fn variable((name, value): &(String, String)) -> Value {
    json!({"name": name, "type": "PLAINTEXT", "value": value})
}

fn phase(phase: &Phase) -> Value {
    let mut event = json!({"phase-type": phase.name, "phase-context": phase.context});
    if let Some(status) = &phase.status {
        event["phase-status"] = json!(status);
    }
    if let Some(at) = phase.started_at {
        event["start-time"] = json!(time::american(at));
    }
    if let Some(at) = phase.ended_at {
        event["end-time"] = json!(time::american(at));
    }
    if let (Some(from), Some(to)) = (phase.started_at, phase.ended_at) {
        event["duration-in-seconds"] = json!(to.duration_since(from).as_secs());
    }
    event
}

//! A build in the form of CodeBuild's API.

use jiff::Timestamp;
use serde_json::{Value, json};
use towline_domain::run::{BuildReport, BuildStatus};

use super::Started;
use crate::{ACCOUNT, REGION};

/// The document of a build.
pub(super) fn build(
    started: &Started,
    report: &BuildReport,
    exported: &[(String, String)],
) -> Value {
    let id = started.id.as_str();
    let running = report.status == BuildStatus::InProgress;
    let asked = &started.asked;
    let (group, stream) = log_place(started);
    let mut build = json!({
        "id": id,
        "arn": format!("arn:aws:codebuild:{REGION}:{ACCOUNT}:build/{id}"),
        "projectName": started.project,
        "startTime": seconds(started.at),
        "currentPhase": if running { "BUILD" } else { "COMPLETED" },
        "buildStatus": report.status.word(),
        "buildComplete": !running,
        "sourceVersion": asked["sourceVersion"],
        "resolvedSourceVersion": asked["sourceVersion"],
        "source": {
            "type": "GITHUB",
            "location": asked["sourceLocationOverride"],
            "buildspec": asked["buildspecOverride"],
        },
        "environment": {
            "type": "LINUX_CONTAINER",
            "image": asked["imageOverride"],
            "computeType": "BUILD_GENERAL1_SMALL",
            "environmentVariables": variables(&started.environment),
        },
        "initiator": "towline",
        "logs": {"groupName": group, "streamName": stream},
        "phases": phases(report),
        "exportedEnvironmentVariables": exported
            .iter()
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect::<Vec<_>>(),
    });
    if let Some(ended) = report.ended_at {
        build["endTime"] = json!(seconds(ended));
    }
    build
}

/// The group and stream of a build's log.
pub(super) fn log_place(started: &Started) -> (String, &str) {
    let id = started.id.as_str();
    let stream = id.rsplit_once(':').map_or(id, |(_, stream)| stream);
    (format!("/aws/codebuild/{}", started.project), stream)
}

fn variables(environment: &[(String, String)]) -> Vec<Value> {
    environment
        .iter()
        .map(|(name, value)| json!({"name": name, "value": value, "type": "PLAINTEXT"}))
        .collect()
}

/// The failed phase, from the report's reason `PHASE: CODE: message`, and the last one.
fn phases(report: &BuildReport) -> Vec<Value> {
    let mut phases = Vec::new();
    if let Some(reason) = &report.reason {
        let mut parts = reason.splitn(3, ": ");
        let mut part = || parts.next().unwrap_or_default();
        let (phase, code, message) = (part(), part(), part());
        phases.push(json!({
            "phaseType": phase,
            "phaseStatus": report.status.word(),
            "contexts": [{"statusCode": code, "message": message}],
        }));
    }
    if report.status != BuildStatus::InProgress {
        phases.push(json!({"phaseType": "COMPLETED"}));
    }
    phases
}

/// Seconds since 1970, as in AWS's JSON protocols.
fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}

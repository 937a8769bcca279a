//! CodeBuild's "Build State Change" events, as its user guide shows them.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::record::{Phase, Record, State};

/// An event that was committed together with what it tells.
#[derive(Debug, Clone, PartialEq)]
pub struct StateChange {
    /// Counts up; never given twice.
    pub id: i64,
    /// The whole event as EventBridge delivers it.
    pub document: Value,
}

/// Where the builds seem to run.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) region: String,
    pub(crate) account: String,
}

impl Place {
    /// The ARN of a build.
    pub(crate) fn arn(&self, record: &Record) -> String {
        let Self { region, account } = self;
        format!("arn:aws:codebuild:{region}:{account}:build/{}", record.id)
    }
}

/// The event that tells how a build stands now.
pub(crate) fn state_change(record: &Record, place: &Place, now: Timestamp) -> Value {
    let request = &record.request;
    let arn = place.arn(record);
    let variables: Vec<Value> = request
        .environment
        .iter()
        .map(|(name, value)| json!({"name": name, "type": "PLAINTEXT", "value": value}))
        .collect();
    let began = record.started_at.unwrap_or(record.submitted_at);
    json!({
        "version": "0",
        "id": event_id(record),
        "detail-type": "CodeBuild Build State Change",
        "source": "aws.codebuild",
        "account": place.account,
        "time": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "region": place.region,
        "resources": [arn],
        "detail": {
            "build-status": record.status.word(),
            "project-name": record.project(),
            "build-id": arn,
            "current-phase": record.current().word(),
            "current-phase-context": "[]",
            "version": "1",
            "additional-information": {
                "artifact": {"location": ""},
                "environment": {
                    "image": request.image,
                    "privileged-mode": request.privileged,
                    "compute-type": "BUILD_GENERAL1_SMALL",
                    "type": "LINUX_CONTAINER",
                    "environment-variables": variables,
                },
                "timeout-in-minutes": request.timeout_ms.div_ceil(60_000),
                "queued-timeout-in-minutes": 480,
                "build-complete": record.state == State::Ended,
                "build-number": record.number,
                "initiator": "towline",
                "build-start-time": time(began),
                "source": {
                    "type": "GITHUB",
                    "location": repository_url(record),
                    "buildspec": request.buildspec,
                },
                "source-version": request.commit.as_str(),
                "logs": {
                    "group-name": format!("/aws/codebuild/{}", record.project()),
                    "stream-name": request.attempt.as_str(),
                    "deep-link": format!("/v1/builds/{}/log", record.id),
                },
                "phases": record.phases.iter().map(phase).collect::<Vec<_>>(),
            },
        },
    })
}

/// The address CodeBuild would fetch from.
pub(crate) fn repository_url(record: &Record) -> String {
    format!("https://github.com/{}.git", record.request.repository)
}

fn phase(phase: &Phase) -> Value {
    let mut value = json!({
        "phase-type": phase.kind.word(),
        "start-time": time(phase.started_at),
    });
    if let (Some(status), Some(ended_at)) = (phase.status, phase.ended_at) {
        let context: Vec<String> = phase
            .context
            .iter()
            .map(|context| format!("{}: {}", context.code, context.message))
            .collect();
        let seconds = ended_at.duration_since(phase.started_at).as_secs();
        value["phase-context"] = json!(context);
        value["phase-status"] = json!(status.word());
        value["end-time"] = json!(time(ended_at));
        value["duration-in-seconds"] = json!(seconds.max(0));
    }
    value
}

/// As in `Sep 1, 2017 4:12:29 PM`.
fn time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC)
        .strftime("%b %-d, %Y %-I:%M:%S %p")
        .to_string()
}

/// The same for the same change, in the form of a UUID.
fn event_id(record: &Record) -> String {
    let hash = Sha256::digest(format!("{} {}", record.id, record.status.word()));
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let (one, two, three) = (&hex[..8], &hex[8..12], &hex[12..16]);
    format!("{one}-{two}-{three}-{}-{}", &hex[16..20], &hex[20..32])
}

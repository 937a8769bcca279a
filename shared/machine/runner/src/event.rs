//! CodeBuild's event "Build State Change", in the form that `towline-wire` composes.

use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use towline_wire::codebuild::{self, Status};

use crate::record::{Phase, Record};

/// An event that was committed together with the change it describes.
#[derive(Debug, Clone, PartialEq)]
pub struct StateChange {
    /// Increases; never reused.
    pub id: i64,
    /// The whole event as EventBridge delivers it.
    pub document: Value,
}

/// The region and account in events.
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

/// The event with a build's current state.
pub(crate) fn state_change(record: &Record, place: &Place, now: Timestamp) -> Value {
    codebuild::event(&codebuild::StateChange {
        id: event_id(record),
        at: now,
        account: place.account.clone(),
        region: place.region.clone(),
        build: record.id.clone(),
        status: Status::Known(record.status),
        project: record.project(),
        commit: Some(record.request.commit.clone()),
        started_at: record.started_at,
        environment: record.request.environment.clone(),
        phases: record.phases.iter().map(phase).collect(),
    })
}

/// The address CodeBuild would fetch from.
pub(crate) fn repository_url(record: &Record) -> String {
    format!("https://github.com/{}.git", record.request.repository)
}

pub(crate) fn phase(phase: &Phase) -> codebuild::Phase {
    codebuild::Phase {
        name: phase.kind.word().into(),
        status: phase.status.map(|status| status.word().into()),
        started_at: Some(phase.started_at),
        ended_at: phase.ended_at,
        context: phase.context.iter().map(ToString::to_string).collect(),
    }
}

/// A UUID that is the same for the same change.
fn event_id(record: &Record) -> String {
    let hash = Sha256::digest(format!("{} {}", record.id, record.status.word()));
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let (one, two, three) = (&hex[..8], &hex[8..12], &hex[12..16]);
    format!("{one}-{two}-{three}-{}-{}", &hex[16..20], &hex[20..32])
}

//! Intents as they are owed, announced and announced again.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use towline_domain::Timestamp;
use towline_domain::intent::{Intent, StageKey};
use towline_domain::names::{ComponentName, RunId};
use towline_ports::{Announcement, Key, Write};
use towline_wire::eventbridge;
use tracing::Span;
use tracing::field::Empty;

use crate::keys;
use crate::needs::MOST_GUESSED;
use crate::read::{Read, body};

/// How long whoever acts on an announced intent has before it is announced again.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// The longest time between two announcements of one intent.
const MOST_PATIENCE: Duration = Duration::from_secs(600);
/// How often a bound build is looked after.
const WATCH: Duration = Duration::from_secs(60);

/// An intent as it is kept until it is done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Owed {
    /// Its id.
    pub id: String,
    /// What is owed.
    pub intent: Intent,
    /// Since when.
    pub since: Timestamp,
    /// How often it was announced again.
    pub tries: u32,
    /// Why it was given up, if it was; then a person must look.
    pub dead: Option<String>,
}

impl Owed {
    /// What every line logged while acting on it carries.
    pub fn span(&self) -> Span {
        let span = tracing::info_span!(
            "intent",
            intent = self.id,
            run = Empty,
            component = Empty,
            attempt = Empty,
            stage = Empty,
            promotion = Empty,
            commit = Empty,
            build = Empty,
        );
        let of_run = |run: &RunId, component: Option<&ComponentName>| {
            span.record("run", run.as_str());
            component.map(|component| span.record("component", component.as_str()));
        };
        let of_stage = |stage: &StageKey, promotion: Option<u64>| {
            span.record("component", stage.component.as_str());
            span.record("stage", stage.stage.as_str());
            promotion.map(|promotion| span.record("promotion", promotion));
        };
        match &self.intent {
            Intent::PushAccepted(push) => drop(span.record("commit", push.commit.as_str())),
            Intent::BuildStopDue { build } => drop(span.record("build", build.as_str())),
            Intent::BuildDue(of)
            | Intent::ImageDue { of, .. }
            | Intent::IndexDue(of)
            | Intent::ImageRecorded { of, .. }
            | Intent::BuildWatchDue(of) => {
                of_run(&of.run, Some(&of.component));
                span.record("attempt", of.attempt.as_str());
            }
            Intent::BuildRetryDue { run, component, .. }
            | Intent::BuildSuperseded { run, component, .. } => of_run(run, Some(component)),
            Intent::BuildStatusDue { run, component, .. } => of_run(run, component.as_ref()),
            Intent::ImageReady { stage, candidate } => {
                of_stage(stage, None);
                span.record("run", candidate.run.as_str());
            }
            Intent::PromotionDue { stage, promotion }
            | Intent::DeployDue {
                stage, promotion, ..
            }
            | Intent::PromotionWatchDue {
                stage, promotion, ..
            } => of_stage(stage, Some(*promotion)),
            Intent::StageStatusDue { stage, commit, .. } => {
                of_stage(stage, None);
                span.record("commit", commit.as_str());
            }
            Intent::StatusesDue { .. } => {}
        }
        span.clone()
    }
}

/// The id of an intent: the same for the same intent, so that owing it twice owes it once.
pub fn intent_id(intent: &Intent) -> String {
    let bytes = serde_json::to_vec(intent).expect("an intent holds only strings and numbers");
    hex::encode(&Sha256::digest(bytes)[..16])
}

/// so that one request is enough. Who does not hear of them reads them when it needs them.
#[derive(Debug, Clone)]
pub(crate) struct Announced {
    pub(crate) intent: Intent,
    pub(crate) guesses: Vec<Key>,
}

/// The write that marks an intent as announced once more, or given up for good.
pub fn announced_again(read: &Read<Owed>, now: Timestamp, dead: Option<&str>) -> Write {
    let owed = Owed {
        tries: read.value.tries + 1,
        dead: dead.map(Into::into),
        ..read.value.clone()
    };
    let due = dead.is_none().then(|| {
        now + if owed.intent.is_watch() {
            WATCH
        } else {
            patience(owed.tries)
        }
    });
    Write::Replace {
        key: keys::intent(&owed.id),
        version: read.version,
        body: body(&owed),
        due,
    }
}

/// An intent as it goes on the bus, with the keys of what else its reader will want.
pub fn announcement(owed: &Owed, now: Timestamp, guesses: &[Key]) -> Announcement {
    let mut detail = eventbridge::detail(&owed.id, &owed.intent, now);
    if !guesses.is_empty() {
        let keys = guesses.iter().take(MOST_GUESSED);
        let keys = keys.map(|key| (&key.partition, &key.sort));
        detail["reads"] = json!(keys.collect::<Vec<_>>());
    }
    Announcement {
        id: owed.id.clone(),
        detail_type: owed.intent.detail_type().into(),
        detail,
        at: now,
    }
}

/// All that is to be shown as one intent.
pub(crate) fn together(intents: Vec<Announced>) -> Vec<Announced> {
    let (mut reports, mut others): (Vec<_>, Vec<_>) = intents
        .into_iter()
        .partition(|owed| !owed.intent.reports().is_empty());
    if reports.len() > 1 {
        let guesses = reports.iter_mut();
        let guesses = guesses
            .flat_map(|owed| std::mem::take(&mut owed.guesses))
            .collect();
        let reports = reports.into_iter().map(|owed| owed.intent).collect();
        let intent = Intent::StatusesDue { reports };
        others.push(Announced { intent, guesses });
    } else {
        others.extend(reports);
    }
    others
}

pub(crate) fn first_due(intent: &Intent, now: Timestamp) -> Timestamp {
    match intent {
        Intent::PromotionWatchDue { at, .. } => *at,
        Intent::BuildWatchDue(_) => now + WATCH,
        Intent::PushAccepted(_)
        | Intent::BuildDue(_)
        | Intent::BuildStopDue { .. }
        | Intent::ImageDue { .. }
        | Intent::IndexDue(_)
        | Intent::BuildRetryDue { .. }
        | Intent::BuildSuperseded { .. }
        | Intent::ImageRecorded { .. }
        | Intent::ImageReady { .. }
        | Intent::PromotionDue { .. }
        | Intent::DeployDue { .. }
        | Intent::BuildStatusDue { .. }
        | Intent::StageStatusDue { .. }
        | Intent::StatusesDue { .. } => now + PATIENCE,
    }
}

/// How long until an intent is announced again: 30 s, doubling to ten minutes.
fn patience(tries: u32) -> Duration {
    PATIENCE
        .saturating_mul(1 << tries.min(6))
        .min(MOST_PATIENCE)
}

//! Intents, from owing them to announcing them again.
//!
//! The intents of a push, a run or a stage are in its own item, so that they are committed with the
//! state that causes them. Others are items of their own.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use towline_domain::Timestamp;
use towline_domain::intent::{Intent, StageKey};
use towline_domain::names::{ComponentName, RunId};
use towline_domain::obstacle::Obstacle;
use towline_ports::limits::bytes_of;
use towline_ports::{Announcement, Item, Key};
use towline_wire::eventbridge;
use tracing::Span;
use tracing::field::Empty;

use crate::content::{HandlerError, body, decode, decode_json};
use crate::keys;
use crate::needs::MOST_READS;

/// How long a handler may take before its intent is announced again.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// The longest time between two announcements of one intent.
pub(crate) const MOST_PATIENCE: Duration = Duration::from_secs(600);
/// The same, if a person must fix something first.
const RAREST: Duration = Duration::from_secs(3600);
/// How often a bound build is looked up.
const WATCH: Duration = Duration::from_secs(60);

/// The most intents in one item; further ones are stored as items of their own.
const MOST_OWED: usize = 128;
/// The most bytes of intents in one item: half of its 300 KiB, so that the rest is left for its state.
const MOST_OWED_BYTES: usize = 150 << 10;

/// An intent, as it is stored until it is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owed {
    /// Its id: the hash of its content, and its item.
    pub id: String,
    pub intent: Intent,
    pub since: Timestamp,
    /// How often it was announced again.
    pub tries: u32,
    /// When to announce it again.
    pub due: Timestamp,
    /// What a person must put right first, if that is why it failed the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<Obstacle>,
}

impl Owed {
    /// The intent after it was announced or checked again.
    #[must_use]
    pub fn again(&self, now: Timestamp) -> Self {
        let tries = self.tries + 1;
        let wait = match (self.intent.is_watch(), &self.obstacle) {
            (true, _) => WATCH,
            (false, None) => patience(tries).min(MOST_PATIENCE),
            (false, Some(_)) => patience(tries).min(RAREST),
        };
        Self {
            tries,
            due: now + wait,
            ..self.clone()
        }
    }

    /// The log span for acting on it.
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

/// The field of an item's content with its intents.
const OWES: &str = "owes";

/// The intents of one item, and when it is due because of them.
#[derive(Debug, Clone, Default)]
pub struct Outbox {
    owed: Arc<Vec<Owed>>,
    indexed: Option<Timestamp>,
}

impl Outbox {
    /// The intents of an item.
    ///
    /// # Errors
    /// When this version cannot read it.
    pub fn of(item: &Item) -> Result<Self, HandlerError> {
        let owed = match is_intent(&item.key) {
            true => Arc::new(vec![Owed::clone(&*decode(item)?)]),
            false => match item.body.get(OWES) {
                Some(owed) => item.body.decoded(|_| decode_json(&item.key, owed))?,
                None => Arc::default(),
            },
        };
        Ok(Self {
            owed,
            indexed: item.due,
        })
    }

    #[must_use]
    pub fn owed(&self) -> &[Owed] {
        &self.owed
    }

    /// The intents that are due to be announced or looked up.
    pub fn due_by(&self, now: Timestamp) -> impl Iterator<Item = &Owed> {
        self.owed.iter().filter(move |owed| owed.due <= now)
    }

    /// Whether there is no room for another intent, so that the item stays below its size limit.
    pub(crate) fn is_full(&self) -> bool {
        self.owed.len() >= MOST_OWED || bytes_of(&*self.owed) >= MOST_OWED_BYTES
    }

    pub(crate) fn find(&self, id: &str) -> Option<&Owed> {
        let mut owed = self.owed.iter();
        owed.find(|owed| hash_of(&owed.id) == hash_of(id))
    }

    /// Removes an intent, by its id or by its hash alone.
    pub fn remove(&mut self, id: &str) {
        if self.find(id).is_some() {
            Arc::make_mut(&mut self.owed).retain(|owed| hash_of(&owed.id) != hash_of(id));
        }
    }

    /// Adds an intent; replaces one with the same content.
    pub fn put(&mut self, owed: Owed) {
        self.remove(&owed.id);
        Arc::make_mut(&mut self.owed).push(owed);
    }

    /// When the item is due. The index has only one time per item, and moving it costs two writes. So
    /// an earlier time stays if it is indexed already.
    pub(crate) fn due(&self, now: Timestamp) -> Option<Timestamp> {
        let first = self.owed.iter().map(|owed| owed.due).min()?;
        let sooner = self
            .indexed
            .filter(|indexed| (now..=first).contains(indexed));
        Some(sooner.unwrap_or(first))
    }

    /// The content of its item with these intents.
    pub(crate) fn within(&self, mut content: Value) -> Value {
        if let Some(fields) = content.as_object_mut() {
            match self.owed.is_empty() {
                true => drop(fields.remove(OWES)),
                false => drop(fields.insert(OWES.into(), body(&*self.owed))),
            }
        }
        content
    }
}

/// Whether an item with this key may owe intents: a push, a run or a stage.
pub(crate) fn may_owe(key: &Key) -> bool {
    let mut heads = ["INBOX#", "RUN#", "STAGES#"].iter();
    heads.any(|head| key.partition.starts_with(head))
}

/// Whether a key is that of an intent with its own item.
pub(crate) fn is_intent(key: &Key) -> bool {
    key.partition.starts_with("INTENT#")
}

/// The id of an intent in the item with this key.
pub(crate) fn id_in(owing: &Key, hash: &str) -> String {
    format!("{hash}@{}|{}", owing.partition, owing.sort)
}

/// The key of the item that contains an intent.
#[must_use]
pub fn place(id: &str) -> Key {
    let place = id.split_once('@').and_then(|(_, key)| key.split_once('|'));
    match place {
        Some((partition, sort)) => Key::new(partition, sort),
        None => keys::intent(id),
    }
}

/// The part of an id that is the hash of the intent.
pub(crate) fn hash_of(id: &str) -> &str {
    id.split_once('@').map_or(id, |(hash, _)| hash)
}

/// The item that an intent is about: it contains the intent if it is being written.
pub(crate) fn owner(intent: &Intent) -> Option<Key> {
    match intent {
        Intent::BuildDue(of)
        | Intent::ImageDue { of, .. }
        | Intent::IndexDue(of)
        | Intent::ImageRecorded { of, .. }
        | Intent::BuildWatchDue(of) => Some(keys::run(&of.run)),
        Intent::BuildRetryDue { run, .. } | Intent::BuildStatusDue { run, .. } => {
            Some(keys::run(run))
        }
        Intent::BuildSuperseded { by, .. } => Some(keys::run(by)),
        Intent::ImageReady { candidate, .. } => Some(keys::run(&candidate.run)),
        Intent::PromotionDue { stage, .. }
        | Intent::DeployDue { stage, .. }
        | Intent::PromotionWatchDue { stage, .. }
        | Intent::StageStatusDue { stage, .. } => Some(keys::stage(stage)),
        Intent::StatusesDue { reports } => reports.first().and_then(owner),
        Intent::PushAccepted(_) | Intent::BuildStopDue { .. } => None,
    }
}

/// The hash of an intent: the same for the same intent, so that owing it twice owes it once.
pub fn intent_id(intent: &Intent) -> String {
    let bytes = serde_json::to_vec(intent).expect("an intent holds only strings and numbers");
    hex::encode(&Sha256::digest(bytes)[..16])
}

/// An intent, and what else its handler will want to read. The keys are announced with the intent,
/// so that one request is enough; a handler that does not receive them reads when it needs to.
#[derive(Debug, Clone)]
pub(crate) struct Announced {
    pub(crate) intent: Intent,
    pub(crate) reads: Vec<Key>,
}

/// The announcement of an intent, with the keys that its handler will want.
pub fn announcement(owed: &Owed, now: Timestamp, reads: &[Key]) -> Announcement {
    let mut detail = eventbridge::detail(&owed.id, &owed.intent, now);
    if !reads.is_empty() {
        let keys = reads.iter().take(MOST_READS);
        let keys = keys.map(|key| (&*key.partition, &*key.sort));
        detail["reads"] = json!(keys.collect::<Vec<_>>());
    }
    Announcement {
        id: hash_of(&owed.id).to_owned(),
        detail_type: owed.intent.detail_type().into(),
        detail,
        at: now,
    }
}

/// Joins all statuses to show into one intent.
pub(crate) fn together(intents: Vec<Announced>) -> Vec<Announced> {
    let (mut reports, mut others): (Vec<_>, Vec<_>) = intents
        .into_iter()
        .partition(|owed| !owed.intent.reports().is_empty());
    if reports.len() > 1 {
        let reads = reports.iter_mut();
        let reads = reads
            .flat_map(|owed| std::mem::take(&mut owed.reads))
            .collect();
        let reports = reports.into_iter().map(|owed| owed.intent).collect();
        let intent = Intent::StatusesDue { reports };
        others.push(Announced { intent, reads });
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

/// How long until an intent is announced again: 30 s, doubling each time.
fn patience(tries: u32) -> Duration {
    PATIENCE.saturating_mul(1 << tries.min(8))
}

//! The items that an intent's handler will read, so that one request is enough.

use serde::Deserialize as _;
use towline_domain::definition::{Definition, Origin};
use towline_domain::intent::{Intent, StageKey};
use towline_domain::stage::{Promotion, Stage};
use towline_ports::Key;
use towline_wire::eventbridge::Envelope;

use crate::keys;

/// The most keys in an announcement: together with those that its intent always needs, one request is enough.
pub const MOST_READS: usize = 60;

/// The items for a decision about a stage.
pub fn needed(key: &StageKey) -> Vec<Key> {
    vec![
        keys::stage(key),
        keys::trusted_definition(key.repository),
        keys::numbers(key.repository),
    ]
}

/// The items for carrying out a promotion: its image, its repository, the stage's tags and the next stages.
pub fn needed_to_promote(
    key: &StageKey,
    definition: &Definition,
    promotion: &Promotion,
) -> Vec<Key> {
    let images = &promotion.candidate.repository;
    let image = keys::image(images, &promotion.candidate.digest);
    let rule = definition.stage(&key.stage);
    let tags = rule.into_iter().flat_map(|rule| &rule.tags);
    let origin = Origin::Stage(key.stage.clone());
    let behind = definition.stages_from(&origin).map(|rule| {
        keys::stage(&StageKey {
            stage: rule.name.clone(),
            ..key.clone()
        })
    });
    let repository = keys::repository(key.repository);
    let known = needed(key).into_iter().chain([image, repository]);
    known
        .chain(tags.map(|tag| keys::tag(images, tag)))
        .chain(behind)
        .collect()
}

/// The items for an intent of a stage, besides those that every such intent needs.
pub(crate) fn carried(stage: &Stage, definition: &Definition, intent: &Intent) -> Vec<Key> {
    match intent {
        Intent::PromotionDue { promotion, .. } => {
            let promotion = stage.promotion(*promotion);
            let needed = promotion.map(|known| needed_to_promote(&stage.key, definition, known));
            needed.unwrap_or_default()
        }
        Intent::DeployDue { .. } => {
            let live = stage.pointer.iter().map(|pointer| &pointer.candidate);
            live.map(|live| keys::image(&live.repository, &live.digest))
                .collect()
        }
        Intent::PushAccepted(_)
        | Intent::BuildDue(_)
        | Intent::BuildStopDue { .. }
        | Intent::ImageDue { .. }
        | Intent::IndexDue(_)
        | Intent::BuildRetryDue { .. }
        | Intent::BuildSuperseded { .. }
        | Intent::ImageRecorded { .. }
        | Intent::ImageReady { .. }
        | Intent::BuildStatusDue { .. }
        | Intent::StageStatusDue { .. }
        | Intent::StatusesDue { .. }
        | Intent::BuildWatchDue(_)
        | Intent::PromotionWatchDue { .. } => Vec::new(),
    }
}

/// The keys in an announcement.
pub(crate) fn announced_reads(event: &Envelope) -> impl Iterator<Item = Key> {
    let keys = Vec::<(String, String)>::deserialize(&event.detail["reads"]).unwrap_or_default();
    keys.into_iter()
        .take(MOST_READS)
        .map(|(partition, sort)| Key::new(partition, sort))
}

/// The items that an intent's handler reads first.
pub(crate) fn needed_for(intent: &Intent) -> Vec<Key> {
    match intent {
        Intent::BuildDue(of) | Intent::IndexDue(of) => vec![keys::run(&of.run)],
        Intent::ImageDue {
            of,
            repository,
            tag,
        } => vec![
            keys::run(&of.run),
            keys::claim(repository),
            keys::tag(repository, tag),
            keys::expected(repository, tag),
        ],
        Intent::BuildRetryDue { run, .. } => vec![keys::run(run)],
        Intent::ImageRecorded { of, .. } => vec![keys::run(&of.run)],
        Intent::BuildSuperseded { run, .. } | Intent::BuildStatusDue { run, .. } => {
            vec![keys::run(run)]
        }
        Intent::ImageReady { stage, .. } | Intent::PromotionDue { stage, .. } => needed(stage),
        Intent::DeployDue { stage, .. } => {
            vec![
                keys::stage(stage),
                keys::repository(stage.repository),
                keys::trusted_definition(stage.repository),
            ]
        }
        Intent::StageStatusDue { stage, .. } => vec![
            keys::stage(stage),
            keys::trusted_definition(stage.repository),
        ],
        Intent::StatusesDue { reports } => reports.iter().flat_map(needed_for).collect(),
        // Planning itself says what it wants.
        Intent::PushAccepted(_)
        | Intent::BuildStopDue { .. }
        | Intent::BuildWatchDue(_)
        | Intent::PromotionWatchDue { .. } => Vec::new(),
    }
}

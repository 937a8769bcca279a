//! The `stages` of a definition.

use std::str::FromStr as _;

use towline_domain::definition::{Concurrency, Origin, Promote, StageRule};
use towline_domain::names::{StageName, Tag};

use super::gates::Parameter;
use super::reader::{Place, Report};
use super::{gates, keys, limits, words};

/// A stage, and the places of its parts.
#[derive(Debug)]
pub(super) struct ReadStage<'a> {
    /// The stage.
    pub(super) rule: StageRule,
    /// The place of its name.
    pub(super) name: Place<'a>,
    /// The place of its origin.
    pub(super) from: Place<'a>,
    /// The place of each of its tags; the default tag has the place of the name.
    pub(super) tags: Vec<(Tag, Place<'a>)>,
    /// The place of each parameter of its deployment.
    pub(super) parameters: Vec<Parameter<'a>>,
}

pub(super) fn read<'a>(report: &mut Report, place: &Place<'a>) -> Vec<ReadStage<'a>> {
    let items = report.items(place);
    if items.len() > limits::STAGES {
        let message = format!(
            "{} stages exceed the limit of {}",
            items.len(),
            limits::STAGES
        );
        report.error(place, message);
        return Vec::new();
    }
    items
        .into_iter()
        .filter_map(|item| stage(report, &named(item)))
        .collect()
}

/// Uses a stage's name instead of its number in the path, if it has one.
fn named(item: Place<'_>) -> Place<'_> {
    let name = item.node.get("name").and_then(|name| name.as_str());
    match name.map(StageName::from_str) {
        Some(Ok(name)) => Place {
            path: format!("stages.{name}"),
            ..item
        },
        Some(Err(_)) | None => item,
    }
}

fn stage<'a>(report: &mut Report, place: &Place<'a>) -> Option<ReadStage<'a>> {
    let fields = report.fields(place, keys::Stage::KEYS)?;
    let name_place = report.required(&fields, "name", "name it, as in `name: staging`");
    let name: Option<StageName> = name_place.as_ref().and_then(|place| report.parsed(place));
    let hint = "write `from: build`, or the stage its images come from";
    let from_place = report.required(&fields, "from", hint);
    let from = from_place.as_ref().and_then(|place| origin(report, place));
    let promote = fields
        .get("promote")
        .and_then(|place| report.choice(&place, words::PROMOTE));
    let concurrency = fields
        .get("concurrency")
        .and_then(|place| report.choice(&place, words::CONCURRENCY));
    let approval = fields
        .get("gates")
        .and_then(|place| gates::read(report, name.as_ref(), &place));
    let (deploy, parameters) = gates::surroundings(report, name.as_ref(), &fields);
    let hold_after_rollback = fields
        .get("rollback")
        .is_none_or(|place| gates::rollback(report, name.as_ref(), &place));
    let drift = fields
        .get("drift")
        .and_then(|place| report.choice(&place, words::DRIFT));
    let written = fields.get("tag").map(|place| tags(report, &place));
    let name_place = name_place?;
    let name = name?;
    let tags = match written {
        Some(tags) => tags,
        None => vec![(
            Tag::from_str(name.as_str()).expect("a stage's name is a tag"),
            name_place.clone(),
        )],
    };
    Some(ReadStage {
        rule: StageRule {
            name,
            from: from?,
            promote: promote.unwrap_or(Promote::Auto),
            concurrency: concurrency.unwrap_or(Concurrency::Queue),
            approval,
            tags: tags.iter().map(|(tag, _)| tag.clone()).collect(),
            hold_after_rollback,
            drift: drift.unwrap_or_default(),
            deploy,
            parameters: parameters.iter().map(|(pair, _)| pair.clone()).collect(),
        },
        name: name_place,
        from: from_place?,
        tags,
        parameters,
    })
}

fn origin(report: &mut Report, place: &Place<'_>) -> Option<Origin> {
    if place.node.as_str() == Some("build") {
        return Some(Origin::Build);
    }
    report.parsed(place).map(Origin::Stage)
}

fn tags<'a>(report: &mut Report, place: &Place<'a>) -> Vec<(Tag, Place<'a>)> {
    let items = report.one_or_more(place);
    if place.node.as_sequence() == Some(&[]) {
        report.error(place, "list at least one tag, or remove `tag`");
    }
    if items.len() > limits::STAGE_TAGS {
        report.error(
            place,
            format!(
                "{} tags exceed the limit of {}",
                items.len(),
                limits::STAGE_TAGS
            ),
        );
    }
    let mut tags: Vec<(Tag, Place<'a>)> = Vec::new();
    for item in items {
        if let Some(tag) = report.parsed(&item) {
            tags.push((tag, item));
        }
    }
    tags
}

//! Checks a definition as a whole: nothing is used twice, and every stage leads back to a build.

use std::collections::BTreeMap;

use towline_domain::definition::{Build, LAYER_CACHES, Origin, StageRule};
use towline_domain::names::{StageName, Tag};
use towline_domain::outputs::{self, OutputError, Outputs};

use super::build;
use super::components::ReadComponent;
use super::limits::{OUTPUTS_OF_A_RUN, TAKERS};
use super::reader::{Report, unknown};
use super::stages::ReadStage;

/// No two components may push to one repository, because their tags would collide. None may push to the
/// repositories from which builds of the default branch read layers (A30).
pub(super) fn components(report: &mut Report, components: &[ReadComponent<'_>]) {
    for (index, read) in components.iter().enumerate() {
        let same = |earlier: &&ReadComponent<'_>| {
            earlier.component.repository == read.component.repository
        };
        if let Some(earlier) = components[..index].iter().find(same) {
            let message = format!(
                "repository {} already belongs to component {}; each component needs its own",
                read.component.repository, earlier.component.name
            );
            report.error(&read.repository, message);
        }
        if read.component.repository.as_str().starts_with(LAYER_CACHES) {
            let message = format!(
                "repository {} is reserved for image layers; choose a name that does not start with {LAYER_CACHES}",
                read.component.repository
            );
            report.error(&read.repository, message);
        }
    }
}

/// No tag may belong to two stages, or to a stage and a build (A26).
pub(super) fn tags(
    report: &mut Report,
    components: &[ReadComponent<'_>],
    stages: &[ReadStage<'_>],
) {
    let mut taken: BTreeMap<&Tag, &StageName> = BTreeMap::new();
    for stage in stages {
        for (tag, place) in &stage.tags {
            if let Some(other) = taken.insert(tag, &stage.rule.name) {
                let message = format!("tag {tag} already belongs to stage {other}");
                report.error(place, message);
            }
        }
    }
    for component in components {
        let Some(place) = &component.tags else {
            continue;
        };
        for item in report.one_or_more(place) {
            let template = item.node.as_str().unwrap_or_default();
            let text = component
                .component
                .build
                .env
                .iter()
                .fold(template.to_owned(), |text, (name, value)| {
                    text.replace(&format!("{{env.{name}}}"), value)
                });
            let stage = text.parse::<Tag>().ok().and_then(|tag| taken.get(&tag));
            if let Some(stage) = stage {
                let message =
                    format!("tag {text} belongs to stage {stage}; only a promotion may move it");
                report.error(&item, message);
            }
        }
    }
}

/// The outputs of a run must not exceed the limit.
pub(super) fn outputs(report: &mut Report, components: &[ReadComponent<'_>]) {
    let mut count = 0;
    for read in components {
        let build = &read.component.build;
        count += build.outputs.len() * build.platforms.len();
        if count > OUTPUTS_OF_A_RUN {
            let message = format!(
                "the builds up to this component have {count} outputs, counted once per platform; the limit is {OUTPUTS_OF_A_RUN}"
            );
            report.error(&read.repository, message);
            return;
        }
    }
}

/// Every placeholder in a deployment's parameters must have a source.
pub(super) fn parameters(
    report: &mut Report,
    components: &[ReadComponent<'_>],
    stages: &[ReadStage<'_>],
) {
    let builds: Vec<&Build> = components
        .iter()
        .map(|read| &read.component.build)
        .collect();
    let outputs = builds.iter().flat_map(|build| &build.outputs);
    let known: Vec<&str> = outputs.map(|path| outputs::name_of(path)).collect();
    for ((name, value), place) in stages.iter().flat_map(|stage| &stage.parameters) {
        let written = [(name.clone(), value.clone())];
        let wanted = outputs::wanted(&written);
        if let Some(unknown) = wanted.iter().find(|wanted| !known.contains(*wanted)) {
            let message = format!(
                "no component has an output {unknown:?}; list its file under `outputs` of a build"
            );
            report.error(place, message);
            continue;
        }
        let broken = builds.iter().find_map(|build| {
            build::with_longest_values(|values| {
                match outputs::parameters(&written, build, values, &Outputs::new()) {
                    Err(OutputError::Placeholder { error }) => Some(error.to_string()),
                    Ok(_) | Err(_) => None,
                }
            })
        });
        if let Some(message) = broken {
            report.error(place, message);
        }
    }
}

/// The stages, each after the one it takes from; otherwise in the order written.
pub(super) fn in_order(report: &mut Report, stages: Vec<ReadStage<'_>>) -> Vec<StageRule> {
    refuse_twice(report, &stages);
    let known = refuse_unknown_origins(report, &stages);
    refuse_crowds(report, &stages);
    let mut waiting = stages;
    let mut ordered: Vec<StageRule> = Vec::new();
    while let Some(position) = waiting.iter().position(|stage| is_ready(stage, &ordered)) {
        ordered.push(waiting.remove(position).rule);
    }
    for stage in waiting.iter().filter(|_| known) {
        let message =
            "this leads into a cycle and never to a build; start one stage with `from: build`";
        report.error(&stage.from, message);
    }
    ordered
}

fn is_ready(stage: &ReadStage<'_>, ordered: &[StageRule]) -> bool {
    match &stage.rule.from {
        Origin::Build => true,
        Origin::Stage(name) => ordered.iter().any(|earlier| earlier.name == *name),
    }
}

fn refuse_twice(report: &mut Report, stages: &[ReadStage<'_>]) {
    for (index, stage) in stages.iter().enumerate() {
        let name = &stage.rule.name;
        if stages[..index]
            .iter()
            .any(|earlier| earlier.rule.name == *name)
        {
            report.error(&stage.name, format!("stage {name} is defined twice"));
        }
    }
}

fn refuse_crowds(report: &mut Report, stages: &[ReadStage<'_>]) {
    for (index, stage) in stages.iter().enumerate() {
        let earlier = stages[..index]
            .iter()
            .filter(|earlier| earlier.rule.from == stage.rule.from);
        if earlier.count() == TAKERS {
            let message =
                format!("more than {TAKERS} stages take images from here; put a stage in between");
            report.error(&stage.from, message);
        }
    }
}

/// Refuses unknown origins; returns whether all are known.
fn refuse_unknown_origins(report: &mut Report, stages: &[ReadStage<'_>]) -> bool {
    let names = stages.iter().map(|stage| stage.rule.name.as_str());
    let known: Vec<&str> = std::iter::once("build").chain(names).collect();
    let mut all_known = true;
    for stage in stages {
        if let Origin::Stage(name) = &stage.rule.from
            && !known.contains(&name.as_str())
        {
            all_known = false;
            report.error(&stage.from, unknown("stage", name.as_str(), &known));
        }
    }
    all_known
}

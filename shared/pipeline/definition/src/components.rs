//! The `components` of a definition.

use towline_domain::definition::{Build, Component};
use towline_domain::names::ComponentName;

use super::reader::{Place, Report};
use super::{build, keys, limits};

/// A component, and the places of its repository and tags.
#[derive(Debug)]
pub(super) struct ReadComponent<'a> {
    /// The component.
    pub(super) component: Component,
    /// The repository it names.
    pub(super) repository: Place<'a>,
    /// The tags as written; none for the default.
    pub(super) tags: Option<Place<'a>>,
}

pub(super) fn read<'a>(report: &mut Report, place: &Place<'a>) -> Vec<ReadComponent<'a>> {
    let entries = report.entries(place);
    if entries.is_empty() && place.node.as_mapping().is_some() {
        report.error(place, "define at least one component");
    }
    if entries.len() > limits::COMPONENTS {
        let message = format!(
            "{} components exceed the limit of {}; split the pipeline",
            entries.len(),
            limits::COMPONENTS
        );
        report.error(place, message);
        return Vec::new();
    }
    entries
        .into_iter()
        .filter_map(|(key, place)| {
            let name = key.key_text().parse().map_err(|error| {
                report.error_at(key.span, "components", format!("{error}"));
            });
            component(report, name.ok(), &place)
        })
        .collect()
}

fn component<'a>(
    report: &mut Report,
    name: Option<ComponentName>,
    place: &Place<'a>,
) -> Option<ReadComponent<'a>> {
    let fields = report.fields(place, keys::Component::KEYS)?;
    let hint = "name the ECR repository its image goes to";
    let written = report.required(&fields, "repository", hint);
    let repository = written.as_ref().and_then(|place| report.parsed(place));
    let paths = report.globs(&fields, "paths");
    let watch = report.globs(&fields, "watch");
    let ignore = report.globs(&fields, "ignore");
    let build = match fields.get("build") {
        Some(place) => build::read(report, &place),
        None => Some((Build::default(), None)),
    };
    let (build, tags) = build?;
    Some(ReadComponent {
        component: Component {
            name: name?,
            repository: repository?,
            paths,
            watch,
            ignore,
            build,
        },
        repository: written?,
        tags,
    })
}

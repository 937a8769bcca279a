//! CodeBuild's description of a build, in the form of its events.

use aws_sdk_codebuild::primitives::DateTime;
use aws_sdk_codebuild::types::{Build, BuildPhase, EnvironmentVariable, ProjectEnvironment};
use jiff::Timestamp;
use towline_domain::names::AttemptId;
use towline_domain::run::BuildReport;
use towline_wire::codebuild::{
    ATTEMPT_VARIABLE, OUTPUTS_VARIABLE, Phase, StateChange, Status, outputs,
};

/// The state of a build; none if it has no id or an unknown status.
pub(super) fn report(build: &Build) -> Option<BuildReport> {
    let word = build.build_status()?.as_str();
    let ended_at = build.end_time().and_then(time);
    let change = StateChange {
        id: String::new(),
        at: ended_at.unwrap_or_default(),
        account: String::new(),
        region: String::new(),
        build: build.id()?.parse().ok()?,
        status: Status::of(word),
        project: String::new(),
        commit: build
            .resolved_source_version()
            .and_then(|version| version.parse().ok()),
        started_at: build.start_time().and_then(time),
        environment: Vec::new(),
        phases: build.phases().iter().filter_map(phase).collect(),
    };
    let names = variable(build, OUTPUTS_VARIABLE).unwrap_or_default();
    Some(BuildReport {
        ended_at,
        outputs: outputs(names, &exported(build)),
        ..change.report()?
    })
}

/// The variables it has exported.
fn exported(build: &Build) -> Vec<(String, String)> {
    let exported = build.exported_environment_variables().iter();
    exported
        .filter_map(|variable| Some((variable.name()?.to_owned(), variable.value()?.to_owned())))
        .collect()
}

/// A variable of its environment, if it occurs once.
fn variable<'a>(build: &'a Build, name: &str) -> Option<&'a str> {
    let variables = build
        .environment()
        .map(ProjectEnvironment::environment_variables);
    let mut named = variables
        .unwrap_or_default()
        .iter()
        .filter(|variable| variable.name() == name);
    let value = named.next().map(EnvironmentVariable::value);
    value.filter(|_| named.next().is_none())
}

/// Whether a build was started for this attempt: its environment names it, once.
pub(super) fn is_of(build: &Build, attempt: &AttemptId) -> bool {
    variable(build, ATTEMPT_VARIABLE) == Some(attempt.as_str())
}

fn phase(phase: &BuildPhase) -> Option<Phase> {
    let contexts = phase.contexts().iter().filter_map(|context| {
        let said = [context.status_code(), context.message()];
        let said: Vec<&str> = said
            .into_iter()
            .flatten()
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .collect();
        (!said.is_empty()).then(|| said.join(": "))
    });
    Some(Phase {
        name: phase.phase_type()?.as_str().to_owned(),
        status: phase
            .phase_status()
            .map(|status| status.as_str().to_owned()),
        started_at: phase.start_time().and_then(time),
        ended_at: phase.end_time().and_then(time),
        context: contexts.collect(),
    })
}

fn time(at: &DateTime) -> Option<Timestamp> {
    Timestamp::from_nanosecond(at.as_nanos()).ok()
}

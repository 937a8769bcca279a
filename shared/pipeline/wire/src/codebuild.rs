//! CodeBuild's event `CodeBuild Build State Change`: a build has started or ended.

mod compose;
mod gave_way;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::Value;
use towline_buildspec::generate::output_variable;
use towline_domain::Timestamp;
use towline_domain::intent::AttemptRef;
use towline_domain::names::{BuildId, CommitSha};
use towline_domain::outputs::Outputs;
use towline_domain::run::{BuildReport, BuildStatus};

pub use compose::event;
pub use gave_way::{GAVE_WAY, gave_way};

use crate::eventbridge::Envelope;
use crate::lenient::{ShapeError, at, needed_text, parse, text};
use crate::time;

/// The source of CodeBuild's events.
pub const SOURCE: &str = "aws.codebuild";

/// The detail-type of a build that has started or ended.
pub const DETAIL_TYPE: &str = "CodeBuild Build State Change";

/// Names the run in a build's environment.
pub const RUN_VARIABLE: &str = "TOWLINE_RUN";

/// Names the component in a build's environment.
pub const COMPONENT_VARIABLE: &str = "TOWLINE_COMPONENT";

/// Names the attempt in a build's environment.
pub const ATTEMPT_VARIABLE: &str = "TOWLINE_ATTEMPT";

/// Names the GitHub repository in a build's environment, by id.
pub const REPOSITORY_VARIABLE: &str = "TOWLINE_REPOSITORY";

/// Names the ref in a build's environment, in full.
pub const REF_VARIABLE: &str = "GIT_REF";

/// The variable with the stages that take images from builds, as known when the run was planned,
/// separated by spaces.
pub const STAGES_VARIABLE: &str = "TOWLINE_STAGES";

/// The variable with the outputs of a build, separated by spaces.
pub const OUTPUTS_VARIABLE: &str = "TOWLINE_OUTPUTS";

/// The host of the registry that a build pushes to.
pub const REGISTRY_VARIABLE: &str = "ECR_REGISTRY";

/// The code of a phase that ended because Towline stopped or was restarted. CodeBuild has no such
/// code.
pub const INTERRUPTED: &str = "TOWLINE_RESTARTED";

/// A build's outputs from its exported variables, in the order of their names. Only `BatchGetBuilds` returns
/// them, not the event.
#[must_use]
pub fn outputs(names: &str, exported: &[(String, String)]) -> Outputs {
    let names = names.split(' ').filter(|name| !name.is_empty());
    names
        .enumerate()
        .filter_map(|(index, name)| {
            let variable = output_variable(index);
            let (_, value) = exported.iter().find(|(known, _)| *known == variable)?;
            Some((name.to_owned(), value.clone()))
        })
        .collect()
}

/// A build has started or ended.
///
/// Only the build, its status and its project are required: AWS's own examples lack keys that its schema
/// registry calls required.
#[derive(Debug, Clone, PartialEq)]
pub struct StateChange {
    pub id: String,
    /// When it was sent; for a final status, when the build ended.
    pub at: Timestamp,
    pub account: String,
    pub region: String,
    pub build: BuildId,
    pub status: Status,
    pub project: String,
    /// The requested commit, if it is a full hash.
    pub commit: Option<CommitSha>,
    /// When the build started, if given.
    pub started_at: Option<Timestamp>,
    /// Its environment variables in plain text.
    pub environment: Vec<(String, String)>,
    /// Its phases so far.
    pub phases: Vec<Phase>,
}

/// The status of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    Known(BuildStatus),
    /// An unknown status, by CodeBuild's name; it has no effect.
    Unknown(String),
}

impl Status {
    /// The status with this name.
    #[must_use]
    pub fn of(word: &str) -> Self {
        let known = [
            BuildStatus::InProgress,
            BuildStatus::Succeeded,
            BuildStatus::Failed,
            BuildStatus::Fault,
            BuildStatus::Stopped,
            BuildStatus::TimedOut,
        ];
        let known = known.into_iter().find(|status| status.word() == word);
        known.map_or_else(|| Self::Unknown(word.to_owned()), Self::Known)
    }
}

/// One phase of a build.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    /// Its name, such as `PRE_BUILD`.
    pub name: String,
    /// How it ended; none while it runs.
    pub status: Option<String>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// Its messages.
    pub context: Vec<String>,
}

/// Reads a state change.
///
/// # Errors
/// When the event is another one, or lacks the build, project or status.
pub fn decode(envelope: &Envelope) -> Result<StateChange, ShapeError> {
    if (envelope.source.as_str(), envelope.detail_type.as_str()) != (SOURCE, DETAIL_TYPE) {
        return Err(ShapeError::Value {
            path: "detail-type",
            reason: format!("it is not {DETAIL_TYPE:?} of {SOURCE}"),
        });
    }
    let detail = &envelope.detail;
    let word = needed_text(detail, "build-status")?;
    Ok(StateChange {
        id: envelope.id.clone(),
        at: envelope.time,
        account: envelope.account.clone(),
        region: envelope.region.clone(),
        build: build_id(needed_text(detail, "build-id")?)?,
        status: Status::of(word),
        project: needed_text(detail, "project-name")?.to_owned(),
        commit: at(detail, "additional-information.source-version")
            .and_then(Value::as_str)
            .and_then(|version| version.parse().ok()),
        started_at: at(detail, "additional-information.build-start-time").and_then(time::any),
        environment: environment(detail),
        phases: list(detail, "additional-information.phases")
            .filter_map(phase)
            .collect(),
    })
}

impl StateChange {
    /// The attempt it was started for, if its environment names exactly one.
    #[must_use]
    pub fn attempt(&self) -> Option<AttemptRef> {
        Some(AttemptRef {
            run: self.variable(RUN_VARIABLE)?.parse().ok()?,
            component: self.variable(COMPONENT_VARIABLE)?.parse().ok()?,
            attempt: self.variable(ATTEMPT_VARIABLE)?.parse().ok()?,
        })
    }

    /// A parsed variable of its environment; none if it is repeated or invalid.
    #[must_use]
    pub fn read<T: FromStr>(&self, name: &str) -> Option<T> {
        self.variable(name)?.parse().ok()
    }

    /// The report about the build; none if its status is unknown.
    #[must_use]
    pub fn report(&self) -> Option<BuildReport> {
        let status = match self.status {
            Status::Known(status) => status,
            Status::Unknown(_) => return None,
        };
        Some(BuildReport {
            build: self.build.clone(),
            status,
            commit: self.commit.clone(),
            started_at: self.started_at,
            ended_at: (status != BuildStatus::InProgress).then_some(self.at),
            reason: self.reason(),
            interrupted: status == BuildStatus::Fault && self.was_interrupted(),
            outputs: BTreeMap::new(),
            gave_way: self.phases.iter().find_map(gave_way::of),
        })
    }

    /// Whether a phase ended with the code of an interruption. A command's own messages come after
    /// another code.
    fn was_interrupted(&self) -> bool {
        let mut said = self.phases.iter().flat_map(|phase| &phase.context);
        let is_one = |said: &str| said.split(':').next() == Some(INTERRUPTED);
        said.any(|said| is_one(said))
    }

    /// The messages of the first phase that failed.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        let failed = self.phases.iter().find(|phase| {
            let status = phase.status.as_deref().unwrap_or("SUCCEEDED");
            status != "SUCCEEDED" && status != "IN_PROGRESS"
        })?;
        let said: Vec<&str> = failed.context.iter().map(String::as_str).collect();
        Some(if said.is_empty() {
            format!("{} did not succeed", failed.name)
        } else {
            format!("{}: {}", failed.name, said.join("; "))
        })
    }

    fn variable(&self, name: &str) -> Option<&str> {
        let mut values = self.environment.iter().filter(|(known, _)| known == name);
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }
}

/// The id in `arn:aws:codebuild:region:account:build/project:uuid`. The event's `build-id` is the
/// ARN; `StartBuild` answers with the id.
fn build_id(arn: &str) -> Result<BuildId, ShapeError> {
    let id = arn
        .strip_prefix("arn:")
        .and_then(|rest| rest.split_once(":build/"));
    let Some((_, id)) = id else {
        return Err(ShapeError::Field {
            path: "build-id",
            expected: "the ARN of a build",
        });
    };
    parse(id, "build-id")
}

fn environment(detail: &Value) -> Vec<(String, String)> {
    let path = "additional-information.environment.environment-variables";
    list(detail, path)
        .filter(|variable| text(variable, "type").is_none_or(|kind| kind == "PLAINTEXT"))
        .filter_map(|variable| {
            let name = text(variable, "name")?;
            Some((name.to_owned(), text(variable, "value")?.to_owned()))
        })
        .collect()
}

fn phase(phase: &Value) -> Option<Phase> {
    Some(Phase {
        name: text(phase, "phase-type")?.to_owned(),
        status: text(phase, "phase-status").map(str::to_owned),
        started_at: at(phase, "start-time").and_then(time::any),
        ended_at: at(phase, "end-time").and_then(time::any),
        context: list(phase, "phase-context")
            .filter_map(Value::as_str)
            .map(|said| said.trim().trim_end_matches(':').to_owned())
            .filter(|said| !said.is_empty())
            .collect(),
    })
}

fn list<'a>(value: &'a Value, path: &'static str) -> impl Iterator<Item = &'a Value> {
    at(value, path)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

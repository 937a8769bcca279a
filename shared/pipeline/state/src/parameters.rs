//! What a deployment is handed besides the image: the stage's parameters, filled in by the build that made it.

use towline_domain::definition::StageRule;
use towline_domain::names::ComponentName;
use towline_domain::outputs;
use towline_domain::run::Run;
use towline_domain::stage::Candidate;
use towline_domain::tags::Values;

use crate::keys;
use crate::read::HandlerError;
use crate::reads::Reads;

/// The parameters, or why they cannot be had; that another definition or build may change.
pub async fn of(
    reads: &mut Reads<'_>,
    rule: &StageRule,
    component: &ComponentName,
    candidate: &Candidate,
) -> Result<Result<Vec<(String, String)>, String>, HandlerError> {
    if rule.parameters.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    let unknown = || {
        let (build, stage) = (candidate.build_number, &rule.name);
        format!(
            "build#{build} is not known any more, which the parameters of {stage} are read from"
        )
    };
    let Some(run) = reads.read::<Run>(&keys::run(&candidate.run)).await? else {
        return Ok(Err(unknown()));
    };
    let run = run.value;
    let definition = reads.definition(&run).await?;
    let build = definition
        .as_ref()
        .and_then(|definition| definition.component(component))
        .map(|component| &component.build);
    let attempts = run.components.get(component).map(|known| &known.attempts);
    let attempt = attempts
        .into_iter()
        .flatten()
        .find(|attempt| attempt.build_number == candidate.build_number);
    let (Some(build), Some(attempt)) = (build, attempt) else {
        return Ok(Err(unknown()));
    };
    let values = Values {
        commit: &candidate.commit,
        git_ref: &candidate.git_ref,
        build_number: attempt.build_number,
        attempt: &attempt.id,
    };
    let parameters = outputs::parameters(&rule.parameters, build, values, &attempt.outputs);
    Ok(parameters.map_err(|error| format!("the parameters of {}: {error}", rule.name)))
}

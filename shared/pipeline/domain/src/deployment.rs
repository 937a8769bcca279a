//! The parameters of a deployment: the stage's, filled in from the build that made the image.

use crate::definition::{Definition, StageRule};
use crate::image::Candidate;
use crate::names::ComponentName;
use crate::outputs::{self, NoParameters};
use crate::run::Run;
use crate::tags::Values;

/// The run that built the image, with the definition it follows.
pub type BuiltBy<'a> = Option<(&'a Run, &'a Definition)>;

/// The parameters, filled in.
///
/// # Errors
/// If a parameter has no value. Another definition or another build may provide it.
pub fn parameters(
    rule: &StageRule,
    component: &ComponentName,
    candidate: &Candidate,
    built_by: BuiltBy<'_>,
) -> Result<Vec<(String, String)>, NoParameters> {
    if rule.parameters.is_empty() {
        return Ok(Vec::new());
    }
    let number = candidate.build_number;
    let unknown = NoParameters::Build { build: number };
    let Some((run, definition)) = built_by else {
        return Err(unknown);
    };
    let ruled = definition.component(component);
    let attempts = run.components.get(component).map(|known| &known.attempts);
    let mut attempts = attempts.into_iter().flatten();
    let attempt = attempts.find(|attempt| attempt.build_number == number);
    let (Some(ruled), Some(attempt)) = (ruled, attempt) else {
        return Err(unknown);
    };
    let values = Values {
        commit: &candidate.commit,
        git_ref: &candidate.git_ref,
        build_number: number,
        attempt: &attempt.id,
    };
    outputs::parameters(&rule.parameters, &ruled.build, values, &attempt.outputs)
        .map_err(|error| NoParameters::Output { error })
}

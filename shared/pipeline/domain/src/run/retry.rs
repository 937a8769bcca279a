//! Decides whether a component of a run can have another attempt, and prepares it.

use super::{Attempt, Fact, NewAttempt, NotRetried, Run};
use crate::definition::Definition;
use crate::names::ComponentName;
use crate::person::Person;
use crate::tags::Values;

/// The fact that requests an attempt after attempt `after`, with this build number. `own` is the
/// run's definition, `trusted` the one that applies to the stages: a build may not push the tag of
/// a stage in either.
///
/// `own` is the definition the run follows, `trusted` the one that rules the stages: a build may push the
/// tag of no stage of either.
///
/// # Errors
/// When there can be no such attempt.
pub fn another_attempt(
    run: &Run,
    (own, trusted): (Option<&Definition>, Option<&Definition>),
    (component, after): (&ComponentName, u32),
    by: Option<Person>,
    build_number: u64,
) -> Result<Fact, NotRetried> {
    let own = own.ok_or_else(|| NotRetried::NoDefinition {
        run: run.id.clone(),
    })?;
    let ruled = own
        .component(component)
        .ok_or_else(|| NotRetried::NotBuilt {
            component: component.clone(),
            run: run.id.clone(),
        })?;
    let attempt = Attempt::id(&run.id, component, after + 1);
    let values = Values {
        commit: &run.key.commit,
        git_ref: &run.key.git_ref,
        build_number,
        attempt: &attempt,
    };
    let definitions: Vec<&Definition> = trusted.into_iter().chain([own]).collect();
    let next = NewAttempt::of(&ruled.build, values, &definitions)
        .map_err(|error| NotRetried::Tags { error })?;
    Ok(Fact::RetryRequested {
        component: component.clone(),
        after,
        by,
        next: Box::new(next),
    })
}

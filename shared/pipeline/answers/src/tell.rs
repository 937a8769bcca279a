//! Carries out people's commands: checks them, decides by the same rules as for everything else, and
//! records them.

use towline_domain::intent::AttemptRef;
use towline_domain::names::{ComponentName, RepositoryName, StageName};
use towline_domain::person::Person;
use towline_domain::rights::{Lacking, Right};
use towline_domain::run::{self, ComponentRun, Run};
use towline_domain::stage::Fact;
use towline_state::apply::{to_run, to_stage};
use towline_state::retry::{Retry, another_attempt};
use towline_state::{Context, Reads};

use super::answers::Answer;
use super::command::{Hold, OfBuild, Resume};
use super::given::{required, taken};
use super::sight::Sight;
use super::{ChatError, Command, claims, lookup, promotions};

/// Carries out a command of `person`, or says why not. For this person, things they may not see do not
/// exist.
///
/// # Errors
/// When it is not allowed, not possible or ambiguous, or the store does not answer. A denial is in
/// the ledger before it is said (A35).
pub async fn tell(
    context: Context<'_>,
    person: &Person,
    command: Command,
) -> Result<Answer, ChatError> {
    let sight = Sight::of(context, person).await?;
    let context = sight.context();
    match command {
        Command::Promote(command) => promotions::promote(context, person, command).await,
        Command::Approve(command) => promotions::approve(context, person, command).await,
        Command::Reject(command) => promotions::reject(context, person, command).await,
        Command::Rollback(command) => promotions::roll_back(context, person, command).await,
        Command::Hold(command) => hold(context, person, command).await,
        Command::Resume(command) => resume(context, person, command).await,
        Command::Cancel(command) => cancel(context, person, command).await,
        Command::Retry(command) => retry(context, person, command).await,
        Command::Release(command) => claims::release(context, person, command).await,
    }
}

async fn hold(context: Context<'_>, person: &Person, command: Hold) -> Result<Answer, ChatError> {
    let Hold {
        component, stage, ..
    } = command;
    let fact = Fact::HoldRequested {
        by: person.clone(),
        reason: required(command.reason)?,
    };
    let repository = command.repository.as_ref();
    to_defined_stage(context, &component, &stage, repository, &fact).await?;
    Ok(Answer::done(format!(
        "automatic promotions of {component} to {stage} are paused; to resume them, run: towline resume {component} {stage}"
    )))
}

async fn resume(
    context: Context<'_>,
    person: &Person,
    command: Resume,
) -> Result<Answer, ChatError> {
    let Resume {
        component, stage, ..
    } = command;
    let fact = Fact::ResumeRequested { by: person.clone() };
    let repository = command.repository.as_ref();
    to_defined_stage(context, &component, &stage, repository, &fact).await?;
    Ok(Answer::done(format!(
        "automatic promotions of {component} to {stage} are resumed"
    )))
}

/// Applies a fact to the named stage, if the definition has it.
async fn to_defined_stage(
    context: Context<'_>,
    component: &ComponentName,
    stage: &StageName,
    repository: Option<&RepositoryName>,
    fact: &Fact,
) -> Result<(), ChatError> {
    let found = lookup::component(context, component, repository).await?;
    let (key, _) = found.stage(stage)?;
    taken(to_stage(context, &key, fact, None).await?)?;
    Ok(())
}

async fn cancel(
    context: Context<'_>,
    person: &Person,
    command: OfBuild,
) -> Result<Answer, ChatError> {
    let number = command.build;
    let (of, run) = lookup::build(context, number, command.repository.as_ref()).await?;
    let fact = match lacks_operate(context, person, &run).await? {
        None => run::Fact::CancelRequested {
            component: of.component.clone(),
            build: number,
            by: person.clone(),
        },
        Some(lacking) => run::Fact::Denied {
            component: of.component.clone(),
            build: number,
            by: person.clone(),
            request: run::Request::Cancel,
            reason: run::Refusal::Lacks(lacking),
        },
    };
    taken(to_run(context, &of.run, &fact, None).await?)?;
    Ok(Answer::done_to_build(
        format!("build#{number} is cancelled"),
        number,
    ))
}

/// The right that a person lacks to operate builds of the run's repository.
async fn lacks_operate(
    context: Context<'_>,
    person: &Person,
    run: &Run,
) -> Result<Option<Lacking>, ChatError> {
    let definition = Reads::from(context).trusted(run.key.repository).await?;
    // Before there is a definition, those of one that names none.
    let rights = definition.map(|known| known.rights).unwrap_or_default();
    Ok(rights.lacks(person, Right::Operate))
}

async fn retry(
    context: Context<'_>,
    person: &Person,
    command: OfBuild,
) -> Result<Answer, ChatError> {
    let number = command.build;
    let (of, run) = lookup::build(context, number, command.repository.as_ref()).await?;
    let fact = again(context, person, (&of, &run), number).await?;
    let after = taken(to_run(context, &of.run, &fact, None).await?)?;
    let built = after.components.get(&of.component);
    let next = built.map_or(number, |component| component.latest().build_number);
    Ok(Answer::done_to_build(
        format!(
            "build#{next} of {} is due; it repeats build#{number}",
            of.component
        ),
        next,
    ))
}

/// The fact that repeats a build, or that denies it.
async fn again(
    context: Context<'_>,
    person: &Person,
    (of, run): (&AttemptRef, &Run),
    number: u64,
) -> Result<run::Fact, ChatError> {
    let denied = |reason| run::Fact::Denied {
        component: of.component.clone(),
        build: number,
        by: person.clone(),
        request: run::Request::Retry,
        reason,
    };
    if let Some(lacking) = lacks_operate(context, person, run).await? {
        return Ok(denied(run::Refusal::Lacks(lacking)));
    }
    let built = run.components.get(&of.component);
    let after = match built.map(ComponentRun::latest) {
        Some(latest) if latest.build_number == number => latest.number,
        Some(latest) => {
            let (build, newest) = (number, latest.build_number);
            return Ok(denied(run::Refusal::FollowedBy { build, newest }));
        }
        None => {
            let (component, run) = (of.component.clone(), of.run.clone());
            return Ok(denied(run::Refusal::NotBuilt { component, run }));
        }
    };
    let mut reads = Reads::from(context);
    let by = Some(person.clone());
    let next = another_attempt(&mut reads, &of.run, &of.component, after, by).await?;
    Ok(match next {
        Retry::Asked(fact) => fact,
        Retry::Refused(because) => denied(run::Refusal::NotRetried { because }),
    })
}

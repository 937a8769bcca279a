//! Carries out people's commands: checked, decided by the same rules as everything else, recorded.

use towline_domain::intent::AttemptRef;
use towline_domain::names::{ComponentName, RepositoryName, StageName};
use towline_domain::person::{Actor, Person};
use towline_domain::run::{self, Run};
use towline_domain::stage::Fact;
use towline_state::apply::{to_run, to_stage};
use towline_state::retry::{Retry, another_attempt};
use towline_state::{Context, Reads};

use super::answers::Answer;
use super::command::{Hold, OfBuild, Resume};
use super::given::{required, taken};
use super::{ChatError, Command, Refusal, Thing, lookup, promotions, refused};

/// Carries out a command of `person`, or says why not.
///
/// # Errors
/// When it is not allowed, not possible or ambiguous, or the store does not answer. A denial is in
/// the ledger before it is said (A35).
pub async fn tell(
    context: Context<'_>,
    person: &Person,
    command: Command,
) -> Result<Answer, ChatError> {
    match command {
        Command::Promote(command) => promotions::promote(context, person, command).await,
        Command::Approve(command) => promotions::approve(context, person, command).await,
        Command::Reject(command) => promotions::reject(context, person, command).await,
        Command::Rollback(command) => promotions::roll_back(context, person, command).await,
        Command::Hold(command) => hold(context, person, command).await,
        Command::Resume(command) => resume(context, person, command).await,
        Command::Cancel(command) => cancel(context, person, command).await,
        Command::Retry(command) => retry(context, person, command).await,
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
    latest_of(&run, &of, number)?;
    let fact = run::Fact::CancelRequested(of.component.clone(), Actor::from(person));
    taken(to_run(context, &of.run, &fact, None).await?)?;
    Ok(Answer::done_to_build(
        format!("build#{number} is cancelled"),
        number,
    ))
}

/// The attempt of that number, if it is the latest.
fn latest_of<'a>(run: &'a Run, of: &AttemptRef, number: u64) -> Result<&'a run::Attempt, Refusal> {
    let component = run.components.get(&of.component);
    match component.map(run::ComponentRun::latest) {
        Some(latest) if latest.build_number == number => Ok(latest),
        Some(latest) => Err(Refusal::FollowedBy {
            build: number,
            newest: latest.build_number,
        }),
        None => Err(Refusal::NotFound {
            thing: Thing::Build(number),
            repository: None,
        }),
    }
}

async fn retry(
    context: Context<'_>,
    person: &Person,
    command: OfBuild,
) -> Result<Answer, ChatError> {
    let number = command.build;
    let (of, run) = lookup::build(context, number, command.repository.as_ref()).await?;
    let latest = latest_of(&run, &of, number)?;
    let mut reads = Reads::from(context);
    let by = person.into();
    let next = another_attempt(&mut reads, &of.run, &of.component, latest.number, by).await?;
    let fact = match next {
        Retry::Asked(fact) => fact,
        Retry::Refused(why) => return refused(Refusal::Rule(why.to_string())),
    };
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

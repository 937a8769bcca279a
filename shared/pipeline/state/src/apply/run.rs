//! Applies facts to runs.

use towline_domain::explain;
use towline_domain::intent::AttemptRef;
use towline_domain::ledger;
use towline_domain::names::{RepositoryId, RunId};
use towline_domain::offer::{self, FollowUp, Known};
use towline_domain::person::Actor;
use towline_domain::report;
use towline_domain::run::{self, Attempt, Decision, Fact, Note, Refusal, Run, Said};

use super::Applied;
use super::stage::owe_offers;
use crate::change::Change;
use crate::content::HandlerError;
use crate::context::Rounds;
use crate::keys;
use crate::read::Read;
use crate::reads::Reads;
use crate::records::{Base, Branch, Repository};

/// Applies a fact to a run, commits the result, and marks `done` the intent that led here. Items
/// that were read already are not read again in the first round.
///
/// # Errors
/// When the store does not answer, or others kept changing the run.
pub async fn to_run<'a>(
    reads: impl Into<Reads<'a>>,
    id: &RunId,
    fact: &Fact,
    done: Option<&str>,
) -> Result<Applied<Run, Refusal>, HandlerError> {
    let mut reads = reads.into();
    let context = reads.context();
    let mut rounds = Rounds::default();
    loop {
        let mut change = Change::default();
        if let Some(done) = done {
            change.done(done);
        }
        let read = reads.read::<Run>(&keys::run(id)).await?;
        let told = match &read {
            Some(read) => Some(decide_run(&mut reads, read, fact, &mut change).await?),
            None => None,
        };
        if context.commit(change, &mut rounds).await? {
            let Some(told) = told else {
                return Ok(Applied::Refused(Refusal::NoRun { run: id.clone() }));
            };
            tell_of_run(&told);
            return Ok(match told.decision.refused {
                Some(why) => Applied::Refused(why),
                None => Applied::Taken(told.decision.run),
            });
        }
        reads.again().await?;
    }
}

/// A run after a fact.
pub struct Told {
    before: Run,
    decision: Decision,
}

/// Decides about one run and adds all consequences to the change.
///
/// # Errors
/// When the store does not answer.
pub async fn decide_run(
    reads: &mut Reads<'_>,
    read: &Read<Run>,
    fact: &Fact,
    change: &mut Change,
) -> Result<Told, HandlerError> {
    let before = read.value.clone();
    let mut decision = run::advance(before.clone(), fact, reads.context().now());
    for intent in std::mem::take(&mut decision.intents) {
        change.owe(intent);
    }
    if let Some(said) = decision.said.take() {
        record(reads, before.key.repository, said, change).await?;
    }
    if decision.changed {
        let follow = offer::follow_up(&before, &decision.run);
        enter(&follow, &decision.run, change);
        for of in &follow.built {
            if let Some(why) = offer_image(reads, &decision.run, of, change).await? {
                decision.run.notes.push(Note::NotOffered {
                    component: of.component.clone(),
                    why,
                });
            }
            remember_base(reads, &decision.run, of, change).await?;
        }
        change.save(keys::run(&before.id), Some(read), &decision.run);
        let beside = keys::commit(&before.key.commit, before.key.repository);
        for intent in report::builds_to_show(Some(&before), &decision.run) {
            change.owe_with_reads(intent, vec![beside.clone()]);
        }
    }
    Ok(Told { before, decision })
}

/// Adds a person's decision to the repository's ledger of builds.
async fn record(
    reads: &mut Reads<'_>,
    repository: RepositoryId,
    said: Said,
    change: &mut Change,
) -> Result<(), HandlerError> {
    let key = keys::head_of_builds(repository);
    let read = reads.read::<ledger::Head>(&key).await?;
    let mut head = read.as_ref().map(|read| read.value.clone());
    let head = head.get_or_insert_default();
    let by = (Actor::from(&said.by), said.by.door);
    let row = head.append(reads.context().now(), by, said.what);
    change.put(keys::row(keys::ledger_of_builds(repository), &row), &row);
    change.save(key, read.as_ref(), head);
    Ok(())
}

/// Logs the results of builds.
pub fn tell_of_run(told: &Told) {
    let after = &told.decision.run;
    for (name, component) in &after.components {
        for attempt in component.attempts.iter().flat_map(Attempt::all) {
            let old = told.before.attempt(&attempt.id);
            if old.map(|(_, _, old)| &old.state) != Some(&attempt.state) {
                tracing::info!(
                    run = after.id.as_str(),
                    component = name.as_str(),
                    commit = after.key.commit.short(),
                    "{}",
                    explain::attempt(attempt)
                );
            }
        }
    }
}

/// Adds the rows that lead to a run, and ends intents that are no longer needed.
fn enter(follow: &FollowUp, run: &Run, change: &mut Change) {
    for (build, of) in &follow.bound {
        change.put(keys::build(build), of);
    }
    for (repository, tag, of) in &follow.expected {
        change.put(keys::expected(repository, tag), of);
    }
    for (number, of) in &follow.numbered {
        let key = keys::numbered("build", *number, run.key.repository);
        change.put(key, of);
    }
    for intent in &follow.over {
        change.forget(intent);
    }
}

/// Offers a built image to the stages that take images from builds, or returns why to none. A
/// single stage decides in the same transaction, if possible; for several, each offer is owed.
async fn offer_image(
    reads: &mut Reads<'_>,
    run: &Run,
    of: &AttemptRef,
    change: &mut Change,
) -> Result<Option<offer::Unoffered>, HandlerError> {
    let Some((_, _, attempt)) = run.attempt(&of.attempt) else {
        return Ok(None);
    };
    let known = known(reads, run, of).await?;
    match offer::of_build(run, &of.component, attempt, &known) {
        Ok(offers) => {
            owe_offers(reads, offers, change).await?;
            Ok(None)
        }
        Err(why) => Ok(Some(why)),
    }
}

/// Reads the facts that decide whether images of the run are offered.
async fn known(reads: &mut Reads<'_>, run: &Run, of: &AttemptRef) -> Result<Known, HandlerError> {
    let id = run.key.repository;
    let (repository, branch) = (keys::repository(id), keys::branch(id, &run.key.git_ref));
    let base = keys::base(id, &of.component, &run.key.git_ref);
    let all = [
        keys::trusted_definition(id),
        repository.clone(),
        branch.clone(),
        base,
    ];
    reads.load(all.to_vec()).await?;
    let repository = reads.read::<Repository>(&repository).await?;
    let branch = reads.value::<Branch>(&branch).await?.unwrap_or_default();
    Ok(Known {
        definition: reads.trusted(id).await?,
        default_branch: repository
            .map(|read| read.value.default_branch)
            .unwrap_or_default(),
        is_deleted: branch.deleted,
        contributions: branch.contributions,
    })
}

/// Remembers this commit for comparing the next push, unless a later one was built already.
async fn remember_base(
    reads: &mut Reads<'_>,
    run: &Run,
    of: &AttemptRef,
    change: &mut Change,
) -> Result<(), HandlerError> {
    let key = keys::base(run.key.repository, &of.component, &run.key.git_ref);
    let known = reads.read::<Base>(&key).await?;
    let is_newer = |known: &Read<Base>| known.value.order < run.order;
    if known.as_ref().is_none_or(is_newer)
        && let Some(built) = run.components.get(&of.component)
    {
        let base = Base {
            commit: run.key.commit.clone(),
            order: run.order,
            run: run.id.clone(),
            buildspec: built.buildspec.clone(),
        };
        change.save(key, known.as_ref(), &base);
    }
    Ok(())
}

//! Facts meet state here: load, decide in `towline-domain`, commit, as often as it takes.

use towline_domain::definition::{Definition, Origin, Scope};
use towline_domain::explain;
use towline_domain::filter::{self, Verdict};
use towline_domain::intent::{AttemptRef, Intent, StageKey};
use towline_domain::names::{ComponentName, GitRef, RepositoryId, RunId, StageName};
use towline_domain::report;
use towline_domain::run::{self, Attempt, AttemptState, Run};
use towline_domain::stage::{self, Policy, Promotion, Stage};
use towline_ports::Key;

use towline_state::Reads;
use towline_state::keys;
use towline_state::records::{Base, Branch, Numbers, PromotionPointer, Repository, Trusted};
use towline_state::{Change, HandlerError, Read, Rounds, needed};

/// What became of a fact.
#[derive(Debug)]
pub(crate) enum Applied<T> {
    /// It was taken; this is the state after it.
    Taken(T),
    /// It asked for something that is not granted, and why.
    Refused(String),
    /// There is nothing it could concern.
    Unknown(String),
}

/// Applies a fact to a run, commits what follows, and marks `done` the intent that led here.
/// What has been read already is not read again in the first round.
pub(crate) async fn to_run<'a>(
    reads: impl Into<Reads<'a>>,
    id: &RunId,
    fact: &run::Fact,
    done: Option<&str>,
) -> Result<Applied<Run>, HandlerError> {
    let mut reads = reads.into();
    let context = reads.context();
    let mut rounds = Rounds::default();
    loop {
        let mut change = Change::default();
        if let Some(done) = done {
            change.done(done);
        }
        let Some(read) = reads.read::<Run>(&keys::run(id)).await? else {
            if context.commit(change, &mut rounds).await? {
                return Ok(Applied::Unknown(format!("there is no run {id}")));
            }
            reads.again().await?;
            continue;
        };
        let decision = decide_run(&mut reads, &read, fact, &mut change).await?;
        if context.commit(change, &mut rounds).await? {
            tell_of_run(&read.value, &decision.run);
            return Ok(match decision.refused {
                Some(reason) => Applied::Refused(reason),
                None => Applied::Taken(decision.run),
            });
        }
        reads.again().await?;
    }
}

/// Decides about one run and puts all that follows into the change.
pub(crate) async fn decide_run(
    reads: &mut Reads<'_>,
    read: &Read<Run>,
    fact: &run::Fact,
    change: &mut Change,
) -> Result<run::Decision, HandlerError> {
    let before = &read.value;
    let mut decision = run::advance(before.clone(), fact, reads.context().now());
    for intent in std::mem::take(&mut decision.intents) {
        change.owe(intent);
    }
    if decision.changed {
        let notes = follow_up(reads, before, &decision.run, fact, change).await?;
        decision.run.notes.extend(notes);
        change.save(keys::run(&before.id), Some(read), &decision.run);
        let beside = keys::commit(&before.key.commit, before.key.repository);
        for intent in report::builds_to_show(Some(before), &decision.run) {
            change.owe_guessing(intent, vec![beside.clone()]);
        }
    }
    Ok(decision)
}

/// Logs what became of builds.
pub(crate) fn tell_of_run(before: &Run, after: &Run) {
    for (name, component) in &after.components {
        for attempt in component.attempts.iter().flat_map(Attempt::all) {
            let old = before.attempt(&attempt.id).map(|(_, _, old)| &old.state);
            if old != Some(&attempt.state) {
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

/// Logs where a stage has moved.
pub(crate) fn tell_of_stage(decision: &stage::Decision) {
    if let (true, Some(pointer)) = (decision.moved, &decision.stage.pointer) {
        let key = &decision.stage.key;
        tracing::info!(
            component = key.component.as_str(),
            stage = key.stage.as_str(),
            commit = pointer.candidate.commit.short(),
            digest = pointer.candidate.digest.short(),
            promotion = pointer.promotion,
            "live"
        );
    }
}

/// What follows from attempts that have just been bound or ended; gives what a person should know.
async fn follow_up(
    reads: &mut Reads<'_>,
    before: &Run,
    after: &Run,
    fact: &run::Fact,
    change: &mut Change,
) -> Result<Vec<String>, HandlerError> {
    let mut notes = Vec::new();
    for (name, component) in &after.components {
        for attempt in component.attempts.iter().flat_map(Attempt::all) {
            let old = before.attempt(&attempt.id).map(|(_, _, old)| old);
            let of = AttemptRef {
                run: after.id.clone(),
                component: name.clone(),
                attempt: attempt.id.clone(),
            };
            if let (Some(build), None) = (&attempt.build, old.and_then(|old| old.build.as_ref())) {
                change.put(keys::build(build), &of);
            }
            let ended =
                attempt.state.is_terminal() && !old.is_some_and(|old| old.state.is_terminal());
            if !ended {
                continue;
            }
            if old.is_some_and(|old| old.build_succeeded && old.image.is_none()) {
                change.forget(&Intent::ImageDue {
                    of: of.clone(),
                    repository: component.repository.clone(),
                    tag: attempt.unique_tag.clone(),
                });
            }
            if attempt.legs.is_empty() {
                change.forget(&Intent::BuildWatchDue(of));
            }
            if attempt.state == AttemptState::Succeeded && attempt.platform.is_none() {
                match offers(reads, after, name, attempt).await? {
                    Ok((offers, definition)) => {
                        offer(reads, offers, &definition, change).await?;
                    }
                    Err(reason) => notes.push(format!("{name} is offered to no stage: {reason}")),
                }
                remember_base(reads, after, name, change).await?;
            }
        }
    }
    if let run::Fact::RetryRequested { component, .. } = fact
        && let Some(known) = after.components.get(component)
    {
        let of = |attempt: &Attempt| AttemptRef {
            run: after.id.clone(),
            component: component.clone(),
            attempt: attempt.id.clone(),
        };
        let latest = known.latest();
        for part in latest.all() {
            let key = keys::expected(&known.repository, &part.unique_tag);
            change.put(key, &of(part));
        }
        change.put(
            keys::numbered("build", latest.build_number, after.key.repository),
            &of(latest),
        );
    }
    Ok(notes)
}

/// What a built image is offered on, most likely to the same stages as when its run was planned.
pub(crate) fn needed_to_offer(
    id: RepositoryId,
    component: &ComponentName,
    git_ref: &GitRef,
    stages: &[StageName],
) -> Vec<Key> {
    let stages = stages.iter().map(|stage| {
        keys::stage(&StageKey {
            repository: id,
            component: component.clone(),
            stage: stage.clone(),
        })
    });
    let others = [
        keys::trusted_definition(id),
        keys::repository(id),
        keys::branch(id, git_ref),
        keys::base(id, component, git_ref),
        keys::numbers(id),
    ];
    stages.chain(others).collect()
}

/// What a built image is offered to, or why to nothing. The default branch's last good definition
/// decides, whatever the pushed one said of itself (I7): which refs count, which component may put
/// images into its stages, and which stages there are.
async fn offers(
    reads: &mut Reads<'_>,
    run: &Run,
    name: &ComponentName,
    attempt: &Attempt,
) -> Result<Result<(Vec<Intent>, Definition), String>, HandlerError> {
    let id = run.key.repository;
    let needed = needed_to_offer(id, name, &run.key.git_ref, &run.enters);
    reads.load(needed).await?;
    let Some(definition) = definition_of(reads, run).await? else {
        return Ok(Err("the default branch has no good .towline.yml yet".into()));
    };
    let known = definition
        .component(name)
        .map(|component| &component.repository);
    if known
        != run
            .components
            .get(name)
            .map(|component| &component.repository)
    {
        return Ok(Err(
            "the default branch's .towline.yml has no such component with these images".into(),
        ));
    }
    let repository = reads
        .read::<Repository>(&keys::repository(run.key.repository))
        .await?;
    let default_branch = repository
        .map(|read| read.value.default_branch)
        .unwrap_or_default();
    if let Verdict::No(reason) =
        filter::admits(&definition.source, &run.key.git_ref, &default_branch, "")
    {
        return Ok(Err(format!(
            "by the default branch's .towline.yml, {reason}"
        )));
    }
    let branch = reads
        .read::<Branch>(&keys::branch(run.key.repository, &run.key.git_ref))
        .await?;
    if branch.is_some_and(|branch| branch.value.deleted) {
        return Ok(Err("its ref was deleted meanwhile".into()));
    }
    Ok(Ok((run.offers(name, attempt, &definition), definition)))
}

/// Offers an image to the stages behind where it has arrived. The only one decides about it in the
/// same transaction, if that can be; each of several is owed its offer.
async fn offer(
    reads: &mut Reads<'_>,
    offers: Vec<Intent>,
    definition: &Definition,
    change: &mut Change,
) -> Result<(), HandlerError> {
    if let [
        Intent::ImageReady {
            stage: key,
            candidate,
        },
    ] = offers.as_slice()
    {
        let known = vec![keys::stage(key), keys::numbers(key.repository)];
        reads.load(known).await?;
        let read = reads.read::<Stage>(&keys::stage(key)).await?;
        let fact = stage::Fact::Offered((**candidate).clone());
        let mut more = Change::default();
        decide_alone(reads, key, read.as_ref(), definition, &fact, &mut more).await?;
        if change.take_in(more).is_none() {
            return Ok(());
        }
    }
    offers.into_iter().for_each(|offer| change.owe(offer));
    Ok(())
}

/// The stages an image may enter are those of the default branch's last good definition.
async fn definition_of(
    reads: &mut Reads<'_>,
    run: &Run,
) -> Result<Option<Definition>, HandlerError> {
    let trusted = reads
        .read::<Trusted>(&keys::trusted_definition(run.key.repository))
        .await?;
    Ok(trusted.map(|read| read.value.definition))
}

/// The next push is compared with this commit, unless a later one was built already.
async fn remember_base(
    reads: &mut Reads<'_>,
    run: &Run,
    component: &ComponentName,
    change: &mut Change,
) -> Result<(), HandlerError> {
    let key = keys::base(run.key.repository, component, &run.key.git_ref);
    let known = reads.read::<Base>(&key).await?;
    let built_by = run.components.get(component);
    if known
        .as_ref()
        .is_none_or(|known| known.value.order < run.order)
    {
        change.save(
            key,
            known.as_ref(),
            &Base {
                commit: run.key.commit.clone(),
                order: run.order,
                run: Some(run.id.clone()),
                buildspec: built_by.and_then(|known| known.buildspec.clone()),
            },
        );
    }
    Ok(())
}

/// A stage's rule, as the default branch's last good definition has it.
pub(crate) async fn trusted(
    reads: &mut Reads<'_>,
    key: &StageKey,
) -> Result<Result<Definition, String>, HandlerError> {
    let Some(trusted) = reads
        .read::<Trusted>(&keys::trusted_definition(key.repository))
        .await?
    else {
        return Ok(Err(
            "the default branch has no good .towline.yml yet; push one".into(),
        ));
    };
    let definition = trusted.value.definition;
    if definition.stage(&key.stage).is_none() {
        let known: Vec<&str> = definition
            .stages
            .iter()
            .map(|rule| rule.name.as_str())
            .collect();
        return Ok(Err(format!(
            "there is no stage {} in the default branch's definition; there are: {}",
            key.stage,
            known.join(", ")
        )));
    }
    Ok(Ok(definition))
}

/// What a promotion's tags are put on with: the stages behind, and what is known of its tags.
pub(crate) fn needed_to_promote(
    key: &StageKey,
    definition: &Definition,
    promotion: &Promotion,
) -> Vec<Key> {
    let images = &promotion.candidate.repository;
    let mut needed = needed(key);
    needed.push(keys::image(images, &promotion.candidate.digest));
    let tags = definition.stage(&key.stage).map(|rule| &rule.tags);
    needed.extend(tags.into_iter().flatten().map(|tag| keys::tag(images, tag)));
    let origin = Origin::Stage(key.stage.clone());
    let behind = definition.stages_from(&origin);
    needed.extend(behind.map(|rule| {
        keys::stage(&StageKey {
            stage: rule.name.clone(),
            ..key.clone()
        })
    }));
    needed
}

/// What whoever acts on an intent of a stage will read besides.
fn guess(stage: &Stage, definition: &Definition, intent: &Intent) -> Vec<Key> {
    match intent {
        Intent::PromotionDue { promotion, .. } => {
            let promotion = stage.promotion(*promotion);
            let needed = promotion.map(|known| needed_to_promote(&stage.key, definition, known));
            needed.unwrap_or_default()
        }
        Intent::DeployDue { .. } => {
            let live = stage.pointer.iter().map(|pointer| &pointer.candidate);
            live.map(|live| keys::image(&live.repository, &live.digest))
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Applies a fact to a stage, commits what follows, and marks `done` the intent that led here.
///
/// What has been read already is not read again in the first round.
pub(crate) async fn to_stage<'a>(
    reads: impl Into<Reads<'a>>,
    key: &StageKey,
    fact: &stage::Fact,
    done: Option<&str>,
) -> Result<Applied<Stage>, HandlerError> {
    let mut reads = reads.into();
    let context = reads.context();
    reads.load(needed(key)).await?;
    let mut rounds = Rounds::default();
    loop {
        let mut change = Change::default();
        if let Some(done) = done {
            change.done(done);
        }
        let definition = match trusted(&mut reads, key).await? {
            Ok(definition) => definition,
            Err(reason) => {
                if context.commit(change, &mut rounds).await? {
                    return Ok(Applied::Unknown(reason));
                }
                reads.again().await?;
                continue;
            }
        };
        let read = reads.read::<Stage>(&keys::stage(key)).await?;
        let read = read.as_ref();
        let decision = decide(&mut reads, key, read, &definition, fact, &mut change).await?;
        if context.commit(change, &mut rounds).await? {
            return Ok(match decision.refused {
                Some(reason) => Applied::Refused(reason),
                None => Applied::Taken(decision.stage),
            });
        }
        reads.again().await?;
    }
}

/// Decides about one stage and puts all that follows into the change, the offer to the stage
/// behind it included.
pub(crate) async fn decide(
    reads: &mut Reads<'_>,
    key: &StageKey,
    read: Option<&Read<Stage>>,
    definition: &Definition,
    fact: &stage::Fact,
    change: &mut Change,
) -> Result<stage::Decision, HandlerError> {
    let decision = decide_alone(reads, key, read, definition, fact, change).await?;
    if decision.moved {
        offer(reads, decision.stage.offers(definition), definition, change).await?;
    }
    Ok(decision)
}

async fn decide_alone(
    reads: &mut Reads<'_>,
    key: &StageKey,
    read: Option<&Read<Stage>>,
    definition: &Definition,
    fact: &stage::Fact,
    change: &mut Change,
) -> Result<stage::Decision, HandlerError> {
    let state = read.map_or_else(|| Stage::new(key.clone()), |read| read.value.clone());
    let numbers = reads
        .read::<Numbers>(&keys::numbers(key.repository))
        .await?;
    let next = numbers
        .as_ref()
        .map(|read| read.value.clone())
        .unwrap_or_default();
    let scope = Scope::Stage(key.stage.clone());
    let not_executed: Vec<&str> = definition.not_executed_in(&scope).collect();
    let rule = definition
        .stage(&key.stage)
        .expect("`trusted` has looked for the stage");
    let policy = Policy {
        rule,
        not_executed: &not_executed,
        next_number: next.promotion,
    };
    let decision = stage::advance(state, fact, policy, reads.context().now());
    if decision.changed {
        change.save(keys::stage(key), read, &decision.stage);
        let before = read.map(|read| &read.value);
        for intent in report::stages_to_show(before, &decision, rule) {
            change.owe(intent);
        }
    }
    if decision.took_number {
        change.save(
            keys::numbers(key.repository),
            numbers.as_ref(),
            &Numbers {
                promotion: next.promotion + 1,
                ..next.clone()
            },
        );
        // People give the number of what waits for them.
        let opened = decision.stage.promotion(next.promotion);
        if opened.is_some_and(|promotion| !promotion.acting) {
            change.create(
                keys::numbered("promotion", next.promotion, key.repository),
                &PromotionPointer { stage: key.clone() },
            );
        }
    }
    for row in &decision.rows {
        change.create(keys::row(key, row.sequence), row);
    }
    for intent in &decision.intents {
        change.owe_guessing(intent.clone(), guess(&decision.stage, definition, intent));
    }
    if let (true, Some(pointer)) = (decision.moved, &decision.stage.pointer) {
        change.create(keys::pointer(key, pointer.since, pointer.version), pointer);
    }
    Ok(decision)
}

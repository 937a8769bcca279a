//! Commits a planned run with the rows that lead to it.

use towline_domain::image::Claim;
use towline_domain::intent::{AttemptRef, Intent};
use towline_domain::plan::{AtCommit, Branch, Claimed, Planned};
use towline_domain::run::{Attempt, Run};
use towline_domain::trusted::Trusted;
use towline_ports::Key;

use towline_state::records::{Buildspec, RunPointer};
use towline_state::{Change, HandlerError, Owed, Rounds, keys};

use super::look::{Look, key_of};

/// The most runs of one commit to remember besides the newest.
const MOST_OF_A_COMMIT: usize = 19;

/// Commits everything; `false` means that one of its inputs was changed.
pub(super) async fn commit(
    look: &mut Look<'_>,
    owed: &Owed,
    planned: &Planned,
    rounds: &mut Rounds,
) -> Result<bool, HandlerError> {
    let context = look.reads.context();
    let run = &planned.run;
    let mut change = claims(look, planned).await?;
    change.add(leading_to(look, run).await?);
    change.done(&owed.id);
    change.create(keys::run(&run.id), run);
    listed(look, run, &mut change).await?;
    let branch = keys::branch(run.key.repository, &run.key.git_ref);
    let read = look.reads.read::<Branch>(&branch).await?;
    change.save(branch, read.as_ref(), &planned.branch);
    if let Some(trusted) = &planned.trusted {
        let key = keys::trusted_definition(run.key.repository);
        let read = look.reads.read::<Trusted>(&key).await?;
        change.save(key, read.as_ref(), trusted);
    }
    for intent in &planned.intents {
        change.owe_with_reads(intent.clone(), read_next(run, intent));
    }
    let committed = context.commit(change, rounds).await?;
    if committed {
        let refused = run.refused.as_ref().map(ToString::to_string);
        tracing::info!(
            run = run.id.as_str(),
            commit = run.key.commit.short(),
            builds = run.components.len(),
            refused = refused.unwrap_or_default(),
            "run planned"
        );
    }
    Ok(committed)
}

/// What the intent's handler reads: the contents that the run names, and the repository.
fn read_next(run: &Run, intent: &Intent) -> Vec<Key> {
    let Intent::BuildDue(of) = intent else {
        return Vec::new();
    };
    let component = run.components.get(&of.component);
    let contents = run
        .definition
        .iter()
        .chain(component.map(|it| &it.buildspec));
    let contents = contents.map(|name| keys::content(run.key.repository, name));
    contents
        .chain([keys::repository(run.key.repository)])
        .collect()
}

async fn claims(look: &mut Look<'_>, planned: &Planned) -> Result<Change, HandlerError> {
    let mut change = Change::default();
    for (claimed, claim) in &planned.claims {
        let key = key_of(claimed);
        let read = look.reads.read::<Claim>(&key).await?;
        change.save(key, read.as_ref(), claim);
        if let Claimed::Images(images) = claimed {
            change.put(keys::claimed(images), claim);
        }
    }
    Ok(change)
}

/// Rows that lead to the run's attempts, and the contents that it names.
async fn leading_to(look: &mut Look<'_>, run: &Run) -> Result<Change, HandlerError> {
    let id = run.key.repository;
    let mut rows = Change::default();
    for (name, component) in &run.components {
        let attempt = component.latest();
        let of = |attempt: &Attempt| AttemptRef {
            run: run.id.clone(),
            component: name.clone(),
            attempt: attempt.id.clone(),
        };
        rows.put(
            keys::numbered("build", attempt.build_number, id),
            &of(attempt),
        );
        for part in attempt.all() {
            let key = keys::expected(&component.repository, &part.unique_tag);
            rows.put(key, &of(part));
        }
        let base = look.known.bases.get(name).and_then(Option::as_ref);
        let is_kept = base.is_some_and(|base| base.buildspec == component.buildspec);
        if let Some(text) = look.texts.get(&component.buildspec).filter(|_| !is_kept) {
            let key = keys::content(id, &component.buildspec);
            rows.put(key, &Buildspec { text: text.clone() });
        }
        let listed = keys::component(name, id);
        if look.reads.version(&listed).await? == 0 {
            let row = RunPointer {
                run: run.id.clone(),
                component: Some(name.clone()),
                older: Vec::new(),
            };
            rows.put(listed, &row);
        }
    }
    if let (Some(hash), Some(AtCommit::Good { definition, .. })) =
        (&run.definition, look.known.definitions.get(&run.key.commit))
    {
        let key = keys::content(id, hash);
        if look.reads.version(&key).await? == 0 {
            rows.put(key, definition);
        }
    }
    Ok(rows)
}

/// Lists the run under its repository and its commit.
async fn listed(look: &mut Look<'_>, run: &Run, change: &mut Change) -> Result<(), HandlerError> {
    let id = run.key.repository;
    let pointer = RunPointer {
        run: run.id.clone(),
        component: None,
        older: Vec::new(),
    };
    change.put(keys::run_by_order(id, run.order, &run.id), &pointer);
    let key = keys::commit(&run.key.commit, id);
    let beside = look.reads.read::<RunPointer>(&key).await?;
    let older = beside.iter().flat_map(|beside| beside.value.runs());
    let older = older.take(MOST_OF_A_COMMIT).cloned().collect();
    change.save(key, beside.as_ref(), &RunPointer { older, ..pointer });
    Ok(())
}

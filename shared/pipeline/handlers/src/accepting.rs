//! Stores pushes, whether a webhook announced them or the sweep found them.

use towline_domain::arrival::{self, Reporter, Stored};
use towline_domain::intent::Intent;
use towline_wire::github::{Deletion, Push};

use towline_state::keys;
use towline_state::records::{Branch, Inbox, Repository};
use towline_state::{Change, Context, HandlerError, Rounds, intent_id};
use towline_state::{Read, Reads};

/// What became of a push.
pub(crate) enum Accepted {
    /// It is stored, and owed under this id.
    New { id: String },
    /// It was stored before.
    Known,
}

/// Stores a push of an admitted repository under its meaning, and owes its plan.
pub(crate) async fn accept(
    context: Context<'_>,
    push: Push,
    reporter: &Reporter,
) -> Result<Accepted, HandlerError> {
    let now = context.now();
    let semantic_key = push.key();
    let key = keys::push(&push.commit, &semantic_key);
    let repository = keys::repository(push.repository);
    let mut reads = Reads::from(context);
    let branch = keys::branch(push.repository, &push.git_ref);
    let needed = vec![key.clone(), repository.clone(), branch.clone()];
    reads.load(needed).await?;
    let mut rounds = Rounds::default();
    loop {
        let known = reads.read::<Inbox>(&key).await?;
        let branch = reads.value::<Branch>(&branch).await?;
        let stored = match &known {
            None => Stored::Never,
            Some(known) if known.outbox.owed().is_empty() => Stored::Planned,
            Some(_) => Stored::Owed,
        };
        if arrival::is_duplicate(stored, branch.as_ref(), &push.commit) {
            return Ok(Accepted::Known);
        }
        let accepted = push.clone().accepted(now);
        let named = Repository {
            id: accepted.repository,
            name: accepted.repository_name.clone(),
            default_branch: accepted.default_branch.clone(),
        };
        let commit = accepted.commit.clone();
        let intent = Intent::PushAccepted(Box::new(accepted));
        let id = intent_id(&intent);
        let mut change = Change::default();
        let inbox = Inbox {
            at: now,
            delivery: reporter.delivery().to_owned(),
            commit: Some(commit.clone()),
        };
        change.save(key.clone(), known.as_ref(), &inbox);
        let before = reads.read::<Repository>(&repository).await?;
        if before.as_ref().is_none_or(|before| before.value != named) {
            change.save(repository.clone(), before.as_ref(), &named);
        }
        change.owe(intent);
        if context.commit(change, &mut rounds).await? {
            tracing::info!(
                repository = named.name.as_str(),
                commit = commit.short(),
                git_ref = push.git_ref.full().escape_debug().to_string(),
                found = matches!(reporter, Reporter::Sweep),
                "push accepted"
            );
            return Ok(Accepted::New { id });
        }
        reads.again().await?;
    }
}

/// Records that a ref of an admitted repository was deleted, so that its images are offered to no
/// stage (F27).
pub(crate) async fn note_deletion(
    context: Context<'_>,
    deletion: &Deletion,
    reporter: &Reporter,
) -> Result<(), HandlerError> {
    let inbox = keys::inbox(&deletion.key());
    let key = keys::branch(deletion.repository, &deletion.git_ref);
    let mut reads = Reads::from(context);
    let mut rounds = Rounds::default();
    loop {
        reads.load(vec![key.clone(), inbox.clone()]).await?;
        let branch = reads.read::<Branch>(&key).await?;
        let noted = reads.version(&inbox).await? > 0;
        let is_news =
            |branch: &Read<Branch>| arrival::is_news(reporter, noted, Some(&branch.value));
        let Some(branch) = branch.filter(is_news) else {
            return Ok(());
        };
        let mut change = Change::default();
        if !noted {
            let noted = Inbox {
                at: context.now(),
                delivery: reporter.delivery().to_owned(),
                commit: None,
            };
            change.create(inbox.clone(), &noted);
        }
        let deleted = Branch {
            deleted: true,
            ..branch.value.clone()
        };
        change.save(key.clone(), Some(&branch), &deleted);
        if context.commit(change, &mut rounds).await? {
            return Ok(());
        }
        reads.again().await?;
    }
}

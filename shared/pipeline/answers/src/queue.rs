//! Answers which builds run, and what the waiting builds wait for.

use serde::{Deserialize, Serialize};
use towline_domain::Timestamp;
use towline_domain::explain;
use towline_domain::names::{BuildId, CommitSha, ComponentName, GitRef, RepositoryName};
use towline_domain::run::{Attempt, AttemptState, Run};
use towline_domain::untrusted::Untrusted;
use towline_ports::{Builds, Due};
use towline_state::{Context, Read, keys};

use super::ChatError;
use super::answers::Answer;
use super::query::Queue;

/// A running or waiting build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InQueue {
    /// The GitHub repository.
    pub repository: RepositoryName,
    pub git_ref: GitRef,
    pub commit: CommitSha,
    pub component: ComponentName,
    pub build: u64,
    /// Its platform, if the component has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Who pushed, safe to show.
    pub pusher: String,
    /// Since when it runs or waits.
    pub since: Timestamp,
    /// The number of builds that start before it, if that is known.
    pub before: Option<usize>,
    /// What it waits for, as a clause.
    pub why: String,
}

/// The most items to look at; each owes something.
const MOST_ITEMS: usize = 1_000;

/// The running and waiting builds. Each of them is in a run that owes something, so the index of due
/// work finds them all.
pub(super) async fn queue(
    context: Context<'_>,
    builds: &dyn Builds,
    query: Queue,
) -> Result<Answer, ChatError> {
    let due = context.store.due(Timestamp::MAX, MOST_ITEMS).await?;
    let Due { items, complete } = due;
    let order = builds.line().await?;
    let (mut running, mut waiting) = (Vec::new(), Vec::new());
    for item in items.iter().filter(|item| keys::is_run(&item.key)) {
        let run = Read::<Run>::of(item)?.value;
        let name = run.repository_name.as_str();
        let asked = query.repository.as_ref();
        if asked.is_some_and(|asked| !name.eq_ignore_ascii_case(asked.as_str())) {
            continue;
        }
        for (component, known) in &run.components {
            for attempt in known.latest().builds() {
                match stage_of(attempt) {
                    Some(Stage::Running) => running.push(line(&run, component, attempt, None)),
                    Some(Stage::Waiting) => {
                        let before = before(attempt, order.as_deref());
                        waiting.push(line(&run, component, attempt, before));
                    }
                    None => {}
                }
            }
        }
    }
    running.sort_by_key(|line| (line.since, line.build));
    // Builds whose place the service does not know come last, oldest first.
    let place = |line: &InQueue| (line.before.unwrap_or(usize::MAX), line.since, line.build);
    waiting.sort_by_key(place);
    Ok(Answer::Queue {
        running,
        waiting,
        complete,
    })
}

enum Stage {
    Waiting,
    Running,
}

fn stage_of(attempt: &Attempt) -> Option<Stage> {
    match attempt.state {
        AttemptState::Due => Some(Stage::Waiting),
        AttemptState::Building if attempt.build_succeeded => None,
        AttemptState::Building if attempt.started_at.is_some() => Some(Stage::Running),
        AttemptState::Building => Some(Stage::Waiting),
        AttemptState::Succeeded
        | AttemptState::Failed { .. }
        | AttemptState::Cancelled { .. }
        | AttemptState::Superseded { .. }
        | AttemptState::Held { .. } => None,
    }
}

/// The number of builds, of all repositories, that start before it.
fn before(attempt: &Attempt, order: Option<&[BuildId]>) -> Option<usize> {
    let build = attempt.build.as_ref()?;
    order?.iter().position(|known| known == build)
}

fn line(run: &Run, component: &ComponentName, attempt: &Attempt, before: Option<usize>) -> InQueue {
    InQueue {
        repository: run.repository_name.clone(),
        git_ref: run.key.git_ref.clone(),
        commit: run.key.commit.clone(),
        component: component.clone(),
        build: attempt.build_number,
        platform: attempt.platform.clone(),
        pusher: Untrusted::first_line(&run.pusher).display(),
        since: attempt.started_at.unwrap_or(attempt.due_at),
        before,
        why: explain::queued(attempt, before),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::Query;
    use crate::query;
    use crate::tests::World;

    #[test]
    fn what_is_accepted_is_in_the_queue_until_it_has_ended() {
        let world = World::new();
        let queue = || world.ask(Query::Queue(query::Queue::default()));
        let empty = "no build is running or waiting; to see finished builds, run: towline runs\n";
        assert_eq!(queue(), empty);
        world.push("Fix the cart");
        world.act();
        expect![[r#"
            BUILD    COMPONENT  COMMIT   REF   BY     FOR  WAITS FOR
            build#1  web        f3b710c  main  @dana  0s   the build service to begin it
        "#]]
        .assert_eq(&queue());
        world.settle();
        assert_eq!(queue(), empty);
    }
}

//! Finds lost work and repeats it: announces stale intents again, looks up bound builds, ends what
//! has expired. It starts, stops and tags nothing itself; the functions do.

mod heads;
mod redeliver;
#[cfg(test)]
mod tests;

pub use heads::{Compared, Failed, Round, compare_heads};
pub use redeliver::{Redelivered, redeliver};

use towline_domain::Timestamp;
use towline_domain::given_up::{self, GivenUp};
use towline_domain::intent::{AttemptRef, Intent};
use towline_domain::run::{BuildStatus, Fact, Run};
use towline_domain::stage;
use towline_ports::{Announcement, Builds, Item};
use towline_wire::eventbridge;

use towline_state::apply;
use towline_state::keys;
use towline_state::records::Repository;
use towline_state::{Context, HandlerError, Outbox, Owed, announcement, milliseconds};

/// Items to check in one round; the next round takes the rest.
const MOST_AT_ONCE: usize = 500;
/// Announcements after which an intent may be given up: about eight hours.
const MOST_TRIES: u32 = 50;

/// The result of a round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Intents announced again.
    pub announced: usize,
    /// Builds and promotions that were checked.
    pub watched: usize,
    /// Intents given up.
    pub given_up: usize,
    /// Items and intents that failed this time.
    pub failed: usize,
}

/// Handles everything that is due: first announcements, which are quick, then lookups of builds.
/// Failed items are due again later, so that they do not block the others (F17).
///
/// # Errors
/// When the store does not answer at all.
pub async fn handle(context: Context<'_>, builds: &dyn Builds) -> Result<Swept, HandlerError> {
    let now = context.now();
    let mut swept = Swept::default();
    context.release_passed().await?;
    let items = context.store.due(now, MOST_AT_ONCE).await?.items;
    let oldest = items.iter().filter_map(|item| item.due).min();
    tracing::info!(
        target: "towline::metric",
        name = "SweepAge",
        milliseconds = oldest.map_or(0, |due| milliseconds(due, now)),
        "{} due", items.len()
    );
    let mut watches = Vec::new();
    for item in items {
        match take(context, item.clone()).await {
            Ok((watched, due)) => {
                watches.extend(watched);
                announce_again(context, due, &mut swept).await;
            }
            Err(error) => {
                failed(&item.key.partition, &error, &mut swept);
                if error.is_permanent() {
                    // If that fails too, the next round tries again.
                    let _ = context.set_aside(item).await;
                }
            }
        }
    }
    // Looking up a build calls another service, which may take long, so builds come last.
    watches.sort_by_key(|owed| matches!(owed.intent, Intent::BuildWatchDue(_)));
    for owed in watches {
        match watch(context, builds, &owed).await {
            Ok(()) => swept.watched += 1,
            Err(error) => {
                failed(&owed.id, &error, &mut swept);
                // Postpone this one, so that it does not hold up the others. If that fails, go on.
                let _ = look_again(context, &owed).await;
            }
        }
    }
    Ok(swept)
}

/// Returns the intents that are due in an item: first the watches, then the others, which it
/// postpones to their next turn in one write. On a conflict it returns none of the others, because
/// they are still due in the next round. A watch is postponed only after it was checked: if this
/// round is cut off, the watches it did not reach come first in the next one.
async fn take(context: Context<'_>, item: Item) -> Result<(Vec<Owed>, Vec<Owed>), HandlerError> {
    let now = context.now();
    let mut outbox = Outbox::of(&item)?;
    let due = outbox.due_by(now).cloned();
    let (watches, due): (Vec<Owed>, Vec<Owed>) = due.partition(|owed| owed.intent.is_watch());
    if due.is_empty() && !watches.is_empty() {
        return Ok((watches, due));
    }
    due.iter().for_each(|owed| outbox.put(owed.again(now)));
    let kept = context.keep(item, &outbox).await?;
    Ok((watches, if kept { due } else { Vec::new() }))
}

/// Postpones a watch to its next turn.
async fn look_again(context: Context<'_>, owed: &Owed) -> Result<(), HandlerError> {
    let now = context.now();
    let again = |owed: &Owed| Some(owed.again(now));
    context.amend(owed, again).await.map(drop)
}

fn failed(what: &str, error: &HandlerError, swept: &mut Swept) {
    let error = error as &dyn std::error::Error;
    tracing::warn!(error, what, "cannot sweep an item");
    swept.failed += 1;
}

/// Whether the stage tags are compared with the registry in the round that begins now: every fifth minute.
#[must_use]
pub fn compares_tags(now: Timestamp) -> bool {
    now.as_second() / 60 % 5 == 0
}

/// Has the stage tags of every repository compared with the registry, because the event of a move from outside
/// may be lost (F35).
///
/// # Errors
/// When the store does not answer.
pub async fn compare_tags(context: Context<'_>) -> Result<(), HandlerError> {
    let repositories = context.whole::<Repository>(keys::REPOSITORIES).await?;
    let now = context.now();
    let announcement = |repository: Repository| Announcement {
        id: format!("tags-{}-{}", repository.id, now.as_millisecond()),
        detail_type: eventbridge::STAGE_TAGS.into(),
        detail: eventbridge::stage_tags(repository.id),
        at: now,
    };
    context
        .announce(repositories.into_iter().map(announcement).collect())
        .await;
    Ok(())
}

/// Announces all intents at once, as after a start: the process that was to act may be gone.
///
/// # Errors
/// When the store does not answer.
pub async fn announce_all(context: Context<'_>) -> Result<usize, HandlerError> {
    let far = Timestamp::MAX;
    let items = context.store.due(far, 1_000).await?.items;
    let outboxes = items.iter().filter_map(|item| Outbox::of(item).ok());
    let owed = outboxes.flat_map(|outbox| outbox.owed().to_vec());
    let now = context.now();
    let announcements: Vec<_> = owed
        .filter(|owed| !owed.intent.is_watch())
        .map(|owed| announcement(&owed, now, &[]))
        .collect();
    let count = announcements.len();
    context.announce(announcements).await;
    Ok(count)
}

async fn announce_again(context: Context<'_>, due: Vec<Owed>, swept: &mut Swept) {
    let mut announcements = Vec::new();
    for owed in due {
        if owed.tries >= MOST_TRIES && !waits_for_a_person(&owed) {
            match give_up(context, &owed).await {
                Ok(true) => {
                    swept.given_up += 1;
                    continue;
                }
                Ok(false) => {}
                Err(error) => {
                    failed(&owed.id, &error, swept);
                    continue;
                }
            }
        }
        announcements.push(announcement(&owed, context.now(), &[]));
    }
    swept.announced += announcements.len();
    context.announce(announcements).await;
}

fn waits_for_a_person(owed: &Owed) -> bool {
    owed.obstacle.is_some() && given_up::is_waited_for(&owed.intent)
}

/// Ends an intent that never succeeded, and whatever waits for it, in one commit. Returns `false` for
/// an intent that is never given up.
async fn give_up(context: Context<'_>, owed: &Owed) -> Result<bool, HandlerError> {
    let (tries, since) = (owed.tries, owed.since);
    let decided = given_up::of(&owed.intent, tries, since);
    let given_up = decided.is_some();
    match decided {
        None => {}
        Some(GivenUp::Run(run, fact)) => {
            apply::to_run(context, &run, &fact, Some(&owed.id)).await?;
        }
        Some(GivenUp::Stage(stage, fact)) => {
            apply::to_stage(context, &stage, &fact, Some(&owed.id)).await?;
        }
        Some(GivenUp::Nothing) => context.finish(owed).await?,
    }
    tracing::warn!(
        intent = owed.id,
        kind = owed.intent.detail_type(),
        given_up,
        "tried {tries} times since {since} and never done"
    );
    Ok(given_up)
}

async fn watch(context: Context<'_>, builds: &dyn Builds, owed: &Owed) -> Result<(), HandlerError> {
    let over = match &owed.intent {
        Intent::BuildWatchDue(of) => !watch_build(context, builds, of).await?,
        Intent::PromotionWatchDue {
            stage, promotion, ..
        } => {
            let fact = stage::Fact::ExpiryDue {
                promotion: *promotion,
            };
            apply::to_stage(context, stage, &fact, Some(&owed.id)).await?;
            return Ok(());
        }
        Intent::PushAccepted(_)
        | Intent::BuildDue(_)
        | Intent::BuildStopDue { .. }
        | Intent::ImageDue { .. }
        | Intent::IndexDue(_)
        | Intent::BuildRetryDue { .. }
        | Intent::BuildSuperseded { .. }
        | Intent::ImageRecorded { .. }
        | Intent::ImageReady { .. }
        | Intent::PromotionDue { .. }
        | Intent::DeployDue { .. }
        | Intent::BuildStatusDue { .. }
        | Intent::StageStatusDue { .. }
        | Intent::StatusesDue { .. } => false,
    };
    match over {
        true => context.finish(owed).await,
        false => look_again(context, owed).await,
    }
}

/// Looks up the bound build (F6, F15), and ends an attempt past its deadline. Returns whether there
/// is anything left to watch.
async fn watch_build(
    context: Context<'_>,
    builds: &dyn Builds,
    of: &AttemptRef,
) -> Result<bool, HandlerError> {
    let Some(run) = context.read::<Run>(&keys::run(&of.run)).await? else {
        return Ok(false);
    };
    let Some((_, _, attempt)) = run.value.attempt(&of.attempt) else {
        return Ok(false);
    };
    if attempt.state.is_terminal() {
        return Ok(false);
    }
    if let Some(build) = attempt.build.as_ref().filter(|_| !attempt.build_succeeded)
        && let Some(report) = builds.get(build).await?
        && report.status != BuildStatus::InProgress
    {
        apply::to_run(
            context,
            &of.run,
            &Fact::BuildReported(of.attempt.clone(), report),
            None,
        )
        .await?;
    }
    if context.now() >= attempt.deadline {
        apply::to_run(
            context,
            &of.run,
            &Fact::DeadlinePassed(of.attempt.clone()),
            None,
        )
        .await?;
    }
    Ok(true)
}

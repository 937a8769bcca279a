//! Finds what was lost and feeds it back: announces stale intents again, asks after bound builds,
//! ends what has run out of time. It performs no effect itself, so it can race nobody.

use towline_domain::image::NotTagged;
use towline_domain::intent::{AttemptRef, Intent};
use towline_domain::run::{BuildStatus, Fact, NoIndex, NotRetried, NotStarted, Run};
use towline_domain::stage;
use towline_ports::{Builds, Item};

use towline_state::apply;
use towline_state::keys;
use towline_state::{Context, HandlerError, Outbox, Owed, announcement, milliseconds};

/// Items looked at in one round; the next round takes the rest.
const MOST_AT_ONCE: usize = 500;
/// Announcements after which an intent is given up, where that harms nobody: about eight hours.
const MOST_TRIES: u32 = 50;

/// What a round found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Intents announced again.
    pub announced: usize,
    /// Builds and promotions looked after.
    pub watched: usize,
    /// Intents given up.
    pub given_up: usize,
    /// Items and intents that could not be dealt with this time.
    pub failed: usize,
}

/// Looks after everything that is due: first announces, which waits for nobody, then asks after
/// builds. What fails is looked at again later, so that it does not keep the others (F17).
///
/// # Errors
/// When the store does not answer at all.
pub async fn handle(context: Context<'_>, builds: &dyn Builds) -> Result<Swept, HandlerError> {
    let now = context.now();
    let mut swept = Swept::default();
    let items = context.store.due(now, MOST_AT_ONCE).await?;
    let oldest = items.iter().filter_map(|item| item.due).min();
    tracing::info!(
        target: "towline::metric",
        name = "SweepAge",
        milliseconds = oldest.map_or(0, |due| milliseconds(due, now)),
        "{} due", items.len()
    );
    let mut watches = Vec::new();
    for item in items {
        let key = item.key.clone();
        match take(context, item).await {
            Ok(due) => {
                let (watched, due) = due.into_iter().partition(|owed| owed.intent.is_watch());
                watches.extend::<Vec<Owed>>(watched);
                announce_again(context, due, &mut swept).await;
            }
            Err(error) => failed(&key.partition, &error, &mut swept),
        }
    }
    for owed in watches {
        match watch(context, builds, &owed).await {
            Ok(()) => swept.watched += 1,
            Err(error) => failed(&owed.id, &error, &mut swept),
        }
    }
    Ok(swept)
}

/// Takes what is due in an item and has it wait for its next turn, in one write; nothing, where
/// somebody else changes the item now: it is still due in the next round.
async fn take(context: Context<'_>, item: Item) -> Result<Vec<Owed>, HandlerError> {
    let now = context.now();
    let mut outbox = Outbox::of(&item)?;
    let due: Vec<Owed> = outbox.due_by(now).cloned().collect();
    due.iter().for_each(|owed| outbox.put(owed.again(now)));
    let kept = context.keep(item, &outbox).await?;
    Ok(if kept { due } else { Vec::new() })
}

fn failed(what: &str, error: &HandlerError, swept: &mut Swept) {
    let error = error as &dyn std::error::Error;
    tracing::warn!(error, what, "could not be swept");
    swept.failed += 1;
}

/// Announces at once everything that is owed, as after a start: whoever was to act may be gone.
///
/// # Errors
/// When the store does not answer.
pub async fn announce_all(context: Context<'_>) -> Result<usize, HandlerError> {
    let far = towline_domain::Timestamp::MAX;
    let items = context.store.due(far, 1_000).await?;
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
        if owed.tries >= MOST_TRIES {
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

/// Ends an intent that was never done, and what waits for it, in one commit. Says whether it did:
/// what was answered for, or what nothing else would find again, is announced for as long as it
/// takes.
async fn give_up(context: Context<'_>, owed: &Owed) -> Result<bool, HandlerError> {
    let (tries, since) = (owed.tries, owed.since);
    let given_up = match &owed.intent {
        Intent::BuildDue(of) => {
            let why = NotStarted::GivenUp { tries, since };
            let fact = Fact::BuildRefused(of.attempt.clone(), why);
            apply::to_run(context, &of.run, &fact, Some(&owed.id)).await?;
            true
        }
        Intent::IndexDue(of) => {
            let why = NotTagged::GivenUp { tries, since };
            let fact = Fact::IndexRefused(of.attempt.clone(), NoIndex::Tag { why });
            apply::to_run(context, &of.run, &fact, Some(&owed.id)).await?;
            true
        }
        Intent::BuildRetryDue {
            run,
            component,
            after,
        } => {
            let fact = Fact::RetryRefused {
                component: component.clone(),
                after: *after,
                why: NotRetried::GivenUp { tries, since },
            };
            apply::to_run(context, run, &fact, Some(&owed.id)).await?;
            true
        }
        Intent::PromotionDue { stage, promotion } => {
            let fact = stage::Fact::GivenUp {
                promotion: *promotion,
                tries,
                since,
            };
            apply::to_stage(context, stage, &fact, Some(&owed.id)).await?;
            true
        }
        // Nothing waits for a line beside a commit; a build has long reached its time limit.
        Intent::BuildStatusDue { .. }
        | Intent::StageStatusDue { .. }
        | Intent::StatusesDue { .. }
        | Intent::BuildStopDue { .. } => {
            context.finish(owed).await?;
            true
        }
        Intent::PushAccepted(_)
        | Intent::ImageDue { .. }
        | Intent::BuildSuperseded { .. }
        | Intent::ImageRecorded { .. }
        | Intent::ImageReady { .. }
        | Intent::DeployDue { .. }
        | Intent::BuildWatchDue(_)
        | Intent::PromotionWatchDue { .. } => false,
    };
    tracing::error!(
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
        false => Ok(()),
    }
}

/// Asks after the build that is bound (F6, F15), and ends an attempt past its deadline. Says
/// whether there is anything left to watch.
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

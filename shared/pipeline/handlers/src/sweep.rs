//! Finds lost work and repeats it: announces stale intents again, looks up bound builds, ends what
//! has expired. It has no other effects, so it cannot conflict with the functions.

use towline_domain::image::NotTagged;
use towline_domain::intent::{AttemptRef, Intent};
use towline_domain::run::{BuildStatus, Fact, NoIndex, NotRetried, NotStarted, Run};
use towline_domain::stage;
use towline_ports::Builds;

use towline_state::apply;
use towline_state::keys;
use towline_state::{Context, HandlerError, Outbox, Owed, announcement, milliseconds};

/// Items to check in one round; the next round takes the rest.
const MOST_AT_ONCE: usize = 500;
/// Announcements after which an intent is given up and shown to a person: about eight hours.
const MOST_TRIES: u32 = 50;

/// The result of a round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Intents announced again.
    pub announced: usize,
    /// Builds and promotions that were checked.
    pub watched: usize,
    /// Intents given up.
    pub dead: usize,
    /// Items that failed this time.
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
    let due = context.store.due(now, MOST_AT_ONCE).await?;
    let oldest = due.iter().filter_map(|item| item.due).min();
    tracing::info!(
        target: "towline::metric",
        name = "SweepAge",
        milliseconds = oldest.map_or(0, |due| milliseconds(due, now)),
        "{} due", due.len()
    );
    let mut watches = Vec::new();
    for item in due {
        let Ok(outbox) = Outbox::of(&item) else {
            tracing::error!(key = item.key.partition, "cannot read an item's intents");
            swept.failed += 1;
            continue;
        };
        let owed: Vec<Owed> = outbox.due_by(now).cloned().collect();
        if owed.is_empty() {
            context.look_later(item).await?;
        }
        for owed in owed {
            if owed.intent.is_watch() {
                watches.push(owed);
            } else if let Err(error) = announce_again(context, &owed, &mut swept).await {
                failed(&owed, &error, &mut swept);
            }
        }
    }
    for owed in watches {
        match watch(context, builds, &owed).await {
            Ok(()) => swept.watched += 1,
            Err(error) => {
                failed(&owed, &error, &mut swept);
                // Continue with the others, however long this one took.
                let _ = look_again(context, &owed).await;
            }
        }
    }
    Ok(swept)
}

/// Postpones an intent to its next turn; returns whether it is still owed.
async fn look_again(context: Context<'_>, owed: &Owed) -> Result<bool, HandlerError> {
    let now = context.now();
    let again = |owed: &Owed| Some(owed.announced_again(now, None));
    context.amend(&owed.id, again).await
}

fn failed(owed: &Owed, error: &HandlerError, swept: &mut Swept) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        intent = owed.id,
        "cannot sweep an item"
    );
    swept.failed += 1;
}

/// Announces all intents at once, as after a start: the process that was to act may be gone.
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
        .filter(|owed| owed.dead.is_none() && !owed.intent.is_watch())
        .map(|owed| announcement(&owed, now, &[]))
        .collect();
    let count = announcements.len();
    context.announce(announcements).await;
    Ok(count)
}

async fn announce_again(
    context: Context<'_>,
    owed: &Owed,
    swept: &mut Swept,
) -> Result<(), HandlerError> {
    if owed.tries >= MOST_TRIES && may_be_given_up(&owed.intent) {
        swept.dead += 1;
        return give_up(context, owed).await;
    }
    if look_again(context, owed).await? {
        let announcement = announcement(owed, context.now(), &[]);
        context.announce(vec![announcement]).await;
        swept.announced += 1;
    }
    Ok(())
}

/// Whether an intent may be given up. An accepted push may not, because GitHub got its answer.
fn may_be_given_up(intent: &Intent) -> bool {
    !matches!(intent, Intent::PushAccepted(_))
}

/// Ends whatever waits for an intent that never succeeded, in the commit that ends the intent; if
/// nothing waits, the intent is kept and marked, for a person.
async fn give_up(context: Context<'_>, owed: &Owed) -> Result<(), HandlerError> {
    let now = context.now();
    let (tries, since) = (owed.tries, owed.since);
    let reason = format!("tried {tries} times since {since} and never done");
    tracing::error!(
        intent = owed.id,
        kind = owed.intent.detail_type(),
        reason,
        "given up; it needs a person's attention"
    );
    match &owed.intent {
        Intent::BuildDue(of) => {
            let why = NotStarted::GivenUp { tries, since };
            let fact = Fact::BuildRefused(of.attempt.clone(), why);
            apply::to_run(context, &of.run, &fact, Some(&owed.id)).await?;
        }
        Intent::IndexDue(of) => {
            let why = NotTagged::GivenUp { tries, since };
            let fact = Fact::IndexRefused(of.attempt.clone(), NoIndex::Tag { why });
            apply::to_run(context, &of.run, &fact, Some(&owed.id)).await?;
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
        }
        Intent::PromotionDue { stage, promotion } => {
            let fact = stage::Fact::GivenUp {
                promotion: *promotion,
                tries,
                since,
            };
            apply::to_stage(context, stage, &fact, Some(&owed.id)).await?;
        }
        Intent::PushAccepted(_)
        | Intent::BuildStopDue { .. }
        | Intent::ImageDue { .. }
        | Intent::BuildSuperseded { .. }
        | Intent::ImageRecorded { .. }
        | Intent::ImageReady { .. }
        | Intent::DeployDue { .. }
        | Intent::BuildStatusDue { .. }
        | Intent::StageStatusDue { .. }
        | Intent::StatusesDue { .. }
        | Intent::BuildWatchDue(_)
        | Intent::PromotionWatchDue { .. } => {
            let dead = |owed: &Owed| Some(owed.announced_again(now, Some(&reason)));
            context.amend(&owed.id, dead).await?;
        }
    }
    Ok(())
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
        false => look_again(context, owed).await.map(drop),
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

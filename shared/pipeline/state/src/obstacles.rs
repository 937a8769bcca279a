//! Work that waits until a person has put something right: it is owed with the obstacle, tried ever more
//! rarely, and announced at once when the obstacle is gone.

use towline_domain::Timestamp;
use towline_domain::obstacle::{Obstacle, Service};

use crate::content::HandlerError;
use crate::context::Context;
use crate::outbox::{Outbox, Owed, announcement, place};

/// The most items to look through.
const MOST_ITEMS: usize = 1_000;

impl Context<'_> {
    /// Records with an intent what a person must put right first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn obstruct(&self, owed: &Owed, by: &Obstacle) -> Result<(), HandlerError> {
        if owed.obstacle.as_ref() == Some(by) {
            return Ok(()); // the sweep has postponed it already
        }
        let obstructed = |owed: &Owed| {
            Some(Owed {
                obstacle: Some(by.clone()),
                ..owed.clone()
            })
        };
        self.amend(owed, obstructed).await.map(drop)
    }

    /// Whether an intent that was read is still owed.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn still_owes(&self, read: &Owed) -> Result<bool, HandlerError> {
        let Some(item) = self.store.get(&place(&read.id)).await? else {
            return Ok(false);
        };
        let outbox = Outbox::of(&item)?;
        Ok(outbox
            .find(&read.id)
            .is_some_and(|owed| owed.since == read.since))
    }

    /// Announces everything at once that waits for a person to put something right at `by`, if `counts`
    /// says so; returns how much. What is still denied then waits again.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn release(
        &self,
        by: Service,
        counts: impl Fn(&Owed) -> bool,
    ) -> Result<usize, HandlerError> {
        let now = self.now();
        let waits = |owed: &Owed| {
            let obstacle = owed.obstacle.as_ref();
            obstacle.is_some_and(|obstacle| obstacle.by == by) && counts(owed)
        };
        let mut announcements = Vec::new();
        for item in self.store.due(Timestamp::MAX, MOST_ITEMS).await?.items {
            let mut outbox = Outbox::of(&item)?;
            let waiting: Vec<Owed> = outbox
                .owed()
                .iter()
                .filter(|it| waits(it))
                .cloned()
                .collect();
            if waiting.is_empty() {
                continue;
            }
            for owed in &waiting {
                outbox.put(
                    Owed {
                        obstacle: None,
                        tries: 0,
                        ..owed.clone()
                    }
                    .again(now),
                );
            }
            // On a conflict somebody else is at work on it, and it is tried again at its time.
            if self.keep(item, &outbox).await? {
                announcements.extend(waiting.iter().map(|owed| announcement(owed, now, &[])));
            }
        }
        let count = announcements.len();
        self.announce(announcements).await;
        Ok(count)
    }
}

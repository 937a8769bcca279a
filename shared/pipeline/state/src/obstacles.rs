//! Work that waits until a person has fixed something: it is owed with the obstacle, retried with growing
//! pauses, and announced at once when the obstacle is gone.

use serde_json::json;
use towline_domain::Timestamp;
use towline_domain::obstacle::{Obstacle, Service};
use towline_ports::{Query, Row, TransactError, Write};

use crate::content::HandlerError;
use crate::context::Context;
use crate::keys;
use crate::outbox::{Outbox, Owed, announcement, place};

/// The most items to look through.
const MOST_ITEMS: usize = 1_000;

impl Context<'_> {
    /// Records with an intent what a person must put right first, or that it is something else now.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn obstruct(&self, owed: &Owed, by: Option<&Obstacle>) -> Result<(), HandlerError> {
        if owed.obstacle.as_ref() == by {
            return Ok(()); // the sweep has postponed it already
        }
        let obstructed = |owed: &Owed| {
            Some(Owed {
                obstacle: by.cloned(),
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

    /// Remembers that a service allows again what it denied, for [`Self::release_passed`].
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn passed(&self, by: Service) -> Result<(), HandlerError> {
        let row = Row {
            key: keys::passed(by),
            body: json!({ "at": self.now() }).into(),
        };
        Ok(self.store.put_rows(vec![row]).await?)
    }

    /// Announces at once what waits for services that allow again what they denied. Only `sweep` and one
    /// machine do, because only they may list what is owed.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn release_passed(&self) -> Result<(), HandlerError> {
        let page = self.store.query(&Query::all(keys::PASSED)).await?;
        for item in page.items {
            if let Some(by) = keys::passed_by(&item.key) {
                self.release(by).await?;
            }
            let done = Write::Delete {
                key: item.key,
                version: item.version,
            };
            match self.store.transact(vec![done]).await {
                Ok(()) | Err(TransactError::Conflict(_)) => {}
                Err(TransactError::Port(error)) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Announces everything at once that waits for a person to fix something at `by`. What is still denied
    /// continues to wait, with pauses as long as before.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn release(&self, by: Service) -> Result<(), HandlerError> {
        let now = self.now();
        let waits = |owed: &Owed| owed.obstacle.as_ref().is_some_and(|it| it.by == by);
        let mut announcements = Vec::new();
        for item in self.store.due(Timestamp::MAX, MOST_ITEMS).await?.items {
            let Ok(outbox) = Outbox::of(&item) else {
                continue; // the sweep reports and sets it aside
            };
            let waiting = outbox.owed().iter().filter(|owed| waits(owed));
            announcements.extend(waiting.map(|owed| announcement(owed, now, &[])));
        }
        tracing::info!(
            ?by,
            count = announcements.len(),
            "announced what was denied"
        );
        self.announce(announcements).await;
        Ok(())
    }
}

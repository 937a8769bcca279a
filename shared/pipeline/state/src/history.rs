//! Reads rows, and returns only those that an item refers to.

use std::sync::Arc;

use serde::Serialize;
use towline_domain::Timestamp;
use towline_domain::intent::StageKey;
use towline_domain::ledger::{Head, Row};
use towline_domain::stage::{Pointer, Stage};
use towline_ports::{Item, Query};

use crate::Context;
use crate::content::{HandlerError, Stored, decode};
use crate::keys;
use crate::read::Read;

/// The most rows of a ledger to read if all are wanted.
pub const MOST_ROWS: usize = 1_000;

/// Extra rows to read, because some may not count.
const SPARE: usize = 16;

/// The newest rows of a stage's ledger, newest first. Each names the hash of the one before it, and
/// the stage that of the last: a row that this chain does not reach was written for a decision that
/// was not committed.
///
/// # Errors
/// When the store does not answer.
pub async fn ledger(
    context: Context<'_>,
    stage: &Stage,
    most: usize,
) -> Result<Vec<Row>, HandlerError> {
    let mut query = Query::all(keys::ledger(&stage.key))
        .newest_first()
        .limit(most + SPARE);
    let mut expected = stage.ledger.hash.clone();
    let mut rows: Vec<Row> = Vec::new();
    loop {
        let page = context.store.query(&query).await?;
        for item in &page.items {
            let row = Read::<Row>::of(item)?.value;
            if row.hash() == expected {
                expected.clone_from(&row.previous);
                rows.push(row);
            }
        }
        rows.truncate(most);
        match page.next {
            Some(next) if rows.len() < most => query.after = Some(next),
            Some(_) | None => return Ok(rows),
        }
    }
}

/// Rows of a ledger, newest first, from one of its places on.
#[derive(Debug)]
pub struct Part<W> {
    pub rows: Vec<Row<W>>,
    /// Where to continue: the place before the last row. At sequence 0 the ledger is read.
    pub rest: Head,
    /// Whether the row at `rest` is missing or was changed, so that nothing leads to older rows.
    pub breaks: bool,
}

/// Reads rows of the ledger in a partition from `from` on, which is what a [`Head`] or an earlier
/// [`Part::rest`] says: a number, and the hash that the row with that number must have.
///
/// # Errors
/// When the store does not answer.
pub async fn part<W: Stored + Serialize>(
    context: Context<'_>,
    partition: &str,
    from: &Head,
    most: usize,
) -> Result<Part<W>, HandlerError> {
    let mut query = Query::all(partition)
        .up_to(keys::last_row(from.sequence))
        .newest_first()
        .limit(most + SPARE);
    let mut part = Part {
        rows: Vec::new(),
        rest: from.clone(),
        breaks: from.sequence == 0 && *from != Head::default(),
    };
    while part.rest.sequence > 0 && part.rows.len() < most && !part.breaks {
        let page = context.store.query(&query).await?;
        for item in page.items {
            if part.rows.len() == most || part.rest.sequence == 0 {
                break;
            }
            if *item.key.sort > *keys::last_row(part.rest.sequence - 1) {
                part.take(&item);
            } else {
                part.breaks = true; // all rows with the expected number were there
                break;
            }
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => {
                part.breaks |= part.rest.sequence > 0 && part.rows.len() < most;
                break;
            }
        }
    }
    Ok(part)
}

impl<W: Stored + Serialize> Part<W> {
    /// Takes a row if it is the expected one. Other rows belong to decisions that were not committed.
    fn take(&mut self, item: &Item) {
        let Ok(row) = decode::<Row<W>>(item) else {
            return;
        };
        if row.sequence != self.rest.sequence || row.hash() != self.rest.hash {
            return;
        }
        self.rest = Head {
            sequence: row.sequence - 1,
            hash: row.previous.clone(),
        };
        // The first row follows nothing.
        self.breaks = self.rest.sequence == 0 && self.rest != Head::default();
        self.rows.push(Arc::unwrap_or_clone(row));
    }
}

/// What was live in a stage, newest first: the live image is in the stage, earlier ones are in rows.
///
/// # Errors
/// When the store does not answer.
pub async fn pointers(
    context: Context<'_>,
    key: &StageKey,
    most: usize,
) -> Result<Vec<Pointer>, HandlerError> {
    let live = live(context, key).await?;
    let rows = Query::all(keys::pointers(key)).newest_first().limit(most);
    let before: Vec<Pointer> = context.list(&rows).await?;
    let before = before.into_iter().filter(|before| is_older(before, &live));
    Ok(live.clone().into_iter().chain(before).take(most).collect())
}

/// What was live in a stage at a given time.
///
/// # Errors
/// When the store does not answer.
pub async fn live_at(
    context: Context<'_>,
    key: &StageKey,
    at: Timestamp,
) -> Result<Option<Pointer>, HandlerError> {
    let live = live(context, key).await?;
    if live.as_ref().is_none_or(|live| live.since <= at) {
        return Ok(live);
    }
    let rows = Query::all(keys::pointers(key))
        .up_to(format!("{}#~", keys::moment(at)))
        .newest_first()
        .limit(1);
    Ok(context.list(&rows).await?.pop())
}

async fn live(context: Context<'_>, key: &StageKey) -> Result<Option<Pointer>, HandlerError> {
    let stage = context.read::<Stage>(&keys::stage(key)).await?;
    Ok(stage.and_then(|stage| stage.value.pointer))
}

/// The row of a live image is written before the next image is live.
fn is_older(before: &Pointer, live: &Option<Pointer>) -> bool {
    live.as_ref()
        .is_some_and(|live| before.version < live.version)
}

//! Reads, each on its own connection.

use std::ops::Bound;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rusqlite::types::{ToSql, Type};
use rusqlite::{Connection, Row, params};
use serde_json::Value;
use tokio::sync::Semaphore;
use towline_ports::{Due, Item, Key, Page, PortError, Query};

use crate::fault::{self, Fault};
use crate::schema;

/// Connections; each uses about 2 MB after many reads (SQLite's default page cache).
const MOST_AT_ONCE: usize = 4;

/// The connections that read.
#[derive(Debug)]
pub(crate) struct Readers {
    path: PathBuf,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            permits: Arc::new(Semaphore::new(MOST_AT_ONCE)),
            idle: Mutex::default(),
        }
    }

    /// Reads on a thread that may block.
    pub(crate) async fn read<T: Send + 'static>(
        self: Arc<Self>,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, PortError> {
        const DOING: &str = "read from the store";
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|closed| PortError::new(DOING, closed))?;
        let blocking = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            self.read_here(read)
                .map_err(|error| fault::port_error(DOING, Arc::new(Fault::new(&self.path, error))))
        });
        blocking
            .await
            .map_err(|ended| PortError::new(DOING, ended))?
    }

    fn read_here<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let idle = self.idle().pop();
        let connection = idle.map_or_else(|| schema::open_for_reading(&self.path), Ok)?;
        let outcome = read(&connection);
        // A failed connection is closed; the next read gets a new one.
        if outcome.is_ok() {
            self.idle().push(connection);
        }
        outcome
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn get(connection: &Connection, key: &Key) -> rusqlite::Result<Option<Item>> {
    let mut select = connection.prepare_cached(
        "SELECT partition, sort, version, body, due FROM items WHERE partition = ?1 AND sort = ?2",
    )?;
    let mut rows = select.query(params![key.partition, key.sort])?;
    rows.next()?.map(item).transpose()
}

pub(crate) fn get_many(
    connection: &Connection,
    keys: &[Key],
) -> rusqlite::Result<Vec<Option<Item>>> {
    keys.iter().map(|key| get(connection, key)).collect()
}

pub(crate) fn query(connection: &Connection, query: &Query) -> rusqlite::Result<Page> {
    let (first, last) = bounds(query);
    let mut values: Vec<&dyn ToSql> = vec![&query.partition];
    let mut sql =
        String::from("SELECT partition, sort, version, body, due FROM items WHERE partition = ?");
    for (bound, included, excluded) in [
        (&first, " AND sort >= ?", " AND sort > ?"),
        (&last, " AND sort <= ?", " AND sort < ?"),
    ] {
        match bound {
            Bound::Included(sort) => {
                sql.push_str(included);
                values.push(sort);
            }
            Bound::Excluded(sort) => {
                sql.push_str(excluded);
                values.push(sort);
            }
            Bound::Unbounded => {}
        }
    }
    sql.push_str(if query.newest_first {
        " ORDER BY sort DESC LIMIT ?"
    } else {
        " ORDER BY sort LIMIT ?"
    });
    let one_more = query.limit as i64 + 1; // tells whether there is more
    values.push(&one_more);
    let mut select = connection.prepare_cached(&sql)?;
    let rows = select.query_map(&*values, item)?;
    let mut items = rows.collect::<rusqlite::Result<Vec<Item>>>()?;
    let more = items.len() > query.limit;
    items.truncate(query.limit);
    let last = items.last().map(|item| item.key.sort.to_string());
    Ok(Page {
        items,
        next: last.filter(|_| more),
    })
}

pub(crate) fn due(
    connection: &Connection,
    until: Timestamp,
    limit: usize,
) -> rusqlite::Result<Due> {
    let mut select = connection.prepare_cached(
        "SELECT partition, sort, version, body, due FROM items
         WHERE due IS NOT NULL AND due <= ?1 ORDER BY due, partition, sort LIMIT ?2",
    )?;
    let most = limit as i64 + 1;
    let rows = select.query_map(params![until.as_nanosecond(), most], item)?;
    let mut items: Vec<Item> = rows.collect::<rusqlite::Result<_>>()?;
    let complete = items.len() <= limit;
    items.truncate(limit);
    Ok(Due { items, complete })
}

fn item(row: &Row<'_>) -> rusqlite::Result<Item> {
    let unreadable =
        |column, kind, error| rusqlite::Error::FromSqlConversionFailure(column, kind, error);
    let body: Value = serde_json::from_str(row.get_ref(3)?.as_str()?)
        .map_err(|error| unreadable(3, Type::Text, error.into()))?;
    let due = row
        .get::<_, Option<i128>>(4)?
        .map(Timestamp::from_nanosecond)
        .transpose()
        .map_err(|error| unreadable(4, Type::Blob, error.into()))?;
    Ok(Item {
        key: Key::new(row.get::<_, String>(0)?, row.get::<_, String>(1)?),
        version: row.get::<_, i64>(2)?.cast_unsigned(),
        body: body.into(),
        due,
    })
}

/// The narrowest range of sort keys that contains exactly the results of a query.
fn bounds(query: &Query) -> (Bound<String>, Bound<String>) {
    let mut first = Bound::Included(query.prefix.clone());
    let mut last = behind(&query.prefix);
    if let Some(up_to) = &query.up_to {
        last = lower(last, Bound::Included(up_to.clone()));
    }
    match &query.after {
        Some(after) if query.newest_first => last = lower(last, Bound::Excluded(after.clone())),
        Some(after) if *after >= query.prefix => first = Bound::Excluded(after.clone()),
        Some(_) | None => {}
    }
    (first, last)
}

/// The end of all texts that begin with `prefix`: its last character replaced by the next one.
/// UTF-8 sorts by code point.
fn behind(prefix: &str) -> Bound<String> {
    let mut characters = prefix.chars();
    while let Some(last) = characters.next_back() {
        // Stepping over the surrogates, which no text contains, is one step of a range.
        if let Some(next) = (last..=char::MAX).nth(1) {
            return Bound::Excluded(format!("{}{next}", characters.as_str()));
        }
    }
    Bound::Unbounded
}

/// The lower of two upper ends.
fn lower(one: Bound<String>, other: Bound<String>) -> Bound<String> {
    // With the same text, the end that excludes it is lower.
    let rank = |bound: &Bound<String>| match bound {
        Bound::Excluded(sort) => Some((sort.clone(), 0)),
        Bound::Included(sort) => Some((sort.clone(), 1)),
        Bound::Unbounded => None,
    };
    match (rank(&one), rank(&other)) {
        (Some(first), Some(second)) if second < first => other,
        (None, _) => other,
        (Some(_), _) => one,
    }
}

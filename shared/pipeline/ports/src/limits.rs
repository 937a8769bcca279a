//! The limits that every store checks first, so that all of them refuse the same.

use std::collections::HashSet;
use std::io;

use serde::Serialize;
use serde_json::Value;

use crate::{Key, PortError, Query, Row, Write};

/// Keys read at once (DynamoDB API, `BatchGetItem`).
pub const MOST_KEYS: usize = 100;
/// Changes in one transaction (DynamoDB API, `TransactWriteItems`).
pub const MOST_WRITES: usize = 100;
/// Bytes of keys and contents in one transaction: 4 MB (DynamoDB API, `TransactWriteItems`).
pub const MOST_TRANSACTION: usize = 4 << 20;
/// Bytes of a key's partition (DynamoDB developer guide, "Constraints").
pub const MOST_PARTITION: usize = 2_048;
/// Bytes of a key's sort (DynamoDB developer guide, "Constraints").
pub const MOST_SORT: usize = 1_024;
/// Bytes of an item's content, written as JSON without spaces.
pub const MOST_BODY: usize = 300 << 10;
/// Levels of nested objects and arrays; `serde_json` reads at most 127.
pub const MOST_DEPTH: usize = 100;
/// Items of one answer.
pub const MOST_ITEMS: usize = 1_000;
/// Rows written at once.
pub const MOST_ROWS: usize = 1_000;

/// Why a store refuses. Retrying does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// Too many changes, or none.
    #[error("a transaction makes 1 to {MOST_WRITES} changes, not {0}")]
    Writes(usize),
    /// Too many keys, or none.
    #[error("1 to {MOST_KEYS} keys are read at once, not {0}")]
    Keys(usize),
    #[error("a key is asked for once, but {:?} twice", (&.0.partition, &.0.sort))]
    AskedTwice(Key),
    /// Too many rows, or none.
    #[error("1 to {MOST_ROWS} rows are written at once, not {0}")]
    Rows(usize),
    /// Two changes of one key.
    #[error("a transaction changes a key once, but this one changes {:?} twice", (&.0.partition, &.0.sort))]
    KeyTwice(Key),
    /// Too many bytes in all.
    #[error("a transaction has at most {MOST_TRANSACTION} bytes, not {0}")]
    Transaction(usize),
    /// An empty or too long partition.
    #[error("the partition of a key has 1 to {MOST_PARTITION} bytes, not {0}")]
    Partition(usize),
    /// An empty or too long sort.
    #[error("the sort of a key has 1 to {MOST_SORT} bytes, not {0}")]
    Sort(usize),
    /// A content that is not an object.
    #[error("the content of {:?} is not a JSON object", (&.0.partition, &.0.sort))]
    NoObject(Key),
    /// A content that is too large.
    #[error("the content of {:?} has {bytes} bytes, over the {MOST_BODY} an item may have", (&.key.partition, &.key.sort))]
    Body {
        key: Key,
        /// Its size.
        bytes: usize,
    },
    /// A content that is nested too deep.
    #[error("the content of {:?} is nested more than {MOST_DEPTH} deep", (&.0.partition, &.0.sort))]
    Depth(Key),
    /// Too many items asked for, or none.
    #[error("an answer has 1 to {MOST_ITEMS} items, not {0}")]
    Items(usize),
}

impl From<LimitError> for PortError {
    fn from(error: LimitError) -> Self {
        Self::permanent("ask the store for what it can do", error)
    }
}

/// Checks the changes of a transaction; returns the content of each as JSON text, if it has one.
///
/// # Errors
///
/// The first limit that is exceeded.
pub fn checked_bodies(writes: &[Write]) -> Result<Vec<Option<String>>, LimitError> {
    each_write(writes, |key, body| {
        let text = checked_body(key, body)?;
        Ok((text.len(), text))
    })
}

/// Checks the changes of a transaction, for a store that needs no text.
#[cfg(feature = "memory")]
pub(crate) fn check_writes(writes: &[Write]) -> Result<(), LimitError> {
    each_write(writes, |key, body| Ok((check_body(key, body)?, ()))).map(drop)
}

fn each_write<T>(
    writes: &[Write],
    check: impl Fn(&Key, &Value) -> Result<(usize, T), LimitError>,
) -> Result<Vec<Option<T>>, LimitError> {
    if !(1..=MOST_WRITES).contains(&writes.len()) {
        return Err(LimitError::Writes(writes.len()));
    }
    let mut keys = HashSet::new();
    let mut bytes = 0;
    let mut bodies = Vec::with_capacity(writes.len());
    for write in writes {
        let key = write.key();
        check_key(key)?;
        if !keys.insert(key) {
            return Err(LimitError::KeyTwice(key.clone()));
        }
        let body = match write {
            Write::Create { body, .. } | Write::Replace { body, .. } | Write::Put { body, .. } => {
                Some(check(key, body)?)
            }
            Write::Delete { .. } => None,
        };
        bytes += key.partition.len() + key.sort.len() + body.as_ref().map_or(0, |body| body.0);
        bodies.push(body.map(|body| body.1));
    }
    if bytes > MOST_TRANSACTION {
        return Err(LimitError::Transaction(bytes));
    }
    Ok(bodies)
}

/// Checks rows that are written together; returns the content of each as JSON text.
///
/// # Errors
///
/// The first limit that is exceeded.
pub fn checked_rows(rows: &[Row]) -> Result<Vec<String>, LimitError> {
    each_row(rows, checked_body)
}

/// Checks rows that are written together, for a store that needs no text.
#[cfg(feature = "memory")]
pub(crate) fn check_rows(rows: &[Row]) -> Result<(), LimitError> {
    each_row(rows, check_body).map(drop)
}

fn each_row<T>(
    rows: &[Row],
    check: impl Fn(&Key, &Value) -> Result<T, LimitError>,
) -> Result<Vec<T>, LimitError> {
    if !(1..=MOST_ROWS).contains(&rows.len()) {
        return Err(LimitError::Rows(rows.len()));
    }
    let mut keys = HashSet::new();
    let mut bodies = Vec::with_capacity(rows.len());
    for Row { key, body } in rows {
        check_key(key)?;
        if !keys.insert(key) {
            return Err(LimitError::KeyTwice(key.clone()));
        }
        bodies.push(check(key, body)?);
    }
    Ok(bodies)
}

/// Checks keys that are read together.
///
/// # Errors
///
/// When there are too many or none, one is repeated, or one is invalid.
pub fn check_keys(keys: &[Key]) -> Result<(), LimitError> {
    if !(1..=MOST_KEYS).contains(&keys.len()) {
        return Err(LimitError::Keys(keys.len()));
    }
    let mut known = HashSet::new();
    for key in keys {
        check_key(key)?;
        if !known.insert(key) {
            return Err(LimitError::AskedTwice(key.clone()));
        }
    }
    Ok(())
}

/// Checks a key.
///
/// # Errors
///
/// When a part of it is empty or too long.
pub fn check_key(key: &Key) -> Result<(), LimitError> {
    check_partition(&key.partition)?;
    if !(1..=MOST_SORT).contains(&key.sort.len()) {
        return Err(LimitError::Sort(key.sort.len()));
    }
    Ok(())
}

/// Checks a query.
///
/// # Errors
///
/// When its partition or its limit is invalid.
pub fn check_query(query: &Query) -> Result<(), LimitError> {
    check_partition(&query.partition)?;
    check_items(query.limit)
}

/// Checks the requested number of items.
///
/// # Errors
///
/// When it is zero or too many.
pub fn check_items(limit: usize) -> Result<(), LimitError> {
    if !(1..=MOST_ITEMS).contains(&limit) {
        return Err(LimitError::Items(limit));
    }
    Ok(())
}

fn check_partition(partition: &str) -> Result<(), LimitError> {
    if !(1..=MOST_PARTITION).contains(&partition.len()) {
        return Err(LimitError::Partition(partition.len()));
    }
    Ok(())
}

fn checked_body(key: &Key, body: &Value) -> Result<String, LimitError> {
    check_shape(key, body)?;
    let text = body.to_string();
    check_size(key, text.len())?;
    Ok(text)
}

/// Checks a content without writing it; returns its size.
#[cfg(feature = "memory")]
fn check_body(key: &Key, body: &Value) -> Result<usize, LimitError> {
    check_shape(key, body)?;
    let bytes = bytes_of(body);
    check_size(key, bytes)?;
    Ok(bytes)
}

fn check_shape(key: &Key, body: &Value) -> Result<(), LimitError> {
    if !body.is_object() {
        return Err(LimitError::NoObject(key.clone()));
    }
    if is_too_deep(body) {
        return Err(LimitError::Depth(key.clone()));
    }
    Ok(())
}

fn check_size(key: &Key, bytes: usize) -> Result<(), LimitError> {
    if bytes > MOST_BODY {
        let key = key.clone();
        return Err(LimitError::Body { key, bytes });
    }
    Ok(())
}

/// Bytes of a value written as JSON without spaces, counted without writing it.
#[must_use]
pub fn bytes_of(value: &impl Serialize) -> usize {
    struct Counter(usize);

    impl io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let mut counter = Counter(0);
    // Writing cannot fail here, because all maps have text as keys.
    let _ = serde_json::to_writer(&mut counter, value);
    counter.0
}

/// This uses no recursion, because a deeply nested value would then cause a crash.
fn is_too_deep(body: &Value) -> bool {
    let mut within = vec![(body, 1)];
    while let Some((value, depth)) = within.pop() {
        if depth > MOST_DEPTH && (value.is_object() || value.is_array()) {
            return true;
        }
        match value {
            Value::Array(values) => within.extend(values.iter().map(|value| (value, depth + 1))),
            Value::Object(fields) => within.extend(fields.values().map(|value| (value, depth + 1))),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    false
}

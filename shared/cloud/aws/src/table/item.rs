//! An item as attributes, and back.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use towline_ports::{Item, Key, PortError};

use super::schema::{
    BODY, DUE, DUE_SHARD, EXPIRES, EXPIRES_AFTER_SECONDS, EXPIRING, PARTITION, SORT, VERSION,
    WRITER, shard,
};

pub(super) type Attributes = HashMap<String, AttributeValue>;

pub(super) fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(super) fn number(number: impl Into<i128>) -> AttributeValue {
    AttributeValue::N(number.into().to_string())
}

/// The attributes that name an item.
pub(super) fn key(key: &Key) -> Attributes {
    HashMap::from([
        (PARTITION.to_owned(), text(&key.partition)),
        (SORT.to_owned(), text(&key.sort)),
    ])
}

/// The attributes that come from a due time, if there is one, and from what an item is.
pub(super) fn times(key: &Key, due: Option<Timestamp>) -> Vec<(&'static str, AttributeValue)> {
    let mut times = Vec::new();
    if let Some(due) = due {
        times.push((DUE, number(due.as_nanosecond())));
        times.push((DUE_SHARD, text(shard(key))));
    }
    if key.partition.starts_with(EXPIRING) {
        times.push((EXPIRES, number(now() + EXPIRES_AFTER_SECONDS)));
    }
    times
}

/// All attributes of an item that is written whole.
pub(super) fn whole(
    of: &Key,
    version: i128,
    body: String,
    due: Option<Timestamp>,
    writer: Option<&str>,
) -> Attributes {
    let mut attributes = key(of);
    attributes.insert(VERSION.to_owned(), number(version));
    attributes.insert(BODY.to_owned(), text(body));
    if let Some(writer) = writer {
        attributes.insert(WRITER.to_owned(), text(writer));
    }
    let times = times(of, due).into_iter();
    attributes.extend(times.map(|(name, value)| (name.to_owned(), value)));
    attributes
}

/// Reads an item.
pub(super) fn read(mut attributes: Attributes) -> Result<Item, PortError> {
    let (partition, sort) = (
        take(&mut attributes, PARTITION)?,
        take(&mut attributes, SORT)?,
    );
    let key = Key::new(partition, sort);
    let unreadable = |what: &'static str| {
        let doing = format!("reading {what} of {:?}", (&key.partition, &key.sort));
        move |error: Box<dyn std::error::Error + Send + Sync>| PortError::new(doing, error)
    };
    let version = take(&mut attributes, VERSION)?
        .parse()
        .map_err(|error: std::num::ParseIntError| unreadable("the version")(error.into()))?;
    let body = serde_json::from_str(&take(&mut attributes, BODY)?)
        .map_err(|error| unreadable("the content")(error.into()))?;
    let due = match attributes.get(DUE) {
        Some(AttributeValue::N(number)) => {
            let nanoseconds: i128 = number.parse().map_err(|error: std::num::ParseIntError| {
                unreadable("the due time")(error.into())
            })?;
            let due = Timestamp::from_nanosecond(nanoseconds);
            Some(due.map_err(|error| unreadable("the due time")(error.into()))?)
        }
        _ => None,
    };
    Ok(Item {
        key,
        version,
        body,
        due,
    })
}

/// The key in an answer.
pub(super) fn read_key(attributes: &mut Attributes) -> Result<Key, PortError> {
    Ok(Key::new(
        take(attributes, PARTITION)?,
        take(attributes, SORT)?,
    ))
}

fn take(attributes: &mut Attributes, name: &str) -> Result<String, PortError> {
    match attributes.remove(name) {
        Some(AttributeValue::S(value) | AttributeValue::N(value)) => Ok(value),
        _ => Err(PortError::because(format!(
            "reading an item of the table: it has no attribute {name:?}"
        ))),
    }
}

fn now() -> i64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "when DynamoDB may tidy up decides nothing"
    )]
    Timestamp::now().as_second()
}

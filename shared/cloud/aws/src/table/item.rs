//! An item as attributes, and back.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;
use serde_json::Value;
use towline_ports::limits::MOST_BODY;
use towline_ports::{Item, Key, PortError};

use super::schema::{
    BODY, DUE, DUE_SHARD, EXPIRES, EXPIRES_AFTER_SECONDS, EXPIRING, PARTITION, SORT, VERSION,
    WRITER, shard,
};

/// The most bytes of a content that is stored as text. A longer one, with its keys and names,
/// exceeds the kilobyte that DynamoDB charges as one write; deflated, most do not.
const MOST_PLAIN: usize = 768;

/// Compression level, of 10; a higher one takes longer than it saves.
const EFFORT: u8 = 6;

pub(super) type Attributes = HashMap<String, AttributeValue>;

pub(super) fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(super) fn number(number: impl Into<i128>) -> AttributeValue {
    AttributeValue::N(number.into().to_string())
}

/// A content as it is stored: as text, or deflated if it is long.
pub(super) fn content(body: String) -> AttributeValue {
    if body.len() <= MOST_PLAIN {
        return text(body);
    }
    let deflated = compress_to_vec(body.as_bytes(), EFFORT);
    AttributeValue::B(Blob::new(deflated))
}

pub(super) fn key(key: &Key) -> Attributes {
    HashMap::from([
        (PARTITION.to_owned(), text(&*key.partition)),
        (SORT.to_owned(), text(&*key.sort)),
    ])
}

/// The attributes for a due time, if there is one, and for expiration.
pub(super) fn times(key: &Key, due: Option<Timestamp>) -> Vec<(&'static str, AttributeValue)> {
    let mut times = Vec::new();
    if let Some(due) = due {
        times.push((DUE, number(due.as_nanosecond())));
        times.push((DUE_SHARD, text(shard(key))));
    }
    // An item that still owes something never expires.
    if due.is_none() && key.partition.starts_with(EXPIRING) {
        times.push((EXPIRES, number(now() + EXPIRES_AFTER_SECONDS)));
    }
    times
}

/// All attributes of a complete item.
pub(super) fn whole(
    of: &Key,
    version: i128,
    body: String,
    due: Option<Timestamp>,
    writer: Option<&str>,
) -> Attributes {
    let mut attributes = key(of);
    attributes.insert(VERSION.to_owned(), number(version));
    attributes.insert(BODY.to_owned(), content(body));
    if let Some(writer) = writer {
        attributes.insert(WRITER.to_owned(), text(writer));
    }
    let times = times(of, due).into_iter();
    attributes.extend(times.map(|(name, value)| (name.to_owned(), value)));
    attributes
}

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
    let body = match attributes.remove(BODY) {
        Some(AttributeValue::S(text)) => serde_json::from_str(&text),
        Some(AttributeValue::B(deflated)) => {
            let text = decompress_to_vec_with_limit(deflated.as_ref(), MOST_BODY)
                .map_err(|error| unreadable("the content")(error.to_string().into()))?;
            serde_json::from_slice(&text)
        }
        _ => return Err(missing(BODY)),
    };
    let body: Value = body.map_err(|error| unreadable("the content")(error.into()))?;
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
        body: body.into(),
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
        _ => Err(missing(name)),
    }
}

fn missing(name: &str) -> PortError {
    PortError::because(format!(
        "reading an item of the table: it has no attribute {name:?}"
    ))
}

fn now() -> i64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "when DynamoDB may tidy up decides nothing"
    )]
    Timestamp::now().as_second()
}

//! What DynamoDB charges for writes.

use miniz_oxide::deflate::compress_to_vec;
use serde_json::Value;
use towline_ports::{Item, Key, Write};

/// DynamoDB's charge for one of this many writes: a unit for each kilobyte, two in a transaction; a
/// single write is not a transaction.
pub(super) fn units(write: &Write, of: usize) -> u64 {
    let kilobytes = match write {
        Write::Create { key, body, .. }
        | Write::Replace { key, body, .. }
        | Write::Put { key, body, .. } => kilobytes(key, body),
        Write::Delete { .. } => 1,
    };
    let price = if of > 1 { 2 } else { 1 };
    price * kilobytes
}

/// Bytes of attribute names, version, due time and writer of an item in the table.
const BESIDES: usize = 90;

/// A longer content is stored deflated, as in the table.
const MOST_PLAIN: usize = 768;

/// The started kilobytes of an item in the table.
pub(super) fn kilobytes(key: &Key, body: &Value) -> u64 {
    let text = body.to_string();
    let kept = match text.len() {
        0..=MOST_PLAIN => text.len(),
        _ => compress_to_vec(text.as_bytes(), 6).len(),
    };
    let bytes = key.partition.len() + key.sort.len() + BESIDES + kept;
    (bytes as u64).div_ceil(1_024)
}

/// DynamoDB's charge for the index of due times: a unit to insert a key, and one to remove one.
pub(super) fn index_units(write: &Write, known: Option<&Item>) -> u64 {
    let before = known.and_then(|known| known.due);
    let after = match write {
        Write::Create { due, .. } | Write::Replace { due, .. } | Write::Put { due, .. } => *due,
        Write::Delete { .. } => None,
    };
    match before == after {
        true => 0,
        false => u64::from(before.is_some()) + u64::from(after.is_some()),
    }
}

//! JSON with its keys in byte order, so that equal documents have equal digests.

use serde::Serialize;
use serde_json::{Map, Value};

/// A document as compact JSON, the keys of every object sorted.
///
/// Sorting is done here and not left to the map type, because a crate anywhere in the build
/// can switch `serde_json` to maps that keep the order of insertion.
pub(crate) fn canonical(document: &impl Serialize) -> Vec<u8> {
    let value = serde_json::to_value(document).expect("image documents have only string keys");
    sorted(value).to_string().into_bytes()
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> = map.into_iter().collect();
            entries.sort_by(|(left, _), (right, _)| left.cmp(right));
            let entries = entries.into_iter().map(|(key, value)| (key, sorted(value)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn keys_are_sorted_at_every_depth_and_strings_keep_their_bytes() {
        let document: Value =
            serde_json::from_str(r#"{"b":[{"z":1,"a":"\u0000é\n"}],"B":null,"a":{}}"#).unwrap();
        let found = String::from_utf8(canonical(&document)).unwrap();
        assert_eq!(found, r#"{"B":null,"a":{},"b":[{"a":"\u0000é\n","z":1}]}"#);
    }
}

//! Items of the table as DynamoDB keeps them.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::DeflateDecoder;
use serde_json::Value;

/// The content of an item, deflated or not; empty where it has none.
#[must_use]
pub fn content(item: &Value) -> String {
    unpacked(&item["body"])
}

/// The content alone, as an attribute.
#[must_use]
pub fn unpacked(attribute: &Value) -> String {
    if let Some(text) = attribute["S"].as_str() {
        return text.to_owned();
    }
    let deflated = attribute["B"]
        .as_str()
        .and_then(|text| STANDARD.decode(text).ok());
    let mut text = String::new();
    match deflated.map(|bytes| DeflateDecoder::new(bytes.as_slice()).read_to_string(&mut text)) {
        Some(Ok(_)) => text,
        Some(Err(_)) | None => String::new(),
    }
}

/// The intents in an item, each as JSON text; an intent with its own item is the whole item.
#[must_use]
pub fn owed(item: &Value) -> Vec<String> {
    let partition = item["partition"]["S"].as_str().unwrap_or_default();
    let content = content(item);
    if partition.starts_with("INTENT#") {
        return vec![content];
    }
    let content: Value = serde_json::from_str(&content).unwrap_or_default();
    let owed = content["owes"].as_array().into_iter().flatten();
    owed.map(Value::to_string).collect()
}

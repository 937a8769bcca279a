//! EventBridge's envelope of an event, in the type of `aws_lambda_events`.

use aws_lambda_events::eventbridge::EventBridgeEvent;
use jiff::Timestamp;
use serde_json::Value;
use towline_wire::eventbridge::Envelope;

/// Why bytes are not an event of a bus.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// They are not an envelope.
    #[error("it is not an event of EventBridge")]
    Shape(#[from] serde_json::Error),
    /// A required field is missing.
    #[error("it is not an event of EventBridge: `{0}` is missing or cannot be used")]
    Field(&'static str),
}

/// Reads an event as EventBridge passes it to a function. Unknown keys are ignored.
///
/// # Errors
/// When it is not one.
pub fn envelope(bytes: &[u8]) -> Result<Envelope, EnvelopeError> {
    let event: EventBridgeEvent<Value> = serde_json::from_slice(bytes)?;
    let time = event.time.and_then(|time| {
        let nanoseconds = time.timestamp_subsec_nanos().try_into().ok()?;
        Timestamp::new(time.timestamp(), nanoseconds).ok()
    });
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    if !event.detail.is_object() {
        return Err(EnvelopeError::Field("detail"));
    }
    Ok(Envelope {
        id: given(event.id).ok_or(EnvelopeError::Field("id"))?,
        detail_type: event.detail_type,
        source: event.source,
        account: event.account.unwrap_or_default(),
        region: event.region.unwrap_or_default(),
        time: time.ok_or(EnvelopeError::Field("time"))?,
        resources: event.resources.unwrap_or_default(),
        detail: event.detail,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_keys_do_no_harm_and_missing_ones_are_named() {
        let event = json!({
            "id": "1",
            "detail-type": "Build Due",
            "source": "towline",
            "time": "2026-11-02T09:14:05.250Z",
            "detail": {"intent_id": "x"},
            "replay-name": "again",
        });
        let read = |event: &Value| envelope(event.to_string().as_bytes());
        let whole = read(&event).unwrap();
        assert_eq!(whole.time.to_string(), "2026-11-02T09:14:05.25Z");
        assert_eq!((whole.account.as_str(), whole.resources.len()), ("", 0));
        for key in ["id", "detail-type", "source", "time", "detail"] {
            let mut broken = event.clone();
            broken.as_object_mut().unwrap().remove(key);
            let refused = read(&broken).unwrap_err();
            let reason = match &refused {
                EnvelopeError::Shape(cause) => cause.to_string(),
                EnvelopeError::Field(_) => refused.to_string(),
            };
            assert!(reason.contains(&format!("`{key}`")), "{reason}");
        }
        let mut broken = event;
        broken["detail"] = json!("a text");
        assert!(read(&broken).is_err());
    }
}

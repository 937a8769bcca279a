//! EventBridge's envelope: read from any service, written around our own announcements.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use towline_domain::Timestamp;
use towline_domain::intent::Intent;
use towline_domain::names::{
    CommitSha, ComponentName, Digest, ImageRepository, RepositoryId, RepositoryName, RunId,
    StageName, Tag,
};

use crate::lenient::{ShapeError, at, needed_text, text};
use crate::time;

/// The source of our own events, which rules match. Sources of AWS services start with `aws.`.
pub const SOURCE: &str = "towline";

/// The account in events of one machine, which has none.
pub const NO_ACCOUNT: &str = "000000000000";

/// The region in events of one machine.
pub const LOCAL_REGION: &str = "local";

/// One event from a bus.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// Its id; the same if it comes twice.
    pub id: String,
    pub detail_type: String,
    pub source: String,
    /// The account, if given.
    pub account: String,
    /// The region, if given.
    pub region: String,
    pub time: Timestamp,
    /// The ARNs it is about.
    pub resources: Vec<String>,
    pub detail: Value,
}

/// Reads an envelope. Unknown keys are ignored.
///
/// # Errors
/// When it is not JSON, or has no id, detail-type, source, time or detail.
pub fn decode(bytes: &[u8]) -> Result<Envelope, ShapeError> {
    read(serde_json::from_slice(bytes)?)
}

/// Like [`decode`], for a value.
///
/// # Errors
/// Like [`decode`].
pub fn read(mut event: Value) -> Result<Envelope, ShapeError> {
    let resources = at(&event, "resources").and_then(Value::as_array);
    let resources = resources.into_iter().flatten().filter_map(Value::as_str);
    let owned = |path| text(&event, path).unwrap_or_default().to_owned();
    let mut envelope = Envelope {
        id: needed_text(&event, "id")?.to_owned(),
        detail_type: needed_text(&event, "detail-type")?.to_owned(),
        source: needed_text(&event, "source")?.to_owned(),
        account: owned("account"),
        region: owned("region"),
        time: at(&event, "time")
            .and_then(time::any)
            .ok_or(ShapeError::Field {
                path: "time",
                expected: "a time",
            })?,
        resources: resources.map(str::to_owned).collect(),
        detail: Value::Null,
    };
    envelope.detail = event
        .get_mut("detail")
        .map(Value::take)
        .filter(Value::is_object)
        .ok_or(ShapeError::Field {
            path: "detail",
            expected: "an object",
        })?;
    Ok(envelope)
}

/// The detail of our own events: the intent's id, its content, and when it was announced.
///
/// The id is in the detail because EventBridge sets its own id in the envelope.
#[must_use]
pub fn detail(intent_id: &str, intent: &Intent, at: Timestamp) -> Value {
    json!({"intent_id": intent_id, "at": at, "intent": intent})
}

/// One of our events with EventBridge's envelope.
#[must_use]
pub fn own(id: &str, detail_type: &str, detail: &Value, at: Timestamp) -> Value {
    envelope(Envelope {
        id: id.into(),
        detail_type: detail_type.into(),
        source: SOURCE.into(),
        account: NO_ACCOUNT.into(),
        region: LOCAL_REGION.into(),
        time: at,
        resources: Vec::new(),
        detail: detail.clone(),
    })
}

/// The detail-type of [`Promoted`].
pub const PROMOTED: &str = "Image Promoted";

/// An image has become live in a stage. Unlike our other events, this one is for users' deployers;
/// `events/schemas/image-promoted.schema.json` is its contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promoted {
    /// Identifies the promotion; the same each time the event is sent.
    pub id: String,
    /// The GitHub repository's id.
    pub repository_id: RepositoryId,
    pub repository: Option<RepositoryName>,
    pub component: ComponentName,
    pub stage: StageName,
    /// The image repository, without the registry's host.
    pub image_repository: ImageRepository,
    pub digest: Digest,
    /// Every tag it has had.
    pub tags: Vec<Tag>,
    /// The image that was live before.
    pub previous: Option<Digest>,
    pub commit: CommitSha,
    /// The ref it was pushed to, in full.
    #[serde(rename = "ref")]
    pub git_ref: String,
    /// The run that built it.
    pub run: RunId,
    /// The build's number in the GitHub repository.
    pub build: u64,
    /// The promotion's number in the GitHub repository.
    pub promotion: u64,
    /// Whether this returns to an image that was live before.
    pub rollback: bool,
    pub by: String,
    /// The reason, as the person who requested or approved it gave it.
    pub reason: Option<String>,
    /// The stage's parameters, with placeholders replaced.
    pub parameters: BTreeMap<String, String>,
    /// When it became live.
    pub at: Timestamp,
}

/// The event for a promoted image.
#[must_use]
pub fn promoted(promoted: &Promoted) -> Value {
    serde_json::to_value(promoted).expect("it holds only strings, numbers and lists")
}

/// The detail-type of an event that asks to compare the stage tags of a repository with the registry. It
/// announces no intent: the sweep sends it again and again.
pub const STAGE_TAGS: &str = "Stage Tags Due";

/// The detail of [`STAGE_TAGS`].
#[must_use]
pub fn stage_tags(repository: RepositoryId) -> Value {
    json!({ "repository": repository })
}

/// The repository in the detail of [`STAGE_TAGS`].
///
/// # Errors
/// When there is none.
pub fn repository_of(envelope: &Envelope) -> Result<RepositoryId, ShapeError> {
    let id = at(&envelope.detail, "repository").and_then(Value::as_u64);
    id.map(RepositoryId).ok_or(ShapeError::Field {
        path: "detail.repository",
        expected: "a repository's id",
    })
}

/// The id of the intent that one of our events announces. The intent is read from the store, never from
/// here (A25).
///
/// # Errors
/// When the event is not ours or has no intent.
pub fn intent_id(envelope: &Envelope) -> Result<&str, ShapeError> {
    if envelope.source != SOURCE {
        return Err(ShapeError::Value {
            path: "source",
            reason: format!("{:?} is not {SOURCE:?}", envelope.source),
        });
    }
    text(&envelope.detail, "intent_id")
        .filter(|id| (1..=1_024).contains(&id.len()))
        .ok_or(ShapeError::Field {
            path: "detail.intent_id",
            expected: "an intent's id",
        })
}

#[must_use]
pub fn envelope(event: Envelope) -> Value {
    let mut value = json!({
        "version": "0",
        "id": event.id,
        "detail-type": event.detail_type,
        "source": event.source,
        "account": event.account,
        "time": event.time,
        "region": event.region,
        "resources": event.resources,
    });
    // Moved, because the macro would copy it.
    value["detail"] = event.detail;
    value
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn moment() -> Timestamp {
        "2026-11-02T09:14:05Z".parse().unwrap()
    }

    #[test]
    fn an_event_of_ours_says_which_intent_it_announces() {
        let intent = Intent::BuildStopDue {
            build: "shop:1".parse().unwrap(),
        };
        let detail = detail("intent-1", &intent, moment());
        let event = own("event-1", intent.detail_type(), &detail, moment());
        let envelope = decode(event.to_string().as_bytes()).unwrap();
        assert_eq!(intent_id(&envelope).unwrap(), "intent-1");
        assert_eq!(envelope.detail_type, "Build Stop Due");
        assert_eq!(envelope.time, moment());
        assert_eq!(super::envelope(envelope.clone()), event);
        let read: Intent = serde_json::from_value(envelope.detail["intent"].clone()).unwrap();
        assert_eq!(read, intent);
    }

    #[test]
    fn a25_an_event_of_another_source_names_no_intent() {
        let ours = own("1", "Build Due", &json!({"intent_id": "x"}), moment());
        let check = |pointer: &str, value: Value| {
            let mut event = ours.clone();
            *event.pointer_mut(pointer).unwrap() = value;
            assert!(intent_id(&read(event).unwrap()).is_err());
        };
        check("/source", json!("aws.codebuild"));
        check("/source", json!("Towline"));
        check("/detail/intent_id", json!(1));
        check("/detail/intent_id", json!(""));
        check("/detail", json!({}));
    }

    #[test]
    fn unknown_keys_do_no_harm_and_missing_ones_are_named() {
        let mut event = own("1", "Build Due", &json!({}), moment());
        event["replay-name"] = json!("again");
        for key in ["account", "region", "resources", "version"] {
            event.as_object_mut().unwrap().remove(key);
        }
        assert!(read(event.clone()).is_ok());
        for key in ["id", "detail-type", "source", "time", "detail"] {
            let mut broken = event.clone();
            broken[key] = json!([]);
            let refused = read(broken).unwrap_err().to_string();
            assert!(refused.contains(&format!("`{key}`")), "{refused}");
        }
    }

    #[test]
    fn a32_what_is_no_json_is_refused() {
        for text in [
            "",
            "{",
            "[]",
            "null",
            "{\"id\":1e999}",
            &"[".repeat(100_000),
        ] {
            assert!(decode(text.as_bytes()).is_err());
        }
        assert!(decode(b"{\"id\":\"\xff\"}").is_err());
    }
}

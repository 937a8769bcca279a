//! ECR's `ECR Image Action` event: an image was pushed or deleted.

use serde_json::{Value, json};
use towline_domain::Timestamp;
use towline_domain::names::{Digest, ImageRepository, Tag};

use crate::eventbridge::{self, Envelope};
use crate::lenient::{ShapeError, needed, needed_text, parse, text};

/// The source of ECR's events.
pub const SOURCE: &str = "aws.ecr";

/// The detail-type of pushes and deletions.
pub const DETAIL_TYPE: &str = "ECR Image Action";

/// Something happened to an image. It is only a hint: the registry's content counts (A27).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageAction {
    pub id: String,
    pub at: Timestamp,
    pub account: String,
    pub region: String,
    pub repository: ImageRepository,
    /// What happened.
    pub action: Action,
    pub succeeded: bool,
    /// The image, if the event names it.
    pub digest: Option<Digest>,
    /// The tag; none for an untagged push, for which ECR sends none or an empty one.
    pub tag: Option<Tag>,
    /// The manifest's media type, if the event names it.
    pub media_type: Option<String>,
}

/// What happened to an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It was pushed, or got a tag.
    Push,
    /// It was deleted, or lost a tag.
    Delete,
    /// Something else, by ECR's name, such as `UPDATE_STORAGE_CLASS`.
    Other(String),
}

impl Action {
    fn word(&self) -> &str {
        match self {
            Self::Push => "PUSH",
            Self::Delete => "DELETE",
            Self::Other(word) => word,
        }
    }
}

/// Reads an image action.
///
/// # Errors
/// When the event is another one, or its repository, digest or tag is invalid.
pub fn decode(envelope: &Envelope) -> Result<ImageAction, ShapeError> {
    if (envelope.source.as_str(), envelope.detail_type.as_str()) != (SOURCE, DETAIL_TYPE) {
        return Err(ShapeError::Value {
            path: "detail-type",
            reason: format!("it is not {DETAIL_TYPE:?} of {SOURCE}"),
        });
    }
    let detail = &envelope.detail;
    let some = |path| text(detail, path).filter(|text| !text.is_empty());
    Ok(ImageAction {
        id: envelope.id.clone(),
        at: envelope.time,
        account: envelope.account.clone(),
        region: envelope.region.clone(),
        repository: needed(detail, "repository-name")?,
        action: match needed_text(detail, "action-type")? {
            "PUSH" => Action::Push,
            "DELETE" => Action::Delete,
            other => Action::Other(other.into()),
        },
        succeeded: needed_text(detail, "result")? == "SUCCESS",
        digest: some("image-digest")
            .map(|text| parse(text, "image-digest"))
            .transpose()?,
        tag: some("image-tag")
            .map(|text| parse(text, "image-tag"))
            .transpose()?,
        media_type: some("manifest-media-type").map(str::to_owned),
    })
}

/// Writes the event that ECR would send.
#[must_use]
pub fn event(action: &ImageAction) -> Value {
    let mut detail = json!({
        "result": if action.succeeded { "SUCCESS" } else { "FAILURE" },
        "repository-name": action.repository,
        "action-type": action.action.word(),
    });
    let optional = [
        ("image-digest", action.digest.as_ref().map(Digest::as_str)),
        ("image-tag", action.tag.as_ref().map(Tag::as_str)),
        ("manifest-media-type", action.media_type.as_deref()),
    ];
    for (key, value) in optional {
        if let Some(value) = value {
            detail[key] = json!(value);
        }
    }
    eventbridge::envelope(Envelope {
        id: action.id.clone(),
        detail_type: DETAIL_TYPE.into(),
        source: SOURCE.into(),
        account: action.account.clone(),
        region: action.region.clone(),
        time: action.at,
        resources: Vec::new(),
        detail,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn action() -> ImageAction {
        ImageAction {
            id: "1".into(),
            at: "2026-11-02T09:14:05Z".parse().unwrap(),
            account: "111122223333".into(),
            region: "eu-central-1".into(),
            repository: "acme/shop".parse().unwrap(),
            action: Action::Push,
            succeeded: true,
            digest: Some(format!("sha256:{}", "a1".repeat(32)).parse().unwrap()),
            tag: Some("v1".parse().unwrap()),
            media_type: Some("application/vnd.oci.image.manifest.v1+json".into()),
        }
    }

    fn read(event: Value) -> Result<ImageAction, ShapeError> {
        decode(&eventbridge::read(event).unwrap())
    }

    #[test]
    fn what_is_written_is_read_back() {
        let without = |change: fn(&mut ImageAction)| {
            let mut action = action();
            change(&mut action);
            action
        };
        for action in [
            action(),
            without(|action| action.tag = None),
            without(|action| action.digest = None),
            without(|action| action.media_type = None),
            without(|action| action.action = Action::Delete),
            without(|action| action.action = Action::Other("UPDATE_STORAGE_CLASS".into())),
            without(|action| action.succeeded = false),
        ] {
            assert_eq!(read(event(&action)).unwrap(), action);
        }
    }

    #[test]
    fn an_empty_tag_is_no_tag() {
        let mut event = event(&action());
        event["detail"]["image-tag"] = json!("");
        assert_eq!(read(event).unwrap().tag, None);
    }

    #[test]
    fn what_no_registry_can_hold_is_refused_by_name() {
        for (key, value) in [
            ("repository-name", json!("../etc")),
            ("repository-name", json!(null)),
            ("image-digest", json!("sha256:7f5b")),
            ("image-digest", json!("latest")),
            ("image-tag", json!("$(id)")),
            ("action-type", json!(1)),
            ("result", json!("")),
        ] {
            let mut event = event(&action());
            event["detail"][key] = value;
            let refused = read(event).unwrap_err().to_string();
            assert!(refused.contains(&format!("`{key}`")), "{refused}");
        }
        for (key, value) in [("source", "towline"), ("detail-type", "ECR Image Scan")] {
            let mut event = event(&action());
            event[key] = json!(value);
            assert!(read(event).is_err());
        }
    }
}

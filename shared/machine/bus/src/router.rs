//! Decides which functions an event is for, with the patterns that EventBridge would evaluate.

use std::collections::BTreeSet;

use quamina::Quamina;
use serde_json::{Map, Value};

/// The buses that rules can name: AWS services publish only on `default`.
const BUSES: [&str; 2] = ["default", "towline"];

/// Why a rule file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// It is not a JSON object of patterns by bus.
    #[error("events/rules/{function}.json must be an object with the keys {BUSES:?}")]
    Shape { function: String },
    #[error("events/rules/{function}.json has no pattern under {bus:?}: {reason}")]
    Pattern {
        function: String,
        bus: String,
        reason: String,
    },
}

/// The compiled rules.
pub struct Router {
    matcher: Quamina<String>,
}

impl Router {
    /// Reads rule files: the function's name and the file's text.
    ///
    /// # Errors
    /// When a file is not an object of patterns by bus.
    pub fn new<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, RuleError> {
        let mut matcher = Quamina::new();
        for (function, text) in files {
            let shape = || RuleError::Shape {
                function: function.into(),
            };
            let patterns: Map<String, Value> = serde_json::from_str(text).map_err(|_| shape())?;
            if patterns.is_empty() || !patterns.keys().all(|bus| BUSES.contains(&bus.as_str())) {
                return Err(shape());
            }
            for (bus, pattern) in &patterns {
                matcher
                    .add_pattern(function.to_owned(), &pattern.to_string())
                    .map_err(|error| RuleError::Pattern {
                        function: function.into(),
                        bus: bus.clone(),
                        reason: error.to_string(),
                    })?;
            }
        }
        Ok(Self { matcher })
    }

    /// The functions that handle an event, each once, by name; none if the event is unreadable.
    #[must_use]
    pub fn functions(&self, event: &Value) -> Vec<String> {
        let matched = self
            .matcher
            .matches_for_event(event.to_string().as_bytes())
            .unwrap_or_default();
        matched
            .into_iter()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(rule: &str, event: &Value, goes: bool) {
        let router = Router::new([("f", rule)]).expect("a rule");
        assert_eq!(
            !router.functions(event).is_empty(),
            goes,
            "{rule} on {event}"
        );
    }

    #[test]
    fn patterns_match_as_on_eventbridge() {
        let ecr = |tag: Value| json!({"source": "aws.ecr", "detail": {"image-tag": tag}});
        let tagged = r#"{"default": {"source": ["aws.ecr"], "detail": {"image-tag": [{"anything-but": [""]}]}}}"#;
        check(tagged, &ecr(json!("v1")), true);
        check(tagged, &ecr(json!("")), false);
        check(tagged, &json!({"source": "aws.ecr", "detail": {}}), false);
        let prefix = r#"{"default": {"detail": {"project-name": [{"prefix": "towline-"}]}}}"#;
        check(
            prefix,
            &json!({"detail": {"project-name": "towline-acme-shop"}}),
            true,
        );
        check(prefix, &json!({"detail": {"project-name": "other"}}), false);
        check(
            r#"{"default": {"a": [1]}, "towline": {"b": [2]}}"#,
            &json!({"b": 2}),
            true,
        );
    }

    #[test]
    fn a_broken_rule_is_refused_by_name() {
        let check = |text: &str, says: &str| {
            let error = Router::new([("plan-runs", text)])
                .err()
                .expect("an error")
                .to_string();
            assert!(error.contains(says), "{error}");
        };
        check("[]", "plan-runs.json must be an object");
        check(r#"{"other": {}}"#, "plan-runs.json must be an object");
        check(
            r#"{"towline": {"source": "towline"}}"#,
            "no pattern under \"towline\"",
        );
    }
}

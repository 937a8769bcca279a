//! Metrics: events with the target `towline::metric`, written as lines that CloudWatch counts.
//!
//! Handlers count with `tracing::info!(target: "towline::metric", name = "QueueTime", milliseconds =
//! 1_234_u64)`. CloudWatch reads lines in its embedded metric format out of any log (CloudWatch user
//! guide, "Specification: Embedded metric format"), so a metric needs no request.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tracing::Metadata;

/// The target of events that are metrics.
const TARGET: &str = "towline::metric";
const NAMESPACE: &str = "Towline";

/// The fields with measured values, and CloudWatch's name of the unit.
const UNITS: [(&str, &str); 3] = [
    ("milliseconds", "Milliseconds"),
    ("seconds", "Seconds"),
    ("count", "Count"),
];

/// Whether an event is a metric.
pub(crate) fn is_one(metadata: &Metadata<'_>) -> bool {
    metadata.is_event() && metadata.target() == TARGET
}

/// The line of a metric. Its only dimension is the stack, because an account may have several. No two
/// functions measure the same, so function and other fields are only searchable.
pub(crate) fn line(
    function: &str,
    stack: &str,
    now: Timestamp,
    mut fields: Map<String, Value>,
) -> String {
    let name = match fields.remove("name") {
        Some(Value::String(name)) => name,
        _ => "Unnamed".into(),
    };
    let measured = UNITS
        .iter()
        .find_map(|(field, unit)| Some((fields.remove(*field)?, *unit)));
    let (value, unit) = measured.unwrap_or((json!(1), "Count"));
    fields.insert(
        "_aws".into(),
        json!({
            "Timestamp": now.as_millisecond(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [["Stack"]],
                "Metrics": [{"Name": name, "Unit": unit}],
            }],
        }),
    );
    fields.insert("Stack".into(), stack.into());
    fields.insert("function".into(), function.into());
    fields.insert(name, value);
    format!("{}\n", Value::Object(fields))
}

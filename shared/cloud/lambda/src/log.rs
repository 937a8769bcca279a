//! Log lines: one JSON object each, on stdout, where Lambda reads them.

use std::error::Error;
use std::fmt;
use std::io::Write as _;

use jiff::Timestamp;
use serde_json::{Map, Value};
use towline_domain::causes::with_causes;
use towline_ports::Clock as _;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use crate::settings::NotALevel;
use crate::{metric, settings};
use towline_ports::system::SystemClock;

/// Where the runtime logs a handler's error in the form of `Debug`; the loops have logged it readably
/// before.
const TWICE: &str = "lambda_runtime::layers::panic";

/// Starts logging, also for panics. An invalid level is reported, and `info` is used.
pub(crate) fn start(function: &'static str, level: Result<LevelFilter, NotALevel>) {
    let lines = Lines {
        function,
        stack: settings::stack(function),
        level: *level.as_ref().unwrap_or(&LevelFilter::INFO),
        write: |line: &str| {
            // If the log cannot be written, there is no place to report it.
            let _ = std::io::stdout().lock().write_all(line.as_bytes());
        },
    };
    let subscriber = tracing_subscriber::registry().with(lines);
    if tracing::subscriber::set_global_default(subscriber).is_err() {
        return; // somebody logs already, and so do we
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let reason = panic.payload_as_str().unwrap_or("no reason is given");
        tracing::error!(reason, place, "panicked");
    }));
    if let Err(NotALevel { word }) = level {
        tracing::warn!(
            word,
            "TOWLINE_LOG is not off, error, warn, info, debug or trace; using info"
        );
    }
}

/// The layer that writes them.
struct Lines<W> {
    function: &'static str,
    stack: String,
    level: LevelFilter,
    write: W,
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Fn(&str) + 'static,
{
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        // Lines of other crates matter only for problems, or if everything is logged.
        let ours = metadata.target().starts_with("towline");
        let most = if ours || self.level == LevelFilter::TRACE {
            self.level
        } else {
            self.level.min(LevelFilter::WARN)
        };
        if metadata.is_span() {
            return ours; // what happens around a line is said with every line
        }
        metric::is_one(metadata) || (*metadata.level() <= most && metadata.target() != TWICE)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        // Spans and metrics have level `info`, and exist at every log level.
        Some(self.level.max(LevelFilter::INFO))
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            record.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(known) = span.extensions().get::<Fields>() {
                fields.add(known);
            }
        }
        event.record(&mut fields);
        let metadata = event.metadata();
        let now = SystemClock.now();
        let line = if metric::is_one(metadata) {
            metric::line(self.function, &self.stack, now, fields.others)
        } else {
            line(self.function, now, metadata, fields)
        };
        (self.write)(&line);
    }
}

/// The fields of an event or a span.
#[derive(Default)]
pub(crate) struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    /// Adds the fields of an outer span, unless an inner one has the same.
    fn add(&mut self, outer: &Self) {
        for (name, value) in &outer.others {
            if !self.others.contains_key(name) {
                self.others.insert(name.clone(), value.clone());
            }
        }
    }

    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        self.others.insert(field.name().into(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.set(field, format!("{value:?}"));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = value.into();
        } else {
            self.set(field, value);
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.set(field, with_causes(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value);
    }
}

/// The line of an event: Lambda finds level and time under the names it knows
/// (Lambda developer guide, "Log and monitor Rust functions").
fn line(function: &str, now: Timestamp, metadata: &Metadata<'_>, fields: Fields) -> String {
    let level = match *metadata.level() {
        Level::ERROR => "ERROR",
        Level::WARN => "WARN",
        Level::INFO => "INFO",
        Level::DEBUG => "DEBUG",
        Level::TRACE => "TRACE",
    };
    let mut others = fields.others;
    for taken in ["timestamp", "level", "message", "function", "target"] {
        if let Some(value) = others.remove(taken) {
            others.insert(format!("{taken}_"), value);
        }
    }
    others.insert("target".into(), metadata.target().into());
    let others = Value::Object(others).to_string();
    let message = Value::String(fields.message);
    format!(
        "{{\"timestamp\":\"{now:.3}\",\"level\":\"{level}\",\"message\":{message},\"function\":\"{function}\",{}\n",
        &others[1..]
    )
}

#[cfg(test)]
mod tests;

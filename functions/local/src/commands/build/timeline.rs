//! The result of a build: each phase with its state and duration, and what was pushed.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};
use towline_console::style::{Style, paint};
use towline_domain::Timestamp;
use towline_domain::names::{CommitSha, ComponentName};
use towline_domain::run::BuildStatus;
use towline_domain::untrusted::Untrusted;
use towline_wire::codebuild::Phase;

use super::registry::Pushed;
use towline_console::outcome::Outcome;
use towline_console::output::Output;

/// Longest text of a build that is shown on one line.
const LONGEST: usize = 300;

/// A build that has ended.
pub(super) struct Timeline {
    pub(super) component: ComponentName,
    pub(super) commit: CommitSha,
    pub(super) status: BuildStatus,
    pub(super) phases: Vec<Phase>,
    pub(super) exported: Vec<(String, String)>,
    pub(super) artifacts: Option<PathBuf>,
    pub(super) images: Vec<Pushed>,
}

impl Timeline {
    pub(super) fn print(&self, output: Output) -> Outcome {
        match output.is_json() {
            true => output.value(&self.json()),
            false => output.text(&self.text()),
        }
    }

    /// The phases that take time: `COMPLETED` only says that the build has ended.
    fn phases(&self) -> impl Iterator<Item = &Phase> {
        self.phases.iter().filter(|phase| phase.status.is_some())
    }

    fn seconds(&self) -> f64 {
        let first = self.phases.first().and_then(|phase| phase.started_at);
        let last = self.phases.iter().rev().find_map(|phase| phase.ended_at);
        seconds(first, last)
    }

    fn text(&self) -> String {
        let head = format!("{:<16}  {:<9}  {:>8}", "PHASE", "STATUS", "SECONDS");
        let mut text = format!("\n{}\n", paint(Style::Header, &head));
        for phase in self.phases() {
            let status = phase.status.as_deref().unwrap_or_default();
            let (status, seconds) = (
                paint(style(status), &format!("{status:<9}")),
                seconds(phase.started_at, phase.ended_at),
            );
            // Writing to a string cannot fail.
            let _ = write!(text, "{:<16}  {status}  {seconds:>8.1}", phase.name);
            for context in &phase.context {
                let _ = write!(text, "  {}", shown(context));
            }
            text.push('\n');
        }
        let word = self.status.word();
        let took = self.seconds();
        let _ = writeln!(text, "\n{} in {took:.1} seconds", paint(style(word), word));
        for (name, value) in &self.exported {
            let _ = writeln!(text, "exported   {}={}", shown(name), shown(value));
        }
        if let Some(folder) = &self.artifacts {
            let _ = writeln!(text, "artifacts  {}", folder.display());
        }
        for Pushed {
            repository,
            tag,
            digest,
        } in &self.images
        {
            let tag = tag.as_ref().map_or(String::new(), |tag| format!(":{tag}"));
            let note = paint(Style::Quiet, "(removed with the build's registry)");
            let _ = writeln!(text, "pushed     {repository}{tag} {digest} {note}");
        }
        text
    }

    fn json(&self) -> Value {
        let phases: Vec<Value> = self
            .phases()
            .map(|phase| {
                json!({
                    "phase": phase.name,
                    "status": phase.status,
                    "started_at": phase.started_at,
                    "seconds": seconds(phase.started_at, phase.ended_at),
                    "context": phase.context,
                })
            })
            .collect();
        let exported: serde_json::Map<String, Value> = self
            .exported
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        json!({
            "component": self.component,
            "commit": self.commit,
            "status": self.status.word(),
            "seconds": self.seconds(),
            "phases": phases,
            "exported": exported,
            "artifacts": self.artifacts,
            "images": self.images,
        })
    }
}

fn seconds(from: Option<Timestamp>, to: Option<Timestamp>) -> f64 {
    match (from, to) {
        (Some(from), Some(to)) => to.duration_since(from).as_secs_f64().max(0.0),
        _ => 0.0,
    }
}

fn style(status: &str) -> Style {
    match status {
        "SUCCEEDED" => Style::Good,
        "STOPPED" => Style::Waiting,
        _ => Style::Bad,
    }
}

fn shown(text: &str) -> String {
    Untrusted::text(text, LONGEST).display()
}

//! The findings, one line each, in groups; each group is printed as soon as it is known.

use serde::Serialize;
use serde_json::json;
use towline_client::aws_cli::AwsError;
use towline_console::outcome::{Failure, Outcome};
use towline_console::output::Output;
use towline_console::style::{Style, paint};
use towline_domain::reason::count;
use towline_domain::untrusted::Untrusted;

/// Everything that was found so far.
pub struct Report {
    of: String,
    findings: Vec<Finding>,
    output: Output,
}

#[derive(Clone, Serialize)]
struct Finding {
    group: &'static str,
    state: State,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Good,
    Wrong,
    /// The check could not run, so nothing is known.
    Unknown,
    Skipped,
}

/// A problem and its fix.
pub struct Wrong {
    pub what: String,
    pub help: String,
}

impl Wrong {
    pub fn new(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            help: help.into(),
        }
    }
}

/// The findings of one group.
pub struct Findings {
    group: &'static str,
    list: Vec<Finding>,
}

impl Findings {
    pub fn of(group: &'static str) -> Self {
        Self {
            group,
            list: Vec::new(),
        }
    }

    /// Whether both are of the same group.
    pub fn is_of(&self, other: &Self) -> bool {
        self.group == other.group
    }

    fn add(&mut self, state: State, what: &str, help: Option<&str>) {
        let safe = |text: &str| Untrusted::text(text, 1_000).display();
        self.list.push(Finding {
            group: self.group,
            state,
            what: safe(what),
            help: help.map(safe),
        });
    }

    pub fn good(&mut self, what: impl AsRef<str>) {
        self.add(State::Good, what.as_ref(), None);
    }

    pub fn wrong(&mut self, what: impl AsRef<str>, help: impl AsRef<str>) {
        self.add(State::Wrong, what.as_ref(), Some(help.as_ref()));
    }

    pub fn unknown(&mut self, what: impl AsRef<str>, why: impl AsRef<str>) {
        self.add(State::Unknown, what.as_ref(), Some(why.as_ref()));
    }

    /// AWS did not answer.
    pub fn refused(&mut self, what: impl AsRef<str>, error: &AwsError) {
        self.unknown(what, error.to_string());
    }

    pub fn skipped(&mut self, why: impl AsRef<str>) {
        self.add(State::Skipped, why.as_ref(), None);
    }

    /// One good line for all checks of the group, if none has a finding.
    pub fn good_unless_found(&mut self, what: impl AsRef<str>) {
        if self.list.is_empty() {
            self.good(what);
        }
    }

    pub fn extend(&mut self, other: Self) {
        self.list.extend(other.list);
    }
}

impl Report {
    /// Begins a report on something, and prints its title.
    ///
    /// # Errors
    /// When the title cannot be written.
    pub fn begin(of: impl Into<String>, output: Output) -> Outcome<Self> {
        let of = of.into();
        if !output.is_json() {
            output.text(&format!("{}\n", paint(Style::Strong, &of)))?;
        }
        Ok(Self {
            of,
            findings: Vec::new(),
            output,
        })
    }

    /// Whether any finding has this help.
    pub fn advises(&self, help: &str) -> bool {
        let mut all = self.findings.iter().filter_map(|it| it.help.as_deref());
        all.any(|it| it == help)
    }

    /// Adds findings and prints them.
    pub fn take(&mut self, findings: Findings) -> Outcome {
        if !self.output.is_json() && !findings.list.is_empty() {
            let mut text = String::new();
            let before = self.findings.last().map(|it| it.group);
            if before != Some(findings.group) {
                text += &format!("\n{}\n", findings.group);
            }
            text.extend(findings.list.iter().map(line));
            self.output.text(&text)?;
        }
        self.findings.extend(findings.list);
        Ok(())
    }

    /// Prints the totals; as JSON, everything.
    ///
    /// # Errors
    /// `Found` if anything is wrong, `Unsure` if a check could not run.
    pub fn finish(self) -> Outcome {
        let count = |state| self.findings.iter().filter(|it| it.state == state).count();
        let (wrong, unknown) = (count(State::Wrong), count(State::Unknown));
        if self.output.is_json() {
            self.output.value(&json!({
                "of": self.of, "wrong": wrong, "unknown": unknown, "findings": self.findings,
            }))?;
        } else {
            let (style, sentence) = total(wrong, unknown);
            self.output
                .text(&format!("\n{}\n", paint(style, &sentence)))?;
        }
        match (wrong, unknown) {
            (0, 0) => Ok(()),
            (0, _) => Err(Failure::Unsure),
            (_, _) => Err(Failure::Found),
        }
    }
}

fn line(finding: &Finding) -> String {
    let (style, mark, joint) = match finding.state {
        State::Good => (Style::Good, "✔", ":"),
        State::Wrong => (Style::Bad, "✘", " →"),
        State::Unknown => (Style::Waiting, "?", ":"),
        State::Skipped => (Style::Quiet, "–", ":"),
    };
    let help = finding.help.as_ref().map(|help| format!("{joint} {help}"));
    format!(
        "  {} {}{}\n",
        paint(style, mark),
        finding.what,
        help.unwrap_or_default()
    )
}

fn total(wrong: usize, unknown: usize) -> (Style, String) {
    let checks = format!("{} could not run", count(unknown, "check"));
    match (wrong, unknown) {
        (0, 0) => (Style::Good, "No problems found.".into()),
        (_, 0) => (Style::Bad, format!("{} found.", count(wrong, "problem"))),
        (0, _) => (Style::Waiting, format!("No problems found, but {checks}.")),
        (_, _) => (
            Style::Bad,
            format!("{} found; {checks}.", count(wrong, "problem")),
        ),
    }
}

//! What was found, one line each, in groups.

use serde::Serialize;
use serde_json::json;
use towline_console::style::{Style, paint};
use towline_domain::untrusted::Untrusted;

use towline_client::aws_cli::AwsError;
use towline_console::outcome::{Failure, Outcome};
use towline_console::output::Output;

/// Everything that was found.
#[derive(Debug)]
pub struct Report {
    of: String,
    findings: Vec<Finding>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    group: &'static str,
    state: State,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Good,
    Wrong,
    /// Nobody let us look, so nothing is known.
    Unknown,
    /// It was not asked for.
    NotLooked,
}

/// Findings of one group.
#[derive(Debug)]
pub struct Findings {
    group: &'static str,
    list: Vec<Finding>,
}

impl Findings {
    /// None yet, of a group.
    #[must_use]
    pub fn of(group: &'static str) -> Self {
        Self {
            group,
            list: Vec::new(),
        }
    }

    fn add(&mut self, state: State, what: impl Into<String>, mend: Option<&str>) {
        let safe = |text: &str| Untrusted::text(text, 1_000).display();
        self.list.push(Finding {
            group: self.group,
            state,
            what: safe(&what.into()),
            mend: mend.map(safe),
        });
    }

    /// It is as it should be.
    pub fn good(&mut self, what: impl Into<String>) {
        self.add(State::Good, what, None);
    }

    /// It is not, and this mends it.
    pub fn wrong(&mut self, what: impl Into<String>, mend: impl Into<String>) {
        self.add(State::Wrong, what, Some(&mend.into()));
    }

    /// It could not be looked at.
    pub fn unknown(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.add(State::Unknown, what, Some(&why.into()));
    }

    /// AWS did not say.
    pub fn refused(&mut self, what: impl Into<String>, error: &AwsError) {
        self.unknown(what, error.to_string());
    }

    /// It was left out, for this reason.
    pub fn left_out(&mut self, what: impl Into<String>) {
        self.add(State::NotLooked, what, None);
    }

    /// A good line that stands for many, unless something was found.
    pub fn good_unless_found(&mut self, what: impl Into<String>) {
        if self.list.is_empty() {
            self.good(what);
        }
    }

    /// With those of another look at the same group.
    pub fn extend(&mut self, other: Self) {
        self.list.extend(other.list);
    }
}

impl Report {
    /// An empty one of something.
    #[must_use]
    pub fn of(what: impl Into<String>) -> Self {
        Self {
            of: what.into(),
            findings: Vec::new(),
        }
    }

    /// Whether something is mended in that way.
    #[must_use]
    pub fn mends_with(&self, mend: &str) -> bool {
        let mut mends = self.findings.iter().filter_map(|it| it.mend.as_deref());
        mends.any(|it| it == mend)
    }

    /// Takes up findings, in the order in which they are shown.
    pub fn take(&mut self, findings: Findings) {
        self.findings.extend(findings.list);
    }

    fn count(&self, state: State) -> usize {
        self.findings.iter().filter(|it| it.state == state).count()
    }

    /// Prints it; the outcome says whether anything is wrong.
    ///
    /// # Errors
    /// Found when something is, unsure when something could not be looked at.
    pub fn print(&self, output: Output) -> Outcome {
        let (wrong, unknown) = (self.count(State::Wrong), self.count(State::Unknown));
        if output.is_json() {
            output.value(&json!({ "of": self.of, "wrong": wrong, "unknown": unknown, "findings": self.findings }))?;
        } else {
            output.text(&self.text(wrong, unknown))?;
        }
        match (wrong, unknown) {
            (0, 0) => Ok(()),
            (0, _) => Err(Failure::Unsure),
            (_, _) => Err(Failure::Found),
        }
    }

    fn text(&self, wrong: usize, unknown: usize) -> String {
        let mut text = format!("{}\n", paint(Style::Strong, &self.of));
        let mut group = "";
        for finding in &self.findings {
            if finding.group != group {
                text += &format!("\n{}\n", finding.group);
                group = finding.group;
            }
            let (style, mark) = match finding.state {
                State::Good => (Style::Good, "✔"),
                State::Wrong => (Style::Bad, "✘"),
                State::Unknown => (Style::Waiting, "?"),
                State::NotLooked => (Style::Quiet, "–"),
            };
            text += &format!("  {} {}", paint(style, mark), finding.what);
            if let Some(mend) = &finding.mend {
                let joint = if finding.state == State::Wrong {
                    " →"
                } else {
                    ":"
                };
                text += &format!("{joint} {mend}");
            }
            text.push('\n');
        }
        let things = |count: usize, one: &str, many: &str| match count {
            1 => format!("1 {one}"),
            _ => format!("{count} {many}"),
        };
        let wrongs = things(wrong, "thing is wrong", "things are wrong");
        let unknowns = things(unknown, "could not be looked at", "could not be looked at");
        text += &match (wrong, unknown) {
            (0, 0) => format!("\n{}\n", paint(Style::Good, "Nothing is wrong.")),
            (_, 0) => format!("\n{}\n", paint(Style::Bad, &format!("{wrongs}."))),
            (0, _) => format!(
                "\n{}\n",
                paint(
                    Style::Waiting,
                    &format!("Nothing is wrong that could be seen; {unknowns}.")
                )
            ),
            (_, _) => format!(
                "\n{}\n",
                paint(Style::Bad, &format!("{wrongs}; {unknowns}."))
            ),
        };
        text
    }
}

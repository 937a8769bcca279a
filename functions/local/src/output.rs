//! What is printed: for people with colours where a terminal shows them, or as JSON.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::json;
use towline_handlers::answer_chat::Answer;
use towline_handlers::answer_chat::text::{self, Line, Style as Meaning};
use towline_ports::Clock as _;

use crate::clock::SystemClock;
use crate::outcome::{Failure, Outcome};

/// Where answers go.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
}

impl Output {
    /// For people, or for programs.
    #[must_use]
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether programs read it.
    #[must_use]
    pub fn is_json(self) -> bool {
        self.json
    }

    /// Prints an answer.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn answer(self, answer: &Answer) -> Outcome {
        if self.json {
            return self.value(answer);
        }
        self.lines(&text::lines(answer, SystemClock.now()))
    }

    /// Prints lines for people.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn lines(self, lines: &[Line]) -> Outcome {
        self.text(&lines.iter().map(painted).collect::<String>())
    }

    /// Prints a value as JSON over several lines.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn value(self, value: &impl Serialize) -> Outcome {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| anyhow::Error::new(error).context("writing the answer as JSON"))?;
        self.text(&format!("{text}\n"))
    }

    /// Prints text as it is; colours in it show only where they can.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn text(self, text: &str) -> Outcome {
        let mut stdout = anstream::stdout().lock();
        let written = stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush());
        written.map_err(Failure::writing)
    }

    /// Tells a person how it goes, beside the answer. Nobody reading is no error.
    pub fn progress(self, sentence: &str) {
        let _ = writeln!(anstream::stderr(), "{sentence}");
    }

    /// Tells why a command is not done: as JSON where the answer would have stood, or on stderr.
    pub fn failure(self, failure: &Failure) {
        let Some(sentence) = failure.sentence() else {
            return;
        };
        if self.json {
            // There is nobody left to tell when this fails too.
            let _ = self.value(&json!({ "error": sentence }));
        } else {
            let bad = style(Meaning::Bad);
            self.progress(&format!("{bad}towline:{bad:#} {sentence}"));
        }
    }

    /// Asks a person yes or no on the terminal; no terminal, no answer.
    ///
    /// # Errors
    /// When the terminal does not answer.
    pub fn confirm(self, question: &str) -> Outcome<bool> {
        let failed = |error| anyhow::Error::new(error).context("asking on the terminal");
        let mut stderr = anstream::stderr();
        write!(stderr, "{question} [y/N] ")
            .and_then(|()| stderr.flush())
            .map_err(failed)?;
        let mut line = String::new();
        io::stdin().read_line(&mut line).map_err(failed)?;
        Ok(matches!(line.trim(), "y" | "Y" | "yes"))
    }
}

/// Whether a person sits at both ends.
#[must_use]
pub fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// A text with the colours of what it means.
#[must_use]
pub fn paint(meaning: Meaning, text: &str) -> String {
    let style = style(meaning);
    format!("{style}{text}{style:#}")
}

fn painted(line: &Line) -> String {
    let mut text = String::new();
    for span in &line.spans {
        let style = style(span.style);
        // Writing to a string cannot fail.
        let _ = write!(text, "{style}{}{style:#}", span.text);
    }
    text.push('\n');
    text
}

fn style(meaning: Meaning) -> Style {
    match meaning {
        Meaning::Plain => Style::new(),
        Meaning::Header => Style::new().underline(),
        Meaning::Strong => Style::new().bold(),
        Meaning::Good => AnsiColor::Green.on_default(),
        Meaning::Waiting => AnsiColor::Yellow.on_default(),
        Meaning::Bad => AnsiColor::Red.on_default().bold(),
        Meaning::Quiet => Style::new().dimmed(),
    }
}

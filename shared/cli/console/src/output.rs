//! Prints answers: as text, with colors if the terminal shows them, or as JSON.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;
use serde_json::json;

use crate::outcome::{Failure, Outcome};
use crate::style::{Style, paint};
use crate::terminal;

/// Where answers are printed.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
}

impl Output {
    /// As text, or as JSON.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether answers are printed as JSON.
    pub fn is_json(self) -> bool {
        self.json
    }

    /// Prints a value as JSON over several lines.
    pub fn value(self, value: &impl Serialize) -> Outcome {
        self.json(serde_json::to_string_pretty(value))
    }

    /// Prints a value as JSON on one line, as one of several.
    pub fn line(self, value: &impl Serialize) -> Outcome {
        self.json(serde_json::to_string(value))
    }

    fn json(self, text: serde_json::Result<String>) -> Outcome {
        let text =
            text.map_err(|error| anyhow::Error::new(error).context("writing the answer as JSON"))?;
        print(&format!("{}\n", terminal::json(&text)))
    }

    /// Prints text; colors appear only where they can be shown, and other control sequences are
    /// escaped.
    pub fn text(self, text: &str) -> Outcome {
        print(&terminal::shown(text))
    }

    /// Prints a file's content: exactly, unless a terminal shows it.
    pub fn document(self, text: &str) -> Outcome {
        if io::stdout().is_terminal() {
            return self.text(text);
        }
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(text.as_bytes());
        written
            .and_then(|()| stdout.flush())
            .map_err(Failure::writing)
    }

    /// Reports progress on stderr. A closed output is not an error.
    pub fn progress(self, sentence: &str) {
        let _ = writeln!(anstream::stderr(), "{}", terminal::shown(sentence));
    }

    /// Prints a part of a log on stderr, while standard output is for programs.
    pub fn aside(self, text: &str) {
        let _ = write!(anstream::stderr(), "{}", terminal::shown(text));
    }

    /// Prints why a command failed: as JSON instead of the answer, or on stderr.
    pub fn failure(self, failure: &Failure) {
        let Some(sentence) = failure.sentence() else {
            return;
        };
        if self.json {
            // If this fails too, there is no way left to report it.
            let _ = self.value(&json!({ "error": sentence }));
        } else {
            // A sentence has no colors of its own, so any colors in it come from untrusted text.
            let lines: Vec<String> = sentence.lines().map(terminal::line).collect();
            let mark = paint(Style::Bad, "towline:");
            self.progress(&format!("{mark} {}", lines.join("\n")));
        }
    }

    /// Asks a yes-or-no question on the terminal. Returns none if there is no terminal.
    pub fn confirm(self, question: &str) -> Outcome<bool> {
        let failed = |error| anyhow::Error::new(error).context("asking on the terminal");
        let mut stderr = anstream::stderr();
        write!(stderr, "{} [y/N] ", terminal::shown(question))
            .and_then(|()| stderr.flush())
            .map_err(failed)?;
        let mut line = String::new();
        io::stdin().read_line(&mut line).map_err(failed)?;
        Ok(matches!(line.trim(), "y" | "Y" | "yes"))
    }
}

fn print(text: &str) -> Outcome {
    let mut stdout = anstream::stdout().lock();
    let written = stdout.write_all(text.as_bytes());
    written
        .and_then(|()| stdout.flush())
        .map_err(Failure::writing)
}

/// Whether both input and output are a terminal.
pub fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

//! What is printed: for people with colours where a terminal shows them, or as JSON.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;
use serde_json::json;

use crate::outcome::{Failure, Outcome};
use crate::style::{Style, paint};

/// Where answers go.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
}

impl Output {
    /// For people, or for programs.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether programs read it.
    pub fn is_json(self) -> bool {
        self.json
    }

    /// Prints a value as JSON over several lines.
    pub fn value(self, value: &impl Serialize) -> Outcome {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| anyhow::Error::new(error).context("writing the answer as JSON"))?;
        self.text(&format!("{text}\n"))
    }

    /// Prints text as it is; colours in it show only where they can.
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
            self.progress(&format!("{} {sentence}", paint(Style::Bad, "towline:")));
        }
    }

    /// Asks a person yes or no on the terminal; no terminal, no answer.
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
pub fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

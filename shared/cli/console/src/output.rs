//! Prints answers: as text, with colours if the terminal shows them, or as JSON.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;
use serde_json::json;

use crate::outcome::{Failure, Outcome};
use crate::style::{Style, paint};

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
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| anyhow::Error::new(error).context("writing the answer as JSON"))?;
        self.text(&format!("{text}\n"))
    }

    /// Prints text; colours appear only where they can be shown.
    pub fn text(self, text: &str) -> Outcome {
        let mut stdout = anstream::stdout().lock();
        let written = stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush());
        written.map_err(Failure::writing)
    }

    /// Reports progress on stderr. A closed output is not an error.
    pub fn progress(self, sentence: &str) {
        let _ = writeln!(anstream::stderr(), "{sentence}");
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
            self.progress(&format!("{} {sentence}", paint(Style::Bad, "towline:")));
        }
    }

    /// Asks a yes-or-no question on the terminal; none without a terminal.
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

/// Whether both input and output are a terminal.
pub fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

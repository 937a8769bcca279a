//! What a deployment is about to do, shown before it is done.

use serde::Serialize;
use towline_console::style::{Style, paint};

use towline_console::outcome::{Outcome, refused};
use towline_console::output::{Output, is_interactive};

/// What is going to happen.
#[derive(Debug, Default, Serialize)]
pub struct Plan {
    /// What it is about, by name.
    facts: Vec<(&'static str, String)>,
    /// What is run, in order.
    commands: Vec<String>,
    /// What a person should know before they say yes.
    warnings: Vec<String>,
}

impl Plan {
    /// Adds something to know; a name given again stands for another line of the same.
    pub fn fact(&mut self, name: &'static str, value: impl Into<String>) {
        self.facts.push((name, value.into()));
    }

    /// Adds a command.
    pub fn command(&mut self, command: impl Into<String>) {
        self.commands.push(command.into());
    }

    /// Adds a warning.
    pub fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }

    /// As a person reads it.
    #[must_use]
    pub fn text(&self) -> String {
        let widest = self.facts.iter().map(|(name, _)| name.len()).max();
        let widest = widest.unwrap_or_default();
        let mut text = String::new();
        let mut before = "";
        for (name, value) in &self.facts {
            let label = if *name == before { "" } else { name };
            let label = paint(Style::Quiet, &format!("{label:<widest$}"));
            text += &format!("  {label}  {value}\n");
            before = name;
        }
        text += &format!("\n{}\n", paint(Style::Strong, "Commands"));
        for command in &self.commands {
            text += &format!("  {command}\n");
        }
        for warning in &self.warnings {
            text += &format!("\n{} {warning}\n", paint(Style::Waiting, "Note:"));
        }
        text
    }

    /// Shows it and asks whether to go on; a dry run ends here.
    ///
    /// # Errors
    /// Refused when the answer is no, or nobody can be asked.
    pub fn agree(&self, wanted: Wanted, output: Output) -> Outcome<bool> {
        match wanted {
            Wanted::DryRun if output.is_json() => output.value(self)?,
            Wanted::DryRun => {
                output.text(&self.text())?;
                output.progress("\nNothing has been changed.");
            }
            Wanted::Yes => output.progress(&self.text()),
            Wanted::Ask if is_interactive() => {
                output.progress(&self.text());
                if !output.confirm("Go on?")? {
                    return refused("nothing has been changed");
                }
            }
            Wanted::Ask => {
                output.progress(&self.text());
                return refused(
                    "there is nobody to ask; say --yes to go on, or --dry-run to only look",
                );
            }
        }
        Ok(wanted != Wanted::DryRun)
    }
}

/// How far to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Only look.
    DryRun,
    /// Without asking.
    Yes,
    /// After asking.
    Ask,
}

/// The two words that decide it.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Consent {
    /// Print what would be done and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do it without asking
    #[arg(long, short)]
    yes: bool,
}

impl From<Consent> for Wanted {
    fn from(consent: Consent) -> Self {
        match consent {
            Consent { dry_run: true, .. } => Self::DryRun,
            Consent { yes: true, .. } => Self::Yes,
            Consent { .. } => Self::Ask,
        }
    }
}

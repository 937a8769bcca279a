//! The plan of a deployment, shown before it starts.

use serde::Serialize;
use towline_console::style::{Style, paint};

use towline_console::outcome::{Outcome, refused};
use towline_console::output::{Output, is_interactive};

/// The plan.
#[derive(Debug, Default, Serialize)]
pub struct Plan {
    /// Pairs of label and value; pairs with the same label share it.
    facts: Vec<(&'static str, String)>,
    /// The commands, in order.
    commands: Vec<String>,
    /// Warnings to read before agreeing.
    warnings: Vec<String>,
}

impl Plan {
    pub fn fact(&mut self, name: &'static str, value: impl Into<String>) {
        self.facts.push((name, value.into()));
    }

    pub fn command(&mut self, command: impl Into<String>) {
        self.commands.push(command.into());
    }

    pub fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }

    fn text(&self) -> String {
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

    /// Prints it and asks whether to continue; a dry run ends here.
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
                if !output.confirm("Continue?")? {
                    return refused("nothing has been changed");
                }
            }
            Wanted::Ask => {
                output.progress(&self.text());
                return refused(
                    "there is no terminal to ask on; use --yes to continue, or --dry-run to only look",
                );
            }
        }
        Ok(wanted != Wanted::DryRun)
    }
}

/// How far a deployment goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    DryRun,
    Yes,
    Ask,
}

/// The options that decide it.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Consent {
    /// Print the plan and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask for confirmation
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

//! Colours by meaning.

use anstyle::{AnsiColor, Style as Ansi};

/// What a part of a line means; the terminal's colours follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Plain,
    /// The head of a column.
    Header,
    /// What the line is about.
    Strong,
    /// Fine: live, succeeded.
    Good,
    /// Waiting or in progress.
    Waiting,
    /// Failed or held.
    Bad,
    /// Less important.
    Quiet,
}

impl Style {
    pub(crate) fn ansi(self) -> Ansi {
        match self {
            Self::Plain => Ansi::new(),
            Self::Header => Ansi::new().underline(),
            Self::Strong => Ansi::new().bold(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Waiting => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Quiet => Ansi::new().dimmed(),
        }
    }
}

/// A text in the colours of its meaning. A terminal or a pipe without colours gets the text alone.
pub fn paint(style: Style, text: &str) -> String {
    let ansi = style.ansi();
    format!("{ansi}{text}{ansi:#}")
}

//! Colors by meaning.

use anstyle::{AnsiColor, Style as Ansi};

/// The meaning of a part of a line, which decides its color.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Plain,
    /// A column heading.
    Header,
    /// The subject of the line.
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

/// A text in the color of its meaning. Without colors, the text alone.
pub fn paint(style: Style, text: &str) -> String {
    let ansi = style.ansi();
    format!("{ansi}{text}{ansi:#}")
}

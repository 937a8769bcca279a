//! A line of text in parts, each with a meaning.

use std::fmt;

use towline_domain::untrusted::Untrusted;

/// One line of an answer, without its line break.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// Its parts, left to right.
    pub spans: Vec<Span>,
}

/// A part of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Its text, safe to print.
    pub text: String,
    /// Its meaning.
    pub style: Style,
}

/// The meaning of a part of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// No special meaning.
    Plain,
    /// A column heading.
    Header,
    /// The subject of the line.
    Strong,
    /// Fine: live, succeeded.
    Good,
    /// Waiting or in progress.
    Waiting,
    /// It failed or is held.
    Bad,
    /// Less important.
    Quiet,
}

impl Span {
    /// A part; characters that could deceive a reader are replaced.
    #[must_use]
    pub fn new(style: Style, text: impl AsRef<str>) -> Self {
        let text = Untrusted::text(text.as_ref(), usize::MAX).display();
        Self { text, style }
    }
}

impl Line {
    pub(super) fn of(style: Style, text: impl AsRef<str>) -> Self {
        Self {
            spans: vec![Span::new(style, text)],
        }
    }

    pub(super) fn plain(text: impl AsRef<str>) -> Self {
        Self::of(Style::Plain, text)
    }

    pub(super) fn and(mut self, style: Style, text: impl AsRef<str>) -> Self {
        self.spans.push(Span::new(style, text));
        self
    }

    pub(super) fn joined(mut self, other: Self) -> Self {
        self.spans.extend(other.spans);
        self
    }
}

impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spans
            .iter()
            .try_for_each(|span| formatter.write_str(&span.text))
    }
}

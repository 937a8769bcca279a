//! The problems of a buildspec: from those that CodeBuild rejects to those that it tolerates.

use std::ops::Range;

use super::Buildspec;
use crate::yaml::{Node, Span, YamlError};

/// A buildspec, as far as it could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The readable parts.
    pub spec: Buildspec,
    /// The problems, in the order they were found.
    pub problems: Vec<Problem>,
    /// The document with the place of every value.
    pub root: Node,
}

/// A problem of a buildspec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub kind: ProblemKind,
    /// The problem and its fix, without the place.
    pub message: String,
    pub span: Span,
    pub range: Range<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// A value of a kind that CodeBuild rejects there.
    Wrong,
    /// `version` is missing.
    NoVersion,
    /// `phases` is missing.
    NoPhases,
    /// One of the four phases is outside `phases`: CodeBuild would run none of its commands, and pass.
    PhaseOutside,
    /// A command is a mapping or a list.
    CommandNotText,
    /// A phase that CodeBuild does not have.
    UnknownPhase,
    /// A key that CodeBuild does not have, at the top level.
    UnknownSection,
    /// A key that CodeBuild does not have, elsewhere.
    UnknownKey,
    /// Valid, but probably not intended.
    Suspicious,
    /// CodeBuild accepts it, although its user guide says otherwise.
    Lenient,
}

impl ProblemKind {
    /// Whether a buildspec with such a problem is refused.
    #[must_use]
    pub fn refuses(self) -> bool {
        match self {
            Self::Wrong
            | Self::NoVersion
            | Self::NoPhases
            | Self::PhaseOutside
            | Self::CommandNotText => true,
            Self::UnknownPhase
            | Self::UnknownSection
            | Self::UnknownKey
            | Self::Suspicious
            | Self::Lenient => false,
        }
    }
}

/// A text that is valid, but probably not intended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The problem and its fix, without the place.
    pub message: String,
    pub span: Span,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Span { line, column } = self.span;
        write!(formatter, "line {line}, column {column}: {}", self.message)
    }
}

impl From<&Problem> for Warning {
    fn from(problem: &Problem) -> Self {
        Self {
            message: problem.message.clone(),
            span: problem.span,
        }
    }
}

/// Why a text is not a buildspec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct ReadError {
    /// The problem and its fix, without the place.
    pub message: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl From<&Problem> for ReadError {
    fn from(problem: &Problem) -> Self {
        Self {
            message: problem.message.clone(),
            line: problem.span.line,
            column: problem.span.column,
        }
    }
}

impl From<YamlError> for ReadError {
    fn from(error: YamlError) -> Self {
        Self {
            message: error.message,
            line: error.line,
            column: error.column,
        }
    }
}

//! What is off in a buildspec: from what CodeBuild refuses to what it only puts up with.

use std::ops::Range;

use super::Buildspec;
use crate::yaml::{Node, Span, YamlError};

/// A buildspec as far as it could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// What could be read; what is refused is left out.
    pub spec: Buildspec,
    /// What is off, in the order it was found.
    pub problems: Vec<Problem>,
    /// The document with the place of every value.
    pub root: Node,
}

/// Something that is off in a buildspec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which kind of thing it is.
    pub kind: ProblemKind,
    /// What is off and what to do, without the place.
    pub message: String,
    /// Where it stands.
    pub span: Span,
    /// The bytes it stands in.
    pub range: Range<usize>,
}

/// Kinds of what may be off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// A value of a kind that CodeBuild does not take there.
    Wrong,
    /// `version` is missing.
    NoVersion,
    /// `phases` is missing.
    NoPhases,
    /// One of the four phases stands outside `phases`: CodeBuild would run nothing of it, and pass.
    PhaseOutside,
    /// A command is a mapping or a list.
    CommandNotText,
    /// A phase that CodeBuild does not have.
    UnknownPhase,
    /// A key that CodeBuild does not have, at the top level.
    UnknownSection,
    /// A key that CodeBuild does not have, elsewhere.
    UnknownKey,
    /// It is read, and probably not meant.
    Odd,
    /// CodeBuild takes it, though its user guide says otherwise.
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
            | Self::Odd
            | Self::Lenient => false,
        }
    }
}

/// Something that is read but probably not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What is odd and what to do, without the place.
    pub message: String,
    /// Where it stands.
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

/// Why a text is no buildspec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct ReadError {
    /// What is wrong and what to do, without the place.
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

//! YAML with the place of every node, read within limits that hostile input cannot exceed.
//!
//! Scalars stay as they were written: `1.20` is the text `1.20` and `yes` the text `yes`, because
//! their meaning depends on the reader.

mod mistakes;
mod place;
mod read;
#[cfg(test)]
mod tests;

use std::ops::Range;

pub use mistakes::indenting_tabs;
pub use read::read;

/// The limits of a document. It is refused before it uses more memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Length of the text in bytes.
    pub bytes: usize,
    /// How deep sequences and mappings may nest. Nodes are dropped recursively: stay below 1,000.
    pub depth: usize,
    /// How many nodes there may be, each use of an alias counted in full.
    pub nodes: usize,
    /// Whether anchors, aliases and the tags of the YAML core schema are read at all.
    pub aliases: bool,
}

impl Default for Limits {
    /// 64 KiB, 64 levels, 20,000 nodes, no aliases.
    fn default() -> Self {
        Self {
            bytes: 64 * 1024,
            depth: 64,
            nodes: 20_000,
            aliases: false,
        }
    }
}

/// A place in a text; both count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    pub line: usize,
    pub column: usize,
}

/// One value and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it starts; for a block mapping that is its first key.
    pub span: Span,
    /// The bytes of the text it was read from, with its quotes. A block (`|`, `>`) begins with its
    /// first character, and an alias is where it is used.
    pub range: Range<usize>,
    pub value: Value,
}

/// A value of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A single text.
    Scalar {
        /// The text after unquoting and folding, otherwise as written.
        text: String,
        /// Whether it was quoted, a block (`|`, `>`) or tagged `!!str`, and so is always text.
        quoted: bool,
    },
    /// A list.
    Sequence(Vec<Node>),
    /// Keys with their values in the order of the document. Keys are scalars and differ.
    Mapping(Vec<(Node, Node)>),
}

/// Why a text was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct YamlError {
    /// The problem and its fix, without the place.
    pub message: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl YamlError {
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            line: span.line,
            column: span.column,
        }
    }
}

impl Node {
    /// The text of a scalar that is not null.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } if !self.is_null() => Some(text),
            Value::Scalar { .. } | Value::Sequence(_) | Value::Mapping(_) => None,
        }
    }

    /// The truth value of an unquoted YAML 1.1 boolean: `yes`, `no`, `on`, `off`, `true`, `false`.
    #[must_use]
    pub fn as_bool11(&self) -> Option<bool> {
        match &self.value {
            Value::Scalar {
                text,
                quoted: false,
            } => bool11(text),
            Value::Scalar { quoted: true, .. } | Value::Sequence(_) | Value::Mapping(_) => None,
        }
    }

    /// The items of a sequence.
    #[must_use]
    pub fn as_sequence(&self) -> Option<&[Node]> {
        match &self.value {
            Value::Sequence(items) => Some(items),
            Value::Scalar { .. } | Value::Mapping(_) => None,
        }
    }

    /// The entries of a mapping.
    #[must_use]
    pub fn as_mapping(&self) -> Option<&[(Node, Node)]> {
        match &self.value {
            Value::Mapping(entries) => Some(entries),
            Value::Scalar { .. } | Value::Sequence(_) => None,
        }
    }

    /// The value of `key`, if this is a mapping that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        let entries = self.as_mapping()?;
        entries
            .iter()
            .find(|(name, _)| name.key_text() == key)
            .map(|(_, value)| value)
    }

    /// The text of a scalar, even if it reads as null, as a key named `null` does.
    #[must_use]
    pub fn key_text(&self) -> &str {
        match &self.value {
            Value::Scalar { text, .. } => text,
            Value::Sequence(_) | Value::Mapping(_) => "",
        }
    }

    /// Whether nothing is written here, or a YAML word for null: `~`, `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        match &self.value {
            Value::Scalar {
                text,
                quoted: false,
            } => matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"),
            Value::Scalar { quoted: true, .. } | Value::Sequence(_) | Value::Mapping(_) => false,
        }
    }

    /// The kind of this node, for a message: `a mapping`, `a list`, `nothing`, `text`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Scalar { .. } if self.is_null() => "nothing",
            Value::Scalar { .. } => "text",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }
}

/// The truth value of a text by YAML 1.1 (`yes`, `no`, `on`, `off`, `true`, `false` in any usual case).
#[must_use]
pub fn bool11(text: &str) -> Option<bool> {
    match text {
        "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "true" | "True" | "TRUE" => Some(true),
        "no" | "No" | "NO" | "off" | "Off" | "OFF" | "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

//! The words of a command, with their constant and variable parts.

use std::ops::Range;

use tree_sitter::Node;

use super::{DEEPEST, named_children};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// Its place in the command's text.
    pub(crate) range: Range<usize>,
    /// Its parts, without quotes.
    pub(crate) parts: Vec<Part>,
}

/// A piece of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// Literal text.
    Text(String),
    /// `$NAME` or `${NAME}`.
    Variable(String),
    /// `${NAME:-default}`, `${NAME:0:7}` and similar: the name and the rest.
    Expansion {
        name: String,
        /// Everything after the name, such as `:-latest`.
        rest: String,
        range: Range<usize>,
    },
    /// `$(...)` with the script inside.
    Output { script: String, range: Range<usize> },
    /// Anything else that only the shell knows.
    Unknown,
}

impl Word {
    pub(crate) fn empty(at: usize) -> Self {
        Self {
            range: at..at,
            parts: Vec::new(),
        }
    }

    /// The text of a word without expansions.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.parts[..] {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The part of the word after `name=`.
    pub(crate) fn behind(&self, name: &str) -> Option<Self> {
        let Some(Part::Text(first)) = self.parts.first() else {
            return None;
        };
        let rest = first.strip_prefix(name)?.strip_prefix('=')?;
        let mut parts = self.parts.clone();
        if rest.is_empty() {
            parts.remove(0);
        } else {
            parts[0] = Part::Text(rest.to_owned());
        }
        Some(Self {
            range: self.range.clone(),
            parts,
        })
    }

    fn push(&mut self, part: Part) {
        if let (Some(Part::Text(last)), Part::Text(text)) = (self.parts.last_mut(), &part) {
            last.push_str(text);
        } else if part != Part::Text(String::new()) {
            self.parts.push(part);
        }
    }
}

/// Reads a word of the tree; `offset` is where its script starts in the command.
pub(super) fn read(node: Node<'_>, text: &str, offset: usize) -> Word {
    let mut word = Word {
        range: offset + node.start_byte()..offset + node.end_byte(),
        parts: Vec::new(),
    };
    add(&mut word, node, text, offset, 0);
    word
}

fn add(word: &mut Word, node: Node<'_>, text: &str, offset: usize, depth: usize) {
    let source = text.get(node.byte_range()).unwrap_or("");
    let range = offset + node.start_byte()..offset + node.end_byte();
    if depth > DEEPEST {
        word.push(Part::Unknown);
        return;
    }
    match node.kind() {
        "word" | "number" | "variable_name" | "special_variable_name" => {
            word.push(Part::Text(source.replace('\\', "")));
        }
        "raw_string" => word.push(Part::Text(source.trim_matches('\'').to_owned())),
        "string" => add_string(word, node, text, offset, depth),
        "string_content" => word.push(Part::Text(unescape(source))),
        "command_name" | "concatenation" => {
            for child in named_children(node) {
                add(word, child, text, offset, depth + 1);
            }
        }
        "simple_expansion" => word.push(Part::Variable(source.trim_start_matches('$').to_owned())),
        "expansion" => word.push(expansion(source, range)),
        "command_substitution" => {
            let script = source
                .strip_prefix("$(")
                .and_then(|rest| rest.strip_suffix(')'))
                .or_else(|| {
                    source
                        .strip_prefix('`')
                        .and_then(|rest| rest.strip_suffix('`'))
                });
            word.push(script.map_or(Part::Unknown, |script| Part::Output {
                script: script.trim().to_owned(),
                range,
            }));
        }
        _ => word.push(Part::Unknown),
    }
}

/// The grammar leaves white space next to expansions out of a string's content.
fn add_string(word: &mut Word, node: Node<'_>, text: &str, offset: usize, depth: usize) {
    let mut end = node.start_byte() + 1;
    for child in named_children(node) {
        word.push(Part::Text(unescape(
            text.get(end..child.start_byte()).unwrap_or(""),
        )));
        add(word, child, text, offset, depth + 1);
        end = child.end_byte();
    }
    let close = node.end_byte().saturating_sub(1);
    word.push(Part::Text(unescape(text.get(end..close).unwrap_or(""))));
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        match characters.next() {
            Some(next @ ('"' | '\\' | '$' | '`')) => out.push(next),
            Some('\n') | None => {}
            Some(other) => out.extend(['\\', other]),
        }
    }
    out
}

fn expansion(source: &str, range: Range<usize>) -> Part {
    let inner = source
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'))
        .unwrap_or("");
    let length = inner.len()
        - inner
            .trim_start_matches(|letter: char| letter.is_ascii_alphanumeric() || letter == '_')
            .len();
    let (name, rest) = inner.split_at(length);
    match (name, rest) {
        ("", _) => Part::Unknown,
        (name, "") => Part::Variable(name.to_owned()),
        (name, rest) => Part::Expansion {
            name: name.to_owned(),
            rest: rest.to_owned(),
            range,
        },
    }
}

//! A text with its lines, and the places of a scalar's characters in it.

use std::ops::Range;

use crate::yaml::{Node, Span, Value};

/// A file that findings point into.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Its name in findings.
    pub(crate) name: String,
    pub(crate) text: String,
    starts: Vec<usize>,
}

impl Source {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        let after_newlines = text.match_indices('\n').map(|(offset, _)| offset + 1);
        Self {
            name: name.to_owned(),
            text: text.to_owned(),
            starts: std::iter::once(0).chain(after_newlines).collect(),
        }
    }

    /// Line and column of a byte.
    pub(crate) fn span(&self, offset: usize) -> Span {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts[line - 1];
        let column = self
            .text
            .get(start..offset)
            .map_or(1, |before| before.chars().count() + 1);
        Span { line, column }
    }

    /// The bytes of a line, counted from 1, without its end.
    pub(crate) fn line(&self, line: usize) -> Range<usize> {
        let start = self
            .starts
            .get(line - 1)
            .copied()
            .unwrap_or(self.text.len());
        let end = self.starts.get(line).copied().unwrap_or(self.text.len());
        let trimmed = self.text[start..end].trim_end_matches(['\n', '\r']);
        start..start + trimmed.len()
    }

    /// Where the line after this one starts.
    pub(crate) fn next_line(&self, line: usize) -> usize {
        self.starts.get(line).copied().unwrap_or(self.text.len())
    }
}

/// Maps each byte of a scalar's text to its place in the file.
#[derive(Debug, Clone)]
pub(crate) struct Alignment {
    /// The whole scalar, for parts that cannot be located.
    whole: Range<usize>,
    /// For each byte of the text its place in the file; empty if they differ too much.
    places: Vec<usize>,
}

impl Alignment {
    pub(crate) fn new(node: &Node, file: &str) -> Self {
        let whole = trimmed(node.range.clone(), file);
        let places = match &node.value {
            Value::Scalar { text, .. } => align(text, &whole, file).unwrap_or_default(),
            Value::Sequence(_) | Value::Mapping(_) => Vec::new(),
        };
        Self { whole, places }
    }

    /// The bytes of a part of the text in the file, or the whole scalar.
    pub(crate) fn range(&self, part: &Range<usize>) -> Range<usize> {
        self.exact(part).unwrap_or_else(|| self.whole.clone())
    }

    /// The bytes of a part of the text in the file, if they can be located.
    pub(crate) fn exact(&self, part: &Range<usize>) -> Option<Range<usize>> {
        if part.is_empty() {
            return None;
        }
        let start = *self.places.get(part.start)?;
        let last = *self.places.get(part.end - 1)?;
        Some(start..last + 1)
    }
}

/// A block scalar's range may include the indentation of what follows.
fn trimmed(range: Range<usize>, file: &str) -> Range<usize> {
    let text = &file[range.clone()];
    let end = range.start + text.trim_end().len();
    range.start..end.max(range.start)
}

/// Compares text and file in parallel: indentation, line ends, quotes and escapes are only in the file.
fn align(text: &str, whole: &Range<usize>, file: &str) -> Option<Vec<usize>> {
    let raw = file.as_bytes();
    let mut at = whole.start;
    if matches!(raw.get(at), Some(b'"' | b'\'')) {
        at += 1;
    }
    let mut places = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        if places.len() == text.trim_end().len() {
            break;
        }
        loop {
            let here = *raw.get(at).filter(|_| at < whole.end)?;
            if here == byte {
                break;
            }
            if byte.is_ascii_whitespace() && here.is_ascii_whitespace() {
                // A folded line end: white space in the file corresponds to one space in the text.
                while raw.get(at + 1).is_some_and(u8::is_ascii_whitespace) {
                    at += 1;
                }
                break;
            }
            if !here.is_ascii_whitespace() && !matches!(here, b'\\' | b'\'') {
                return None;
            }
            at += 1;
        }
        places.push(at);
        at += 1;
    }
    Some(places)
}

/// The bytes of a scalar including the indicator of a block (`|`, `>`), which its range lacks.
pub(crate) fn scalar_place(node: &Node, file: &str) -> Range<usize> {
    let place = trimmed(node.range.clone(), file);
    let is_bare_block = matches!(node.value, Value::Scalar { quoted: true, .. })
        && !file[place.start..].starts_with(['"', '\'', '!']);
    if !is_bare_block {
        return place;
    }
    let line_before = file[..place.start].rfind('\n').unwrap_or(0);
    let head = file[..line_before].trim_end();
    let head_line = head.rfind('\n').map_or(0, |newline| newline + 1);
    let sign = head[head_line..]
        .rfind(" |")
        .or_else(|| head[head_line..].rfind(" >"));
    match sign {
        Some(sign) => head_line + sign + 1..place.end,
        None => place,
    }
}

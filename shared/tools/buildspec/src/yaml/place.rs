//! The positions of the parser's events in the text.

use std::ops::Range;

use saphyr_parser::Marker;

use super::{Node, Span, Value};

/// The place of an event.
#[derive(Clone)]
pub(super) struct At {
    pub(super) span: Span,
    pub(super) range: Range<usize>,
}

/// Converts the parser's characters to bytes.
pub(super) struct Offsets {
    /// The first byte of each character; empty if all characters are one byte long.
    bytes: Vec<usize>,
    length: usize,
    skipped: usize,
}

impl Offsets {
    pub(super) fn new(text: &str, skipped: usize) -> Self {
        let bytes = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices().map(|(offset, _)| offset).collect()
        };
        Self {
            bytes,
            length: text.len(),
            skipped,
        }
    }

    pub(super) fn of(&self, marker: Marker) -> usize {
        let index = marker.index();
        let offset = if self.bytes.is_empty() {
            index.min(self.length)
        } else {
            self.bytes.get(index).copied().unwrap_or(self.length)
        };
        self.skipped + offset
    }
}

impl At {
    pub(super) fn node(self, value: Value) -> Node {
        Node {
            span: self.span,
            range: self.range,
            value,
        }
    }
}

pub(super) fn span_at(marker: Marker) -> Span {
    Span {
        line: marker.line(),
        column: marker.col() + 1,
    }
}

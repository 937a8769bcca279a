//! Aligned columns, for cells in any script.

use unicode_width::UnicodeWidthStr as _;

use super::line::{Line, Span, Style};

/// Spaces between two columns.
const GAP: usize = 2;

/// The greatest width of a column; a longer cell shifts only its own line.
const WIDEST: usize = 64;

/// A cell of a row.
pub(super) struct Cell(pub(super) Span);

impl Cell {
    pub(super) fn new(style: Style, text: impl AsRef<str>) -> Self {
        Self(Span::new(style, text))
    }

    pub(super) fn plain(text: impl AsRef<str>) -> Self {
        Self::new(Style::Plain, text)
    }

    /// A cell for a missing value.
    pub(super) fn none() -> Self {
        Self::new(Style::Quiet, "-")
    }
}

enum Row {
    Cells(Vec<Cell>),
    Note(Line),
}

/// A table with a line of headings.
pub(super) struct Table {
    columns: usize,
    rows: Vec<Row>,
}

impl Table {
    pub(super) fn new(heads: &[&str]) -> Self {
        let heads: Vec<Cell> = heads
            .iter()
            .map(|head| Cell::new(Style::Header, head))
            .collect();
        Self {
            columns: heads.len(),
            rows: vec![Row::Cells(heads)],
        }
    }

    /// Adds a row; missing cells at its end stay empty.
    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(Row::Cells(cells));
    }

    /// Adds a line below the last row, outside the columns.
    pub(super) fn note(&mut self, line: Line) {
        self.rows.push(Row::Note(line));
    }

    pub(super) fn lines(self) -> Vec<Line> {
        let widths: Vec<usize> = (0..self.columns).map(|column| self.width(column)).collect();
        let line = |row| match row {
            Row::Cells(cells) => aligned(cells, &widths),
            Row::Note(line) => line,
        };
        self.rows.into_iter().map(line).collect()
    }

    fn width(&self, column: usize) -> usize {
        let widths = self.rows.iter().filter_map(|row| match row {
            // The last cell of a row needs no padding.
            Row::Cells(cells) if column + 1 < cells.len() => Some(cells[column].0.text.width()),
            Row::Cells(_) | Row::Note(_) => None,
        });
        widths.map(|width| width.min(WIDEST)).max().unwrap_or(0)
    }
}

fn aligned(cells: Vec<Cell>, widths: &[usize]) -> Line {
    let last = cells.len().saturating_sub(1);
    let mut spans = Vec::new();
    for (column, Cell(span)) in cells.into_iter().enumerate() {
        let room = widths.get(column).copied().unwrap_or(0);
        let blanks = room.saturating_sub(span.text.width()) + GAP;
        spans.push(span);
        if column < last {
            spans.push(Span::new(Style::Plain, " ".repeat(blanks)));
        }
    }
    Line { spans }
}

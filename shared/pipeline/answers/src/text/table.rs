//! Aligned columns, for cells in any script.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::line::{Line, Span, Style};

/// Spaces between two columns.
const GAP: usize = 2;

/// The greatest width of a column other than the last. A longer cell is cut; in JSON it is whole.
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

    /// Cuts a text that is too wide for a column.
    fn cut(&mut self) {
        if self.0.text.width() <= WIDEST {
            return;
        }
        let mut width = 0;
        let fits = |character: &char| {
            width += character.width().unwrap_or(0);
            width < WIDEST
        };
        self.0.text = self.0.text.chars().take_while(fits).chain(['…']).collect();
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
    pub(super) fn row(&mut self, mut cells: Vec<Cell>) {
        if let Some((_, others)) = cells.split_last_mut() {
            others.iter_mut().for_each(Cell::cut);
        }
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
        widths.max().unwrap_or(0)
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

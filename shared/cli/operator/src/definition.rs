//! Reads a definition's file, and shows its mistakes in their lines.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use towline_console::style::{Style, paint};
use towline_console::terminal;
use towline_definition::{DefinitionErrors, FILE};
use towline_domain::reason::count;
use towline_domain::untrusted::Untrusted;

/// Columns of a line that are shown around a mistake.
const WINDOW: usize = 100;

/// The definition's path and bytes. For a folder, those of the file in it.
pub fn read(path: &Path) -> anyhow::Result<(PathBuf, Vec<u8>)> {
    let path = if path.is_dir() {
        path.join(FILE)
    } else {
        path.to_owned()
    };
    match fs::read(&path) {
        Ok(bytes) => Ok((path, bytes)),
        Err(cause) => Err(anyhow!(
            "cannot read {}: {cause}; name another, or write a first one with: towline generate definition",
            path.display()
        )),
    }
}

/// Every mistake as `file:line:column: path: message`, with the line it is on and a caret below it.
pub fn mistakes(path: &Path, source: &str, errors: &DefinitionErrors) -> String {
    let lines: Vec<&str> = source.lines().collect();
    let file = terminal::line(&path.display().to_string());
    let mut text = String::new();
    for error in errors.errors() {
        let place = format!("{file}:{}:{}", error.line, error.column);
        let subject = if error.path.is_empty() {
            String::new()
        } else {
            format!("{}: ", terminal::line(&error.path))
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{}: {subject}{}",
            paint(Style::Strong, &place),
            terminal::line(&error.message)
        );
        if let Some(line) = lines.get(error.line.saturating_sub(1)) {
            text.push_str(&pointed(line, error.line, error.column));
        }
    }
    if errors.unlisted() > 0 {
        let _ = writeln!(text, "and {} more", errors.unlisted());
    }
    let mistakes = count(errors.more() + 1, "mistake");
    let _ = writeln!(
        text,
        "{}",
        paint(Style::Bad, &format!("{mistakes} in {file}"))
    );
    text
}

/// The line of a mistake and a caret below its column, shortened to fit.
fn pointed(line: &str, number: usize, column: usize) -> String {
    use unicode_width::UnicodeWidthStr as _;
    let harmless = Untrusted::text(&line.replace('\t', " "), usize::MAX).display();
    let shown: Vec<char> = harmless.chars().collect();
    let at = column.saturating_sub(1).min(shown.len());
    // A line that is too long is shortened, with some of it left before the mistake.
    let from = (at + WINDOW / 4).saturating_sub(WINDOW);
    let cut: String = shown.iter().skip(from).take(WINDOW).collect();
    let mark = if from > 0 { "…" } else { "" };
    let before: String = mark
        .chars()
        .chain(shown[from..at].iter().copied())
        .collect();
    let margin = number.to_string();
    let blank = " ".repeat(margin.len());
    let caret = " ".repeat(before.width());
    let bar = paint(Style::Quiet, &format!("  {margin} |"));
    let empty = paint(Style::Quiet, &format!("  {blank} |"));
    format!(
        "{bar} {mark}{}\n{empty} {caret}{}\n",
        cut.trim_end(),
        paint(Style::Bad, "^")
    )
}

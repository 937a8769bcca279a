//! Reports mistakes that the parser misses or explains badly, mostly invisible characters.

use std::ops::Range;

use saphyr_parser::{Event, ScalarStyle, ScanError};

use super::place::span_at;
use super::{Span, YamlError};

/// YAML forbids control characters (YAML 1.2.2, 5.1), and the parser would treat NUL as the end of the text.
pub(super) fn refuse_control_characters(text: &str) -> Result<(), YamlError> {
    let is_line_end = |offset: usize| text[offset..].starts_with("\r\n");
    let forbidden = text
        .char_indices()
        .find(|(offset, character)| match character {
            '\t' | '\n' | '\u{85}' => false,
            '\r' => !is_line_end(*offset),
            '\u{feff}' | '\u{fffe}' | '\u{ffff}' => true,
            other => other.is_control(),
        });
    let Some((offset, character)) = forbidden else {
        return Ok(());
    };
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let span = Span {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    };
    let code = u32::from(character);
    Err(YamlError::new(
        span,
        format!("the character U+{code:04X} is not allowed in YAML: remove it"),
    ))
}

const TAB_INDENTS: &str = "YAML allows only spaces for indentation: replace the tab with spaces";

/// The parser accepts a tab before some nodes where YAML and CodeBuild's parser do not.
pub(super) fn refuse_tab_indent(
    event: &Event<'_>,
    span: Span,
    lines: &[&str],
) -> Result<(), YamlError> {
    let is_block = matches!(
        event,
        Event::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded, ..)
    );
    let begins_node = matches!(
        event,
        Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) | Event::Alias(_)
    );
    if is_block || !begins_node {
        return Ok(());
    }
    match tab_indent(lines, span.line) {
        Some(tab) if tab.column < span.column => Err(YamlError::new(tab, TAB_INDENTS)),
        Some(_) | None => Ok(()),
    }
}

/// The parser's error; a tab used as indentation is named, because it is invisible.
pub(super) fn explain(error: &ScanError, lines: &[&str]) -> YamlError {
    let span = span_at(*error.marker());
    if let Some(tab) = tab_indent(lines, span.line).or_else(|| tab_indent(lines, span.line + 1)) {
        return YamlError::new(tab, TAB_INDENTS);
    }
    let hint = match error.info() {
        info if info.contains("mapping values") => " (quote a text that contains `: `)",
        info if info.contains("valid YAML whitespace") => " (use a space there, not a tab)",
        info if info.contains("unknown anchor") => " (quote a text that starts with `*`)",
        _ => "",
    };
    YamlError::new(span, format!("not YAML: {}{hint}", error.info()))
}

/// The first tab in a line's indentation, if the line has content after it.
fn tab_indent(lines: &[&str], line: usize) -> Option<Span> {
    let text = lines.get(line.checked_sub(1)?)?;
    let indent = &text[..text.len() - text.trim_start_matches([' ', '\t']).len()];
    let has_content = indent.len() < text.trim_end().len();
    let tab = indent.find('\t').filter(|_| has_content)?;
    Some(Span {
        line,
        column: tab + 1,
    })
}

/// The byte ranges of the tabs that indent lines with content, if they make the text invalid.
#[must_use]
pub fn indenting_tabs(text: &str) -> Vec<Range<usize>> {
    let mut tabs = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        if indent < line.trim_end().len() {
            let in_indent = line[..indent].match_indices('\t');
            tabs.extend(in_indent.map(|(offset, _)| start + offset..start + offset + 1));
        }
        start += line.len();
    }
    tabs
}

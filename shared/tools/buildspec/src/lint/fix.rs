//! Fixes what can be fixed automatically, and keeps everything else as it is.

use std::ops::Range;

use super::source::{Alignment, Source, scalar_place};
use super::{Code, Context, Edit, Finding, lint};
use crate::Buildspec;
use crate::model::{Problem, ProblemKind};
use crate::print::scalar::scalar;
use crate::yaml::{self, Node};

/// A fixed buildspec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixed {
    /// The text; the same as before if there was nothing to fix.
    pub text: String,
    /// The fixed codes, in order.
    pub applied: Vec<Code>,
}

/// The most rounds: one fix may reveal the next problem, as with tabs.
const MOST_ROUNDS: usize = 200;

/// Fixes what can be fixed safely. A change is kept only if the text still parses and has fewer findings.
#[must_use]
pub fn fix(path: &str, text: &str, context: &Context<'_>) -> Fixed {
    let mut fixed = Fixed {
        text: text.to_owned(),
        applied: Vec::new(),
    };
    let mut report = lint(path, text, context);
    let mut given_up: Vec<(Code, String)> = Vec::new();
    for _ in 0..MOST_ROUNDS {
        let is_new = |finding: &&Finding| {
            finding.fix.is_some() && !given_up.contains(&(finding.code, finding.text.clone()))
        };
        let Some(finding) = report.findings.iter().find(is_new) else {
            break;
        };
        let edits = finding.fix.as_ref().map(|fix| fix.edits.as_slice());
        let after = apply(&fixed.text, edits.unwrap_or_default());
        let again = lint(path, &after, context);
        let same = |report: &super::Report| {
            let of_code = report
                .findings
                .iter()
                .filter(|found| found.code == finding.code);
            of_code.count()
        };
        let is_better = Buildspec::read_all(&after).is_ok()
            && same(&again) < same(&report)
            && again.findings.len() <= report.findings.len();
        if is_better {
            fixed.applied.push(finding.code);
            fixed.text = after;
            report = again;
        } else {
            given_up.push((finding.code, finding.text.clone()));
        }
    }
    fixed
}

fn apply(text: &str, edits: &[Edit]) -> String {
    let mut edits: Vec<&Edit> = edits.iter().collect();
    edits.sort_by_key(|edit| edit.range.start);
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for edit in edits {
        out.push_str(text.get(at..edit.range.start).unwrap_or(""));
        out.push_str(&edit.text);
        at = edit.range.end.max(at);
    }
    out.push_str(text.get(at..).unwrap_or(""));
    out
}

/// The text with its tabs replaced so that it parses, and the spaces for each.
pub(super) fn detabbed(text: &str) -> Option<(String, usize)> {
    let tabs = yaml::indenting_tabs(text);
    if tabs.is_empty() {
        return None;
    }
    [2, 4, 8, 1].into_iter().find_map(|width| {
        let edits: Vec<Edit> = tabs
            .iter()
            .map(|range| Edit {
                range: range.clone(),
                text: " ".repeat(width),
            })
            .collect();
        let text = apply(text, &edits);
        Buildspec::read_all(&text).is_ok().then_some((text, width))
    })
}

/// The edits that replace a part of a command, or the whole scalar if the part cannot be located.
pub(super) fn command_edited(
    source: &Source,
    node: &Node,
    part: &Range<usize>,
    replacement: &str,
) -> Option<Vec<Edit>> {
    let command = node.as_str()?;
    let (before, behind) = (command.get(..part.start)?, command.get(part.end..)?);
    let wanted = format!("{before}{replacement}{behind}");
    let exact = Alignment::new(node, &source.text).exact(part);
    if let Some(range) = exact {
        let edit = Edit {
            range: range.clone(),
            text: replacement.to_owned(),
        };
        // Only parsing shows whether the scalar accepts these characters unquoted.
        let whole = apply(&source.text, std::slice::from_ref(&edit));
        if commands(&whole).is_some_and(|all| all.contains(&wanted)) {
            return Some(vec![edit]);
        }
    }
    Some(vec![rewritten(source, node, &wanted)])
}

/// The scalar, printed again.
fn rewritten(source: &Source, node: &Node, text: &str) -> Edit {
    let place = scalar_place(node, &source.text);
    let line = &source.text[source.line(source.span(place.start).line)];
    let depth = (line.len() - line.trim_start().len()) / 2 + 2;
    Edit {
        range: place,
        text: scalar(text, depth),
    }
}

/// All commands of a buildspec, in order.
fn commands(text: &str) -> Option<Vec<String>> {
    let spec = Buildspec::read_all(text).ok()?.spec;
    let phases = crate::model::PhaseName::ALL.map(|name| spec.phases.get(name).clone());
    Some(
        phases
            .into_iter()
            .flat_map(|phase| phase.commands.into_iter().chain(phase.finally))
            .collect(),
    )
}

/// The edits that let a command run only while the build succeeds.
pub(super) fn guarded(source: &Source, node: &Node) -> Vec<Edit> {
    const TEST: &str = "if [ \"$CODEBUILD_BUILD_SUCCEEDING\" = 1 ]; then";
    let Some(command) = node.as_str() else {
        return Vec::new();
    };
    let trimmed = command.trim_end();
    let place = scalar_place(node, &source.text);
    if source.text[place.clone()].starts_with('|') {
        let start = node.range.start;
        let line = source.line(source.span(start).line);
        let indent = &source.text[line.start..start];
        let put = |at: usize, text: String| Edit {
            range: at..at,
            text,
        };
        return vec![
            put(start, format!("{TEST}\n{indent}")),
            put(place.end, format!("\n{indent}fi")),
        ];
    }
    let is_simple = !trimmed.contains(['\n', '#']) && !trimmed.ends_with(['&', ';', '\\']);
    let text = if is_simple {
        format!("{TEST} {trimmed}; fi")
    } else {
        format!("{TEST}\n{trimmed}\nfi\n")
    };
    vec![rewritten(source, node, &text)]
}

/// The edits that remove an entry, and its parents if they become empty.
pub(super) fn entry_removed(source: &Source, root: &Node, path: &[&str]) -> Vec<Edit> {
    let mut node = root;
    let mut last = None;
    for (depth, name) in path.iter().enumerate() {
        let entries = node.as_mapping().unwrap_or_default();
        let Some(index) = entries.iter().position(|(key, _)| key.key_text() == *name) else {
            return Vec::new();
        };
        // The top-level section stays; below it, a parent with more entries is kept.
        if depth > 0 && (entries.len() > 1 || last.is_none()) {
            last = Some((entries, index));
        }
        node = &entries[index].1;
    }
    let Some((entries, index)) = last else {
        return Vec::new();
    };
    let (key, value) = &entries[index];
    let first = source.line(key.span.line);
    let is_block = source.text[first.start..key.range.start].trim().is_empty();
    let value_end = source.text[..value.range.end]
        .trim_end()
        .len()
        .max(key.range.end);
    let last_line = source.span(value_end).line;
    let shares_line = entries
        .get(index + 1)
        .is_some_and(|(next, _)| next.span.line <= last_line);
    if !is_block || shares_line {
        return Vec::new();
    }
    vec![Edit {
        range: first.start..source.next_line(last_line),
        text: String::new(),
    }]
}

/// The edits that move a phase under `phases`.
pub(super) fn phases_moved(source: &Source, root: &Node, problem: &Problem) -> Vec<Edit> {
    let entries = root.as_mapping().unwrap_or_default();
    let is_flow = source.text[root.range.clone()].starts_with('{');
    let Some(at) = entries
        .iter()
        .position(|(key, _)| key.range == problem.range)
    else {
        return Vec::new();
    };
    let (key, value) = &entries[at];
    let phases = entries
        .iter()
        .position(|(key, _)| key.key_text() == "phases");
    let is_there = phases.is_some_and(|phases| entries[phases].1.get(key.key_text()).is_some());
    if problem.kind != ProblemKind::PhaseOutside || is_flow || is_there {
        return Vec::new();
    }
    let block = lines_of(source, key, value);
    let Some(phases) = phases else {
        let step = "  ";
        let mut edits = vec![Edit {
            range: block.start..block.start,
            text: "phases:\n".to_owned(),
        }];
        edits.extend(indented(source, &block, step));
        return edits;
    };
    let (phases_key, phases_value) = &entries[phases];
    let is_block = phases_value.is_null()
        || phases_value.as_mapping().is_some_and(|children| {
            children
                .first()
                .is_some_and(|(child, _)| child.span.line > phases_key.span.line)
        });
    if !is_block {
        return Vec::new();
    }
    let children = phases_value.as_mapping().unwrap_or_default();
    let width = children
        .first()
        .map_or(2, |(child, _)| child.span.column - 1)
        .max(1);
    let step = " ".repeat(width);
    let phases_block = lines_of(source, phases_key, phases_value);
    if phases + 1 == at {
        return indented(source, &block, &step);
    }
    let mut text = source.text[phases_block.start..phases_block.end].to_owned();
    text = if text.ends_with('\n') {
        String::new()
    } else {
        "\n".to_owned()
    };
    text.push_str(&apply(
        &source.text[block.clone()],
        &indented_at(source, &block, &step, block.start),
    ));
    vec![
        Edit {
            range: phases_block.end..phases_block.end,
            text,
        },
        Edit {
            range: block,
            text: String::new(),
        },
    ]
}

/// The lines of an entry.
fn lines_of(source: &Source, key: &Node, value: &Node) -> Range<usize> {
    let end = source.text[..value.range.end.max(key.range.end)]
        .trim_end()
        .len();
    let last = source.span(end.max(key.range.start)).line;
    source.line(key.span.line).start..source.next_line(last)
}

fn indented(source: &Source, block: &Range<usize>, step: &str) -> Vec<Edit> {
    indented_at(source, block, step, 0)
}

fn indented_at(source: &Source, block: &Range<usize>, step: &str, base: usize) -> Vec<Edit> {
    let mut edits = Vec::new();
    let mut start = block.start;
    for line in source.text[block.clone()].split_inclusive('\n') {
        if !line.trim().is_empty() {
            edits.push(Edit {
                range: start - base..start - base,
                text: step.to_owned(),
            });
        }
        start += line.len();
    }
    edits
}

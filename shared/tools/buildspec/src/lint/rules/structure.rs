//! E000, E001, E002, E004, E005, E006, W018, N001: the problems that the reader finds.

use super::{Note, Notes, Spec, place};
use crate::lint::fix::{detabbed, phases_moved};
use crate::lint::source::Source;
use crate::lint::{Code, Context, Edit};
use crate::model::{Problem, ProblemKind, Version};
use crate::yaml::{self, YamlError};

pub(super) fn apply(spec: &Spec<'_>, notes: &mut Notes) {
    let problems = &spec.reading.problems;
    let is_outside = problems
        .iter()
        .any(|problem| problem.kind == ProblemKind::PhaseOutside);
    for problem in problems {
        if is_outside && problem.message.starts_with("no phase has a command") {
            // The phases outside `phases` are the cause, and are reported.
            continue;
        }
        if let Some(note) = note(spec, problem) {
            notes.add(spec.source, note);
        }
    }
    version_0_1(spec, notes);
}

fn note(spec: &Spec<'_>, problem: &Problem) -> Option<Note> {
    let text = spec.source.text.get(problem.range.clone()).unwrap_or("");
    // A mapping with a missing key is shown by its first line.
    let first = text.lines().next().unwrap_or("").trim_end();
    let range = problem.range.start..problem.range.start + first.len();
    let (code, consequence) = match problem.kind {
        ProblemKind::Wrong => (
            Code::E000,
            "CodeBuild rejects the buildspec with YAML_FILE_ERROR before any command runs.",
        ),
        ProblemKind::NoVersion | ProblemKind::NoPhases => (
            Code::E005,
            "CodeBuild rejects the buildspec with YAML_FILE_ERROR before any command runs.",
        ),
        ProblemKind::PhaseOutside => (
            Code::E002,
            "CodeBuild ignores this phase: none of its commands run, and the build still succeeds.",
        ),
        ProblemKind::CommandNotText => (
            Code::E004,
            "CodeBuild rejects the buildspec with `Expected Commands[n] to be of string type: found subkeys instead`.",
        ),
        ProblemKind::UnknownPhase => (
            Code::E006,
            "CodeBuild knows only install, pre_build, build and post_build; this phase does not run.",
        ),
        ProblemKind::UnknownKey => (Code::E006, "CodeBuild ignores this key."),
        ProblemKind::UnknownSection if is_of_others(spec, problem) => return None,
        ProblemKind::UnknownSection => (
            Code::E006,
            "CodeBuild ignores this key and everything under it.",
        ),
        ProblemKind::Suspicious | ProblemKind::Lenient => (
            Code::N001,
            "CodeBuild accepts this, but probably not as intended.",
        ),
    };
    let is_steps =
        problem.kind == ProblemKind::Suspicious && problem.message.starts_with("`steps` are");
    if is_steps {
        return None;
    }
    let advice = match (problem.kind, text) {
        (ProblemKind::UnknownSection, "runtime-versions") => {
            "`runtime-versions` belongs in `install`; move it under `phases: install:`.".to_owned()
        }
        (ProblemKind::UnknownSection, "commands" | "finally" | "on-failure" | "run-as") => {
            format!("`{text}` belongs in a phase; move it under one, such as `phases: build:`.")
        }
        _ => sentence(&problem.message),
    };
    let note = Note::new(code, range, consequence, advice);
    if problem.kind != ProblemKind::PhaseOutside {
        return Some(note);
    }
    let edits = phases_moved(spec.source, &spec.reading.root, problem);
    Some(note.fixed_by(edits))
}

/// Whether a section is not for CodeBuild: other tools keep their own in buildspecs, and some hold anchors.
fn is_of_others(spec: &Spec<'_>, problem: &Problem) -> bool {
    let entries = spec.reading.root.as_mapping().unwrap_or_default();
    let Some((key, value)) = entries.iter().find(|(key, _)| key.range == problem.range) else {
        return false;
    };
    let name = key.key_text();
    let is_named =
        name.starts_with("x-") || name.starts_with('.') || name == "eb_codebuild_settings";
    let text = spec
        .source
        .text
        .get(key.range.end..value.range.end)
        .unwrap_or("");
    let mut words = text.split_whitespace();
    let mut before = "";
    let has_anchor = words.any(|word| {
        let is_first = before.is_empty() || before.ends_with(':') || before == "-";
        before = word;
        is_first && word.len() > 1 && word.starts_with('&') && !word.starts_with("&&")
    });
    is_named || has_anchor
}

fn version_0_1(spec: &Spec<'_>, notes: &mut Notes) {
    if spec.reading.spec.version != Version::V0_1 {
        return;
    }
    if let Some(version) = spec.reading.root.get("version") {
        let note = Note::new(
            Code::W018,
            place(version, spec.source),
            "Each command runs in its own shell, so variables and the working directory are lost after each command.",
            "Write `version: 0.2`, and `env: variables:` instead of `environment_variables: plaintext:`.",
        );
        notes.add(spec.source, note);
    }
}

/// Reports a text that is longer than any buildspec.
pub(super) fn too_long(start: &Source, length: usize, notes: &mut Notes) {
    let most = yaml::Limits::default().bytes;
    let note = Note::new(
        Code::E000,
        start.line(1),
        format!("The buildspec has {length} bytes; at most {most} are read."),
        "Move the commands into scripts in the repository.",
    );
    notes.add(start, note);
}

/// Reports why a text is not YAML; if only its indentation has tabs, the rest is checked without them.
pub(super) fn unreadable(
    source: &Source,
    error: &YamlError,
    context: &Context<'_>,
    notes: &mut Notes,
) {
    let start = source.line(error.line.max(1)).start;
    let column = source
        .text
        .get(start..)
        .unwrap_or("")
        .char_indices()
        .nth(error.column - 1);
    let at = column.map_or(source.text.len(), |(offset, _)| start + offset);
    let line_end = source.line(error.line.max(1)).end;
    let tabs = yaml::indenting_tabs(&source.text);
    let Some(width) = detabbed(&source.text).map(|(_, width)| width) else {
        let is_tab = error.message.contains("replace the tab");
        let code = if is_tab { Code::E001 } else { Code::E000 };
        let range = if is_tab {
            at..at + 1
        } else {
            at..line_end.max(at)
        };
        let note = Note::new(
            code,
            range,
            "CodeBuild rejects the buildspec with YAML_FILE_ERROR before any command runs.",
            sentence(&error.message),
        );
        notes.add(source, note);
        return;
    };
    let spaces = " ".repeat(width);
    let lines = tabs.iter().map(|tab| source.span(tab.start).line);
    let lines: std::collections::BTreeSet<usize> = lines.collect();
    let count = lines.len();
    let first = tabs.first().map_or(0..0, Clone::clone);
    let edits = tabs
        .iter()
        .map(|tab| Edit {
            range: tab.clone(),
            text: spaces.clone(),
        })
        .collect();
    let note = Note::new(
        Code::E001,
        first,
        "CodeBuild rejects the buildspec with YAML_FILE_ERROR before any command runs.",
        match count {
            1 => "Indent the line with spaces instead of tabs.".to_owned(),
            _ => format!("Indent {count} lines with spaces instead of tabs."),
        },
    );
    notes.add(source, note.fixed_by(edits));
    behind_tabs(source, context, width, notes);
}

/// The other problems of a text with tabs, with their places in it.
fn behind_tabs(source: &Source, context: &Context<'_>, width: usize, notes: &mut Notes) {
    let Some((text, _)) = detabbed(&source.text) else {
        return;
    };
    let tabs = yaml::indenting_tabs(&source.text);
    let back = |offset: usize| -> usize {
        let grown: Vec<usize> = (0..tabs.len())
            .map(|index| tabs[index].start + index * (width - 1))
            .collect();
        let before = grown.partition_point(|start| start + width <= offset);
        match grown.get(before) {
            Some(start) if *start <= offset => tabs[before].start,
            Some(_) | None => offset - before * (width - 1),
        }
    };
    let report = super::apply(&source.name, &text, context);
    for finding in report.findings {
        if finding.file != source.name {
            notes.findings.push(finding);
            continue;
        }
        let range = back(finding.range.start)..back(finding.range.end);
        let note = Note::new(finding.code, range, finding.consequence, finding.advice);
        notes.add(source, note);
    }
}

/// A message as a sentence: with a capital letter and a full stop.
pub(super) fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    let text = first.unwrap_or_default() + letters.as_str();
    if text.ends_with(['.', '?', '!']) {
        text
    } else {
        text + "."
    }
}

//! Applies every rule to a buildspec and the files around it.

mod around;
mod docker;
mod environment;
mod make;
mod moment;
mod publish;
mod region;
mod run;
mod structure;
mod tags;

use std::collections::BTreeSet;
use std::ops::Range;

use super::allow::{self, Allow};
use super::source::{Alignment, Source, scalar_place};
use super::{Allowed, Code, Context, Edit, Finding, Fix, Report};
use crate::model::{PhaseName, Reading, Shell};
use crate::yaml::{self, Limits, Node};

pub(super) fn apply(path: &str, text: &str, context: &Context<'_>) -> Report {
    let mut notes = Notes::default();
    if text.len() > Limits::default().bytes {
        // Of a text that is too long, only the start is read.
        let start: String = text.chars().take(80).collect();
        structure::too_long(&Source::new(path, &start), text.len(), &mut notes);
        return Report {
            findings: notes.findings,
            allowed: Vec::new(),
        };
    }
    let source = Source::new(path, text);
    match crate::Buildspec::read_all(text) {
        Ok(reading) => {
            let spec = Spec::new(&source, &reading, context);
            structure::apply(&spec, &mut notes);
            environment::apply(&spec, &mut notes);
            let run = run::Run::new(&spec);
            run.go(&mut notes);
            around::apply(&run, &mut notes);
            let ends = node_ends(&reading.root, &source);
            let node_end = |line| {
                ends.iter()
                    .filter(|(start, _)| *start == line)
                    .map(|(_, end)| *end)
                    .max()
            };
            notes.settle(&source, Some(&node_end))
        }
        Err(error) => {
            structure::unreadable(&source, &error, context, &mut notes);
            notes.settle(&source, None)
        }
    }
}

/// The finding for a comment that allows nothing; none if that cannot be determined.
fn unused(allow: &Allow) -> Option<Note> {
    let codes = allow.codes.as_ref().ok()?;
    if codes.iter().any(|code| code.needs_project()) {
        return None;
    }
    let codes: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let consequence = format!(
        "This comment allows {}, which does not occur here.",
        codes.join(" and ")
    );
    let advice = "Remove the comment, or move it to the intended line or the line above it.";
    Some(Note::new(
        Code::N002,
        allow.range.clone(),
        consequence,
        advice,
    ))
}

/// The line on which each value begins, including its key, and the byte where it ends.
fn node_ends(root: &Node, source: &Source) -> Vec<(usize, usize)> {
    let mut ends = Vec::new();
    let mut left = vec![root];
    while let Some(node) = left.pop() {
        match &node.value {
            yaml::Value::Scalar { .. } => {}
            yaml::Value::Sequence(items) => {
                for item in items {
                    let start = match item.value {
                        yaml::Value::Scalar { .. } => scalar_place(item, &source.text).start,
                        yaml::Value::Sequence(_) | yaml::Value::Mapping(_) => item.range.start,
                    };
                    ends.push((source.span(start).line, item.range.end));
                }
                left.extend(items);
            }
            yaml::Value::Mapping(entries) => {
                let lines = entries
                    .iter()
                    .map(|(key, value)| (key.span.line, value.range.end));
                ends.extend(lines);
                left.extend(entries.iter().map(|(_, value)| value));
            }
        }
    }
    ends
}

/// The findings so far, each with its file.
#[derive(Default)]
struct Notes {
    findings: Vec<Finding>,
    others: Vec<Source>,
}

/// The place and text of a finding.
struct Note {
    code: Code,
    range: Range<usize>,
    consequence: String,
    advice: String,
    fix: Option<Fix>,
}

impl Note {
    fn new(
        code: Code,
        range: Range<usize>,
        consequence: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            code,
            range,
            consequence: consequence.into(),
            advice: advice.into(),
            fix: None,
        }
    }

    fn fixed_by(mut self, edits: Vec<Edit>) -> Self {
        self.fix = (!edits.is_empty()).then_some(Fix { edits });
        self
    }
}

impl Notes {
    fn add(&mut self, source: &Source, note: Note) {
        let Range { start, end } = note.range;
        let end = end.clamp(start, source.text.len());
        self.findings.push(Finding {
            code: note.code,
            file: source.name.clone(),
            start: source.span(start),
            end: source.span(end),
            text: source.text.get(start..end).unwrap_or("").to_owned(),
            range: start..end,
            consequence: note.consequence,
            advice: note.advice,
            fix: note.fix,
        });
    }

    /// Adds a finding in a file around the buildspec.
    fn add_elsewhere(&mut self, source: &Source, note: Note) {
        if !self.others.iter().any(|other| other.name == source.name) {
            self.others.push(source.clone());
        }
        self.add(source, note);
    }

    /// Removes the findings that the files allow; `node_end` is given if the whole buildspec could be read.
    fn settle(
        mut self,
        source: &Source,
        node_end: Option<&dyn Fn(usize) -> Option<usize>>,
    ) -> Report {
        let mut allows: Vec<(String, Allow)> = Vec::new();
        let of_spec = allow::read(source, node_end.unwrap_or(&|_| None));
        for bad in &of_spec {
            if let Err(reason) = bad.codes {
                let consequence = format!("This comment allows nothing, because {reason}.");
                let advice = "Write `# towline: allow <code or name> because <reason>`.";
                self.add(
                    source,
                    Note::new(Code::W002, bad.range.clone(), consequence, advice),
                );
            }
        }
        allows.extend(
            of_spec
                .into_iter()
                .map(|allow| (source.name.clone(), allow)),
        );
        for other in &self.others {
            let found = allow::read(other, &|_| None);
            allows.extend(found.into_iter().map(|allow| (other.name.clone(), allow)));
        }
        let mut report = Report::default();
        let mut used = BTreeSet::new();
        for finding in std::mem::take(&mut self.findings) {
            let covers =
                |(file, allow): &(String, Allow)| *file == finding.file && allow.covers(&finding);
            match allows.iter().position(covers) {
                Some(index) => {
                    used.insert(index);
                    report.allowed.push(Allowed {
                        reason: allows[index].1.reason.clone(),
                        finding,
                    });
                }
                None => report.findings.push(finding),
            }
        }
        if node_end.is_some() {
            let left = allows
                .iter()
                .enumerate()
                .filter(|(index, (file, _))| *file == source.name && !used.contains(index));
            for note in left.filter_map(|(_, (_, allow))| unused(allow)) {
                self.add(source, note);
            }
            report.findings.append(&mut self.findings);
        }
        report
    }
}

/// A buildspec that could be read, with the known facts.
struct Spec<'a> {
    source: &'a Source,
    reading: &'a Reading,
    context: &'a Context<'a>,
    commands: Vec<Command<'a>>,
}

/// A command and its place.
struct Command<'a> {
    phase: PhaseName,
    node: &'a Node,
    text: &'a str,
    alignment: Alignment,
}

impl<'a> Spec<'a> {
    fn new(source: &'a Source, reading: &'a Reading, context: &'a Context<'a>) -> Self {
        let mut spec = Self {
            source,
            reading,
            context,
            commands: Vec::new(),
        };
        let shell = reading.spec.env.shell;
        if !matches!(shell, Some(Shell::PowerShell | Shell::Cmd)) {
            for phase in PhaseName::ALL {
                spec.add_commands(phase, "commands");
                spec.add_commands(phase, "finally");
            }
        }
        spec
    }

    fn add_commands(&mut self, phase: PhaseName, list: &str) {
        let reading: &'a Reading = self.reading;
        let Some(node) = phase_node(reading, phase).and_then(|phase| phase.get(list)) else {
            return;
        };
        let items = node.as_sequence().unwrap_or(std::slice::from_ref(node));
        for node in items {
            if let Some(text) = node.as_str() {
                self.commands.push(Command {
                    phase,
                    node,
                    text,
                    alignment: Alignment::new(node, &self.source.text),
                });
            }
        }
    }

    /// The first of these files that exists.
    fn file(&self, names: &[&str]) -> Option<Source> {
        names.iter().find_map(|name| {
            let text = self.context.files.read(name)?;
            (text.len() <= MOST_BYTES).then(|| Source::new(name, &text))
        })
    }
}

/// A phase, also one outside `phases`: its mistakes are reported before it is moved.
fn phase_node(reading: &Reading, phase: PhaseName) -> Option<&Node> {
    let root = &reading.root;
    let inside = root
        .get("phases")
        .and_then(|phases| phases.get(phase.as_str()));
    inside.or_else(|| root.get(phase.as_str()))
}

/// The largest file around a buildspec that is read.
const MOST_BYTES: usize = 256 * 1024;

/// The bytes of a node without what follows it.
fn place(node: &Node, source: &Source) -> Range<usize> {
    let text = source.text.get(node.range.clone()).unwrap_or("");
    node.range.start..node.range.start + text.trim_end().len()
}

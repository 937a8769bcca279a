//! `towline validate`: reads a definition and says everything that is wrong with it, offline.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;
use serde_json::{Value, json};
use towline_domain::definition::{
    Component, Definition, Origin, Preset, Promote, Scope, StageRule,
};
use towline_domain::names::Tag;
use towline_domain::untrusted::Untrusted;
use towline_handlers::answer_chat::text::Style;
use towline_wire::definition::{self, DefinitionErrors, FILE};

use super::Context;
use crate::outcome::{Failure, Outcome};
use crate::output::paint;

/// Columns of a source line that are shown around a mistake.
const WINDOW: usize = 100;

/// Settings of `validate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towline validate
  towline validate services/shop/.towline.yml

Exit status: 0 good, 1 mistakes found, 2 the file cannot be read.")]
pub struct Validate {
    /// The definition, or the folder it is in
    #[arg(value_name = "PATH", default_value = FILE)]
    path: PathBuf,
}

/// Reads it and prints what is found.
///
/// # Errors
/// When it cannot be read, or has mistakes.
pub fn run(context: &Context, args: &Validate) -> Outcome {
    let (path, bytes) = read(&args.path)?;
    match definition::read(&bytes) {
        Ok(definition) if context.output.is_json() => context.output.value(&json!({
            "path": path, "valid": true, "definition": definition,
        })),
        Ok(definition) => context.output.text(&summary(&path, &definition)),
        Err(errors) => {
            if context.output.is_json() {
                context.output.value(&mistakes_as_json(&path, &errors))?;
            } else {
                let source = String::from_utf8_lossy(&bytes);
                context.output.text(&mistakes(&path, &source, &errors))?;
            }
            Err(Failure::Found)
        }
    }
}

/// The definition's path and bytes; of a folder, the file in it.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> anyhow::Result<(PathBuf, Vec<u8>)> {
    let path = if path.is_dir() {
        path.join(FILE)
    } else {
        path.to_owned()
    };
    match fs::read(&path) {
        Ok(bytes) => Ok((path, bytes)),
        Err(cause) => Err(anyhow!(
            "cannot read {}: {cause}; name another, or begin one with: towline generate definition",
            path.display()
        )),
    }
}

fn mistakes_as_json(path: &Path, errors: &DefinitionErrors) -> Value {
    let list = errors.errors().iter().map(|error| {
        json!({ "line": error.line, "column": error.column, "path": error.path, "message": error.message })
    });
    json!({ "path": path, "valid": false, "errors": list.collect::<Vec<_>>() })
}

/// Every mistake as `file:line:column: path: message`, with the line it is on and a caret below it.
#[must_use]
pub fn mistakes(path: &Path, source: &str, errors: &DefinitionErrors) -> String {
    let lines: Vec<&str> = source.lines().collect();
    let mut text = String::new();
    for error in errors.errors() {
        let place = format!("{}:{}:{}", path.display(), error.line, error.column);
        let subject = if error.path.is_empty() {
            String::new()
        } else {
            format!("{}: ", error.path)
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{}: {subject}{}",
            paint(Style::Strong, &place),
            error.message
        );
        if let Some(line) = lines.get(error.line.saturating_sub(1)) {
            text.push_str(&pointed(line, error.line, error.column));
        }
    }
    let all = errors.to_string();
    if let Some(more) = all.lines().last().filter(|line| line.starts_with("and ")) {
        let _ = writeln!(text, "{more}");
    }
    let count = errors.errors().len();
    let noun = if count == 1 { "mistake" } else { "mistakes" };
    let _ = writeln!(
        text,
        "{}",
        paint(Style::Bad, &format!("{count} {noun} in {}", path.display()))
    );
    text
}

/// The line of a mistake and a caret below its column, cut to what fits.
fn pointed(line: &str, number: usize, column: usize) -> String {
    use unicode_width::UnicodeWidthStr as _;
    let harmless = Untrusted::text(&line.replace('\t', " "), usize::MAX).display();
    let shown: Vec<char> = harmless.chars().collect();
    let at = column.saturating_sub(1).min(shown.len());
    // A line that is too long is cut, with some of it left before the mistake.
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

fn summary(path: &Path, definition: &Definition) -> String {
    let mut text = format!(
        "{} {}: pipeline {}\n",
        paint(Style::Good, "good"),
        path.display(),
        definition.pipeline
    );
    let source = &definition.source;
    let globs = |globs: &[towline_domain::definition::Glob]| {
        globs
            .iter()
            .map(|glob| glob.as_str().to_owned())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let branches = if source.branches.is_empty() {
        "the default branch".into()
    } else {
        format!("branches {}", globs(&source.branches))
    };
    let tags = if source.tags.is_empty() {
        String::new()
    } else {
        format!(" and tags {}", globs(&source.tags))
    };
    let _ = writeln!(
        text,
        "\nPushes of {branches}{tags} start a run.\n\nComponents"
    );
    for component in &definition.components {
        let _ = writeln!(text, "  {}", component_line(component));
    }
    if !definition.stages.is_empty() {
        text.push_str("\nStages\n");
    }
    for stage in &definition.stages {
        let _ = writeln!(text, "  {}", stage_line(stage));
    }
    if !definition.not_executed.is_empty() {
        let _ = writeln!(
            text,
            "\n{} by this version; what needs it is refused, never skipped:",
            paint(Style::Waiting, "Not executed yet")
        );
    }
    for feature in &definition.not_executed {
        let refused = match &feature.scope {
            Scope::Pipeline => "every run".to_owned(),
            Scope::Component(component) => format!("builds of {component}"),
            Scope::Stage(stage) => format!("promotions into {stage}"),
        };
        let _ = writeln!(
            text,
            "  {}:{}: {} — refuses {refused}",
            path.display(),
            feature.line,
            feature.path
        );
    }
    text
}

fn component_line(component: &Component) -> String {
    let preset = match &component.build.preset {
        Preset::Docker { dockerfile, .. } => format!("docker, {dockerfile}"),
        Preset::Make { build, .. } => format!("make {}", build.join(" ")),
        Preset::Pack { root, .. } => format!("pack, files of {root}"),
        Preset::Buildspec { path } => format!("buildspec {path}"),
        Preset::Inline { .. } => "inline buildspec".into(),
    };
    let tags = component.build.tags.join(", ");
    let context = match component.build.context.as_str() {
        "." => String::new(),
        folder => format!(" in {folder}"),
    };
    format!(
        "{} ({preset}{context}) → {}, tagged {tags}",
        paint(Style::Strong, component.name.as_str()),
        component.repository
    )
}

fn stage_line(stage: &StageRule) -> String {
    let origin = match &stage.from {
        Origin::Build => "build".to_owned(),
        Origin::Stage(name) => name.to_string(),
    };
    let how = match stage.promote {
        Promote::Auto => "by itself",
        Promote::Manual => "by hand",
    };
    let gate = stage.approval.as_ref().map_or(String::new(), |rule| {
        let people = if rule.groups.is_empty() {
            "anybody known".to_owned()
        } else {
            rule.groups.join(", ")
        };
        format!(
            ", after {} approval{} by {people}",
            rule.min,
            if rule.min == 1 { "" } else { "s" }
        )
    });
    let tags: Vec<&str> = stage.tags.iter().map(Tag::as_str).collect();
    format!(
        "{} from {origin} {how}{gate}, tagged {}",
        paint(Style::Strong, stage.name.as_str()),
        tags.join(", ")
    )
}

//! `towline validate`: reads a definition and reports every mistake, offline.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use towline_console::style::{Style, paint};
use towline_console::terminal::line;
use towline_definition::{self as definition, DefinitionErrors, FILE};
use towline_domain::definition::{
    Component, Definition, Origin, Preset, Promote, Scope, StageRule,
};
use towline_domain::names::Tag;
use towline_domain::reason::count;

use towline_client::context::Context;
use towline_console::outcome::{Failure, Outcome};
use towline_operator::definition as file;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towline validate
  towline validate services/shop/.towline.yml

Exit status: 0 valid, 1 mistakes, or every run is refused, 2 the file cannot be read.")]
pub struct Validate {
    /// The definition, or the folder it is in
    #[arg(value_name = "PATH", default_value = FILE)]
    path: PathBuf,
}

/// Reads the definition and prints the result.
pub fn run(context: &Context, args: &Validate) -> Outcome {
    let (path, bytes) = file::read(&args.path)?;
    match definition::read(&bytes) {
        Ok(definition) => {
            let refuses = refuses_every_run(&definition);
            if context.output.is_json() {
                context.output.value(&json!({
                    "path": path, "valid": true, "refuses_every_run": refuses,
                    "definition": definition,
                }))?;
            } else {
                context.output.text(&summary(&path, &definition))?;
            }
            match refuses {
                true => Err(Failure::Found),
                false => Ok(()),
            }
        }
        Err(errors) => {
            if context.output.is_json() {
                context.output.value(&mistakes_as_json(&path, &errors))?;
            } else {
                let source = String::from_utf8_lossy(&bytes);
                context
                    .output
                    .text(&file::mistakes(&path, &source, &errors))?;
            }
            Err(Failure::Found)
        }
    }
}

/// Whether no run of this definition can build anything. This is so if the pipeline or every component
/// uses a feature that this version does not support.
fn refuses_every_run(definition: &Definition) -> bool {
    let refused = |scope: &Scope| definition.not_executed_in(scope).next().is_some();
    let mut components = definition.components.iter();
    refused(&Scope::Pipeline)
        || components.all(|component| refused(&Scope::Component(component.name.clone())))
}

fn mistakes_as_json(path: &Path, errors: &DefinitionErrors) -> Value {
    let list = errors.errors().iter().map(|error| {
        json!({ "line": error.line, "column": error.column, "path": error.path, "message": error.message })
    });
    json!({ "path": path, "valid": false, "errors": list.collect::<Vec<_>>() })
}

fn summary(path: &Path, definition: &Definition) -> String {
    let verdict = match refuses_every_run(definition) {
        true => paint(Style::Bad, "every run is refused:"),
        false => paint(Style::Good, "good"),
    };
    let mut text = format!(
        "{verdict} {}: pipeline {}\n",
        line(&path.display().to_string()),
        definition.pipeline
    );
    let source = &definition.source;
    let globs = |globs: &[towline_domain::definition::Glob]| {
        globs
            .iter()
            .map(|glob| line(glob.as_str()))
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
            "\n{}; anything that needs it is refused, never skipped:",
            paint(Style::Waiting, "Not supported by this version")
        );
    }
    for feature in &definition.not_executed {
        let refused = match &feature.scope {
            Scope::Pipeline => "every run is refused".to_owned(),
            Scope::Component(component) => format!("builds of {component} are refused"),
            Scope::Stage(stage) => format!("promotions to {stage} are refused"),
        };
        let _ = writeln!(
            text,
            "  {}:{}: {}: {refused}",
            line(&path.display().to_string()),
            feature.line,
            line(&feature.path)
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
    let tags = line(&component.build.tags.join(", "));
    let context = match component.build.context.as_str() {
        "." => String::new(),
        folder => format!(" in {folder}"),
    };
    format!(
        "{} ({}) → {}, tagged {tags}",
        paint(Style::Strong, component.name.as_str()),
        line(&format!("{preset}{context}")),
        component.repository
    )
}

fn stage_line(stage: &StageRule) -> String {
    let origin = match &stage.from {
        Origin::Build => "build".to_owned(),
        Origin::Stage(name) => name.to_string(),
    };
    let how = match stage.promote {
        Promote::Auto => "automatically",
        Promote::Manual => "manually",
    };
    let gate = stage.approval.as_ref().map_or(String::new(), |rule| {
        let people = if rule.groups.is_empty() {
            "anyone".to_owned()
        } else {
            line(&rule.groups.join(", "))
        };
        let approvals = count(rule.min, "approval");
        format!(", after {approvals} by {people}")
    });
    let tags: Vec<&str> = stage.tags.iter().map(Tag::as_str).collect();
    format!(
        "{} from {origin} {how}{gate}, tagged {}",
        paint(Style::Strong, stage.name.as_str()),
        tags.join(", ")
    )
}

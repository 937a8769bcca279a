//! `towline generate`: prints the buildspec of a run, or a first definition.

mod starter;

use std::fs;
use std::path::{Component as Part, Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use serde_json::json;
use towline_definition::buildspec::{self, Settings};
use towline_definition::{self as definition, FILE};
use towline_domain::definition::{Component, Preset};
use towline_domain::names::ComponentName;

use towline_client::context::Context;
use towline_console::outcome::{Failure, Outcome, refused};
use towline_operator::definition as file;

#[derive(Debug, Args)]
pub struct Generate {
    #[command(subcommand)]
    what: What,
}

/// What is generated.
#[derive(Debug, Subcommand)]
enum What {
    /// Print the buildspec that a run of a component uses (with the preset pack, CodeBuild's also
    /// downloads `towline`)
    Buildspec(Buildspec),
    /// Print a first .towline.yml, guessed from the files of a folder
    Definition(Starter),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towline generate buildspec backend
  towline generate buildspec backend --definition shop/.towline.yml --output buildspec.yml")]
struct Buildspec {
    /// The component
    component: ComponentName,
    /// The definition, or the folder it is in
    #[arg(long, value_name = "PATH", default_value = FILE)]
    definition: PathBuf,
    /// File to write instead of printing
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  towline generate definition > .towline.yml")]
struct Starter {
    /// The folder to look at
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
}

/// Generates and prints.
///
/// # Errors
/// When the definition has mistakes, or files cannot be read or written.
pub fn run(context: &Context, args: &Generate) -> Outcome {
    match &args.what {
        What::Buildspec(args) => buildspec(context, args),
        What::Definition(args) => {
            let text = starter::definition(&args.folder)?;
            print(context, "definition", &text)
        }
    }
}

fn print(context: &Context, name: &str, text: &str) -> Outcome {
    if context.output.is_json() {
        return context.output.value(&json!({ name: text }));
    }
    context.output.document(text)
}

fn buildspec(context: &Context, args: &Buildspec) -> Outcome {
    let (path, bytes) = file::read(&args.definition)?;
    let definition = match definition::read(&bytes) {
        Ok(definition) => definition,
        Err(errors) => {
            if context.output.is_json() {
                return refused(format!("{}: {errors}", path.display()));
            }
            let source = String::from_utf8_lossy(&bytes);
            context
                .output
                .progress(file::mistakes(&path, &source, &errors).trim_end());
            return Err(Failure::Found);
        }
    };
    let Some(component) = definition.component(&args.component) else {
        let known: Vec<&str> = definition
            .components
            .iter()
            .map(|known| known.name.as_str())
            .collect();
        return refused(format!(
            "{} has no component {}; it has {}",
            path.display(),
            args.component,
            known.join(", ")
        ));
    };
    let file = own_buildspec(&path, component)?;
    let text = match buildspec::text(component, file, &Settings::default()) {
        Ok(text) => text,
        Err(reason) => {
            return refused(format!(
                "there is no buildspec for {}: {}",
                component.name, reason
            ));
        }
    };
    match &args.output {
        None => print(context, "buildspec", &text),
        Some(output) => {
            fs::write(output, &text).with_context(|| format!("writing {}", output.display()))?;
            context
                .output
                .progress(&format!("wrote {}", output.display()));
            Ok(())
        }
    }
}

/// The repository's own buildspec, if the preset uses it.
fn own_buildspec(definition: &Path, component: &Component) -> anyhow::Result<Option<Vec<u8>>> {
    let Preset::Buildspec { path } = &component.build.preset else {
        return Ok(None);
    };
    let leaves = Path::new(path)
        .components()
        .any(|part| !matches!(part, Part::Normal(_) | Part::CurDir));
    if leaves {
        return Err(anyhow!(
            "the buildspec {path} of {} lies outside the repository",
            component.name
        ));
    }
    let file = definition.parent().unwrap_or(Path::new(".")).join(path);
    let bytes = fs::read(&file).with_context(|| {
        format!(
            "reading {}, the buildspec of {}",
            file.display(),
            component.name
        )
    })?;
    Ok(Some(bytes))
}

//! Reads `.towline.yml` into the domain's definition, or refuses it with the place of every mistake.

mod build;
pub mod buildspec;
mod checks;
mod components;
mod extras;
mod gates;
pub mod keys;
pub mod limits;
mod platforms;
mod presets;
mod reader;
mod scalars;
#[cfg(feature = "schema")]
pub mod schema;
mod stages;
#[cfg(test)]
mod tests;
mod words;

use std::fmt;

use towline_buildspec::yaml::{self, Limits, Span};
pub use towline_domain::definition::FILE;
use towline_domain::definition::{Definition, Scope, Source};
use towline_domain::rights::Rights;

use reader::{Place, Report};

/// One mistake in a definition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {}{message}", prefix(path))]
pub struct DefinitionError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// Its path, such as `components.backend.build`; empty for the file as a whole.
    pub path: String,
    /// What is wrong and what to do.
    pub message: String,
}

fn prefix(path: &str) -> String {
    if path.is_empty() {
        String::new()
    } else {
        format!("{path}: ")
    }
}

/// Every mistake in a definition, in the order of the file; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionErrors {
    errors: Vec<DefinitionError>,
    unlisted: usize,
}

impl DefinitionErrors {
    /// The mistakes, at most 100.
    #[must_use]
    pub fn errors(&self) -> &[DefinitionError] {
        &self.errors
    }

    /// The first mistake in the file.
    #[must_use]
    pub fn first(&self) -> &DefinitionError {
        self.errors.first().expect("there is at least one mistake")
    }

    /// How many mistakes there are after the first.
    #[must_use]
    pub fn more(&self) -> usize {
        self.errors.len() - 1 + self.unlisted
    }

    /// How many mistakes are not in [`Self::errors`].
    #[must_use]
    pub fn unlisted(&self) -> usize {
        self.unlisted
    }

    fn new(mut errors: Vec<DefinitionError>) -> Self {
        let unlisted = errors.len().saturating_sub(limits::MISTAKES);
        errors.truncate(limits::MISTAKES);
        errors.sort_by_key(|error| (error.line, error.column));
        Self { errors, unlisted }
    }

    fn only(span: Span, message: impl Into<String>) -> Self {
        Self::new(vec![DefinitionError {
            line: span.line,
            column: span.column,
            path: String::new(),
            message: message.into(),
        }])
    }
}

impl fmt::Display for DefinitionErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.errors.iter().map(ToString::to_string).collect();
        formatter.write_str(&lines.join("\n"))?;
        if self.unlisted > 0 {
            write!(formatter, "\nand {} more", self.unlisted)?;
        }
        Ok(())
    }
}

impl std::error::Error for DefinitionErrors {}

/// Reads a definition. Features that are not supported yet are listed in [`Definition::not_executed`].
///
/// # Errors
/// When it is not YAML, exceeds a limit, or contains anything unknown.
pub fn read(bytes: &[u8]) -> Result<Definition, DefinitionErrors> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let good = &bytes[..error.valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        DefinitionErrors::only(Span { line, column: 1 }, "this line is not UTF-8")
    })?;
    let limits = Limits {
        bytes: limits::FILE_BYTES,
        aliases: false,
        ..Limits::default()
    };
    let root = yaml::read(text, limits).map_err(|error| {
        let span = Span {
            line: error.line,
            column: error.column,
        };
        DefinitionErrors::only(span, error.message)
    })?;
    let mut report = Report::default();
    let definition = definition(&mut report, &Place::root(&root));
    report.not_executed.sort_by_key(|feature| feature.line);
    match definition {
        Some(definition) if report.errors.is_empty() => Ok(Definition {
            not_executed: report.not_executed,
            ..definition
        }),
        _ => Err(DefinitionErrors::new(report.errors)),
    }
}

fn definition(report: &mut Report, root: &Place<'_>) -> Option<Definition> {
    let fields = report.fields(root, keys::Definition::KEYS)?;
    if let Some(version) = report.required(&fields, "version", "write `version: 1`")
        && let Some(text) = report.text(&version)
        && text != "1"
    {
        report.error(
            &version,
            format!("version {text:?} is unknown; write `version: 1`"),
        );
    }
    let pipeline = report.required(&fields, "pipeline", "name it, as in `pipeline: shop`");
    let pipeline = pipeline.and_then(|place| report.parsed(&place));
    let source = fields.get("source").map(|place| source(report, &place));
    let hint = "list at least one, with the repository its image goes to";
    let components = report.required(&fields, "components", hint);
    let components = components.map(|place| components::read(report, &place));
    let components = components.unwrap_or_default();
    let stages = fields
        .get("stages")
        .map(|place| stages::read(report, &place));
    let stages = stages.unwrap_or_default();
    let rights = fields
        .get("rights")
        .map(|place| rights(report, &place))
        .unwrap_or_default();
    if let Some(place) = fields.get("notify") {
        notify(report, &place);
    }
    if !report.errors.is_empty() {
        return None; // what hangs together is judged only when every part was understood
    }
    checks::components(report, &components);
    checks::tags(report, &components, &stages);
    checks::outputs(report, &components);
    checks::parameters(report, &components, &stages);
    let stages = checks::in_order(report, stages);
    Some(Definition {
        pipeline: pipeline?,
        source: source.unwrap_or_default(),
        components: components.into_iter().map(|read| read.component).collect(),
        stages,
        rights,
        not_executed: Vec::new(),
    })
}

fn source(report: &mut Report, place: &Place<'_>) -> Source {
    let Some(fields) = report.fields(place, keys::Source::KEYS) else {
        return Source::default();
    };
    let github = fields.get("github");
    let name =
        github.and_then(|place| report.parsed::<towline_domain::names::RepositoryName>(&place));
    Source {
        github: name.map(String::from),
        branches: report.globs(&fields, "branches"),
        tags: report.globs(&fields, "tags"),
        skip_message: report.texts_of(&fields, "skip_message"),
    }
}

fn rights(report: &mut Report, place: &Place<'_>) -> Rights {
    let Some(fields) = report.fields(place, keys::Rights::KEYS) else {
        return Rights::default();
    };
    Rights {
        operate: report.texts_of(&fields, "operate"),
        overrule: report.texts_of(&fields, "override"),
    }
}

fn notify(report: &mut Report, place: &Place<'_>) {
    let Some(fields) = report.fields(place, keys::Notify::KEYS) else {
        return;
    };
    if let Some(place) = fields.get("slack") {
        report.text(&place);
        report.not_executed(Scope::Pipeline, &place);
    }
    if let Some(place) = fields.get("github") {
        for item in report.items(&place) {
            report.choice(&item, words::REPORTED);
        }
        report.not_executed(Scope::Pipeline, &place);
    }
}

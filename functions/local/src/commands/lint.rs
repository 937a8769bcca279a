//! `towline lint`: checks buildspecs and definitions offline, and fixes what it can.

mod find;
mod fix;
mod root;
mod show;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use towline_buildspec::Buildspec;
use towline_buildspec::lint::{self, Code, Files as _, Finding, Level, Report};
use towline_definition::{DefinitionErrors, FILE};
use towline_domain::definition::{Component, Preset};

use self::find::Target;
use self::root::{Project, Root, Roots};
use towline_client::context::Context;
use towline_client::tree::{self, Tree};
use towline_client::words::WordError;
use towline_console::outcome::{Failure, Outcome, refused};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towline lint
  towline lint ci/buildspec.yml --fix
  towline lint --sarif > towline.sarif

Image and platform of a component's buildspec come from the definition. To explain a finding:
  towline explain E003

Exit status: 0 no findings, 1 findings, 2 a file cannot be read.")]
pub struct Lint {
    /// Buildspecs, definitions, or folders to look for them in
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,
    /// Fix what can be fixed automatically, and show the changes
    #[arg(long)]
    fix: bool,
    /// Print SARIF, for GitHub code scanning
    #[arg(long)]
    sarif: bool,
    /// Lowest level that makes the exit status 1: error, warning or note
    #[arg(long, value_name = "LEVEL", default_value = "warning", value_parser = level)]
    level: Level,
    #[command(flatten)]
    project: Project,
}

fn level(text: &str) -> Result<Level, WordError> {
    [Level::Error, Level::Warning, Level::Note]
        .into_iter()
        .find(|level| level.as_str() == text)
        .ok_or_else(|| WordError::new("use error, warning or note"))
}

/// All that was found.
#[derive(Default)]
struct Results {
    /// The buildspecs and definitions that were checked, and other files with findings.
    files: BTreeSet<String>,
    /// Files that might be buildspecs, but are not checked unless named.
    passed_over: Vec<String>,
    /// Findings in buildspecs, each with the text it points into.
    checked: Vec<Checked>,
    /// Definitions with mistakes.
    mistakes: Vec<Mistaken>,
    /// Files that could not be read or fixed, with the reason.
    failed: Vec<(String, String)>,
    /// Places with findings: a Makefile is checked for every buildspec that calls it.
    places: BTreeSet<(String, usize, Code)>,
}

struct Mistaken {
    path: PathBuf,
    text: String,
    errors: DefinitionErrors,
}

struct Checked {
    /// Its path relative to the current folder.
    path: String,
    /// The findings; file names are relative to the current folder.
    report: Report,
    /// The texts that findings point into, by those names.
    texts: BTreeMap<String, String>,
    /// The changes of `--fix`, if any.
    fixed: Fixes,
}

/// The text before `--fix`, the text now, and the codes that were fixed.
type Fixes = Option<(String, String, Vec<Code>)>;

/// Checks everything, and prints the findings.
///
/// # Errors
/// When something is found, or could not be read.
pub fn run(context: &Context, args: &Lint) -> Outcome {
    if args.sarif && context.output.is_json() {
        return refused("use only one of --sarif and --json");
    }
    let here = Path::new(".")
        .canonicalize()
        .context("finding the current folder")?;
    let mut roots = Roots::new(here);
    let found = find::below(&args.paths);
    let mut results = Results::default();
    for (path, reason) in &found.unreadable {
        results.cannot_read(path, reason);
    }
    let passed_over = found.passed_over.iter();
    results.passed_over = passed_over.map(|path| path.display().to_string()).collect();
    let mut left: Vec<Target> = found.targets.into_iter().rev().collect();
    let mut seen = BTreeSet::new();
    while let Some(target) = left.pop() {
        let Some((folder, name)) = place(&target, &mut results) else {
            continue;
        };
        if !seen.insert(folder.join(&name)) {
            continue;
        }
        let below = target
            .below
            .as_ref()
            .and_then(|top| top.canonicalize().ok());
        let root = roots.of(&folder, below.as_deref());
        let inner = folder.strip_prefix(&root.folder).unwrap_or(Path::new(""));
        let name = inner.join(name).to_string_lossy().into_owned();
        if target.is_definition() {
            left.extend(definition(root, &target, &args.project, &mut results));
        } else {
            buildspec(root, &target.path, &name, args, &mut results);
        }
    }
    show::all(context.output, args, &results)?;
    results.outcome(args.level)
}

impl Results {
    fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.checked
            .iter()
            .flat_map(|checked| &checked.report.findings)
    }

    fn outcome(&self, level: Level) -> Outcome {
        if !self.failed.is_empty() {
            return Err(Failure::Unsure);
        }
        let is_found = self.findings().any(|finding| finding.code.level() >= level);
        if is_found || !self.mistakes.is_empty() {
            return Err(Failure::Found);
        }
        Ok(())
    }

    fn cannot_read(&mut self, path: &Path, reason: &dyn std::fmt::Display) {
        self.failed.push((
            path.display().to_string(),
            format!("cannot be read: {reason}"),
        ));
    }

    /// Adds the findings in a file; `name` is its path from the root of the source.
    fn add(&mut self, root: &Root, name: &str, text: &str, report: Report, fixed: Fixes) {
        self.add_below((&root.prefix, &root.tree), (name, text), report, fixed);
    }

    /// The same for paths relative to another folder, which is reached by this prefix.
    fn add_below(
        &mut self,
        (prefix, tree): (&str, &Tree),
        (name, text): (&str, &str),
        mut report: Report,
        fixed: Fixes,
    ) {
        let mut texts = BTreeMap::new();
        let allowed = report
            .allowed
            .iter_mut()
            .map(|allowed| &mut allowed.finding);
        for finding in report.findings.iter_mut().chain(allowed) {
            let shown = format!("{prefix}{}", finding.file);
            texts.entry(shown.clone()).or_insert_with(|| {
                if finding.file == name {
                    text.to_owned()
                } else {
                    tree.read(&finding.file).unwrap_or_default()
                }
            });
            finding.file = shown;
        }
        let files = report.findings.iter().map(|finding| finding.file.clone());
        self.files.extend(files);
        report.findings.retain(|finding| {
            let place = (finding.file.clone(), finding.range.start, finding.code);
            self.places.insert(place)
        });
        self.checked.push(Checked {
            path: format!("{prefix}{name}"),
            report,
            texts,
            fixed,
        });
    }
}

/// The real folder of a file, and its name there.
fn place(target: &Target, results: &mut Results) -> Option<(PathBuf, PathBuf)> {
    let parent = target.path.parent().unwrap_or(Path::new(""));
    let parent = if parent == Path::new("") {
        Path::new(".")
    } else {
        parent
    };
    let name = target.path.file_name().map(PathBuf::from);
    match (fs::canonicalize(parent), name) {
        (Ok(folder), Some(name)) => Some((folder, name)),
        (Err(error), _) => {
            results.cannot_read(&target.path, &error);
            None
        }
        (Ok(_), None) => {
            results.cannot_read(&target.path, &"it is not the name of a file");
            None
        }
    }
}

/// Lints a definition; returns the buildspecs it names.
fn definition(
    root: &Root,
    target: &Target,
    project: &Project,
    results: &mut Results,
) -> Vec<Target> {
    let Some((text, read)) = &root.definition else {
        let reason = tree::text_of(&target.path).err();
        let reason = reason.map_or_else(
            || "it no longer exists".to_owned(),
            |error| error.to_string(),
        );
        results.cannot_read(&target.path, &reason);
        return Vec::new();
    };
    results.files.insert(format!("{}{FILE}", root.prefix));
    if let Err(errors) = read {
        results.mistakes.push(Mistaken {
            path: target.path.clone(),
            text: text.clone(),
            errors: errors.clone(),
        });
    }
    let mut named = Vec::new();
    for component in root.components() {
        match &component.build.preset {
            Preset::Buildspec { path } => named.push(Target {
                path: PathBuf::from(format!("{}{path}", root.prefix)),
                below: None,
            }),
            Preset::Inline { .. } => {
                let keys = ["components", component.name.as_str(), "build", "inline"];
                let context = root.context(project, Some(component));
                if let Some(report) = lint::lint_within(FILE, text, &keys, &context) {
                    results.add(root, FILE, text, report, None);
                }
            }
            Preset::Docker { .. } | Preset::Make { .. } | Preset::Pack { .. } => {
                around(root, component, project, results);
            }
        }
    }
    named.reverse();
    named
}

/// Checks the files that a generated buildspec uses; the buildspec itself needs no check.
fn around(root: &Root, component: &Component, project: &Project, results: &mut Results) {
    let build = &component.build;
    let commands = match &build.preset {
        // The linter knows a Dockerfile only by its usual name.
        Preset::Docker { dockerfile, .. } if dockerfile == "Dockerfile" => {
            vec!["docker build .".to_owned()]
        }
        Preset::Make { build, login, .. } => {
            let login = login.then(|| "login".to_owned());
            let targets = login.iter().chain(build);
            targets.map(|target| format!("make {target}")).collect()
        }
        Preset::Docker { .. }
        | Preset::Pack { .. }
        | Preset::Buildspec { .. }
        | Preset::Inline { .. } => return,
    };
    let folder = root.folder.join(&build.context).canonicalize();
    let Some(folder) = folder
        .ok()
        .filter(|folder| folder.starts_with(&root.folder))
    else {
        return;
    };
    let inner = folder.strip_prefix(&root.folder).unwrap_or(Path::new(""));
    let prefix = match inner.to_string_lossy() {
        inner if inner.is_empty() => root.prefix.clone(),
        inner => format!("{}{inner}/", root.prefix),
    };
    let mut spec = Buildspec::default();
    spec.phases.build.commands = commands;
    let names = build.env.iter().map(|(name, _)| name.clone());
    // A value that is known only during a build can be anything.
    spec.env.variables = names.map(|name| (name, "$GIVEN".to_owned())).collect();
    let tree = Tree::new(folder);
    let context = lint::Context {
        files: &tree,
        ..root.context(project, Some(component))
    };
    let mut report = lint::lint(STAND_IN, &spec.to_yaml(), &context);
    report.findings.retain(|finding| finding.file != STAND_IN);
    report.allowed.clear();
    results.add_below((&prefix, &tree), (STAND_IN, ""), report, None);
}

/// The name of a buildspec that is never shown.
const STAND_IN: &str = "buildspec.yml of the preset";

fn buildspec(root: &Root, path: &Path, name: &str, args: &Lint, results: &mut Results) {
    let mut text = match tree::text_of(path) {
        Ok(text) => text,
        Err(error) => return results.cannot_read(path, &error),
    };
    results.files.insert(format!("{}{name}", root.prefix));
    let contexts = root.contexts(name, &args.project);
    let fixed = if args.fix {
        fixes(&contexts, path, name, &mut text, results)
    } else {
        None
    };
    let mut report = Report::default();
    for context in &contexts {
        let more = lint::lint(name, &text, context);
        let is_new = |known: &[Finding], finding: &Finding| {
            known
                .iter()
                .all(|known| known.code != finding.code || known.range != finding.range)
        };
        for finding in more.findings {
            if is_new(&report.findings, &finding) {
                report.findings.push(finding);
            }
        }
        if report.allowed.is_empty() {
            report.allowed = more.allowed;
        }
    }
    results.add(root, name, &text, report, fixed);
}

/// Fixes a file for every project that runs it.
fn fixes(
    contexts: &[lint::Context<'_>],
    path: &Path,
    name: &str,
    text: &mut String,
    results: &mut Results,
) -> Fixes {
    let before = text.clone();
    let mut applied = Vec::new();
    for context in contexts {
        match fix::fix(path, name, text, context) {
            Ok(None) => {}
            Ok(Some(fixed)) => {
                *text = fixed.text;
                applied.extend(fixed.applied);
            }
            Err(error) => {
                let reason = format!("cannot be fixed: {error:#}");
                results.failed.push((path.display().to_string(), reason));
            }
        }
    }
    (!applied.is_empty()).then(|| (before, text.clone(), applied))
}

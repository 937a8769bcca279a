//! Shows the findings of `lint`: as text, JSON or SARIF.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};
use towline_buildspec::lint::{self, Code, Level, Report};
use towline_console::style::{Style, paint};
use towline_console::terminal::line;
use towline_domain::reason::count;

use super::{Checked, Lint, Mistaken, Results, fix};
use towline_console::outcome::Outcome;
use towline_console::output::Output;
use towline_operator::definition as file;

/// The SARIF rule for mistakes in a definition.
const DEFINITION: &str = "definition";

/// Prints everything.
pub fn all(output: Output, args: &Lint, results: &Results) -> Outcome {
    if args.sarif {
        output.value(&sarif(results))?;
    } else if output.is_json() {
        return output.value(&json(results));
    } else {
        output.text(&text(args, results))?;
    }
    let mark = paint(Style::Bad, "towline:");
    for (path, reason) in &results.failed {
        output.progress(&format!("{mark} {} {}", line(path), line(reason)));
    }
    for path in &results.passed_over {
        output.progress(&format!(
            "towline: skipped {}: it may be a buildspec, but does not contain `version: 0.2` and `phases:`; name it to check it",
            line(path)
        ));
    }
    Ok(())
}

fn text(args: &Lint, results: &Results) -> String {
    let mut text = String::new();
    for checked in &results.checked {
        if let Some((before, after, applied)) = &checked.fixed {
            let list = codes(applied);
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{} {}: {list}\n{}",
                paint(Style::Good, "fixed"),
                line(&checked.path),
                fix::difference(&checked.path, before, after)
            );
        }
        text.push_str(&findings(checked));
    }
    for mistaken in &results.mistakes {
        let shown = file::mistakes(&mistaken.path, &mistaken.text, &mistaken.errors);
        let _ = writeln!(text, "{shown}");
    }
    let _ = writeln!(text, "{}", summary(args, results));
    text
}

/// The findings of a file, with the names of files and sections escaped.
fn findings(checked: &Checked) -> String {
    let mut report = checked.report.clone();
    let mut texts = BTreeMap::new();
    for finding in &mut report.findings {
        let text = checked.texts.get(&finding.file);
        for words in [
            &mut finding.file,
            &mut finding.consequence,
            &mut finding.advice,
        ] {
            *words = line(words);
        }
        texts.insert(finding.file.clone(), text.cloned().unwrap_or_default());
    }
    lint::to_text(&report, &|file: &str| texts.get(file).cloned(), true)
}

/// Each code once, with its count.
fn codes(applied: &[Code]) -> String {
    let mut sorted = applied.to_vec();
    sorted.sort();
    sorted
        .chunk_by(|one, other| one == other)
        .map(|same| {
            let times = match same.len() {
                1 => String::new(),
                many => format!(" ({many} times)"),
            };
            format!("{} {}{times}", same[0].as_str(), same[0].name())
        })
        .collect::<Vec<_>>()
        .join(", ")
}

fn summary(args: &Lint, results: &Results) -> String {
    let found = |level: Level| {
        results
            .findings()
            .filter(|finding| finding.code.level() == level)
            .count()
    };
    let mistakes: usize = results
        .mistakes
        .iter()
        .map(|mistaken| mistaken.errors.more() + 1)
        .sum();
    let parts = [
        (mistakes, "mistake", Style::Bad),
        (found(Level::Error), "error", Style::Bad),
        (found(Level::Warning), "warning", Style::Waiting),
        (found(Level::Note), "note", Style::Quiet),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(number, _, _)| *number > 0)
        .map(|(number, noun, style)| paint(style, &count(number, noun)))
        .collect();
    let files = count(results.files.len(), "file");
    let mut text = match (parts.is_empty(), results.failed.is_empty()) {
        (false, _) => format!("{} in {files}", parts.join(", ")),
        (true, true) => format!("{} {files}", paint(Style::Good, "good")),
        (true, false) => format!("nothing to read in {files}"),
    };
    let mut more = Vec::new();
    // Fixing one problem, such as tabs, may reveal others, so they are not counted.
    if !args.fix && results.findings().any(|finding| finding.fix.is_some()) {
        more.push("`--fix` fixes what it can".to_owned());
    }
    let allowed: usize = results
        .checked
        .iter()
        .map(|checked| checked.report.allowed.len())
        .sum();
    if allowed > 0 {
        more.push(format!("{allowed} allowed by comments"));
    }
    if !more.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(text, "; {}", more.join(", "));
    }
    text
}

fn json(results: &Results) -> Value {
    let mut findings = Vec::new();
    let mut allowed = Vec::new();
    let mut fixed = Vec::new();
    for checked in &results.checked {
        let mut value = lint::to_json(&checked.report);
        let mut take = |key: &str| {
            let Value::Array(items) = value[key].take() else {
                return Vec::new();
            };
            items
        };
        findings.extend(take("findings"));
        allowed.extend(take("allowed"));
        if let Some((_, _, applied)) = &checked.fixed {
            let codes: Vec<&str> = applied.iter().map(|code| code.as_str()).collect();
            fixed.push(json!({ "file": checked.path, "codes": codes }));
        }
    }
    let mistakes: Vec<Value> = results.mistakes.iter().flat_map(mistakes).collect();
    let failed = results
        .failed
        .iter()
        .map(|(path, reason)| json!({ "file": path, "reason": reason }));
    json!({
        "files": results.files.len(),
        "findings": findings,
        "allowed": allowed,
        "mistakes": mistakes,
        "fixed": fixed,
        "failed": failed.collect::<Vec<_>>(),
        "passed_over": results.passed_over,
    })
}

fn mistakes(mistaken: &Mistaken) -> Vec<Value> {
    let list = mistaken.errors.errors().iter().map(|error| {
        json!({
            "file": mistaken.path, "line": error.line, "column": error.column,
            "path": error.path, "message": error.message,
        })
    });
    list.collect()
}

/// The linter's own log, with one more rule for mistakes in definitions.
fn sarif(results: &Results) -> Value {
    let reports: Vec<Report> = results
        .checked
        .iter()
        .map(|checked| checked.report.clone())
        .collect();
    let mut log = lint::sarif(&reports);
    let run = &mut log["runs"][0];
    let mut index = 0;
    if let Value::Array(rules) = &mut run["tool"]["driver"]["rules"] {
        index = rules.len();
        rules.push(json!({
            "id": DEFINITION,
            "name": DEFINITION,
            "shortDescription": { "text": "The definition has a mistake, so it starts no run." },
            "defaultConfiguration": { "level": "error" },
        }));
    }
    if let Value::Array(list) = &mut run["results"] {
        for mistaken in &results.mistakes {
            list.extend(mistaken.errors.errors().iter().map(|error| {
                json!({
                    "ruleId": DEFINITION,
                    "ruleIndex": index,
                    "level": "error",
                    "message": { "text": format!("{}: {}", error.path, error.message) },
                    "locations": [{ "physicalLocation": {
                        "artifactLocation": { "uri": mistaken.path },
                        "region": { "startLine": error.line, "startColumn": error.column },
                    }}],
                })
            }));
        }
    }
    log
}

//! Shows findings: as annotated text for people, as JSON for programs, as SARIF for GitHub code scanning.

use annotate_snippets::{AnnotationKind, Group, Level as Shown, Renderer, Snippet};
use serde_json::{Value, json};

use super::{Code, Finding, Level, Report};
use crate::yaml::Span;

/// The findings with their lines, for people. `read` returns the text of a file by the name in a
/// finding; `styled` is for a terminal with colors.
pub fn to_text(report: &Report, read: &dyn Fn(&str) -> Option<String>, styled: bool) -> String {
    let renderer = if styled {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut out = String::new();
    for finding in &report.findings {
        let text = read(&finding.file).unwrap_or_default();
        out.push_str(&renderer.render(&[shown(finding, &text), advice(finding)]));
        out.push_str("\n\n");
    }
    out
}

fn shown<'a>(finding: &'a Finding, text: &'a str) -> Group<'a> {
    let level = match finding.code.level() {
        Level::Error => Shown::ERROR,
        Level::Warning => Shown::WARNING,
        Level::Note => Shown::NOTE,
    };
    let title = level
        .primary_title(finding.consequence.as_str())
        .id(format!("{} {}", finding.code.as_str(), finding.code.name()));
    let end = finding.range.end.min(text.len());
    let start = finding.range.start.min(end);
    if !text.is_char_boundary(start) || !text.is_char_boundary(end) {
        return Group::with_title(title);
    }
    let snippet = Snippet::source(text)
        .path(finding.file.as_str())
        .annotation(AnnotationKind::Primary.span(start..end));
    title.element(snippet)
}

fn advice(finding: &Finding) -> Group<'_> {
    let title = Shown::HELP.secondary_title(finding.advice.as_str());
    if finding.fix.is_some() {
        title.element(Shown::NOTE.message("`--fix` does this"))
    } else {
        Group::with_title(title)
    }
}

/// The findings as JSON: `{"findings": [...], "allowed": [...]}`.
#[must_use]
pub fn to_json(report: &Report) -> Value {
    let findings: Vec<Value> = report.findings.iter().map(finding_json).collect();
    let allowed: Vec<Value> = report
        .allowed
        .iter()
        .map(|allowed| {
            let mut value = finding_json(&allowed.finding);
            value["reason"] = json!(allowed.reason);
            value
        })
        .collect();
    json!({ "findings": findings, "allowed": allowed })
}

fn finding_json(finding: &Finding) -> Value {
    json!({
        "code": finding.code.as_str(),
        "name": finding.code.name(),
        "level": finding.code.level().as_str(),
        "file": finding.file,
        "start": place(finding.start),
        "end": place(finding.end),
        "text": finding.text,
        "consequence": finding.consequence,
        "advice": finding.advice,
        "fixable": finding.fix.is_some(),
        "help": finding.code.help(),
    })
}

fn place(span: Span) -> Value {
    json!({ "line": span.line, "column": span.column })
}

/// The findings of several buildspecs as one SARIF 2.1.0 log; allowed ones are marked as suppressed.
#[must_use]
pub fn sarif(reports: &[Report]) -> Value {
    let rules: Vec<Value> = Code::ALL.iter().map(|code| rule(*code)).collect();
    let findings = reports
        .iter()
        .flat_map(|report| &report.findings)
        .map(result);
    let allowed = reports
        .iter()
        .flat_map(|report| &report.allowed)
        .map(|allowed| {
            let mut value = result(&allowed.finding);
            value["suppressions"] =
                json!([{ "kind": "inSource", "justification": allowed.reason }]);
            value
        });
    let results: Vec<Value> = findings.chain(allowed).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "towline lint",
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(code: Code) -> Value {
    json!({
        "id": code.as_str(),
        "name": code.name(),
        "shortDescription": { "text": code.about() },
        "helpUri": code.help(),
        "defaultConfiguration": { "level": code.level().as_str() },
    })
}

fn result(finding: &Finding) -> Value {
    let index = Code::ALL.iter().position(|code| *code == finding.code);
    json!({
        "ruleId": finding.code.as_str(),
        "ruleIndex": index,
        "level": finding.code.level().as_str(),
        "message": { "text": format!("{} {}", finding.consequence, finding.advice) },
        "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": uri(&finding.file) },
            "region": {
                "startLine": finding.start.line,
                "startColumn": finding.start.column,
                "endLine": finding.end.line,
                "endColumn": finding.end.column,
            },
        }}],
    })
}

/// A path as a relative URI reference (RFC 3986): invalid characters are percent-encoded.
fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

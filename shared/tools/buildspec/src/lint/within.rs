//! Lints a buildspec that is a text in another YAML file, with its places in that file.

use super::source::{Alignment, Source};
use super::{Context, Finding, Report, lint};
use crate::yaml::{self, Limits};

/// Lints the buildspec that is a scalar under `keys`, one mapping in another, in the file `text`.
/// None if there is no such scalar. A finding has its place in the outer file – the whole scalar,
/// if that is written with escapes – and no fix.
///
/// ```
/// use towline_buildspec::lint::{Context, lint_within};
///
/// let text = "inline: |\n  version: 0.2\n  phases: {build: {commands: [timeout -t 5 make]}}\n";
/// let report = lint_within("all.yml", text, &["inline"], &Context::default());
/// assert_eq!(report.map(|report| report.findings[0].start.line), Some(3));
/// ```
#[must_use]
pub fn lint_within(path: &str, text: &str, keys: &[&str], context: &Context<'_>) -> Option<Report> {
    let root = yaml::read(text, Limits::default()).ok()?;
    let node = keys.iter().try_fold(&root, |node, key| node.get(key))?;
    let outer = Source::new(path, text);
    let alignment = Alignment::new(node, text);
    let moved = |finding: &mut Finding| {
        if finding.file != path {
            return;
        }
        let range = alignment.range(&finding.range);
        finding.start = outer.span(range.start);
        finding.end = outer.span(range.end);
        finding.range = range;
        finding.fix = None;
    };
    let mut report = lint(path, node.as_str()?, context);
    report.findings.iter_mut().for_each(moved);
    report
        .allowed
        .iter_mut()
        .for_each(|allowed| moved(&mut allowed.finding));
    Some(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_stands_where_the_outer_file_has_it() {
        let block = "a:\n  b: |\n    version: 0.2\n    phases:\n      build:\n        commands:\n          - timeout -t 5 é\n";
        let quoted = r#"a: {b: "version: 0.2\nphases: {build: {commands: [timeout -t 5 x]}}"}"#;
        let folded =
            "a:\n  b: >-\n    {version: 0.2,\n    phases: {build: {commands: [timeout -t 5 x]}}}\n";
        let allowed = "a:\n  b: |\n    # towline: allow E012 because it is Alpine\n    version: 0.2\n    phases: {build: {commands: [timeout -t 5 x]}}\n";
        let check = |text: &str, found: &str, line: usize, column: usize, is_allowed: bool| {
            let report = lint_within("x.yml", text, &["a", "b"], &Context::default());
            let report = report.expect("a buildspec");
            let finding = match report.findings.first() {
                Some(finding) => finding,
                None => &report.allowed[0].finding,
            };
            assert_eq!(report.findings.is_empty(), is_allowed);
            assert_eq!(&text[finding.range.clone()], found, "{text}");
            let place = (finding.start.line, finding.start.column);
            assert_eq!(place, (line, column), "{text}");
            assert_eq!(finding.fix, None);
        };
        check(block, "timeout -t", 7, 13, false);
        check(quoted, &quoted[7..quoted.len() - 1], 1, 8, false);
        check(folded, "timeout -t", 4, 33, false);
        check(allowed, "timeout -t", 5, 33, true);
    }

    #[test]
    fn where_no_text_stands_nothing_is_linted() {
        let check = |text: &str, keys: &[&str]| {
            assert_eq!(lint_within("x.yml", text, keys, &Context::default()), None);
        };
        check("a: {b: [x]}", &["a", "b"]);
        check("a: {b: x}", &["a", "c"]);
        check("a: [", &["a"]);
    }
}

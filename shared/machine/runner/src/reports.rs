//! Test reports in JUnit's XML: the number of tests, and the names of those that failed.
//!
//! A build may write anything into a report. It is read with limits, its entities are not expanded, and
//! names are shown without control characters.

use std::io::Read as _;
use std::path::Path;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use towline_buildspec::model::Report;
use towline_domain::untrusted::Untrusted;

use crate::files::{self, Awaited, Kind, Patterns, Quota};
use crate::said::Said;

/// The most files and bytes to read for one report group.
const QUOTA: Quota = Quota {
    files: 1_000,
    bytes: 64 << 20,
};

const DEEPEST: usize = 64;

/// The most failed tests to name.
const MOST_NAMES: usize = 20;

/// The most characters of a name to show.
const LONGEST_NAME: usize = 160;

/// The result of a report group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Summary {
    files: usize,
    tests: usize,
    failed: usize,
    errors: usize,
    skipped: usize,
    /// The names of the first tests that failed or had an error.
    names: Vec<String>,
}

/// Lines about a report group. Failed tests do not fail the build; the command that ran them does.
pub(crate) fn summarize(
    group: &str,
    report: &Report,
    source: &Path,
    awaited: &Awaited,
) -> Vec<String> {
    let format = report.file_format.as_deref().unwrap_or("JUNITXML");
    if !format.eq_ignore_ascii_case("JUNITXML") {
        return vec![format!(
            "Report {group}: {format} is not supported on one machine, only JUNITXML"
        )];
    }
    let mut summary = Summary::default();
    let mut said = Vec::new();
    let read = read(report, source, awaited, &mut summary, &mut said);
    if let Err(error) = read {
        said.push(format!("Report {group}: {error}"));
    }
    if summary.files > 0 {
        said.push(summary.sentence(group));
        said.extend(summary.names.iter().map(|name| format!("  failed: {name}")));
        let more = (summary.failed + summary.errors).saturating_sub(summary.names.len());
        if more > 0 {
            said.push(format!("  and {more} more"));
        }
    } else if said.is_empty() {
        let patterns = report.files.join(", ");
        said.push(format!("Report {group}: no file matches {patterns}"));
    }
    said
}

impl Summary {
    fn sentence(&self, group: &str) -> String {
        let bad = self.failed + self.errors + self.skipped;
        let mut parts = vec![format!("{} passed", self.tests.saturating_sub(bad))];
        let others = [
            (self.failed, "failed"),
            (self.errors, "with an error"),
            (self.skipped, "skipped"),
        ];
        let some = others.iter().filter(|(count, _)| *count > 0);
        parts.extend(some.map(|(count, what)| format!("{count} {what}")));
        format!(
            "Report {group}: {} tests in {} files: {}",
            self.tests,
            self.files,
            parts.join(", ")
        )
    }
}

fn read(
    report: &Report,
    source: &Path,
    awaited: &Awaited,
    summary: &mut Summary,
    said: &mut Vec<String>,
) -> Result<(), Said> {
    let patterns = Patterns::new(&report.files)?;
    let mut quota = QUOTA;
    for base in files::bases(source, report.base_directory.as_deref())? {
        let mut paths = Vec::new();
        patterns.visit(&base, awaited, |path, kind, _| {
            if kind == Kind::File {
                quota.take(0).map_err(|_| too_much())?;
                paths.push(path.to_owned());
            }
            Ok(())
        })?;
        paths.sort();
        for path in paths {
            let about = |error: &dyn std::fmt::Display| {
                let path = Untrusted::text(&path.display().to_string(), LONGEST_NAME).display();
                format!("Not read: {path}: {error}")
            };
            let text = files::open_beneath(&base, &path).and_then(|file| {
                let mut text = Vec::new();
                file.take(quota.bytes + 1).read_to_end(&mut text)?;
                Ok(text)
            });
            let text = match text {
                Ok(text) => text,
                Err(error) => {
                    said.push(about(&error));
                    continue;
                }
            };
            let length = text.len() as u64;
            quota.bytes = quota.bytes.checked_sub(length).ok_or_else(too_much)?;
            match count(&String::from_utf8_lossy(&text), summary) {
                Ok(()) => summary.files += 1,
                Err(error) => said.push(about(&error)),
            }
        }
    }
    said.truncate(MOST_NAMES);
    Ok(())
}

fn too_much() -> String {
    format!(
        "more than {} files or {} MiB",
        QUOTA.files,
        QUOTA.bytes >> 20
    )
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Well,
    Failed,
    InError,
    Skipped,
}

/// Adds the tests of one file: all or none.
fn count(text: &str, all: &mut Summary) -> Result<(), Said> {
    let mut summary = all.clone();
    let mut reader = Reader::from_str(text);
    let mut depth = 0_usize;
    let mut is_report = false;
    // The current test: its depth, its name, and how it ended.
    let mut test: Option<(usize, String, Ended)> = None;
    loop {
        let event = reader.read_event().map_err(|error| error.to_string())?;
        let (start, is_empty) = match &event {
            Event::Start(start) => (start, false),
            Event::Empty(start) => (start, true),
            Event::End(_) => {
                if test.as_ref().is_some_and(|(at, ..)| *at == depth)
                    && let Some((_, name, ended)) = test.take()
                {
                    summary.add(name, ended);
                }
                depth = depth.saturating_sub(1);
                continue;
            }
            Event::Eof if depth > 0 => return Err("the file is incomplete".into()),
            Event::Eof => break,
            Event::Text(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_)
            | Event::GeneralRef(_) => continue,
        };
        depth += 1;
        if depth > DEEPEST {
            return Err(format!("elements are nested more than {DEEPEST} deep").into());
        }
        let name = start.local_name();
        match (name.as_ref(), &mut test) {
            ("testsuite" | "testsuites", None) => is_report = true,
            ("testcase", None) => test = Some((depth, name_of(start), Ended::Well)),
            ("failure", Some((.., ended))) => *ended = Ended::Failed,
            ("error", Some((.., ended))) => *ended = Ended::InError,
            ("skipped", Some((.., ended))) if *ended == Ended::Well => *ended = Ended::Skipped,
            _ => {}
        }
        if is_empty {
            if test.as_ref().is_some_and(|(at, ..)| *at == depth)
                && let Some((_, name, ended)) = test.take()
            {
                summary.add(name, ended);
            }
            depth -= 1;
        }
    }
    if !is_report {
        return Err("not a JUnit report: no testsuite".into());
    }
    *all = summary;
    Ok(())
}

impl Summary {
    fn add(&mut self, name: String, ended: Ended) {
        self.tests += 1;
        match ended {
            Ended::Well => return,
            Ended::Skipped => {
                self.skipped += 1;
                return;
            }
            Ended::Failed => self.failed += 1,
            Ended::InError => self.errors += 1,
        }
        if self.names.len() < MOST_NAMES {
            self.names.push(name);
        }
    }
}

/// A test's name for people: its class and its name.
fn name_of(test: &BytesStart<'_>) -> String {
    let mut parts = [None, None];
    // Checking for duplicates would compare each attribute with all others.
    for attribute in test.attributes().with_checks(false).flatten() {
        let index = match attribute.key.local_name().as_ref() {
            "classname" => 0,
            "name" => 1,
            _ => continue,
        };
        let value = attribute.normalized_value(XmlVersion::Implicit1_0);
        let raw = || attribute.value.clone();
        parts[index] = Some(value.unwrap_or_else(|_| raw()).into_owned());
    }
    let [class, name] = parts;
    let name = name.unwrap_or_else(|| "unnamed test".into());
    let whole = match class.filter(|class| !class.is_empty()) {
        Some(class) => format!("{class}: {name}"),
        None => name,
    };
    Untrusted::text(&whole, LONGEST_NAME).display()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let mut summary = Summary::default();
        let said = match count(text, &mut summary) {
            Ok(()) => {
                let names = summary.names.join(" | ");
                format!("{} {names}", summary.sentence("unit"))
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(said, expected, "{text:.200}");
    }

    #[test]
    fn tests_are_counted_one_by_one_whatever_the_totals_say() {
        check(
            r#"<?xml version="1.0"?><testsuites tests="99"><testsuite name="a" failures="0">
                <testcase classname="shop.Cart" name="adds"/>
                <testcase classname="shop.Cart" name="loses &lt;items&gt;"><failure message="no">at …</failure></testcase>
                <testcase name="breaks"><system-out><![CDATA[<failure/>]]></system-out><error/></testcase>
                <testcase name="waits"><skipped/></testcase>
               </testsuite></testsuites>"#,
            "Report unit: 4 tests in 0 files: 1 passed, 1 failed, 1 with an error, 1 skipped shop.Cart: loses <items> | breaks",
        );
        check("<testsuite/>", "Report unit: 0 tests in 0 files: 0 passed ");
    }

    #[test]
    fn a_hostile_report_is_refused_or_harmless() {
        let bomb = r#"<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><testsuite><testcase name="&b;"><failure/></testcase></testsuite>"#;
        check(
            bomb,
            "Report unit: 1 tests in 0 files: 0 passed, 1 failed &b;",
        );
        let external = r#"<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><testsuite><testcase name="&e;"><failure/></testcase></testsuite>"#;
        check(
            external,
            "Report unit: 1 tests in 0 files: 0 passed, 1 failed &e;",
        );
        let colors = "<testsuite><testcase name='a&#27;[2Jb'><failure/></testcase></testsuite>";
        let mut summary = Summary::default();
        assert_eq!(count(colors, &mut summary), Ok(()));
        assert!(!summary.names[0].contains('\u{1b}'), "{:?}", summary.names);
        let deep = "<a>".repeat(100_000);
        check(&deep, "elements are nested more than 64 deep");
        check("<testsuite>", "the file is incomplete");
        check("<html></html>", "not a JUnit report: no testsuite");
        check("no xml", "not a JUnit report: no testsuite");
        let wide = format!(
            "<testsuite><testcase {}><failure/></testcase></testsuite>",
            "a='1' ".repeat(100_000)
        );
        check(
            &wide,
            "Report unit: 1 tests in 0 files: 0 passed, 1 failed unnamed test",
        );
        let many = format!(
            "<testsuite>{}</testsuite>",
            "<testcase name='x'><failure/></testcase>".repeat(100_000)
        );
        let mut summary = Summary::default();
        assert_eq!(count(&many, &mut summary), Ok(()));
        assert_eq!((summary.failed, summary.names.len()), (100_000, 20));
    }
}

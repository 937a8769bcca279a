//! Reads the optional parts of a build: outputs, secrets, reports, cached folders.

use towline_buildspec::generate::REPORT_FORMATS;
use towline_domain::definition::{self, Build};
use towline_domain::outputs;

use super::keys;
use super::limits::{OUTPUTS, SECRET_REFERENCE, WORD};
use super::reader::{Fields, Report};
use super::scalars::why_not_variable;

/// Files that later stages read.
pub(super) fn outputs(report: &mut Report, fields: &Fields<'_>) -> Vec<String> {
    let Some(place) = fields.get("outputs") else {
        return Vec::new();
    };
    let items = report.one_or_more(&place);
    if items.len() > OUTPUTS {
        report.error(&place, format!("a build has at most {OUTPUTS} outputs"));
        return Vec::new();
    }
    let mut paths: Vec<String> = Vec::new();
    for item in &items {
        let Some(path) = report.path(item) else {
            continue;
        };
        let name = outputs::name_of(&path);
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
        if name.is_empty() || !name.chars().all(plain) {
            let message = "the name of an output is its file name up to the first dot; use only letters, digits, `_` and `-`";
            report.error(item, message);
        } else if let Some(other) = paths.iter().find(|other| outputs::name_of(other) == name) {
            report.error(
                item,
                format!("{other} is already the output `{name}`; rename one of the files"),
            );
        }
        paths.push(path);
    }
    paths
}

/// Variables that come from Secrets Manager.
pub(super) fn secrets(report: &mut Report, fields: &Fields<'_>) -> Vec<(String, String)> {
    let Some(place) = fields.get("secrets") else {
        return Vec::new();
    };
    let mut secrets = Vec::new();
    for (key, place) in report.entries(&place) {
        if let Some(message) = why_not_variable(key.key_text()) {
            report.error_at(key.span, &place.path, message);
        }
        let expected = "a secret's name or ARN, or one followed by `:` and the key of its JSON";
        if let Some(reference) = report.shaped(&place, expected, is_reference) {
            secrets.push((key.key_text().to_owned(), reference));
        }
    }
    secrets
}

/// Names and ARNs of secrets have no other characters (Secrets Manager API, `CreateSecret`); JSON keys may.
fn is_reference(text: &str) -> bool {
    (1..=SECRET_REFERENCE).contains(&text.len())
        && !text.starts_with(['-', ':'])
        && text
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "/_+=.@:-".contains(letter))
}

/// Test reports by their groups.
pub(super) fn reports(report: &mut Report, fields: &Fields<'_>) -> Vec<definition::Report> {
    let Some(place) = fields.get("reports") else {
        return Vec::new();
    };
    let mut reports = Vec::new();
    for (key, place) in report.entries(&place) {
        let name = key.key_text();
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
        if name.is_empty() || name.len() > WORD || !name.chars().all(plain) {
            let message = "the name of a report group has only letters, digits, `-` and `_`";
            report.error_at(key.span, &place.path, message);
        }
        let Some(fields) = report.fields(&place, keys::Report::KEYS) else {
            continue;
        };
        if report
            .required(
                &fields,
                "files",
                "name the files, as in `files: \"**/junit.xml\"`",
            )
            .is_none()
        {
            continue;
        }
        let formats: Vec<(&str, &str)> = REPORT_FORMATS.iter().map(|word| (*word, *word)).collect();
        reports.push(definition::Report {
            name: name.to_owned(),
            files: report.texts_of(&fields, "files"),
            folder: fields.get("folder").and_then(|place| report.path(&place)),
            format: fields
                .get("format")
                .and_then(|place| report.choice(&place, &formats))
                .map(str::to_owned),
        });
    }
    reports
}

/// Files and folders that are kept between builds.
pub(super) fn cache(report: &mut Report, fields: &Fields<'_>) -> Vec<String> {
    report.texts_of(fields, "cache")
}

/// Checks the parts of a build against each other.
pub(super) fn check(report: &mut Report, fields: &Fields<'_>, build: &Build) {
    let Some(place) = fields.get("secrets") else {
        return;
    };
    for (key, place) in report.entries(&place) {
        if build.env.iter().any(|(name, _)| name == key.key_text()) {
            report.error_at(
                key.span,
                &place.path,
                "`env` sets this variable too; keep one of them",
            );
        }
    }
}

//! Compares SECURITY.md with the repository: every id that is used is listed, and every row has its tests.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Their tests count lines of two documents in the same way.
const DOCUMENTS: [&str; 2] = [
    "functions/local/tests/documents",
    "shared/tools/buildspec/src/lint/tests/documents.rs",
];

/// Folders and files that are not compared.
const APART: [&str; 4] = ["target", ".git", "SECURITY.md", "Cargo.lock"];

/// A row of a table, by its id.
struct Row {
    is_open: bool,
    /// Tests without the id in their name.
    tests: Vec<String>,
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.join("../..").canonicalize().unwrap()
}

/// Whether a word is exactly an id of our tables, such as `A27`.
fn is_id(word: &str) -> bool {
    let number = word.strip_prefix(['A', 'F', 'I', 'S']);
    number.is_some_and(|number| {
        (1..=2).contains(&number.len())
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && !number.starts_with('0')
    })
}

fn listed() -> BTreeMap<String, Row> {
    let text = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let mut rows = BTreeMap::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if !is_id(cells[0]) {
            continue;
        }
        let last = cells[cells.len() - 1];
        let row = Row {
            is_open: last == "open",
            tests: last
                .split('`')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect(),
        };
        let twice = rows.insert(cells[0].to_owned(), row).is_some();
        assert!(!twice, "{} is listed twice", cells[0]);
    }
    rows
}

/// Every text in the repository except SECURITY.md, by its path.
fn texts() -> Vec<(String, String)> {
    let root = root();
    let mut folders = vec![root.clone()];
    let mut texts = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path
                .strip_prefix(&root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            let is_ours = !APART.contains(&name.as_str()) && !DOCUMENTS.contains(&name.as_str());
            if is_ours && path.is_dir() {
                folders.push(path);
            } else if is_ours && let Ok(text) = fs::read_to_string(&path) {
                texts.push((name, text));
            }
        }
    }
    texts
}

/// The names of all functions, and with each the ids at its beginning: A1 and I12 of `a1_i12_nothing`.
fn functions(texts: &[(String, String)]) -> BTreeMap<String, BTreeSet<String>> {
    let mut functions = BTreeMap::new();
    let rust = texts.iter().filter(|(name, _)| name.ends_with(".rs"));
    for line in rust.flat_map(|(_, text)| text.lines()) {
        let Some((_, rest)) = line.split_once("fn ") else {
            continue;
        };
        let name: String = rest
            .chars()
            .take_while(|character| character.is_ascii_alphanumeric() || *character == '_')
            .collect();
        let words = name.split('_').map(str::to_uppercase);
        let ids = words.take_while(|word| is_id(word)).collect();
        functions.insert(name, ids);
    }
    functions
}

#[test]
fn every_id_that_is_used_is_listed() {
    let (rows, texts) = (listed(), texts());
    let mut unknown = BTreeSet::new();
    for (name, text) in &texts {
        let words =
            text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
        // Amazon's store has a name like an id.
        let ids = words.filter(|word| is_id(word) && *word != "S3");
        unknown.extend(
            ids.filter(|id| !rows.contains_key(*id))
                .map(|id| format!("{id} in {name}")),
        );
    }
    for (name, ids) in functions(&texts) {
        unknown.extend(
            ids.iter()
                .filter(|id| !rows.contains_key(*id))
                .map(|id| format!("{id} of {name}")),
        );
    }
    assert!(unknown.is_empty(), "SECURITY.md does not list {unknown:#?}");
}

#[test]
fn every_row_has_tests_or_is_open() {
    let functions = functions(&texts());
    let named: BTreeSet<&String> = functions.values().flatten().collect();
    let mut wrong = Vec::new();
    for (id, row) in &listed() {
        let gone = row
            .tests
            .iter()
            .filter(|test| !functions.contains_key(*test));
        wrong.extend(gone.map(|test| format!("{id}: no test is called {test}")));
        let has_tests = named.contains(id) || !row.tests.is_empty();
        if row.is_open && has_tests {
            wrong.push(format!("{id}: it has tests, so it is not open"));
        }
        if !row.is_open && !has_tests {
            wrong.push(format!("{id}: no test holds it"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

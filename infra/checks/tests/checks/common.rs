//! Files of the repository.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use towline_infra_checks::{Template, read};

pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.ancestors().nth(2).expect("two folders below the root");
    root.to_owned()
}

pub fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("reading {path}: {error}"))
}

pub fn template(path: &str) -> Template {
    Template(read(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}")))
}

/// The names in a folder, without extensions.
pub fn stems(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(root().join(folder)).expect(folder);
    let stem = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.expect(folder).path();
        path.file_stem()
            .expect("a name")
            .to_str()
            .expect("UTF-8")
            .to_owned()
    };
    entries.map(stem).collect()
}

/// The folders of functions that run on Lambda.
pub fn functions() -> BTreeSet<String> {
    let mut names = stems("functions");
    names.remove("local");
    names
}

/// All sources below a folder, one after another.
pub fn sources(folder: &str) -> String {
    let mut all = String::new();
    let mut waiting = vec![root().join(folder)];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                all += &fs::read_to_string(&path).expect("a source");
            }
        }
    }
    all
}

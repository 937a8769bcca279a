//! Finds the buildspecs and definitions below given paths.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use towline_definition::FILE;

use towline_client::tree;

/// Folders with third-party files, or with files of tools.
const PASSED_OVER: [&str; 8] = [
    ".git",
    ".hg",
    ".terraform",
    ".towline-data",
    ".venv",
    "node_modules",
    "target",
    "vendor",
];

/// How deep folders are searched.
const DEEPEST: usize = 40;

/// A file to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its path as it was typed, or as it was found.
    pub path: PathBuf,
    /// The folder it was found in; none if it was named.
    pub below: Option<PathBuf>,
}

impl Target {
    /// Whether it is a `.towline.yml`.
    pub fn is_definition(&self) -> bool {
        self.path.file_name().is_some_and(|name| name == FILE)
    }
}

/// The files that were found, and paths that could not be read.
#[derive(Debug, Default)]
pub struct Found {
    /// The files, each once, in the order of the paths and then of the alphabet.
    pub targets: Vec<Target>,
    /// Unreadable paths, with the reason.
    pub unreadable: Vec<(PathBuf, String)>,
    /// Files that look like buildspecs, but may not be.
    pub passed_over: Vec<PathBuf>,
}

/// Searches every path; a file that is named is used regardless of its name.
pub fn below(paths: &[PathBuf]) -> Found {
    let mut found = Found::default();
    for path in paths {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                let before = found.targets.len();
                let troubles = found.unreadable.len();
                folder(path, path, 0, &mut found);
                if found.targets.len() == before && found.unreadable.len() == troubles {
                    let reason = "it has no buildspec and no .towline.yml".to_owned();
                    found.unreadable.push((path.clone(), reason));
                }
            }
            Ok(_) => found.targets.push(Target {
                path: path.clone(),
                below: None,
            }),
            Err(error) => found.unreadable.push((path.clone(), error.to_string())),
        }
    }
    let mut seen = BTreeSet::new();
    found.targets.retain(|target| {
        let real = target.path.canonicalize();
        seen.insert(real.unwrap_or_else(|_| target.path.clone()))
    });
    found
}

fn folder(top: &Path, path: &Path, depth: usize, found: &mut Found) {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => {
            found.unreadable.push((path.to_owned(), error.to_string()));
            return;
        }
    };
    let mut entries: Vec<fs::DirEntry> = entries.filter_map(Result::ok).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut folders = Vec::new();
    for entry in entries {
        // Links are not followed: the target is found where it is, or is outside.
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if kind.is_dir() && depth < DEEPEST && !PASSED_OVER.contains(&name.as_ref()) {
            folders.push(entry.path());
        } else if kind.is_file() {
            let path = entry.path();
            let shown = path.strip_prefix(".").unwrap_or(&path).to_owned();
            match likeness(&name, &path) {
                Likeness::Wanted => found.targets.push(Target {
                    path: shown,
                    below: Some(top.to_owned()),
                }),
                Likeness::Similar => found.passed_over.push(shown),
                Likeness::None => {}
            }
        }
    }
    for path in folders {
        folder(top, &path, depth + 1, found);
    }
}

/// How similar a file is to a buildspec.
#[derive(Debug, PartialEq, Eq)]
enum Likeness {
    Wanted,
    Similar,
    None,
}

fn likeness(name: &str, path: &Path) -> Likeness {
    if name == FILE {
        return Likeness::Wanted;
    }
    let has_name = name.contains("buildspec");
    let stem = name
        .strip_suffix(".yml")
        .or_else(|| name.strip_suffix(".yaml"));
    let Some(stem) = stem else {
        let is_json = has_name && name.ends_with(".json");
        return if is_json {
            Likeness::Similar
        } else {
            Likeness::None
        };
    };
    if stem.starts_with("buildspec") || stem.ends_with("buildspec") {
        return Likeness::Wanted;
    }
    match tree::text_of(path) {
        Ok(text) if is_buildspec(&text) => Likeness::Wanted,
        Ok(text) if has_name || is_similar(&text) => Likeness::Similar,
        Err(_) if has_name => Likeness::Similar,
        Ok(_) | Err(_) => Likeness::None,
    }
}

/// Whether a text has commands below a section or a phase of a buildspec, or beside its version.
fn is_similar(text: &str) -> bool {
    const STARTS: [&str; 7] = [
        "phases:",
        "install:",
        "pre_build:",
        "post_build:",
        "version: 0.2",
        "version: \"0.2\"",
        "version: '0.2'",
    ];
    let starts = |line: &str| STARTS.iter().any(|start| line.starts_with(start));
    text.lines().any(starts) && text.contains("commands")
}

/// Whether a text has a buildspec's version and keys that only buildspecs have, regardless of its name.
fn is_buildspec(text: &str) -> bool {
    let version = |line: &str| {
        let value = line.strip_prefix("version:").unwrap_or("").trim();
        let value = value.split('#').next().unwrap_or("").trim();
        matches!(value.trim_matches(['"', '\'']), "0.1" | "0.2")
    };
    let section = |line: &str| line.starts_with("phases:") || line.starts_with("batch:");
    text.lines().any(version) && text.lines().any(section)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buildspec_is_known_by_what_it_says() {
        for (text, expected) in [
            ("version: 0.2\nphases:\n", true),
            ("# x\nversion: '0.1' # old\nbatch:\n", true),
            ("version: \"0.2\"\n\nphases: {}\n", true),
            ("version: 0.2\n", false),
            ("version: 0.20\nphases:\n", false),
            ("version: 3\nservices:\n", false),
            ("x:\n  version: 0.2\n  phases:\n", false),
            ("", false),
        ] {
            assert_eq!(is_buildspec(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_below_a_folder_is_found_once_and_nothing_of_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let spec = "version: 0.2\nphases: {}\n";
        for (name, text) in [
            ("buildspec.yml", "x"),
            ("ci/deploy.yaml", spec),
            ("ci/compose.yml", "services: {}"),
            ("ci/test.buildspec.yml", "x"),
            (".codebuild/buildspec-a.yml", "x"),
            (".towline.yml", "x"),
            ("node_modules/a/buildspec.yml", "x"),
            ("notes/buildspec.md", spec),
            ("odd/a-buildspec-of-mine.yml", "x"),
            ("odd/buildspec.json", "{}"),
            ("odd/parts.yml", "phases:\n\tbuild:\n\t\tcommands: [make]\n"),
            (
                "odd/template.yml",
                "Resources:\n  phases:\n    commands: []\n",
            ),
        ] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
            fs::write(path, text).expect("a file");
        }
        std::os::unix::fs::symlink("..", folder.path().join("ci/up")).expect("a link");
        let named = folder.path().join("buildspec.yml");
        let found = below(&[
            folder.path().to_owned(),
            named,
            folder.path().join("absent.yml"),
            folder.path().join("notes"),
        ]);
        let names: Vec<String> = found
            .targets
            .iter()
            .map(|target| {
                let path = target.path.strip_prefix(folder.path()).expect("inside");
                path.display().to_string()
            })
            .collect();
        assert_eq!(
            names,
            [
                ".towline.yml",
                "buildspec.yml",
                ".codebuild/buildspec-a.yml",
                "ci/deploy.yaml",
                "ci/test.buildspec.yml"
            ]
        );
        let passed_over: Vec<&Path> = found
            .passed_over
            .iter()
            .map(|path| path.strip_prefix(folder.path()).expect("inside"))
            .collect();
        let odd = ["a-buildspec-of-mine.yml", "buildspec.json", "parts.yml"];
        assert_eq!(passed_over, odd.map(|name| Path::new("odd").join(name)));
        let reasons: Vec<&str> = found
            .unreadable
            .iter()
            .map(|(_, reason)| reason.as_str())
            .collect();
        assert_eq!(
            reasons,
            [
                "No such file or directory (os error 2)",
                "it has no buildspec and no .towline.yml"
            ]
        );
    }
}

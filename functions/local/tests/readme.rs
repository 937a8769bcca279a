//! Checks README.md and GUIDE.md: every definition in them is valid and supported.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use towline_definition as definition;

/// The pages whose links are checked.
const PAGES: [&str; 7] = [
    "README.md",
    "GUIDE.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "infra/README.md",
    "events/README.md",
];

/// The blocks of one language in a Markdown text, without their indentation.
fn blocks(markdown: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for line in markdown.lines() {
        let bare = line.trim_start();
        match &mut open {
            None if bare == format!("```{language}") => {
                open = Some((line.len() - bare.len(), String::new()));
            }
            Some(_) if bare == "```" => blocks.extend(open.take().map(|(_, text)| text)),
            Some((indent, text)) => {
                text.push_str(line.get(*indent..).unwrap_or_default());
                text.push('\n');
            }
            None => {}
        }
    }
    blocks
}

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn every_definition_shown_is_valid_and_can_be_executed() {
    for name in ["README.md", "GUIDE.md"] {
        let blocks = blocks(&page(name), "yaml");
        assert_eq!(blocks.len(), 1, "in {name}");
        for block in blocks {
            let read = definition::read(block.as_bytes());
            let definition = read.unwrap_or_else(|errors| panic!("{errors}\nin\n{block}"));
            assert_eq!(definition.not_executed, [], "in\n{block}");
        }
    }
}

#[test]
fn the_readme_shows_the_main_job_first_and_the_tests_second() {
    let commands = blocks(&page("README.md"), "sh");
    assert_eq!(commands[0], "cargo run -- demo\n");
    assert_eq!(commands[1], "cargo test --workspace\n");
}

/// The commands in a table's first column: the first word of each.
fn commands_in(guide: &str) -> Vec<String> {
    let (_, section) = guide
        .split_once("\n## Commands\n")
        .expect("a section of commands");
    let (section, _) = section.split_once("\n## ").expect("another section");
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.filter_map(|row| row.split_once(" | "));
    let spans = cells.flat_map(|(cell, _)| cell.split("`, `").map(str::to_owned));
    let first = |span: String| span.split([' ', '`']).next().map(str::to_owned);
    spans.filter_map(first).collect()
}

#[test]
fn the_guide_lists_every_command_and_no_other() {
    let help = Command::new(env!("CARGO_BIN_EXE_towline"))
        .arg("--help")
        .output()
        .expect("towline runs");
    let help = String::from_utf8(help.stdout).expect("help is UTF-8");
    let (_, list) = help
        .split_once("\nCommands:\n")
        .expect("a list of commands");
    let (list, _) = list.split_once("\n\n").expect("an end of the list");
    let there: BTreeSet<&str> = list
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|word| !word.is_empty() && *word != "help")
        .collect();
    let guide = page("GUIDE.md");
    let listed = commands_in(&guide);
    let listed: BTreeSet<&str> = listed.iter().map(String::as_str).collect();
    assert_eq!(listed, there);
}

#[test]
fn the_readme_is_short_and_its_links_lead_somewhere() {
    assert!(page("README.md").lines().count() <= 150);
    for name in PAGES {
        let text = page(name);
        let folder = Path::new(name).parent().expect("a folder");
        for link in text.split("](").skip(1) {
            let link = link.split(')').next().unwrap_or_default();
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            if link.contains("://") {
                continue;
            }
            let file = if file.is_empty() {
                name.to_owned()
            } else {
                folder.join(file).display().to_string()
            };
            let headings = page(&file);
            let known = |line: &str| line.starts_with('#') && slug(line) == anchor;
            assert!(
                anchor.is_empty() || headings.lines().any(known),
                "{name}: {link} leads nowhere"
            );
        }
    }
}

/// The anchor that GitHub gives a heading: lower case, dashes for spaces, letters and digits only.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim();
    let letters = text.chars().filter_map(|letter| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        letter if letter.is_alphanumeric() => Some(letter.to_ascii_lowercase()),
        _ => None,
    });
    letters.collect()
}

//! What the README shows, tried: its definitions are read and need nothing that is not executed.

use std::fs;
use std::path::Path;

use towline_wire::definition;

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

fn readme() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    fs::read_to_string(&path).expect("the README is there")
}

#[test]
fn every_definition_in_the_readme_is_read_and_can_be_executed() {
    let blocks = blocks(&readme(), "yaml");
    assert_eq!(blocks.len(), 2);
    for block in blocks {
        let read = definition::read(block.as_bytes());
        let definition = read.unwrap_or_else(|errors| panic!("{errors}\nin\n{block}"));
        assert_eq!(definition.not_executed, [], "in\n{block}");
    }
}

#[test]
fn the_readme_shows_the_main_job_first_and_the_tests_second() {
    let commands = blocks(&readme(), "sh");
    assert_eq!(commands[0], "cargo run --release -- demo\n");
    assert_eq!(commands[1], "cargo test --workspace\n");
}

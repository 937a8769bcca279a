//! Limits the length of files and functions, so that a reader can keep a whole one in mind.

use super::{files, is_test, text};

/// The most lines of a file; split a longer one.
const MOST_LINES: usize = 450;

/// The most lines in the body of a function, without comments and empty lines.
const MOST_LINES_OF_A_FUNCTION: usize = 70;

/// Files that may be longer, by the start of their path, and why.
const LONGER: &[(&str, &str)] = &[
    (
        "infra/rehearsal/src/",
        "test support: each stand-in imitates one service from end to end",
    ),
    (
        "shared/pipeline/domain/src/explain/reasons.rs",
        "a table: one sentence for each refusal",
    ),
];

#[test]
fn no_file_and_no_function_is_long() {
    let mut found = Vec::new();
    for path in files() {
        let is_longer = LONGER.iter().any(|(start, _)| path.starts_with(start));
        if !path.ends_with(".rs") || is_test(&path) || is_longer {
            continue;
        }
        let source = text(&path);
        let lines = source.lines().count();
        if lines > MOST_LINES {
            found.push(format!("{path} has {lines} lines, over {MOST_LINES}"));
        }
        let long = functions(&source)
            .into_iter()
            .filter(|(_, lines)| *lines > MOST_LINES_OF_A_FUNCTION);
        found.extend(long.map(|(name, lines)| {
            format!("{path}: {name} has {lines} lines, over {MOST_LINES_OF_A_FUNCTION}")
        }));
    }
    assert_eq!(found, Vec::<String>::new());
}

/// The functions in formatted source code, except its tests, each with the number of lines in its body.
fn functions(source: &str) -> Vec<(String, usize)> {
    let source = source.split("\n#[cfg(test)]\nmod tests {").next();
    let mut lines = source.unwrap_or_default().lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        let indent = &line[..line.len() - line.trim_start().len()];
        let Some(name) = name(line.trim_start()) else {
            continue;
        };
        let mut heads = std::iter::once(line).chain(lines.by_ref());
        let ends = |line: &&str| line.ends_with(['{', '}', ';']);
        if !heads.find(ends).is_some_and(|line| line.ends_with('{')) {
            continue;
        }
        let end = format!("{indent}}}");
        let body = lines.by_ref().take_while(|line| *line != end);
        let is_code = |line: &&str| !line.is_empty() && !line.trim_start().starts_with("//");
        found.push((name.to_owned(), body.filter(is_code).count()));
    }
    found
}

/// The name of the function that starts on this line.
fn name(line: &str) -> Option<&str> {
    let (before, rest) = line.split_once("fn ")?;
    let is_head = before
        .split_whitespace()
        .all(|word| word.starts_with("pub") || ["const", "async", "in"].contains(&word));
    let name = rest.split(['(', '<']).next()?;
    (is_head && !name.is_empty()).then_some(name)
}

#[test]
fn a_function_is_measured_by_the_code_of_its_body() {
    let source = "\
fn short() {}

impl Thing {
    /// fn no_function() {
    pub(super) async fn long<T>(
        one: T,
    ) -> u8 {
        // a comment

        if one {
            two
        }
    }

    fn promised(&self);
}
#[cfg(test)]
mod tests {
    fn untold() {
    }
}
";
    assert_eq!(functions(source), [("long".to_owned(), 3)]);
}

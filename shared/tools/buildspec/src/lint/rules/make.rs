//! Parses a Makefile as far as needed to know which commands a target runs.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::lint::source::Source;

/// The lines of a Makefile.
pub(super) struct Makefile {
    rules: Vec<Rule>,
    /// All lines except comments, with continued ones joined.
    pub(super) lines: Vec<Line>,
}

struct Rule {
    targets: Vec<String>,
    needs: Vec<String>,
    recipe: Vec<Line>,
}

/// A line of the file.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// Its text; in a recipe without Make's prefix characters, and with `$$` as the shell sees it.
    pub(super) text: String,
    /// Its place in the file.
    pub(super) range: Range<usize>,
    /// Whether it is a command, of a recipe or of a `define`.
    pub(super) is_recipe: bool,
    /// The variable that it sets or appends to, with the value as the shell sees it.
    pub(super) variable: Option<(String, String)>,
}

impl Makefile {
    pub(super) fn read(source: &Source) -> Self {
        let mut makefile = Self {
            rules: Vec::new(),
            lines: Vec::new(),
        };
        let mut defined: Option<String> = None;
        let mut at = 0;
        let mut open: Option<Line> = None;
        for raw in source.text.split_inclusive('\n') {
            let line = raw.trim_end_matches(['\n', '\r']);
            let (body, continues) = match line.strip_suffix('\\') {
                Some(body) => (body, true),
                None => (line, false),
            };
            let mut whole = open.take().unwrap_or(Line {
                text: String::new(),
                range: at..at,
                is_recipe: line.starts_with('\t'),
                variable: None,
            });
            whole.text.push_str(body);
            whole.range.end = at + line.len();
            at += raw.len();
            if continues {
                whole.text.push(' ');
                open = Some(whole);
            } else {
                makefile.add(whole, &mut defined);
            }
        }
        if let Some(line) = open {
            makefile.add(line, &mut defined);
        }
        makefile
    }

    /// Adds a line; `defined` is the variable whose `define` is open.
    fn add(&mut self, mut line: Line, defined: &mut Option<String>) {
        let text = line.text.trim();
        if text.is_empty() || text.starts_with('#') {
            return;
        }
        if defined.is_some() && text == "endef" {
            *defined = None;
            return;
        }
        let assigned = assignment(text).filter(|_| !line.is_recipe);
        if let Some(name) = defined {
            line.variable = Some((name.clone(), as_shell(text)));
            line.text = as_shell(text);
            line.is_recipe = true;
        } else if let Some((name, value)) = assigned {
            let Some(value) = value else {
                *defined = Some(name.to_owned());
                return;
            };
            line.variable = Some((name.to_owned(), as_shell(value)));
        } else if line.is_recipe {
            line.text = as_shell(text);
            if let Some(rule) = self.rules.last_mut() {
                rule.recipe.push(line.clone());
            }
        } else if let Some((targets, needs)) = split_rule(text) {
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
            self.rules.push(Rule {
                targets: words(targets),
                needs: words(needs),
                recipe: Vec::new(),
            });
        }
        self.lines.push(line);
    }

    /// The variables that recipes use, directly or indirectly.
    pub(super) fn used(&self) -> BTreeSet<&str> {
        let mut used = BTreeSet::new();
        let mut texts: Vec<&str> = self
            .lines
            .iter()
            .filter(|line| line.is_recipe && line.variable.is_none())
            .map(|line| line.text.as_str())
            .collect();
        while let Some(text) = texts.pop() {
            for name in names(text) {
                if used.insert(name) {
                    let variables = self.lines.iter().filter_map(|line| line.variable.as_ref());
                    let values = variables.filter(|(known, _)| known == name);
                    texts.extend(values.map(|(_, value)| value.as_str()));
                }
            }
        }
        used
    }

    /// The commands of a target and of its prerequisites.
    pub(super) fn recipe(&self, target: &str) -> Vec<&Line> {
        let mut lines = Vec::new();
        let mut seen = Vec::new();
        let mut left = vec![target];
        while let Some(target) = left.pop() {
            if seen.contains(&target) {
                continue;
            }
            seen.push(target);
            for rule in self.rules.iter().filter(|rule| rule.makes(target)) {
                lines.extend(&rule.recipe);
                left.extend(rule.needs.iter().map(String::as_str));
            }
        }
        lines
    }
}

impl Rule {
    fn makes(&self, target: &str) -> bool {
        self.targets
            .iter()
            .any(|pattern| match pattern.split_once('%') {
                Some((start, end)) => {
                    target.starts_with(start)
                        && target.ends_with(end)
                        && target.len() > start.len() + end.len()
                }
                None => pattern == target,
            })
    }
}

/// `target: needs`, but neither `name := value` nor `name = a:b`.
fn split_rule(line: &str) -> Option<(&str, &str)> {
    let colon = line.find(':')?;
    let (targets, rest) = line.split_at(colon);
    let rest = rest.trim_start_matches(':');
    (!targets.contains('=') && !rest.starts_with('=')).then_some((targets, rest))
}

/// A command as the shell sees it: without Make's prefix characters, and with `$$` as `$`.
fn as_shell(text: &str) -> String {
    let text = text.trim_start_matches(['@', '-', '+', ' ', '\t']);
    text.replace("$$", "$")
}

/// `name = value` with its value, or `define name` without one.
fn assignment(line: &str) -> Option<(&str, Option<&str>)> {
    let mut rest = line;
    while let Some((word, behind)) = rest.split_once(char::is_whitespace) {
        match word {
            "export" | "override" | "private" => rest = behind.trim_start(),
            "define" => {
                let name = behind.split_whitespace().next()?;
                return Some((name.trim_end_matches(['=', '?', '+', ':', '!']), None));
            }
            _ => break,
        }
    }
    let (name, value) = rest.split_once('=')?;
    // Also `target: name = value`, which applies to that target's recipe only.
    let name = name.trim_end_matches(['?', '+', ':', '!']).trim_end();
    let name = name.rsplit([':', ' ', '\t']).next()?;
    (!name.is_empty()).then_some((name, Some(value.trim())))
}

/// The names in `$(name)`, `${name}`, `$(call name` or `$name`.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices('$').filter_map(|(at, _)| {
        let rest = text[at + 1..].trim_start_matches(['(', '{']);
        let rest = rest.strip_prefix("call ").unwrap_or(rest).trim_start();
        let end = rest.find(|letter: char| !letter.is_alphanumeric() && !"_-.".contains(letter));
        let name = &rest[..end.unwrap_or(rest.len())];
        (!name.is_empty()).then_some(name)
    })
}

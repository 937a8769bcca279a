//! As much of a Makefile as tells which commands a target runs.

use std::ops::Range;

use crate::lint::source::Source;

/// A Makefile's lines, sorted.
pub(super) struct Makefile {
    rules: Vec<Rule>,
    /// All lines that are no comments, joined where they are continued.
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
    /// Its text; in a recipe without the signs in front, and with `$$` as the shell sees it.
    pub(super) text: String,
    /// Where it stands in the file.
    pub(super) range: Range<usize>,
    /// Whether it is a command.
    pub(super) is_recipe: bool,
}

impl Makefile {
    pub(super) fn read(source: &Source) -> Self {
        let mut makefile = Self {
            rules: Vec::new(),
            lines: Vec::new(),
        };
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
            });
            whole.text.push_str(body);
            whole.range.end = at + line.len();
            at += raw.len();
            if continues {
                whole.text.push(' ');
                open = Some(whole);
            } else {
                makefile.add(whole);
            }
        }
        if let Some(line) = open {
            makefile.add(line);
        }
        makefile
    }

    fn add(&mut self, mut line: Line) {
        let text = line.text.trim();
        if text.is_empty() || text.starts_with('#') {
            return;
        }
        if line.is_recipe {
            let text = text.trim_start_matches(['@', '-', '+', ' ']);
            line.text = text.replace("$$", "$");
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

    /// The commands of a target with those of what it needs.
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

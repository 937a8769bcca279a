//! The values of words while the build runs, as far as they can be determined.

use std::collections::BTreeMap;
use std::ops::Range;

use super::shell::{Part, Word};

/// A piece of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Atom {
    /// Known text.
    Text(String),
    /// The full hash of the commit: 40 characters.
    Commit,
    /// The hash shortened to this many characters, and the place in the file where that happens.
    Short(usize, Range<usize>),
    /// `CODEBUILD_BUILD_ID`: the project, a colon and a UUID.
    BuildId,
    /// A Git ref such as `refs/heads/main`.
    Ref,
    /// Unknown; it may be anything, or empty.
    Unknown,
    /// A variable that is certainly empty here, with the reason.
    Empty(String, Why),
}

/// Why a variable is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// The buildspec sets it to an empty value.
    SetToNothing,
    /// In version 0.1, each command has its own shell.
    OtherShell,
    /// Only a later command sets it.
    SetLater,
}

/// The variables of the build at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variables {
    values: BTreeMap<String, Vec<Atom>>,
    /// Names that some command sets at any time, and whether each command has its own shell.
    set_somewhere: BTreeMap<String, Why>,
}

impl Variables {
    /// The variables that CodeBuild sets.
    pub(crate) fn of_codebuild() -> Self {
        let mut variables = Self::default();
        for (name, atom) in [
            ("CODEBUILD_RESOLVED_SOURCE_VERSION", Atom::Commit),
            ("CODEBUILD_BUILD_ID", Atom::BuildId),
            ("CODEBUILD_WEBHOOK_HEAD_REF", Atom::Ref),
            ("CODEBUILD_WEBHOOK_BASE_REF", Atom::Ref),
        ] {
            variables.set(name, vec![atom]);
        }
        variables
    }

    pub(crate) fn set(&mut self, name: &str, value: Vec<Atom>) {
        self.values.insert(name.to_owned(), value);
    }

    pub(crate) fn note_later(&mut self, name: &str, why: Why) {
        self.set_somewhere.insert(name.to_owned(), why);
    }

    pub(crate) fn get(&self, name: &str) -> Option<&[Atom]> {
        self.values.get(name).map(Vec::as_slice)
    }

    /// The value of a word. `place` returns the place of a part of the command in the file.
    pub(crate) fn resolve(
        &self,
        word: &Word,
        place: &dyn Fn(&Range<usize>) -> Range<usize>,
    ) -> Vec<Atom> {
        let mut atoms = Vec::new();
        for part in &word.parts {
            match part {
                Part::Text(text) => atoms.push(Atom::Text(text.clone())),
                Part::Variable(name) => atoms.extend(self.variable(name)),
                Part::Expansion { name, rest, range } => {
                    atoms.extend(self.expansion(name, rest, &place(range)));
                }
                Part::Output { script, range } => atoms.extend(self.output(script, &place(range))),
                Part::Unknown => atoms.push(Atom::Unknown),
            }
        }
        joined(atoms)
    }

    fn variable(&self, name: &str) -> Vec<Atom> {
        if let Some(value) = self.values.get(name) {
            return value.clone();
        }
        match self.set_somewhere.get(name) {
            Some(why) => vec![Atom::Empty(name.to_owned(), *why)],
            None => vec![Atom::Unknown],
        }
    }

    fn expansion(&self, name: &str, rest: &str, place: &Range<usize>) -> Vec<Atom> {
        let value = self.variable(name);
        if let Some(length) = rest
            .strip_prefix(":0:")
            .and_then(|length| length.trim().parse().ok())
        {
            return cut(&value, length, place);
        }
        if rest.starts_with([':', '-', '=', '?', '+']) && value == [Atom::Commit] {
            return value;
        }
        if let Some(default) = [":-", ":="].iter().find_map(|sign| rest.strip_prefix(sign)) {
            // A default replaces only an empty variable; one that may be unset stays unknown.
            let is_empty = matches!(value[..], [Atom::Empty(..)]);
            let is_known = matches!(value[..], [Atom::Short(..)]);
            if is_known {
                return value;
            }
            if is_empty && !default.contains(['$', '`']) {
                return vec![Atom::Text(default.trim_matches(['"', '\'']).to_owned())];
            }
        }
        vec![Atom::Unknown]
    }

    /// The output of `$(...)`, for a few common scripts.
    fn output(&self, script: &str, place: &Range<usize>) -> Vec<Atom> {
        let stages: Vec<Vec<&str>> = script
            .split('|')
            .map(|stage| stage.split_whitespace().collect())
            .collect();
        let value = match &stages[0][..] {
            ["echo" | "printf", option @ .., name]
                if option
                    .iter()
                    .all(|word| word.starts_with('-') || *word == "%s" || *word == "'%s'") =>
            {
                self.named(name)
            }
            ["git", "rev-parse", "HEAD"] => Some(vec![Atom::Commit]),
            ["git", "rev-parse", short, "HEAD"] if short.starts_with("--short") => {
                let length = short
                    .strip_prefix("--short=")
                    .and_then(|length| length.parse().ok());
                Some(vec![Atom::Short(length.unwrap_or(7), place.clone())])
            }
            _ => None,
        };
        let Some(mut value) = value else {
            return vec![Atom::Unknown];
        };
        for stage in &stages[1..] {
            value = match &stage[..] {
                ["cut", "-c", range] | ["cut", range] => {
                    let range = range.strip_prefix("-c").unwrap_or(range);
                    let end = range.strip_prefix("1-").or_else(|| range.strip_prefix('-'));
                    match end.and_then(|end| end.parse().ok()) {
                        Some(length) => cut(&value, length, place),
                        None => vec![Atom::Unknown],
                    }
                }
                ["head", "-c", length] | ["head", length] => {
                    let length = length.trim_start_matches("-c").trim_start_matches('-');
                    match length.parse() {
                        Ok(length) => cut(&value, length, place),
                        Err(_) => vec![Atom::Unknown],
                    }
                }
                _ => vec![Atom::Unknown],
            };
        }
        value
    }

    /// `$NAME`, `"${NAME}"`
    fn named(&self, word: &str) -> Option<Vec<Atom>> {
        let name = word
            .trim_matches('"')
            .strip_prefix('$')?
            .trim_start_matches('{')
            .trim_end_matches('}');
        let is_name = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        is_name.then(|| self.variable(name))
    }
}

fn cut(value: &[Atom], length: usize, place: &Range<usize>) -> Vec<Atom> {
    match value {
        [Atom::Commit] if length < 40 => vec![Atom::Short(length, place.clone())],
        [Atom::Commit] => vec![Atom::Commit],
        [Atom::Text(text)] => vec![Atom::Text(text.chars().take(length).collect())],
        _ => vec![Atom::Unknown],
    }
}

fn joined(atoms: Vec<Atom>) -> Vec<Atom> {
    let mut out: Vec<Atom> = Vec::with_capacity(atoms.len());
    for atom in atoms {
        if let (Some(Atom::Text(last)), Atom::Text(text)) = (out.last_mut(), &atom) {
            last.push_str(text);
        } else if atom != Atom::Text(String::new()) {
            out.push(atom);
        }
    }
    out
}

/// The tag of an image reference; none if it has no tag, or a digest.
pub(crate) fn tag(reference: &[Atom]) -> Option<Vec<Atom>> {
    let is_digest = |atom: &Atom| matches!(atom, Atom::Text(text) if text.contains('@'));
    if reference.iter().any(is_digest) {
        return None;
    }
    let last_slash = reference
        .iter()
        .rposition(|atom| matches!(atom, Atom::Text(text) if text.contains('/')))
        .unwrap_or(0);
    for (index, atom) in reference.iter().enumerate().skip(last_slash) {
        let Atom::Text(text) = atom else {
            continue;
        };
        let name = text.rfind('/').map_or(0, |slash| slash + 1);
        if let Some(colon) = text[name..].find(':') {
            let rest = &text[name + colon + 1..];
            let first = (!rest.is_empty()).then(|| Atom::Text(rest.to_owned()));
            return Some(
                first
                    .into_iter()
                    .chain(reference[index + 1..].iter().cloned())
                    .collect(),
            );
        }
    }
    None
}

/// The host of an ECR registry: its account, unless that is a variable, and its region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Registry {
    pub(crate) account: Option<String>,
    pub(crate) region: String,
}

/// The ECR registries that a text names, each with its place.
pub(crate) fn registries(text: &str) -> Vec<(Range<usize>, Registry)> {
    let mut found = Vec::new();
    for (dot, _) in text.match_indices(".dkr.ecr.") {
        let account = text[..dot]
            .chars()
            .rev()
            .take_while(char::is_ascii_digit)
            .count();
        let region_start = dot + ".dkr.ecr.".len();
        let region: String = text[region_start..]
            .chars()
            .take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '-')
            .collect();
        let end = region_start + region.len();
        if is_region(&region) && text[end..].starts_with(".amazonaws.com") {
            let start = if account == 12 { dot - 12 } else { dot + 1 };
            let registry = Registry {
                account: (account == 12).then(|| text[dot - 12..dot].to_owned()),
                region,
            };
            found.push((start..end, registry));
        }
    }
    found
}

/// Whether a text looks like the name of an AWS region, such as `ap-northeast-2`.
pub(crate) fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [area, .., name, number] = parts[..] else {
        return false;
    };
    (3..=4).contains(&parts.len())
        && area.len() == 2
        && area.bytes().all(|byte| byte.is_ascii_lowercase())
        && name.len() >= 4
        && name.bytes().all(|byte| byte.is_ascii_lowercase())
        && number.len() == 1
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

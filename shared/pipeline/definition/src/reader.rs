//! Walks a YAML tree, collecting every mistake with its place instead of stopping at the first.

use std::fmt::Display;
use std::str::FromStr;

use towline_buildspec::yaml::{Node, Span};
use towline_domain::definition::{NotExecuted, Scope};

use super::{DefinitionError, limits};

/// A value in the file, and its name in messages.
#[derive(Debug, Clone)]
pub(super) struct Place<'a> {
    /// The value.
    pub(super) node: &'a Node,
    /// Its path, such as `components.backend.build.tags[0]`.
    pub(super) path: String,
    /// The place of its key; for an item of a list, its own.
    pub(super) key: Span,
}

impl<'a> Place<'a> {
    /// The whole file.
    pub(super) fn root(node: &'a Node) -> Self {
        Self {
            node,
            path: String::new(),
            key: node.span,
        }
    }

    /// The value under a key of this one.
    fn below(&self, key: &'a Node, node: &'a Node) -> Self {
        Self {
            node,
            path: join(&self.path, key.key_text()),
            key: key.span,
        }
    }
}

/// A path with a key added; a key that would make the path unreadable is quoted and shortened.
fn join(path: &str, key: &str) -> String {
    let plain = !key.is_empty()
        && key.len() <= 63
        && key
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'"');
    let key = if plain { key.to_owned() } else { shown(key) };
    if path.is_empty() {
        key
    } else {
        format!("{path}.{key}")
    }
}

/// A text of the file, for a message.
pub(super) fn shown(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        format!("{:?}", format!("{short}…"))
    } else {
        format!("{short:?}")
    }
}

/// A mapping with known keys only.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    /// The mapping itself.
    pub(super) place: Place<'a>,
}

impl<'a> Fields<'a> {
    /// The value of a key, if it is written.
    pub(super) fn get(&self, key: &str) -> Option<Place<'a>> {
        let entries = self.place.node.as_mapping()?;
        let (key, node) = entries.iter().find(|(name, _)| name.key_text() == key)?;
        Some(self.place.below(key, node))
    }
}

/// The mistakes so far, and the features that are not supported.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// The mistakes.
    pub(super) errors: Vec<DefinitionError>,
    /// Valid features that are not supported yet.
    pub(super) not_executed: Vec<NotExecuted>,
    /// Patterns read so far.
    pub(super) patterns: usize,
}

impl Report {
    /// A mistake in a value.
    pub(super) fn error(&mut self, place: &Place<'_>, message: impl Into<String>) {
        self.error_at(place.node.span, &place.path, message);
    }

    /// A mistake at another place, such as a key.
    pub(super) fn error_at(&mut self, span: Span, path: &str, message: impl Into<String>) {
        self.errors.push(DefinitionError {
            line: span.line,
            column: span.column,
            path: path.to_owned(),
            message: message.into(),
        });
    }

    /// A valid feature that is not supported yet.
    pub(super) fn not_executed(&mut self, scope: Scope, place: &Place<'_>) {
        self.not_executed.push(NotExecuted {
            scope,
            path: place.path.clone(),
            line: u32::try_from(place.key.line).unwrap_or(u32::MAX),
        });
    }

    /// A mapping that has only these keys.
    pub(super) fn fields<'a>(&mut self, place: &Place<'a>, known: &[&str]) -> Option<Fields<'a>> {
        let Some(entries) = place.node.as_mapping() else {
            let wanted = if known.len() > 12 {
                "a mapping".to_owned()
            } else {
                format!("a mapping of {}", listed(known))
            };
            self.wrong_kind(place, &wanted);
            return None;
        };
        for (key, _) in entries {
            let name = key.key_text();
            if !known.contains(&name) {
                let message = if self.errors.len() < limits::MISTAKES {
                    unknown("key", name, known)
                } else {
                    String::new() // it will not be listed
                };
                self.error_at(key.span, &place.path, message);
            }
        }
        Some(Fields {
            place: place.clone(),
        })
    }

    /// The value of a required key.
    pub(super) fn required<'a>(
        &mut self,
        fields: &Fields<'a>,
        key: &str,
        hint: &str,
    ) -> Option<Place<'a>> {
        let place = fields.get(key);
        if place.is_none() {
            self.error(&fields.place, format!("`{key}` is missing: {hint}"));
        }
        place
    }

    /// A mapping whose keys the author chooses.
    pub(super) fn entries<'a>(&mut self, place: &Place<'a>) -> Vec<(&'a Node, Place<'a>)> {
        let Some(entries) = place.node.as_mapping() else {
            self.wrong_kind(place, "a mapping");
            return Vec::new();
        };
        entries
            .iter()
            .map(|(key, node)| (key, place.below(key, node)))
            .collect()
    }

    /// A list.
    pub(super) fn items<'a>(&mut self, place: &Place<'a>) -> Vec<Place<'a>> {
        let Some(items) = place.node.as_sequence() else {
            self.wrong_kind(place, "a list");
            return Vec::new();
        };
        items
            .iter()
            .enumerate()
            .map(|(index, node)| Place {
                node,
                path: format!("{}[{index}]", place.path),
                key: node.span,
            })
            .collect()
    }

    /// A list, or a single value as its only item.
    pub(super) fn one_or_more<'a>(&mut self, place: &Place<'a>) -> Vec<Place<'a>> {
        if place.node.as_str().is_some() {
            vec![place.clone()]
        } else {
            self.items(place)
        }
    }

    /// A text that is not empty.
    pub(super) fn text<'a>(&mut self, place: &Place<'a>) -> Option<&'a str> {
        match place.node.as_str() {
            Some("") => {
                self.error(place, "must not be empty");
                None
            }
            Some(text) => Some(text),
            None => {
                self.wrong_kind(place, "text");
                if place.node.as_mapping().is_some()
                    && let Some(error) = self.errors.last_mut()
                {
                    error.message +=
                        "; quote it if it starts with `{` or contains a colon and a space";
                }
                None
            }
        }
    }

    /// A text that is parsed as a name.
    pub(super) fn parsed<T>(&mut self, place: &Place<'_>) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let text = self.text(place)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.error(place, error.to_string());
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, place: &Place<'_>, known: &[(&str, T)]) -> Option<T> {
        let text = self.text(place)?;
        let found = known.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
            self.error(place, unknown("word", text, &words));
        }
        found.map(|(_, value)| *value)
    }

    fn wrong_kind(&mut self, place: &Place<'_>, wanted: &str) {
        let kind = place.node.kind();
        self.error(place, format!("expected {wanted}, found {kind}"));
    }
}

/// Says that a word is unknown, what was probably meant, and which words are known.
pub(super) fn unknown(what: &str, word: &str, known: &[&str]) -> String {
    let there = match known {
        [] => format!("there are no {what}s here"),
        [one] => format!("the only {what} is {one}"),
        _ => format!("the {what}s are {}", listed(known)),
    };
    match did_you_mean(word, known) {
        Some(meant) => format!(
            "unknown {what} {}; did you mean `{meant}`? ({there})",
            shown(word)
        ),
        None => format!("unknown {what} {}; {there}", shown(word)),
    }
}

fn listed(words: &[&str]) -> String {
    words.join(", ")
}

/// The known word that is so close that the other must be a typing error.
fn did_you_mean<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    if word.len() > 40 {
        return None;
    }
    let plain = |word: &str| word.to_lowercase().replace('-', "_");
    known
        .iter()
        .map(|candidate| {
            let distance = strsim::damerau_levenshtein(&plain(word), &plain(candidate));
            (distance, *candidate)
        })
        .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(4))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

//! Turns single nodes into the values of a buildspec.

use super::{PHASES, Reader, TOP_KEYS};
use crate::model::{
    CacheAction, OnFailure, Others, Pairs, Problem, ProblemKind, Raw, Shell, Version,
};
use crate::suggest::did_you_mean;
use crate::yaml::{Node, Value, bool11};

/// Report formats (CodeBuild user guide, buildspec reference, `reports/file-format`); case-insensitive.
const FORMATS: [&str; 10] = [
    "CUCUMBERJSON",
    "JUNITXML",
    "NUNITXML",
    "NUNIT3XML",
    "TESTNGXML",
    "VISUALSTUDIOTRX",
    "CLOVERXML",
    "COBERTURAXML",
    "JACOCOXML",
    "SIMPLECOV",
];

/// `RETRY` alone tries up to three times (CodeBuild user guide, buildspec reference, `on-failure`).
const DEFAULT_RETRIES: u8 = 3;

impl Reader {
    pub(super) fn note(&mut self, kind: ProblemKind, node: &Node, message: impl Into<String>) {
        self.problems.push(Problem {
            kind,
            message: message.into(),
            span: node.span,
            range: node.range.clone(),
        });
    }

    pub(super) fn version(&mut self, node: &Node) -> Version {
        match node.key_text() {
            "0.1" => Version::V0_1,
            "0.2" => Version::V0_2,
            _ => {
                let message = "the version of a buildspec is `0.2` (or the older `0.1`)";
                self.note(ProblemKind::Wrong, node, message);
                Version::V0_2
            }
        }
    }

    pub(super) fn shell(&mut self, node: &Node) -> Option<Shell> {
        let name = self.optional_text(node, "`shell`")?;
        match name.as_str() {
            "bash" | "/bin/bash" => Some(Shell::Bash),
            "sh" | "/bin/sh" => Some(Shell::Sh),
            "powershell.exe" => Some(Shell::PowerShell),
            "cmd.exe" => Some(Shell::Cmd),
            _ => {
                let message = format!(
                    "`{name}` is not a shell that CodeBuild supports: use `bash`, `/bin/sh`, `powershell.exe` or `cmd.exe`"
                );
                self.note(ProblemKind::Wrong, node, message);
                None
            }
        }
    }

    pub(super) fn on_failure(&mut self, node: &Node) -> Option<OnFailure> {
        let text = self.optional_text(node, "`on-failure`")?;
        let read = match text.as_str() {
            "ABORT" => Some(OnFailure::Abort),
            "CONTINUE" => Some(OnFailure::Continue),
            "RETRY" => Some(OnFailure::Retry {
                count: DEFAULT_RETRIES,
                regex: None,
            }),
            _ => text.strip_prefix("RETRY-").and_then(read_retry),
        };
        if read.is_none() {
            let message = "`on-failure` is ABORT, CONTINUE, RETRY, RETRY-<0 to 100>, RETRY-<regex> or RETRY-<0 to 100>-<regex>";
            self.note(ProblemKind::Wrong, node, message);
        }
        read
    }

    pub(super) fn cache_action(&mut self, node: &Node) -> Option<CacheAction> {
        let text = self.optional_text(node, "`action`")?;
        match text.as_str() {
            "restore" => Some(CacheAction::Restore),
            "save" => Some(CacheAction::Save),
            _ => {
                let message =
                    format!("the `action` of a cache is `restore` or `save`, not `{text}`");
                self.note(ProblemKind::Wrong, node, message);
                None
            }
        }
    }

    /// The entries of a mapping; null counts as empty.
    pub(super) fn entries<'a>(&mut self, node: &'a Node, place: &str) -> &'a [(Node, Node)] {
        self.entries_or_none(node, place).unwrap_or_default()
    }

    /// The entries of a mapping; none for null or another kind.
    pub(super) fn entries_or_none<'a>(
        &mut self,
        node: &'a Node,
        place: &str,
    ) -> Option<&'a [(Node, Node)]> {
        if node.as_mapping().is_none() && !node.is_null() {
            let message = format!(
                "{place} is a mapping of keys and values, this is {}",
                node.kind()
            );
            self.note(ProblemKind::Wrong, node, message);
        }
        node.as_mapping()
    }

    /// The items of a list; null counts as empty.
    pub(super) fn list<'a>(&mut self, node: &'a Node, place: &str) -> &'a [Node] {
        if node.as_sequence().is_none() && !node.is_null() {
            let message = format!("{place} is a list, this is {}", node.kind());
            self.note(ProblemKind::Wrong, node, message);
        }
        node.as_sequence().unwrap_or_default()
    }

    pub(super) fn text(&mut self, node: &Node, place: &str) -> String {
        match &node.value {
            Value::Scalar { .. } if node.is_null() => String::new(),
            Value::Scalar { text, .. } => text.clone(),
            Value::Sequence(_) | Value::Mapping(_) => {
                let message = format!("{place} takes text, this is {}", node.kind());
                self.note(ProblemKind::Wrong, node, message);
                String::new()
            }
        }
    }

    pub(super) fn optional_text(&mut self, node: &Node, place: &str) -> Option<String> {
        (!node.is_null()).then(|| self.text(node, place))
    }

    /// A list of texts, or one text where CodeBuild expects a list.
    pub(super) fn texts(&mut self, node: &Node, place: &str) -> Vec<String> {
        if matches!(node.value, Value::Scalar { .. }) {
            let message = format!(
                "{place} is {}, not a list: write `- ` before each entry",
                node.kind()
            );
            self.note(ProblemKind::Lenient, node, message);
        }
        self.texts_quietly(node, place)
    }

    /// A list of texts, or one text.
    pub(super) fn texts_quietly(&mut self, node: &Node, place: &str) -> Vec<String> {
        items(node)
            .iter()
            .map(|item| self.text(item, place))
            .collect()
    }

    pub(super) fn pairs(&mut self, node: &Node, place: &str) -> Pairs {
        let mut read = Pairs::new();
        self.add_pairs(&mut read, node, place);
        read
    }

    pub(super) fn add_pairs(&mut self, read: &mut Pairs, node: &Node, place: &str) {
        for (key, value) in self.entries(node, place) {
            let name = key.key_text();
            if self.refuse_merge(key) {
                continue;
            }
            if read.iter().any(|(known, _)| known == name) {
                let message = format!("the variable `{name}` is set twice: keep one of them");
                self.note(ProblemKind::Wrong, key, message);
                continue;
            }
            let value = self.text(value, &format!("`{name}`"));
            read.push((name.to_owned(), value));
        }
    }

    pub(super) fn switch(&mut self, node: &Node, place: &str) -> Option<bool> {
        let text = self.optional_text(node, place)?;
        let read = bool11(&text);
        if read.is_none() {
            let message = format!("{place} is `yes` or `no`, not `{text}`");
            self.note(ProblemKind::Wrong, node, message);
        }
        read
    }

    pub(super) fn unknown_section(&mut self, key: &Node, value: &Node, other: &mut Others) {
        self.keep_unknown(
            ProblemKind::UnknownSection,
            key,
            value,
            "the buildspec",
            TOP_KEYS,
            other,
        );
    }

    pub(super) fn unknown_phase(&mut self, key: &Node, value: &Node, other: &mut Others) {
        self.keep_unknown(
            ProblemKind::UnknownPhase,
            key,
            value,
            "`phases`",
            PHASES,
            other,
        );
    }

    pub(super) fn unknown(
        &mut self,
        key: &Node,
        value: &Node,
        place: &str,
        known: &[&str],
        other: &mut Others,
    ) {
        self.keep_unknown(ProblemKind::UnknownKey, key, value, place, known, other);
    }

    fn keep_unknown(
        &mut self,
        kind: ProblemKind,
        key: &Node,
        value: &Node,
        place: &str,
        known: &[&str],
        other: &mut Others,
    ) {
        if self.refuse_merge(key) {
            return;
        }
        let name = key.key_text();
        let suggestion = did_you_mean(name, known)
            .map_or(String::new(), |meant| format!(", did you mean `{meant}`?"));
        self.note(
            kind,
            key,
            format!("{place} has no key `{name}`{suggestion}"),
        );
        other.push((name.to_owned(), raw(value)));
    }

    fn refuse_merge(&mut self, key: &Node) -> bool {
        // Quoted, it is a name like any other.
        let is_merge = matches!(&key.value, Value::Scalar { text, quoted: false } if text == "<<");
        if is_merge {
            let message = "merge keys (`<<`) are not supported, and what they add would be lost: write the keys out";
            self.note(ProblemKind::Wrong, key, message);
        }
        is_merge
    }
}

pub(super) fn is_known_format(format: &str) -> bool {
    FORMATS
        .iter()
        .any(|known| known.eq_ignore_ascii_case(format))
}

fn read_retry(rest: &str) -> Option<OnFailure> {
    let digits = rest.len()
        - rest
            .trim_start_matches(|character: char| character.is_ascii_digit())
            .len();
    let (number, tail) = rest.split_at(digits);
    let count = || number.parse().ok().filter(|count| *count <= 100);
    match (number, tail) {
        ("", "") => None,
        (_, "") => Some(OnFailure::Retry {
            count: count()?,
            regex: None,
        }),
        (_, tail) if digits > 0 && tail.starts_with('-') => {
            let regex = Some(tail[1..].to_owned()).filter(|regex| !regex.is_empty())?;
            Some(OnFailure::Retry {
                count: count()?,
                regex: Some(regex),
            })
        }
        _ => Some(OnFailure::Retry {
            count: DEFAULT_RETRIES,
            regex: Some(rest.to_owned()),
        }),
    }
}

/// The items of a list; a single value counts as a list of one, null as an empty list.
pub(super) fn items(node: &Node) -> &[Node] {
    match node.as_sequence() {
        Some(items) => items,
        None if node.is_null() => &[],
        None => std::slice::from_ref(node),
    }
}

fn raw(node: &Node) -> Raw {
    match &node.value {
        Value::Scalar { .. } if node.is_null() => Raw::Bare("null".to_owned()),
        Value::Scalar {
            text,
            quoted: false,
        } if prints_bare(text) => Raw::Bare(text.clone()),
        Value::Scalar { text, .. } => Raw::Text(text.clone()),
        Value::Sequence(items) => Raw::List(items.iter().map(raw).collect()),
        Value::Mapping(entries) => Raw::Map(
            entries
                .iter()
                .map(|(key, value)| (key.key_text().to_owned(), raw(value)))
                .collect(),
        ),
    }
}

/// Whether a plain scalar of these characters has the same meaning everywhere.
fn prints_bare(text: &str) -> bool {
    let body = text.strip_prefix('-').unwrap_or(text);
    body.starts_with(|first: char| first.is_ascii_alphanumeric())
        && body.chars().all(|character| {
            character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | '/' | '-')
        })
}

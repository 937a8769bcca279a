//! Turns single nodes into the values of a buildspec.

use super::ReadError;
use crate::model::{OnFailure, Pairs, Raw, Shell, Version};
use crate::yaml::{Node, Value, YamlError, bool11};

pub(super) fn read_version(node: &Node) -> Result<Version, ReadError> {
    match node.key_text() {
        "0.1" => Ok(Version::V0_1),
        "0.2" => Ok(Version::V0_2),
        _ => refuse(
            node,
            "the version of a buildspec is `0.2` (or the older `0.1`)",
        ),
    }
}

pub(super) fn read_shell(node: &Node) -> Result<Option<Shell>, ReadError> {
    let Some(name) = optional_text(node, "`shell`")? else {
        return Ok(None);
    };
    match name.as_str() {
        "bash" | "/bin/bash" => Ok(Some(Shell::Bash)),
        "sh" | "/bin/sh" => Ok(Some(Shell::Sh)),
        "powershell.exe" => Ok(Some(Shell::PowerShell)),
        "cmd.exe" => Ok(Some(Shell::Cmd)),
        _ => refuse(
            node,
            format!(
                "`{name}` is no shell CodeBuild knows: use `bash`, `/bin/sh`, `powershell.exe` or `cmd.exe`"
            ),
        ),
    }
}

pub(super) fn read_on_failure(node: &Node) -> Result<Option<OnFailure>, ReadError> {
    let Some(text) = optional_text(node, "`on-failure`")? else {
        return Ok(None);
    };
    match text.as_str() {
        "ABORT" => Ok(Some(OnFailure::Abort)),
        "CONTINUE" => Ok(Some(OnFailure::Continue)),
        "RETRY" => Ok(Some(OnFailure::Retry {
            count: DEFAULT_RETRIES,
            regex: None,
        })),
        _ => match text.strip_prefix("RETRY-").and_then(read_retry) {
            Some(retry) => Ok(Some(retry)),
            None => refuse(
                node,
                "`on-failure` is ABORT, CONTINUE, RETRY, RETRY-<0 to 100>, RETRY-<regex> or RETRY-<0 to 100>-<regex>",
            ),
        },
    }
}

/// `RETRY` alone tries up to three times (CodeBuild user guide, buildspec reference, `on-failure`).
const DEFAULT_RETRIES: u8 = 3;

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

pub(super) fn entries<'a>(node: &'a Node, place: &str) -> Result<&'a [(Node, Node)], ReadError> {
    match node.as_mapping() {
        Some(entries) => Ok(entries),
        None if node.is_null() => Ok(&[]),
        None => refuse(
            node,
            format!(
                "{place} is a mapping of keys and values, this is {}",
                node.kind()
            ),
        ),
    }
}

/// The items of a list; a lone value counts as a list of one, nothing as an empty list.
pub(super) fn items(node: &Node) -> &[Node] {
    match node.as_sequence() {
        Some(items) => items,
        None if node.is_null() => &[],
        None => std::slice::from_ref(node),
    }
}

pub(super) fn text(node: &Node, place: &str) -> Result<String, ReadError> {
    match &node.value {
        Value::Scalar { .. } if node.is_null() => Ok(String::new()),
        Value::Scalar { text, .. } => Ok(text.clone()),
        Value::Sequence(_) | Value::Mapping(_) => {
            refuse(node, format!("{place} takes text, this is {}", node.kind()))
        }
    }
}

pub(super) fn optional_text(node: &Node, place: &str) -> Result<Option<String>, ReadError> {
    if node.is_null() {
        Ok(None)
    } else {
        text(node, place).map(Some)
    }
}

pub(super) fn texts(node: &Node, place: &str) -> Result<Vec<String>, ReadError> {
    items(node).iter().map(|item| text(item, place)).collect()
}

pub(super) fn pairs(node: &Node, place: &str) -> Result<Pairs, ReadError> {
    let mut read = Pairs::new();
    add_pairs(&mut read, node, place)?;
    Ok(read)
}

pub(super) fn add_pairs(read: &mut Pairs, node: &Node, place: &str) -> Result<(), ReadError> {
    for (key, value) in entries(node, place)? {
        let name = key.key_text();
        if name == "<<" {
            return refuse(
                key,
                "merge keys (`<<`) are not read, what they bring would be lost: write the keys out",
            );
        }
        if read.iter().any(|(known, _)| known == name) {
            return refuse(
                key,
                format!("the variable `{name}` is set twice: keep one of them"),
            );
        }
        read.push((name.to_owned(), text(value, &format!("`{name}`"))?));
    }
    Ok(())
}

pub(super) fn switch(node: &Node, place: &str) -> Result<Option<bool>, ReadError> {
    let Some(text) = optional_text(node, place)? else {
        return Ok(None);
    };
    match bool11(&text) {
        Some(value) => Ok(Some(value)),
        None => refuse(node, format!("{place} is `yes` or `no`, not `{text}`")),
    }
}

pub(super) fn raw(node: &Node) -> Raw {
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

/// Whether a plain scalar of these characters reads the same wherever it stands.
fn prints_bare(text: &str) -> bool {
    let body = text.strip_prefix('-').unwrap_or(text);
    body.starts_with(|first: char| first.is_ascii_alphanumeric())
        && body.chars().all(|character| {
            character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | '/' | '-')
        })
}

pub(super) fn refuse<T>(node: &Node, message: impl Into<String>) -> Result<T, ReadError> {
    Err(YamlError::new(node.span, message).into())
}

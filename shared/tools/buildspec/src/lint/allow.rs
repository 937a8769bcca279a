//! Comments that allow findings: `# towline: allow W031 because ...`.

use std::ops::Range;

use super::source::Source;
use super::{Code, Finding};

/// A comment that allows findings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Allow {
    /// The place of the comment.
    pub(super) range: Range<usize>,
    /// The codes, or what is wrong with the comment.
    pub(super) codes: Result<Vec<Code>, BadAllow>,
    pub(super) reason: String,
    /// The bytes for which it allows them.
    scope: Range<usize>,
}

/// What is wrong with a comment that should allow findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadAllow {
    #[error("it gives no reason")]
    NoReason,
    #[error("it names no code")]
    NoCode,
    #[error("it names an unknown code")]
    UnknownCode,
    #[error("it names a code that cannot be allowed")]
    NotAllowed,
}

const MARK: &str = "# towline: allow";

impl Allow {
    /// Whether it allows a finding of the same file.
    pub(super) fn covers(&self, finding: &Finding) -> bool {
        let is_inside =
            self.scope.start <= finding.range.start && finding.range.start < self.scope.end.max(1);
        is_inside
            && self
                .codes
                .as_ref()
                .is_ok_and(|codes| codes.contains(&finding.code))
    }
}

/// The comments of a file. `node_end` returns where the value that begins on a line ends.
pub(super) fn read(source: &Source, node_end: &dyn Fn(usize) -> Option<usize>) -> Vec<Allow> {
    let mut allows = Vec::new();
    let mut has_content = false;
    let lines = source.text.lines().count();
    for line in 1..=lines {
        let bytes = source.line(line);
        let text = &source.text[bytes.clone()];
        let is_comment = text.trim_start().starts_with('#');
        if let Some(start) = comment(text) {
            let rest = text[start + MARK.len()..].trim();
            let (codes, reason) = rest.split_once(" because ").unwrap_or((rest, ""));
            let target = if is_comment {
                (line + 1..=lines).find(|next| {
                    let text = source.text[source.line(*next)].trim();
                    !text.is_empty() && !text.starts_with('#')
                })
            } else {
                Some(line)
            };
            let scope = match target {
                _ if is_comment && !has_content => 0..source.text.len(),
                Some(target) => {
                    let line = source.line(target);
                    let end = node_end(target).unwrap_or(line.end).max(line.end);
                    line.start..end + 1
                }
                None => bytes.clone(),
            };
            allows.push(Allow {
                range: bytes.start + start..bytes.end,
                codes: parse(codes, reason),
                reason: reason.trim().to_owned(),
                scope,
            });
        }
        has_content |= !is_comment && !text.trim().is_empty();
    }
    allows
}

fn comment(line: &str) -> Option<usize> {
    let start = line.find(MARK)?;
    let before = &line[..start];
    (before.is_empty() || before.ends_with([' ', '\t'])).then_some(start)
}

fn parse(codes: &str, reason: &str) -> Result<Vec<Code>, BadAllow> {
    if reason.trim().is_empty() {
        return Err(BadAllow::NoReason);
    }
    let codes: Option<Vec<Code>> = codes
        .split([',', ' '])
        .filter(|word| !word.is_empty())
        .map(Code::parse)
        .collect();
    match codes {
        Some(codes) if codes.iter().any(|code| !code.can_be_allowed()) => Err(BadAllow::NotAllowed),
        Some(codes) if !codes.is_empty() => Ok(codes),
        Some(_) => Err(BadAllow::NoCode),
        None => Err(BadAllow::UnknownCode),
    }
}

//! The possible meanings of a reference.

use towline_state::keys::PREFIX_DIGITS;

use crate::Refusal;

/// A possible meaning of a reference.
pub(super) enum Reference<'a> {
    Build(u64),
    Digest(&'a str),
    Tag(&'a str),
    CommitOrTag(&'a str),
}

pub(super) fn reference(text: &str) -> Result<Reference<'_>, Refusal> {
    if let Some(number) = text
        .strip_prefix("build#")
        .or_else(|| text.strip_prefix('#'))
    {
        return match number.parse() {
            Ok(number) => Ok(Reference::Build(number)),
            Err(_) => Err(Refusal::NotABuild(text.into())),
        };
    }
    if let Some(hex) = text.strip_prefix("sha256:") {
        let good = (PREFIX_DIGITS..=64).contains(&hex.len()) && is_hex(hex);
        return match good {
            true => Ok(Reference::Digest(hex)),
            false => Err(Refusal::NotADigest(text.into())),
        };
    }
    if let Some(tag) = text.strip_prefix(':') {
        return Ok(Reference::Tag(tag));
    }
    Ok(if is_commit_prefix(text) {
        Reference::CommitOrTag(text)
    } else {
        Reference::Tag(text)
    })
}

fn is_hex(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

pub(super) fn is_commit_prefix(text: &str) -> bool {
    (PREFIX_DIGITS..=64).contains(&text.len()) && is_hex(text)
}

//! The names things go by in a registry, checked where they come in.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// Why a text is not a name. The message says what would be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a repository name.
    #[error(
        "{} is not a repository name: use 2 to 256 characters, lower-case letters and digits, joined by \".\", \"_\", \"__\", \"-\" or \"/\"",
        shown(.0)
    )]
    Repository(String),
    /// Not a tag.
    #[error(
        "{} is not a tag: use 1 to 128 letters, digits, \"_\", \".\" or \"-\", starting with a letter, a digit or \"_\"",
        shown(.0)
    )]
    Tag(String),
    /// Not a digest this registry knows.
    #[error("{} is not a digest: use \"sha256:\" and 64 lower-case hex digits", shown(.0))]
    Digest(String),
}

/// Quotes what a stranger sent, cut short, so that it is safe to show.
fn shown(text: &str) -> String {
    let cut: String = text.chars().take(80).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    format!("{cut:?}{more}")
}

macro_rules! text_name {
    ($name:ident) => {
        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// A repository's name, such as `team/backend`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepositoryName(String);

text_name!(RepositoryName);

impl FromStr for RepositoryName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let long_enough = (2..=256).contains(&text.len());
        if long_enough && text.split('/').all(is_path_component) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::Repository(text.to_owned()))
        }
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    is_word(first)
        && is_word(last)
        && bytes
            .split(|&byte| is_word(byte))
            .all(|between| matches!(between, b"" | b"." | b"_" | b"__") || all_dashes(between))
}

fn all_dashes(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == b'-')
}

/// A tag: a name that can be moved from image to image.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

text_name!(Tag);

impl FromStr for Tag {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let starts_well = text.bytes().next().is_some_and(is_word);
        let goes_on_well = text
            .bytes()
            .all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'));
        if starts_well && goes_on_well && text.len() <= 128 {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::Tag(text.to_owned()))
        }
    }
}

/// The name content has by itself: `sha256:` and 64 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(String);

text_name!(Digest);

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::finish(Sha256::new_with_prefix(bytes))
    }

    pub(crate) fn finish(hasher: Sha256) -> Self {
        Self(format!("sha256:{}", hex::encode(hasher.finalize())))
    }

    /// The 64 hex digits.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }
}

impl FromStr for Digest {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        match text.strip_prefix("sha256:") {
            Some(hex) if hex.len() == 64 && hex.bytes().all(is_hex) => Ok(Self(text.to_owned())),
            _ => Err(NameError::Digest(text.to_owned())),
        }
    }
}

/// How a manifest is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference {
    /// Whatever the tag points at now.
    Tag(Tag),
    /// Exactly this content.
    Digest(Digest),
}

impl FromStr for Reference {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        // A tag never holds a colon and a digest always does.
        if text.contains(':') {
            text.parse().map(Self::Digest)
        } else {
            text.parse().map(Self::Tag)
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: FromStr>(good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(text.parse::<T>().is_ok(), "{text:?} is refused");
        }
        for text in bad {
            assert!(text.parse::<T>().is_err(), "{text:?} is taken");
        }
    }

    #[test]
    fn a_repository_name_has_only_what_the_specification_lists() {
        check::<RepositoryName>(
            &[
                "ab",
                "team/backend",
                "a.b_c__d-e---f",
                "0/1/2",
                &"a".repeat(256),
                "blobs/uploads",
            ],
            &[
                "",
                "a",
                "A/b",
                "../x",
                "x/../y",
                "a//b",
                "/a",
                "a/",
                "a..b",
                "a___b",
                "a._b",
                "-a",
                "a-",
                "a b",
                "%2e%2e",
                "a\0b",
                "é1",
                "a:b",
                "a\\b",
                &"a".repeat(257),
                "_catalog",
            ],
        );
    }

    #[test]
    fn a_tag_has_only_what_the_specification_lists() {
        check::<Tag>(
            &["a", "_", "V1.0-rc_2", &"t".repeat(128)],
            &[
                "",
                ".a",
                "-a",
                "a/b",
                "a:b",
                "a b",
                "é",
                "..",
                "a\n",
                &"t".repeat(129),
            ],
        );
    }

    #[test]
    fn a_digest_is_sha256_in_lower_case() {
        let good = Digest::of(b"hello");
        check::<Digest>(
            &[good.as_str()],
            &[
                "",
                "sha256:",
                "sha512:00",
                good.hex(),
                &good.as_str().to_uppercase(),
                &format!("{good}0"),
                &good.as_str()[..70],
            ],
        );
    }
}

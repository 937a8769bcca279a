//! The names of images, each checked once when it enters; afterwards its type is the proof.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// Why a text is not a valid name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct NameError {
    text: String,
    expected: &'static str,
}

impl NameError {
    /// With the expected form instead of `text`, which is shortened: it may be a stranger's.
    #[must_use]
    pub fn new(text: &str, expected: &'static str) -> Self {
        let text = text.chars().take(80).collect();
        Self { text, expected }
    }
}

/// Declares a newtype over a shared text that only its check can create, with the traits of a name.
/// Names are copied far more often than they are read.
///
/// A crate that uses this needs `serde`.
#[macro_export]
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// The text as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::NameError;
            fn from_str(text: &str) -> Result<Self, $crate::NameError> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(Self(text.into()))
                } else {
                    Err($crate::NameError::new(text, $expected))
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::NameError;
            fn try_from(text: String) -> Result<Self, $crate::NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.as_str().to_owned()
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;

                impl serde::de::Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        to.write_str("a string")
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }

                deserializer.deserialize_str(Text)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.pad(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&self.0, formatter)
            }
        }
    };
}

name!(
    /// An image's identity: `sha256:` and 64 lower-case hexadecimal digits.
    Digest,
    "an image digest such as sha256: and 64 hexadecimal digits",
    |text| {
        text.strip_prefix("sha256:").is_some_and(|hex| {
            hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        })
    }
);

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::finish(Sha256::new_with_prefix(bytes))
    }

    /// The digest from a hasher.
    #[must_use]
    pub fn finish(hasher: Sha256) -> Self {
        Self(format!("sha256:{}", hex::encode(hasher.finalize())).into())
    }

    /// The 64 hexadecimal digits without the algorithm.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }

    /// `sha256:` and the first eight digits, for people to read.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[.."sha256:".len() + 8]
    }
}

name!(
    /// An image tag that every client accepts: `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`
    /// (OCI distribution specification, "Pulling manifests").
    Tag,
    "an image tag: 1 to 128 of A-Z, a-z, 0-9, '_', '.' and '-', not starting with '.' or '-'",
    |text| {
        (1..=128).contains(&text.len())
            && !text.starts_with(['.', '-'])
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    }
);

name!(
    /// The name of an image repository, such as `shop/api`: 2 to 256 characters, path parts of
    /// lower-case letters and digits joined by `.`, `_`, `__` or dashes (ECR API, `repositoryName`;
    /// the OCI's rule differs only in length).
    ImageRepository,
    "an image repository: lower-case letters and digits, parts joined by / . _ or -",
    |text| (2..=256).contains(&text.len()) && text.split('/').all(is_path_component)
);

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(part: &str) -> bool {
    let alphanumeric = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9');
    let bytes = part.as_bytes();
    let ends_well = |byte: Option<&u8>| byte.is_some_and(|byte| alphanumeric(*byte));
    if !ends_well(bytes.first()) || !ends_well(bytes.last()) {
        return false;
    }
    bytes.split(|byte| alphanumeric(*byte)).all(|separator| {
        matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|byte| *byte == b'-')
    })
}

/// A reference to an image.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference {
    /// The current image of a tag.
    Tag(Tag),
    /// Exactly this content.
    Digest(Digest),
}

impl FromStr for Reference {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        // A tag never contains a colon, and a digest always does.
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
            assert!(text.parse::<T>().is_ok(), "{text:?} must be accepted");
        }
        for text in bad {
            assert!(text.parse::<T>().is_err(), "{text:?} must be refused");
        }
    }

    #[test]
    fn a_repository_has_only_what_the_specification_lists() {
        let (long, too_long) = ("a".repeat(256), "a".repeat(257));
        check::<ImageRepository>(
            &[
                "ab",
                "team/backend",
                "a.b_c__d-e---f",
                "0/1/2",
                "docker-in-aws/todobackend",
                &long,
            ],
            &[
                "", "a", "A/b", "a//b", "/ab", "ab/", "a..b", "a._b", "-ab", "ab-", "a___b", "a:b",
                "a b", "a/../b", "../a", "ä/b", &too_long,
            ],
        );
    }

    #[test]
    fn a_tag_is_what_the_specification_says() {
        let (long, too_long) = ("x".repeat(128), "x".repeat(129));
        check::<Tag>(
            &["v1", "latest", "_x", "1.2.3-rc.1", "A", &long],
            &["", ".x", "-x", "a b", "a/b", "a:b", "é", "a\n", &too_long],
        );
    }

    #[test]
    fn a_digest_is_sha256_in_lower_case() {
        let good = Digest::of(b"hello");
        assert_eq!(
            good.as_str(),
            "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
        );
        assert_eq!(good.short(), "sha256:2cf24dba");
        let text = good.as_str();
        check::<Digest>(
            &[text],
            &[
                "",
                "sha256:",
                good.hex(),
                &format!("sha512:{}", good.hex()),
                &text.to_uppercase(),
                &text[..70],
            ],
        );
    }

    #[test]
    fn a_reference_with_a_colon_is_a_digest() {
        let digest = Digest::of(b"hello");
        assert_eq!(
            digest.as_str().parse(),
            Ok(Reference::Digest(digest.clone()))
        );
        let tag = "v1".parse().expect("a tag");
        assert_eq!("v1".parse(), Ok(Reference::Tag(tag)));
        check::<Reference>(&[], &["", "a:b", "sha256:1", "a/b"]);
    }

    #[test]
    fn what_is_refused_is_shown_quoted_and_cut_short() {
        let text = format!("\u{1b}[31m{}", "x".repeat(100));
        let error = text.parse::<Tag>().expect_err("it is not a tag");
        let shown = error.to_string();
        assert!(shown.starts_with(r#""\u{1b}[31mxxx"#), "{shown}");
        assert!(!shown.contains(&"x".repeat(80)), "{shown}");
    }
}

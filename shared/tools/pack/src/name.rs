//! The names a registry knows images by, each checked once, when it is parsed.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::error::Refusal;

/// A SHA-256 digest in the form `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(String);

/// A tag: 1 to 128 of letters, digits, `_`, `.` and `-`, the first a letter, digit or `_`
/// (OCI distribution specification, "Pulling manifests").
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(String);

/// The name of a repository, such as `shop/api`: lower-case parts joined by `/`, at most 255
/// characters (OCI distribution specification, "Pulling manifests").
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository(String);

/// A registry's host name or address, with its port where it is not the usual one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(String);

impl Digest {
    /// The digest of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::finish(Sha256::new_with_prefix(bytes))
    }

    /// The digest of what went through a hasher.
    pub(crate) fn finish(hasher: Sha256) -> Self {
        Self(format!("sha256:{}", hex::encode(hasher.finalize())))
    }

    /// The hexadecimal digits, without the name of the algorithm.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }
}

impl FromStr for Digest {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let is_digest = text.strip_prefix("sha256:").is_some_and(|hex| {
            hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        });
        if !is_digest {
            let rule = "is not `sha256:` followed by 64 lower-case hexadecimal digits";
            return Err(Refusal::value("the digest", text, rule));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for Tag {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let mut bytes = text.bytes();
        let starts_well = bytes
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
        let goes_on_well =
            bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
        if !starts_well || !goes_on_well || text.len() > 128 {
            let rule = "is not valid: use 1 to 128 letters, digits, `_`, `.` and `-`, \
                        and do not begin with `.` or `-`";
            return Err(Refusal::value("the tag", text, rule));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for Repository {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        if text.len() > 255 || !text.split('/').all(is_repository_part) {
            let rule = "is not valid: use lower-case letters and digits, joined by `/`, `-`, `.`, \
                        `_` or `__`, at most 255 characters, without host and tag";
            return Err(Refusal::value("the repository", text, rule));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for Host {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let (name, port) = split_port(text);
        let is_address = name.parse::<IpAddr>().is_ok();
        let is_name = !name.is_empty()
            && name.split('.').all(|label| {
                !label.is_empty()
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            });
        let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        if !(is_address || is_name) || !is_port {
            let rule = "is not HOST or HOST:PORT, without `https://` and path";
            return Err(Refusal::value("the registry", text, rule));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Host {
    /// Whether this is the machine itself, by name (`localhost`) or address.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let (name, _) = split_port(&self.0);
        name.eq_ignore_ascii_case("localhost")
            || name
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }
}

/// Splits `HOST:PORT`, where an IPv6 address stands in brackets.
fn split_port(text: &str) -> (&str, Option<&str>) {
    if let Some((address, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        return match rest.strip_prefix(':') {
            Some(port) => (address, Some(port)),
            None if rest.is_empty() => (address, None),
            None => ("", None),
        };
    }
    match text.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (text, None),
    }
}

/// Whether this is runs of letters and digits, joined by `.`, `_`, `__` or any number of `-`.
fn is_repository_part(part: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let edges_are_words =
        part.bytes().next().is_some_and(is_word) && part.bytes().next_back().is_some_and(is_word);
    edges_are_words
        && part
            .split(|c: char| c.is_ascii() && is_word(c as u8))
            .all(|joint| matches!(joint, "" | "." | "_" | "__") || joint.bytes().all(|b| b == b'-'))
}

macro_rules! text_of {
    ($($name:ident),*) => {$(
        impl $name {
            /// The text as it was given.
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
    )*};
}

text_of!(Digest, Tag, Repository, Host);

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: FromStr>(accepted: &[&str], refused: &[&str]) {
        for text in accepted {
            assert!(text.parse::<T>().is_ok(), "{text:?} must be accepted");
        }
        for text in refused {
            assert!(text.parse::<T>().is_err(), "{text:?} must be refused");
        }
    }

    #[test]
    fn a_tag_is_what_the_distribution_specification_says() {
        let longest = "a".repeat(128);
        let too_long = "a".repeat(129);
        check::<Tag>(
            &["latest", "_x", "1.2.3-rc.1", "A", &longest],
            &["", ".x", "-x", "a b", "a/b", "a:b", "ü", "a\n", &too_long],
        );
    }

    #[test]
    fn a_repository_is_what_the_distribution_specification_says() {
        let too_long = "a".repeat(256);
        check::<Repository>(
            &["api", "shop/api", "a.b_c__d---e/f0", "0"],
            &[
                "", "Shop", "a//b", "/a", "a/", "a..b", "a___b", "a._b", "-a", "a-", "a:b", "a b",
                "../a", "ä", &too_long,
            ],
        );
    }

    #[test]
    fn a_digest_is_sha256_in_lower_case() {
        let good = Digest::of(b"").to_string();
        check::<Digest>(
            &[&good],
            &[
                "",
                "sha256:",
                "sha512:00",
                &good.to_uppercase(),
                &good[..70],
            ],
        );
    }

    #[test]
    fn a_host_has_no_scheme_and_no_path() {
        check::<Host>(
            &[
                "localhost",
                "127.0.0.1:5000",
                "registry.example",
                "[::1]:5000",
                "a-b.example:443",
            ],
            &[
                "",
                "https://a",
                "a/b",
                "a:b",
                "a:0",
                "a:70000",
                "a b",
                "a@b",
                "-a",
                "a..b",
                "::1x:1",
            ],
        );
    }

    #[test]
    fn only_the_machine_itself_is_loopback() {
        let is_loopback = |text: &str| text.parse::<Host>().is_ok_and(|host| host.is_loopback());
        for text in [
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1:5000",
            "127.9.9.9",
            "[::1]:5000",
        ] {
            assert!(is_loopback(text), "{text}");
        }
        for text in [
            "localhost.example",
            "127.0.0.1.example",
            "10.0.0.1",
            "[2001:db8::1]:5000",
        ] {
            assert!(!is_loopback(text), "{text}");
        }
    }
}

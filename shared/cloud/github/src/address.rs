//! Paths of GitHub's API, from constants and percent-encoded segments only (A24).

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use towline_domain::names::{CommitSha, RepositoryName};

/// Everything except RFC 3986's unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A path below the base of the API, with its query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path(String);

impl Path {
    /// A path that is known beforehand, such as `/app`.
    pub(crate) fn new(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    /// A repository by name. Its type guarantees that owner and name need no encoding and are neither
    /// `.` nor `..`.
    pub(crate) fn repository(name: &RepositoryName) -> Self {
        Self(format!("/repos/{name}"))
    }

    pub(crate) fn then(mut self, text: &'static str) -> Self {
        self.0 += text;
        self
    }

    pub(crate) fn number(mut self, number: u64) -> Self {
        self.0 += &format!("/{number}");
        self
    }

    /// Adds a number to what is there.
    pub(crate) fn digits(mut self, number: u64) -> Self {
        self.0 += &number.to_string();
        self
    }

    /// Adds the id of a commit or another object; its type guarantees hexadecimal digits.
    pub(crate) fn id(mut self, sha: &CommitSha) -> Self {
        self.0 += &format!("/{sha}");
        self
    }

    /// Adds any text as part of a segment or value.
    pub(crate) fn word(mut self, text: &str) -> Self {
        self.0.extend(utf8_percent_encode(text, ENCODED));
        self
    }

    /// Adds a comparison of two commits.
    pub(crate) fn between(mut self, base: &CommitSha, head: &CommitSha) -> Self {
        self.0 += &format!("/{base}...{head}");
        self
    }

    /// Adds any text as segments, separated at its slashes; none if a segment is empty, `.` or `..`,
    /// which would lead elsewhere in any encoding.
    pub(crate) fn segments(mut self, text: &str) -> Option<Self> {
        for segment in text.split('/') {
            if matches!(segment, "" | "." | "..") {
                return None;
            }
            self.0.push('/');
            self.0.extend(utf8_percent_encode(segment, ENCODED));
        }
        Some(self)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use hyper::Uri;
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> Option<String> {
        let name = "acme/shop".parse().expect("a name");
        let path = Path::repository(&name)
            .then("/git/ref/heads")
            .segments(text);
        path.map(|path| path.0)
    }

    #[test]
    fn a24_a_strangers_text_stays_in_its_segments() {
        for (text, expected) in [
            ("main", Some("main")),
            ("feature/cart", Some("feature/cart")),
            ("a#b?c=d&e", Some("a%23b%3Fc%3Dd%26e")),
            ("100%25", Some("100%2525")),
            ("%2e%2e", Some("%252e%252e")),
            ("a b\\c", Some("a%20b%5Cc")),
            ("ü/😀", Some("%C3%BC/%F0%9F%98%80")),
            ("$(id);`id`", Some("%24%28id%29%3B%60id%60")),
            ("a:b@evil.example", Some("a%3Ab%40evil.example")),
            ("\r\nHost: evil", Some("%0D%0AHost%3A%20evil")),
            ("...", Some("...")),
            ("..", None),
            (".", None),
            ("../../../app", None),
            ("a/../b", None),
            ("a//b", None),
            ("/a", None),
            ("a/", None),
            ("", None),
        ] {
            let expected = expected.map(|rest| format!("/repos/acme/shop/git/ref/heads/{rest}"));
            assert_eq!(path(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a24_any_text_is_found_again_segment_by_segment(text in ".{1,40}") {
            let Some(path) = path(&text) else {
                prop_assert!(text.split('/').any(|part| matches!(part, "" | "." | "..")));
                return Ok(());
            };
            let uri: Uri = format!("https://api.github.com{path}").parse().expect("an address");
            prop_assert_eq!(uri.host(), Some("api.github.com"));
            prop_assert_eq!(uri.path(), &path);
            prop_assert_eq!(uri.query(), None);
            let rest = path.strip_prefix("/repos/acme/shop/git/ref/heads/").expect("our part");
            let decoded = |part| percent_decode_str(part).decode_utf8().expect("UTF-8").into_owned();
            let found: Vec<String> = rest.split('/').map(decoded).collect();
            prop_assert_eq!(found, text.split('/').map(str::to_owned).collect::<Vec<_>>());
        }
    }
}

//! The range of a partition that a query asks for, as the single condition that DynamoDB allows on the
//! sort key.

use towline_ports::Query;

/// The condition on the sort key, and where to begin.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bounds<'a> {
    pub(super) sorts: Sorts<'a>,
    /// Start after this sort key; it is within `sorts`, as `ExclusiveStartKey` must be.
    pub(super) after: Option<&'a str>,
}

/// A condition on the sort key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sorts<'a> {
    All,
    BeginWith(&'a str),
    UpTo(&'a str),
    Between(&'a str, &'a str),
}

/// The bounds of a query; none if the range is empty.
pub(super) fn bounds(query: &Query) -> Option<Bounds<'_>> {
    let prefix = query.prefix.as_str();
    // UTF-8 sorts like its bytes, so a key above the prefix that does not begin with it is above
    // all keys that do.
    let sorts = match query.up_to.as_deref() {
        Some(up_to) if up_to.is_empty() || up_to < prefix => return None,
        Some(up_to) if prefix.is_empty() => Sorts::UpTo(up_to),
        Some(up_to) if up_to.starts_with(prefix) => Sorts::Between(prefix, up_to),
        Some(_) | None if prefix.is_empty() => Sorts::All,
        Some(_) | None => Sorts::BeginWith(prefix),
    };
    let Some(after) = query.after.as_deref() else {
        return Some(Bounds { sorts, after: None });
    };
    let is_under = after.is_empty() || after < prefix;
    let is_over = match sorts {
        Sorts::UpTo(up_to) | Sorts::Between(_, up_to) => after > up_to,
        Sorts::BeginWith(prefix) => after > prefix && !after.starts_with(prefix),
        Sorts::All => false,
    };
    // DynamoDB rejects a start after which nothing of the range follows.
    let is_last = match query.newest_first {
        true => after == prefix,
        false => query.up_to.as_deref() == Some(after),
    };
    match (is_under, is_over, query.newest_first) {
        (true, _, true) | (_, true, false) => None,
        _ if is_last => None,
        (true, _, false) | (_, true, true) => Some(Bounds { sorts, after: None }),
        (false, false, _) => Some(Bounds {
            sorts,
            after: Some(after),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_condition_holds_what_is_asked_for_and_a_start_lies_within_it() {
        let ask = |prefix: &str, up_to: Option<&str>, after: Option<&str>, newest_first| Query {
            up_to: up_to.map(str::to_owned),
            after: after.map(str::to_owned),
            newest_first,
            ..Query::all("p").prefix(prefix)
        };
        let all = |after| {
            Some(Bounds {
                sorts: Sorts::All,
                after,
            })
        };
        let begin = |after| {
            Some(Bounds {
                sorts: Sorts::BeginWith("b"),
                after,
            })
        };
        let until = |after| {
            Some(Bounds {
                sorts: Sorts::UpTo("m"),
                after,
            })
        };
        let between = |after| {
            Some(Bounds {
                sorts: Sorts::Between("b", "bm"),
                after,
            })
        };
        for (prefix, up_to, after, forward, backward) in [
            ("", None, None, all(None), all(None)),
            ("", None, Some(""), all(None), None),
            ("", None, Some("x"), all(Some("x")), all(Some("x"))),
            ("", Some(""), None, None, None),
            ("", Some("m"), None, until(None), until(None)),
            ("", Some("m"), Some("m"), None, until(Some("m"))),
            ("", Some("m"), Some("n"), None, until(None)),
            ("b", None, None, begin(None), begin(None)),
            ("b", None, Some("a"), begin(None), None),
            ("b", None, Some("b"), begin(Some("b")), None),
            ("b", None, Some("bz"), begin(Some("bz")), begin(Some("bz"))),
            ("b", None, Some("c"), None, begin(None)),
            ("b", Some("a"), None, None, None),
            ("b", Some("c"), None, begin(None), begin(None)),
            (
                "b",
                Some("c"),
                Some("bz"),
                begin(Some("bz")),
                begin(Some("bz")),
            ),
            ("b", Some("bm"), None, between(None), between(None)),
            (
                "b",
                Some("bm"),
                Some("bc"),
                between(Some("bc")),
                between(Some("bc")),
            ),
            ("b", Some("bm"), Some("bz"), None, between(None)),
            ("b", Some("bm"), Some("a"), between(None), None),
        ] {
            for (newest_first, expected) in [(false, &forward), (true, &backward)] {
                let query = ask(prefix, up_to, after, newest_first);
                assert_eq!(bounds(&query), *expected, "{query:?}");
            }
        }
    }
}

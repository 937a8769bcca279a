//! Ranges of blobs to read and of chunks to store.

use crate::uploads::ChunkRange;

/// Which part of a blob to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    /// From `first` to `last`, both included.
    Range {
        first: u64,
        last: u64,
    },
    /// The range contains nothing of the blob.
    Outside,
}

/// Reads a `Range` header. Anything but one plain range of bytes is ignored
/// (RFC 9110, 14.2).
pub(super) fn part(header: Option<&str>, size: u64) -> Part {
    let Some((first, last)) = header
        .and_then(|header| header.strip_prefix("bytes="))
        .and_then(|range| range.split_once('-'))
    else {
        return Part::Whole;
    };
    let (first, last) = match (number(first), number(last)) {
        (None, Some(from_end)) if first.is_empty() => match from_end {
            0 => return Part::Outside,
            _ => (size.saturating_sub(from_end), u64::MAX),
        },
        (Some(first), None) if last.is_empty() => (first, u64::MAX),
        (Some(first), Some(last)) if first <= last => (first, last),
        _ => return Part::Whole,
    };
    if first >= size {
        return Part::Outside;
    }
    let last = last.min(size - 1);
    Part::Range { first, last }
}

/// Reads a chunk's `Content-Range`: `<first>-<last>`, as the OCI distribution
/// specification has it, or `bytes <first>-<last>/<size>` as HTTP does.
pub(super) fn chunk(header: &str) -> Option<ChunkRange> {
    let range = header.strip_prefix("bytes ").unwrap_or(header);
    let range = range.split('/').next()?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    // One less than the largest number, so that the length fits too.
    (first <= last && last < u64::MAX).then_some(ChunkRange { first, last })
}

/// Digits only: `u64::from_str` would accept a plus sign.
fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_to_the_blob() {
        let range = |first, last| Part::Range { first, last };
        for (header, expected) in [
            ("bytes=0-0", range(0, 0)),
            ("bytes=2-", range(2, 9)),
            ("bytes=2-99", range(2, 9)),
            ("bytes=-3", range(7, 9)),
            ("bytes=-99", range(0, 9)),
            ("bytes=9-9", range(9, 9)),
            ("bytes=10-", Part::Outside),
            ("bytes=-0", Part::Outside),
            ("bytes=3-2", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("bytes=0-1,3-4", Part::Whole),
            ("bytes=99999999999999999999-", Part::Whole),
            ("lines=0-1", Part::Whole),
        ] {
            assert_eq!(part(Some(header), 10), expected, "{header}");
        }
        assert_eq!(part(None, 10), Part::Whole);
        assert_eq!(part(Some("bytes=0-"), 0), Part::Outside);
    }

    #[test]
    fn a_chunk_has_two_ends() {
        let range = |first, last| Some(ChunkRange { first, last });
        for (header, expected) in [
            ("0-9", range(0, 9)),
            ("bytes 5-5/10", range(5, 5)),
            ("bytes 5-5/*", range(5, 5)),
            ("9-0", None),
            ("0-18446744073709551615", None),
            ("-1", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(chunk(header), expected, "{header}");
        }
    }
}

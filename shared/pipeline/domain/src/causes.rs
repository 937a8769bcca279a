//! An error with its causes, for people and logs.

use std::error::Error;

/// An error and all of its causes in one line, with `: ` between them.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let chain = std::iter::successors(Some(error), |&error| error.source());
    let texts: Vec<String> = chain.map(ToString::to_string).collect();
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("reading a.txt")]
    struct Reading(#[source] io::Error);

    #[test]
    fn every_cause_is_in_the_line() {
        let cause = io::Error::other("the disk is gone");
        assert_eq!(with_causes(&cause), "the disk is gone");
        assert_eq!(
            with_causes(&Reading(cause)),
            "reading a.txt: the disk is gone"
        );
    }
}

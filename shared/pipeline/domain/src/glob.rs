//! Patterns for paths and refs.

use std::sync::{Arc, OnceLock};

use globset::{GlobBuilder, GlobMatcher};
use serde::{Deserialize, Serialize};

/// A path or ref pattern: `*` within one part, `**` across parts, `{a,b}`, `[a-z]`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Glob(Arc<Shared>);

/// A pattern, which every copy of a definition shares.
struct Shared {
    glob: globset::Glob,
    /// Compiled when it is first needed: definitions are read far more often than they are matched.
    matcher: OnceLock<GlobMatcher>,
}

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When the pattern is over 512 bytes, begins with `/`, or its brackets do not close.
    pub fn new(text: &str) -> Result<Self, GlobError> {
        let broken = |reason: String| GlobError {
            text: text.chars().take(80).collect(),
            reason,
        };
        if text.is_empty() || text.len() > 512 {
            return Err(broken("it must have 1 to 512 bytes".into()));
        }
        if let Some(rest) = text.strip_prefix('/') {
            return Err(broken(format!(
                "no path or ref begins with '/'; write {rest}"
            )));
        }
        let glob = GlobBuilder::new(text)
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map_err(|error| broken(error.kind().to_string()))?;
        let matcher = OnceLock::new();
        Ok(Self(Arc::new(Shared { glob, matcher })))
    }

    /// Whether the pattern matches the whole of `candidate`.
    #[must_use]
    pub fn matches(&self, candidate: &str) -> bool {
        match self.plainly(candidate) {
            Some(matches) => matches,
            None => self.compiled(candidate),
        }
    }

    /// The form of most patterns: a literal name, or everything in a folder. Compiling a pattern costs
    /// far more than comparing names, and a definition is read again for each decision.
    fn plainly(&self, candidate: &str) -> Option<bool> {
        let (name, is_folder) = match self.as_str().strip_suffix("/**") {
            Some(folder) => (folder, true),
            None => (self.as_str(), false),
        };
        is_plain(name).then(|| {
            let rest = candidate.strip_prefix(name);
            rest.is_some_and(|rest| match is_folder {
                true => rest.starts_with('/'),
                false => rest.is_empty(),
            })
        })
    }

    fn compiled(&self, candidate: &str) -> bool {
        let Shared { glob, matcher } = &*self.0;
        let matcher = matcher.get_or_init(|| glob.compile_matcher());
        matcher.is_match(candidate)
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.glob.glob()
    }

    /// The only name that it matches; none if it is more than a name.
    #[must_use]
    pub fn as_name(&self) -> Option<&str> {
        Some(self.as_str()).filter(|text| is_plain(text))
    }
}

fn is_plain(text: &str) -> bool {
    !text.contains(['*', '?', '[', ']', '{', '}', ',', '\\'])
}

impl std::fmt::Debug for Glob {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self.as_str(), formatter)
    }
}

impl PartialEq for Glob {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Glob {}

impl TryFrom<String> for Glob {
    type Error = GlobError;
    fn try_from(text: String) -> Result<Self, GlobError> {
        Self::new(&text)
    }
}

impl From<Glob> for String {
    fn from(glob: Glob) -> String {
        glob.as_str().to_owned()
    }
}

/// Why a pattern cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a pattern: {reason}")]
pub struct GlobError {
    text: String,
    reason: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn comparing_finds_what_compiling_finds(
            pattern in "(a|b|/|-|\\.|!|\\^){1,4}(/\\*\\*)?",
            candidate in "(a|b|/|-|\\.|!|\\^|\n){0,6}",
        ) {
            if let Ok(glob) = Glob::new(&pattern) {
                let plainly = glob.plainly(&candidate);
                prop_assert_eq!(plainly, Some(glob.compiled(&candidate)), "{:?}", glob);
            }
        }
    }
}

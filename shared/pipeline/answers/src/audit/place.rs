//! The place in the ledgers where an answer continues, as a word of an address.

use std::fmt;
use std::str::FromStr;

use towline_domain::intent::StageKey;
use towline_domain::ledger::Head;
use towline_domain::names::RepositoryId;

/// The name of a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    /// The ledger of a repository's builds.
    Builds(RepositoryId),
    Stage(StageKey),
}

impl Name {
    /// Sorted by repository, with the ledger of its builds first.
    fn order(&self) -> (u64, Option<(&str, &str)>) {
        match self {
            Self::Builds(id) => (id.0, None),
            Self::Stage(key) => {
                let names = (key.component.as_str(), key.stage.as_str());
                (key.repository.0, Some(names))
            }
        }
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}

/// A place in a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) name: Name,
    /// The ledger's last row at the time when reading began.
    pub(super) head: Head,
    /// The row to read next.
    pub(super) rest: Head,
}

impl Place {
    pub(super) fn new(name: &Name, head: &Head, rest: Head) -> Self {
        Self {
            name: name.clone(),
            head: head.clone(),
            rest,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Name::Builds(id) => write!(text, "{id}")?,
            Name::Stage(key) => write!(text, "{}/{}/{}", key.repository, key.component, key.stage)?,
        }
        for head in [&self.head, &self.rest] {
            write!(text, "~{}~{}", head.sequence, head.hash)?;
        }
        Ok(())
    }
}

/// A text is not a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotAPlace;

impl FromStr for Place {
    type Err = NotAPlace;

    fn from_str(text: &str) -> Result<Self, NotAPlace> {
        let parts: Vec<&str> = text.split('~').collect();
        let [name, last, last_hash, next, next_hash] = parts.as_slice() else {
            return Err(NotAPlace);
        };
        let head = |sequence: &str, hash: &str| -> Option<Head> {
            let is_hash = hash.len() == 64 && hash.bytes().all(|digit| digit.is_ascii_hexdigit());
            is_hash.then_some(Head {
                sequence: sequence.parse().ok()?,
                hash: hash.into(),
            })
        };
        let place = || -> Option<Self> {
            Some(Self {
                name: name_of(name)?,
                head: head(last, last_hash)?,
                rest: head(next, next_hash)?,
            })
        };
        place().ok_or(NotAPlace)
    }
}

fn name_of(text: &str) -> Option<Name> {
    let mut parts = text.splitn(3, '/');
    let repository = RepositoryId(parts.next()?.parse().ok()?);
    let Some(component) = parts.next() else {
        return Some(Name::Builds(repository));
    };
    Some(Name::Stage(StageKey {
        repository,
        component: component.parse().ok()?,
        stage: parts.next()?.parse().ok()?,
    }))
}

//! The people who took part in a candidate's changes, push by push (A23).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// The most bytes of names of one push. Offers to 16 stages have to fit into one item.
pub const MOST_BYTES: usize = 8 * 1024;

/// The most entries of a log, and the most bytes in them. Beyond that, the oldest entries are joined.
const MOST_ENTRIES: usize = 40;
const MOST_BYTES_TOGETHER: usize = 16 * 1024;

/// Everyone who wrote, committed or pushed something with one push, or with several that were joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contribution {
    /// The order number of the push, or of the first one.
    pub first: u64,
    /// The order number of the push, or of the last one.
    pub last: u64,
    /// Logins, addresses and names.
    pub authors: Vec<String>,
    /// Whether there were more people than could be kept. If so, nobody can be ruled out as an author.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

impl Contribution {
    /// Whether everything in `other` is in this one too.
    fn covers(&self, other: &Self) -> bool {
        let knows = |author| self.cut || self.authors.contains(author);
        self.first <= other.first
            && self.last >= other.last
            && (self.cut || !other.cut)
            && other.authors.iter().all(knows)
    }

    /// Joins two entries into one that counts whenever either of them would.
    fn join(&mut self, other: Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.cut |= other.cut;
        for author in other.authors {
            if !self.authors.contains(&author) {
                self.authors.push(author);
            }
        }
        if self.cut || bytes(&self.authors) > MOST_BYTES {
            self.cut = true;
            self.authors.clear();
        }
    }
}

fn bytes(authors: &[String]) -> usize {
    authors.iter().map(|author| author.len() + 3).sum()
}

/// The pushes of a ref, or of all candidates of a stage, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Contributions(Vec<Contribution>);

impl Contributions {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a push; a known one changes nothing (I11).
    pub fn add(&mut self, new: Contribution) {
        if self.0.iter().any(|known| known.covers(&new)) {
            return;
        }
        self.0.retain(|known| !new.covers(known));
        let place = self.0.partition_point(|known| known.last <= new.last);
        self.0.insert(place, new);
        while self.0.len() > MOST_ENTRIES
            || (self.0.len() > 1 && self.bytes() > MOST_BYTES_TOGETHER)
        {
            let oldest = self.0.remove(0);
            self.0[0].join(oldest);
        }
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(|entry| bytes(&entry.authors)).sum()
    }

    pub fn add_all(&mut self, others: &Self) {
        for other in &others.0 {
            self.add(other.clone());
        }
    }

    /// The people who took part after one order number, up to another.
    #[must_use]
    pub fn between(&self, after: u64, up_to: u64) -> Authors {
        let counts = |entry: &&Contribution| entry.last > after && entry.first <= up_to;
        let mut authors = Authors::default();
        for entry in self.0.iter().filter(counts) {
            authors.names.extend(entry.authors.iter().cloned());
            authors.are_unknown |= entry.cut;
        }
        authors
    }
}

/// A set of authors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authors {
    /// Logins, addresses and names.
    pub names: BTreeSet<String>,
    /// Whether there are more of them.
    pub are_unknown: bool,
}

//! The id under which a registered repository is stored, regardless of which of its ids a push names (A7,
//! A8).
//!
//! A repository has one canonical id, the first one seen. A folder on this machine has an id in a range
//! of its own. That id only identifies the clone, so the name decides. GitHub's ids are identities, and
//! the name is only a label.

use serde::{Deserialize, Serialize};
use towline_domain::names::{RepositoryId, RepositoryName};

use crate::RepositoryRef;

/// Bits of a local id that distinguish folders.
const BITS: u32 = 48;

/// The prefix of every local id; GitHub's ids are far below. All are exact as JSON numbers, whose integers
/// are exact up to 2^53 (RFC 8259, section 6).
const LOCAL: u64 = 1 << 52;

/// The local id with these 48 bits; higher bits are dropped.
#[must_use]
pub const fn local(bits: u64) -> RepositoryId {
    RepositoryId(LOCAL | (bits & ((1 << BITS) - 1)))
}

/// Whether the id is from this machine and not from GitHub.
#[must_use]
pub fn is_local(id: RepositoryId) -> bool {
    id.0 >> BITS == LOCAL >> BITS
}

/// GitHub treats names that differ only in case as the same.
#[must_use]
pub fn same_name(one: &RepositoryName, other: &RepositoryName) -> bool {
    one.as_str().eq_ignore_ascii_case(other.as_str())
}

/// The permanent ids of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The canonical one, under which everything is stored.
    pub id: RepositoryId,
    /// GitHub's, if the canonical one is local and a webhook came later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub real: Option<RepositoryId>,
}

impl Binding {
    /// Whether this is one of them.
    #[must_use]
    pub fn holds(&self, id: RepositoryId) -> bool {
        self.id == id || self.real == Some(id)
    }
}

/// What is known about a registered repository's ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// Nothing.
    Unseen,
    /// The local id of its folder, until the first push.
    Provisional(RepositoryId),
    /// The id from the first push.
    Bound(Binding),
}

impl Ids {
    /// The id it is stored under.
    #[must_use]
    pub fn canonical(&self) -> Option<RepositoryId> {
        match self {
            Self::Unseen => None,
            Self::Provisional(id) => Some(*id),
            Self::Bound(binding) => Some(binding.id),
        }
    }

    fn holds(&self, id: RepositoryId) -> bool {
        match self {
            Self::Unseen => false,
            Self::Provisional(own) => *own == id,
            Self::Bound(binding) => binding.holds(id),
        }
    }
}

/// A registered repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its registered name.
    pub name: RepositoryName,
    pub ids: Ids,
}

/// What to do about a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// Admit it under this id and name.
    Admitted(RepositoryRef),
    /// Store this binding, then admit it under the binding's id.
    Bind {
        /// The registered name.
        name: RepositoryName,
        /// Its ids from now on.
        binding: Binding,
    },
    /// It is not registered.
    Unknown,
    /// The name belongs to another repository.
    Impostor {
        /// The registered name.
        name: RepositoryName,
        /// The id the name is bound to; GitHub's, if known.
        known: RepositoryId,
    },
}

/// Decides about the repository that a push names. No two of `known` share a name or an id.
#[must_use]
pub fn judge(known: &[Known], claim: &RepositoryRef) -> Judgement {
    let local = is_local(claim.id);
    let by_id = known.iter().find(|known| known.ids.holds(claim.id));
    let by_name = known
        .iter()
        .find(|known| same_name(&known.name, &claim.name));
    let found = if local {
        by_name.or(by_id)
    } else {
        by_id.or(by_name)
    };
    let Some(found) = found else {
        return Judgement::Unknown;
    };
    let name = found.name.clone();
    match found.ids {
        Ids::Bound(binding) if local || binding.holds(claim.id) => {
            Judgement::Admitted(RepositoryRef {
                id: binding.id,
                name,
            })
        }
        Ids::Bound(Binding { id, real: None }) if is_local(id) => Judgement::Bind {
            name,
            binding: Binding {
                id,
                real: Some(claim.id),
            },
        },
        Ids::Bound(Binding { id, real }) => Judgement::Impostor {
            name,
            known: real.unwrap_or(id),
        },
        Ids::Unseen | Ids::Provisional(_) => Judgement::Bind {
            binding: Binding {
                id: free(known, found, claim.id),
                real: None,
            },
            name,
        },
    }
}

/// The id, or the next one if a clone was pushed before under another name.
fn free(known: &[Known], of: &Known, mut id: RepositoryId) -> RepositoryId {
    let others = |id| {
        known
            .iter()
            .any(|other| other.name != of.name && other.ids.holds(id))
    };
    while others(id) {
        id = local(id.0 + 1);
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> RepositoryName {
        text.parse().expect("a name")
    }

    /// A clone's id.
    const L: u64 = LOCAL | 5;
    /// The id of another clone.
    const M: u64 = LOCAL | 9;
    /// The id of a registered folder.
    const FOLDER: u64 = LOCAL | 77;

    #[test]
    fn local_ids_are_of_their_own_range_and_exact_in_json() {
        for (id, expected) in [
            (local(0), true),
            (local(u64::MAX), true),
            (RepositoryId(7), false),
            (RepositoryId((1 << 48) - 1), false),
            (RepositoryId(LOCAL - 1), false),
            (RepositoryId(LOCAL + (1 << 48)), false),
        ] {
            assert_eq!(is_local(id), expected, "{id}");
        }
        assert!(local(u64::MAX).0 < 1 << 53);
        assert_ne!(local(1), local(2));
    }

    #[test]
    fn a7_a8_a_claim_is_judged_by_id_first_and_a_clone_by_name_first() {
        let bound = |text: &str, id, real: Option<u64>| Known {
            name: name(text),
            ids: Ids::Bound(Binding {
                id: RepositoryId(id),
                real: real.map(RepositoryId),
            }),
        };
        let known = [
            bound("acme/real", 7, None),
            bound("acme/cloned", L, None),
            bound("acme/both", M, Some(8)),
            Known {
                name: name("acme/new"),
                ids: Ids::Unseen,
            },
            Known {
                name: name("acme/folder"),
                ids: Ids::Provisional(RepositoryId(FOLDER)),
            },
        ];
        let admitted = |id| {
            let registered = match id {
                L => "acme/cloned",
                M => "acme/both",
                _ => "acme/real",
            };
            Judgement::Admitted(RepositoryRef {
                id: RepositoryId(id),
                name: name(registered),
            })
        };
        let impostor = |text, id| Judgement::Impostor {
            name: name(text),
            known: RepositoryId(id),
        };
        let bind = |text, id, real: Option<u64>| Judgement::Bind {
            name: name(text),
            binding: Binding {
                id: RepositoryId(id),
                real: real.map(RepositoryId),
            },
        };
        for (id, claimed, expected) in [
            (7, "acme/real", admitted(7)),
            (7, "ACME/real", admitted(7)),
            (8, "acme/both", admitted(M)),
            // Renamed, even to a name that is registered.
            (7, "acme/renamed", admitted(7)),
            (7, "acme/new", admitted(7)),
            (8, "acme/real", admitted(M)),
            // Recreated under an old name.
            (9, "acme/real", impostor("acme/real", 7)),
            (9, "acme/both", impostor("acme/both", 8)),
            (9, "attacker/repo", Judgement::Unknown),
            (LOCAL | 1, "attacker/repo", Judgement::Unknown),
            // Pushed from any clone.
            (LOCAL | 1, "acme/real", admitted(7)),
            (M, "acme/cloned", admitted(L)),
            (L, "acme/both", admitted(M)),
            (L, "local/cloned", admitted(L)),
            // The webhook after the clone.
            (9, "acme/cloned", bind("acme/cloned", L, Some(9))),
            (9, "acme/new", bind("acme/new", 9, None)),
            (LOCAL | 1, "acme/new", bind("acme/new", LOCAL | 1, None)),
            (L, "acme/new", bind("acme/new", L + 1, None)),
            (FOLDER, "local/folder", bind("acme/folder", FOLDER, None)),
            (9, "acme/folder", bind("acme/folder", 9, None)),
        ] {
            let claim = RepositoryRef {
                id: RepositoryId(id),
                name: name(claimed),
            };
            assert_eq!(judge(&known, &claim), expected, "{id} {claimed}");
        }
    }
}

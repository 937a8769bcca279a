//! What a person may do, by their groups.

use serde::{Deserialize, Serialize};

use crate::names::CommitSha;
use crate::person::{Actor, Person};

/// The groups that have the rights which no gate gives, by the default branch's last valid definition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights {
    /// Groups that may operate; none means every group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operate: Vec<String>,
    /// Groups that may override; none means nobody.
    #[serde(default, rename = "override", skip_serializing_if = "Vec::is_empty")]
    pub overrule: Vec<String>,
}

impl Rights {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Why a person does not have a right; none if they have it.
    #[must_use]
    pub fn lacks(&self, by: &Person, right: Right) -> Option<Lacking> {
        let (has, groups) = match right {
            Right::Operate if self.operate.is_empty() => (!by.groups.is_empty(), &self.operate),
            Right::Operate => (by.is_in(&self.operate), &self.operate),
            Right::Override => {
                let named = !self.overrule.is_empty();
                (named && by.is_in(&self.overrule), &self.overrule)
            }
        };
        (!has).then(|| Lacking {
            by: by.into(),
            right,
            groups: groups.clone(),
            loosened_by: None,
        })
    }
}

/// A right that the definition gives to groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// Promote images of admitted refs, cancel, retry, hold.
    Operate,
    /// Promote images of refs that are not admitted, or without the approvals of a gate.
    Override,
}

impl Right {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Operate => "operate",
            Self::Override => "override",
        }
    }
}

/// A right that a person does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lacking {
    pub by: Actor,
    pub right: Right,
    pub groups: Vec<String>,
    /// The change that gives it to more groups, and is not in effect yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loosened_by: Option<CommitSha>,
}

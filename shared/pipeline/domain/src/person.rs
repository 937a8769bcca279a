//! Who did something: a known person, or Towline itself.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::names::RepositoryName;

/// Stands for every group: the owner of a machine belongs to all.
pub const EVERY_GROUP: &str = "*";

/// The login of Towline itself, which no person may have.
pub const SYSTEM: &str = "towline";

/// A known person, with the facts that decide their rights.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The login, the only identity that counts towards a quorum.
    pub login: String,
    /// The addresses of their commits, in lower case; used to refuse self-approval (A23).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub emails: Vec<String>,
    /// The groups they belong to; [`EVERY_GROUP`] stands for all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// The repositories that they may see and act on; all, if none are named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<RepositoryName>,
    /// The door that their request came through; not part of the list of people.
    #[serde(skip)]
    pub door: Option<Door>,
}

/// The door through which a person's request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Door {
    /// The command line, with a token.
    Terminal,
    /// Another client of the API, with a token.
    Api,
    /// The API, with an identity that AWS verified.
    Iam,
    Slack,
}

impl Door {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Terminal => "terminal",
            Self::Api => "api",
            Self::Iam => "iam",
            Self::Slack => "slack",
        }
    }
}

impl Person {
    /// Whether they are one of these authors, by name or address.
    #[must_use]
    pub fn is_one_of<'a>(&self, authors: impl IntoIterator<Item = &'a String>) -> bool {
        authors.into_iter().any(|author| {
            author.eq_ignore_ascii_case(&self.login)
                || self
                    .emails
                    .iter()
                    .any(|email| email.eq_ignore_ascii_case(author))
        })
    }

    /// Whether they may administer Towline: the owner may.
    #[must_use]
    pub fn administers(&self) -> bool {
        self.groups.iter().any(|own| own == EVERY_GROUP)
    }

    /// Whether they belong to any of the groups. If there are no groups, every known person counts.
    #[must_use]
    pub fn is_in(&self, groups: &[String]) -> bool {
        are_in(&self.groups, groups)
    }
}

/// Whether a person with the groups `own` belongs to any of the others. If there are no others,
/// everyone counts.
#[must_use]
pub fn are_in(own: &[String], groups: &[String]) -> bool {
    groups.is_empty()
        || own
            .iter()
            .any(|own| own == EVERY_GROUP || groups.contains(own))
}

/// Who caused a row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// Towline, by a rule of the definition.
    System,
    /// A person, by login.
    Person(String),
}

impl From<&Person> for Actor {
    fn from(person: &Person) -> Self {
        Self::Person(person.login.clone())
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => formatter.pad(SYSTEM),
            Self::Person(login) => formatter.pad(&format!("@{login}")),
        }
    }
}

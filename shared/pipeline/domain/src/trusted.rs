//! The definition that applies to a repository's stages, with the older rules that still hold.

use serde::{Deserialize, Serialize};

use crate::definition::{ApprovalRule, Definition, Source};
use crate::filter;
use crate::names::{CommitSha, GitRef, StageName};
use crate::reason::NotAdmitted;

/// The definition that applies to a repository's stages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trusted {
    /// Its content.
    pub definition: Definition,
    /// The commit of the default branch that it comes from.
    pub commit: CommitSha,
    /// That commit's order number; an older one never replaces it.
    pub order: u64,
    /// The default branch.
    pub branch: String,
    /// Earlier rules that still hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub older: Vec<Older>,
}

impl Trusted {
    /// Why the definition does not admit images of a ref.
    #[must_use]
    pub fn not_admitted(&self, git_ref: &GitRef) -> Option<NotAdmitted> {
        let source = &self.definition.source;
        filter::admits(source, git_ref, &self.branch, "").err()
    }
}

/// The rules of a stage before a definition that loosened them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Older {
    pub stage: StageName,
    pub gate: ApprovalRule,
    /// The refs that it admitted.
    pub source: Source,
    /// The default branch then.
    pub branch: String,
    /// The groups that could override.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrule: Vec<String>,
    /// The commit that loosened them.
    pub commit: CommitSha,
    pub order: u64,
}

impl Older {
    /// Why images of a ref were not admitted.
    #[must_use]
    pub fn not_admitted(&self, git_ref: &GitRef) -> Option<NotAdmitted> {
        filter::admits(&self.source, git_ref, &self.branch, "").err()
    }
}
